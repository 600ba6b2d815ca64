"""The page itself: its three tabs, and what its buttons do. Only this machine can reach it."""

import functools
import html
import os
import re
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

# Before Gradio is imported: nothing is sent anywhere, and nothing is fetched.
os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
os.environ["HF_HUB_OFFLINE"] = "1"

import gradio as gr

from dancing.app import puppet
from dancing.app.rendering import render
from dancing.clips import report
from dancing.errors import UserError
from dancing.params import Params
from dancing.preflight import check_clips, training_time
from dancing.trained import HERE, list_models

LONGEST_S = 180  # of a video
LARGEST = "500mb"  # of an upload
QUEUE = 20  # requests that may wait; one runs at a time
_KEPT_S = 24 * 3600  # uploads and videos are deleted after a day
LAYOUTS = {
    "The dancer": "picture",
    "Skeleton and dancer": "side_by_side",
    "Skeleton": "skeleton",
    "Beside the original models": "comparison",
}
FORMATS = {
    "Portrait, 1080 x 1920": "portrait",
    "Landscape, 1920 x 1080": "landscape",
    "Square, 1080 x 1080": "square",
    "As filmed": "filmed",
}
_SYSTEM_FONTS = ["system-ui", "-apple-system", "Segoe UI", "sans-serif"]  # others would be fetched
_THEME = gr.themes.Default(font=_SYSTEM_FONTS, font_mono=["ui-monospace", "monospace"])
_STYLE = """
.gradio-container { max-width: min(76rem, 100%) !important; margin: 0 auto; }
iframe.report { width: 100%; height: 70vh; border: 1px solid #ccc; border-radius: 8px; background: #fff; }
video { max-height: 75vh; }
/* The waveform of a song is as wide as the song is long, and would make the page as wide. */
.gradio-container main, .gradio-container .wrap, .waveform-container { min-width: 0; max-width: 100%; }
.waveform-container { overflow: hidden; }
"""


def serve(params: Params, port: int, browser: bool, block: bool = True) -> tuple[gr.Blocks, str]:
    """Open the page.

    Args:
        params: of the project, in whose folder this runs.
        port: on this machine; 0: one that is free.
        browser: whether to open it in a browser.
        block: whether to wait until Ctrl-C.

    Returns:
        The page and its address.

    Raises:
        UserError: the port is taken.
    """
    page = build(params)
    page.queue(max_size=QUEUE, default_concurrency_limit=1, api_open=False)
    try:
        _, address, _ = page.launch(
            server_name="127.0.0.1", server_port=port or None, inbrowser=browser, prevent_thread_lock=True,
            max_file_size=LARGEST, quiet=True, footer_links=[], theme=_THEME, css=_STYLE, share=False,
        )  # fmt: skip
    except OSError:
        raise UserError(f"port {port} is taken; give another one with --port, or none for one that is free") from None
    print(f"The page is at {address} . Ctrl-C ends it.")
    if block:
        page.block_thread()
    return page, address


def build(params: Params) -> gr.Blocks:
    """Put the page together."""
    with gr.Blocks(title="Dancing", analytics_enabled=False, delete_cache=(3600, _KEPT_S)) as page:
        gr.Markdown("# Dancing\nA song goes in, a video of the dancer comes out. Everything stays on this machine.")
        with gr.Tab("Dance"):
            _dance_tab(params)
        with gr.Tab("Check clips"):
            _clips_tab(params)
        with gr.Tab("Puppet"):
            _puppet_tab(params)
    return page


def _dance_tab(params: Params) -> None:
    with gr.Row():
        with gr.Column(scale=1, min_width=280):
            song = gr.Audio(label="Song", type="filepath", sources=["upload", "microphone"], buttons=[])
            start = gr.Number(0, label="Start in the song, s", minimum=0)
            seconds = gr.Slider(2, LONGEST_S, value=20, step=1, label="Length, s")
            layout = gr.Radio(list(LAYOUTS.items()), value="picture", label="What it shows")
            shape = gr.Radio(list(FORMATS.items()), value="portrait", label="Format")
            with gr.Accordion("More", open=False):
                seed = gr.Number(1, label="Seed: another one gives another dance", minimum=0, precision=0)
                temperature = gr.Slider(0, 2, value=1, step=0.05, label="Temperature: higher is wilder")
                model = gr.Dropdown(list_models(), value=HERE, label="Model")
                gr.Button("Look for new models", size="sm").click(
                    lambda: gr.Dropdown(choices=list_models()), outputs=model, show_progress="hidden"
                )
        with gr.Column(scale=2, min_width=320), gr.Row():
            results = [_result("Dance", params), _result("Another seed", params)]
    asked = [song, start, seconds, layout, shape, seed, temperature, model]
    scratch = tempfile.TemporaryDirectory(prefix="dancing_")  # for videos; it goes when the page does
    for further, (button, outputs) in enumerate(results):
        button.click(
            functools.partial(_dance, params, scratch, further),
            asked,
            outputs,
            concurrency_id="work",
            api_visibility="private",
        )


