"""The command `dancing`: what people do with clips, songs and trained models. `dvc` runs the pipeline itself.

PyTorch, MediaPipe and MLflow are imported by the commands that need them, after all that can be refused without them.
"""

import os
from pathlib import Path
from typing import Annotated

import typer

from dancing import presets
from dancing.errors import UserError, exit_on_user_error
from dancing.params import Params, load_params
from dancing.render.request import check_request, with_render
from dancing.trained import HERE, load_dance_models

app = typer.Typer(
    name="dancing",
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    help="""
    Clips of a dancer in, a dance to any song out.

    Put clips into a folder, check them with `dancing check FOLDER`, train with `dvc repro`, and render any song with
    `dancing render SONG`. All commands work in the project's folder and below it.
    """,
)
#: A path from the folder that the command is given in.
_PATH = {"resolve_path": True, "path_type": Path}


def main() -> None:
    """Run the command line."""
    exit_on_user_error(app)


@app.command()
def check(
    folder: Annotated[
        Path | None, typer.Argument(help="Folder of clips; data.clips of params.yaml by default.", **_PATH)
    ] = None,
    report: Annotated[Path, typer.Option(help="Web page to write, with a picture of each clip.", **_PATH)] = Path(
        "check.html"
    ),
    estimate: Annotated[bool, typer.Option(help="Time some training steps, and say how long all of them take.")] = True,
) -> None:
    """Check clips before any training: which would be used, which not and why, and how long the training takes here.

    The exit status is 0 if all clips can be used, and 1 if some can't.

        dancing check data/raw
    """
    params = _dance_project()
    folder = folder or Path(params.data.clips).resolve()
    if not folder.is_dir():
        raise UserError(f"{folder}: no such folder; give the folder that your clips are in")
    import tempfile

    from dancing.clips.report import lines
    from dancing.preflight import check_clips, training_time

    with tempfile.TemporaryDirectory() as scratch:
        features = Path(scratch)
        found = check_clips(folder, params, Path(".cache/features"), report, features)
        print("\n".join(lines(found.reports)))
        print(f"{report}: the same with pictures")
        if estimate:
            print(training_time(found, folder, features, params))
    if found.used < len(found.reports) or not found.reports:
        raise typer.Exit(1)


@app.command()
def render(
    song: Annotated[Path, typer.Argument(help="Any file with sound.", **_PATH)],
    out: Annotated[Path, typer.Option(help="Video to write.", **_PATH)] = Path("my_dance.mp4"),
    seconds: Annotated[float | None, typer.Option(help="Length of the video.")] = None,
    start: Annotated[float, typer.Option(help="Where in the song the video starts, in seconds.")] = 0,
    seed: Annotated[int | None, typer.Option(help="Another seed gives another dance.")] = None,
    layout: Annotated[str | None, typer.Option(help="side_by_side, picture, skeleton or comparison.")] = None,
    shape: Annotated[str | None, typer.Option("--format", help="filmed, portrait, landscape or square.")] = None,
    temperature: Annotated[float | None, typer.Option(help="0: the most likely dance; higher: wilder.")] = None,
    model: Annotated[str, typer.Option(help="models/ here, or one in MLflow such as models:/dance@champion.")] = HERE,
) -> None:
    """Make the trained dancer dance to a song. What is not given is as in the section render of params.yaml.

    dancing render song.mp3 --seconds 20 --format portrait --layout picture
    """
    params = _dance_project()
    check_request(out, str(song))
    chosen = {"song": str(song), "seconds": seconds, "start": start, "seed": seed, "layout": layout, "format": shape}
    chosen |= {"temperature": temperature}
    params = with_render(params, {key: value for key, value in chosen.items() if value is not None}, "the request")
    models = load_dance_models(model, params.render.guidance)
    from dancing.render.dance import generate_dance, write_dance

    write_dance(out, generate_dance(models, params.render), models, params)


@app.command()
def preset(
    name: Annotated[str | None, typer.Argument(help="A preset, such as gpu or digits/mnist.")] = None,
    undo: Annotated[bool, typer.Option("--undo", help="Undo the preset; your own edits stay.")] = False,
) -> None:
    """List the presets, or apply one to params.yaml, whose other values stay.

    dancing preset gpu
    """
    presets.run(name, undo)


@app.command(name="app")
def page(
    port: Annotated[int, typer.Option(help="Port on this machine; 0: any that is free.")] = 0,
    browser: Annotated[bool, typer.Option(help="Open the page in a browser.")] = True,
) -> None:
    """Open the page on which songs are dropped and videos come out. Only this machine can reach it.

    dancing app
    """
    params = _dance_project()
    _needs("gradio", "app")
    from dancing.app.page import serve

    serve(params, port, browser)


@app.command()
def ui(
    port: Annotated[int | None, typer.Option(help="Port; 5000 by default, or one that is free.")] = None,
) -> None:
    """Open MLflow on this project's runs: their figures, videos and models.

    dancing ui
    """
    os.chdir(presets.project_root())
    params = load_params()
    from dancing.mlflow_ui import serve

    serve(params.mlflow.experiment, port)


@app.command()
def promote(
    run: Annotated[
        str | None,
        typer.Argument(help="Run in MLflow, by id or name, or an experiment; the newest by default."),
    ] = None,
) -> None:
    """Make the model of a run the champion: models:/dance@champion.

    dancing promote wider
    """
    _dance_project()
    from dancing import registry

    print(registry.promote(run))


@app.command()
def compare(
    first: Annotated[str, typer.Argument(help="A run in MLflow, an experiment, models:/dance@champion, or models/.")],
    second: Annotated[str, typer.Argument(help="Another one.")],
    song: Annotated[Path | None, typer.Option(help="Any file with sound; render.song by default.", **_PATH)] = None,
    out: Annotated[Path, typer.Option(help="Video to write.", **_PATH)] = Path("compare.mp4"),
    seconds: Annotated[float | None, typer.Option(help="Length of the video.")] = None,
) -> None:
    """Show the dances of two models to the same song, side by side.

    dancing compare models/ wider --song song.mp3
    """
    params = _dance_project()
    chosen = {"song": None if song is None else str(song), "seconds": seconds}
    render = with_render(
        params, {key: value for key, value in chosen.items() if value is not None}, "the request"
    ).render
    check_request(out, render.song)
    if first == second:
        raise UserError(f"{first} is compared with itself; give two")
    from dancing.render.comparison import write_comparison
    from dancing.trained import source_of

    sides = {name: load_dance_models(source_of(name), render.guidance) for name in (first, second)}
    write_comparison(out, sides, render)


@app.command()
def export(
    out: Annotated[Path, typer.Option(help="Folder to write into.", **_PATH)] = Path("onnx"),
    model: Annotated[str, typer.Option(help="models/ here, or one in MLflow such as models:/dance@champion.")] = HERE,
) -> None:
    """Export both models to ONNX, for songs of any length, and time them beside PyTorch.

    dancing export
    """
    params = _dance_project()
    for module in ("onnx", "onnxruntime", "onnxscript"):
        _needs(module, "onnx")
    models = load_dance_models(model, params.render.guidance)
    from dancing.onnx_export import export

    for made in export(models, out):
        print(
            f"{made.path}: {made.megabytes:.1f} MB, {made.onnx_fps:.0f} frames/s in onnxruntime, "
            f"{made.torch_fps:.0f} in PyTorch"
        )


def _dance_project() -> Params:
    """Go to the project's folder, and read its params."""
    os.chdir(presets.project_root())
    params = load_params()
    if not isinstance(params, Params):
        raise UserError("params.yaml is for an image system; this command is for the dance")
    return params


def _needs(module: str, extra: str) -> None:
    """Raise UserError where an optional package is not installed."""
    from importlib.util import find_spec

    if find_spec(module) is None:
        raise UserError(f"{module} is not installed; make .venv/installed-{extra}, or: pip install -e '.[{extra}]'")


if __name__ == "__main__":
    main()