def _result(name: str, params: Params) -> tuple[gr.Button, list[Any]]:
    with gr.Column(min_width=300):
        button = gr.Button(name, variant="primary" if name == "Dance" else "secondary")
        video = gr.Video(label=name, interactive=False, buttons=["download"])
        summary = gr.Markdown()
        speed = gr.Plot(show_label=False, visible=False)
    return button, [video, summary, speed]


def _dance(
    params: Params,
    scratch: "tempfile.TemporaryDirectory[str]",
    further: int,
    song: str | None,
    start: float,
    seconds: float,
    layout: str,
    shape: str,
    seed: float,
    temperature: float,
    model: str,
    progress: gr.Progress = gr.Progress(),  # noqa: B008 (Gradio finds it in the signature)
) -> tuple[str, str, Any]:
    """Render; `further` is added to the seed."""
    if song is None:
        raise gr.Error("Upload a song first, or record one.", title="No song", print_exception=False)
    values = {
        "song": song, "start": float(start or 0), "seconds": float(seconds), "layout": layout, "format": shape,
        "seed": int(seed or 0) + further, "temperature": float(temperature),
    }  # fmt: skip
    progress(0, desc="Reading the song, making up the dance")
    with _plain_errors(song):
        out = Path(tempfile.mkdtemp(dir=scratch.name)) / f"{_stem(song)}_{values['seed']}.mp4"
        done = render(model, values, params, out, _time_left(progress))
    return str(done.video), done.summary, gr.Plot(done.speed, visible=True)


def _time_left(progress: gr.Progress) -> Callable[[int, int], None]:
    """A progress bar for frames, with the time that is left."""
    begin, shown = time.monotonic(), 0.0

    def on_frame(frame: int, frames: int) -> None:
        nonlocal shown
        now = time.monotonic()
        if now - shown > 0.5 or frame == frames:
            shown = now
            left = (now - begin) / frame * (frames - frame)
            progress((frame, frames), desc=f"{left:.0f} s left", unit="frames")

    return on_frame


def _clips_tab(params: Params) -> None:
    gr.Markdown(
        "Which clips can be used for training, what is wrong with the others, and how long training takes here."
    )
    clips = gr.File(label="Clips", file_count="multiple", file_types=["video"])
    button = gr.Button("Check", variant="primary")
    shown = gr.HTML()
    button.click(functools.partial(_check, params), clips, shown, concurrency_id="work", api_visibility="private")


def _check(params: Params, files: list[str] | None, progress: gr.Progress = gr.Progress(track_tqdm=True)) -> str:  # noqa: B008
    if not files:
        raise gr.Error("Choose one clip or several first.", title="No clips", print_exception=False)
    progress(0, desc="Looking for the dancer")
    with _plain_errors(), tempfile.TemporaryDirectory() as scratch:
        folder, features = Path(scratch, "clips"), Path(scratch, "features")
        folder.mkdir()
        for k, file in enumerate(files):
            name = Path(file).name
            shutil.copy(file, folder / (f"{k}_{name}" if (folder / name).exists() else name))
        found = check_clips(folder, params, Path(".cache/features"), Path(scratch, "report.html"), features)
        page = report.page(found.reports, features)
        estimate = training_time(found, folder, features, params)
    return f'<p>{html.escape(estimate)}</p><iframe class="report" title="Report" srcdoc="{html.escape(page)}"></iframe>'


def _puppet_tab(params: Params) -> None:
    gr.Markdown("Drag a joint, or move it by the arrow keys: the image follows. What hangs on the joint moves with it.")

    def start(_: None) -> dict[str, Any]:  # Gradio passes one value, here null
        return puppet.start(params)

    def paint(landmarks: list[list[float]]) -> str:
        return puppet.paint(landmarks, params)

    gr.HTML(
        html_template=puppet.TEMPLATE, css_template=puppet.STYLE, js_on_load=puppet.SCRIPT,
        server_functions=[start, paint], elem_id="puppet",
    )  # fmt: skip


@contextmanager
def _plain_errors(song: str | None = None) -> Iterator[None]:
    """Show what the user can mend in words on the page, with the name of the song instead of where it is kept."""
    try:
        yield
    except UserError as error:
        text = str(error)
        if song is not None:
            text = text.replace(song, Path(song).name)
        raise gr.Error(html.escape(text), title="This did not work", print_exception=False) from None
    except OSError as error:
        raise gr.Error(html.escape(f"{error.strerror or error}"), title="This did not work") from error


def _stem(song: str) -> str:
    """Name for a file, from that of the song."""
    return re.sub(r"[^\w.-]+", "_", Path(song).stem)[:60] or "dance"
