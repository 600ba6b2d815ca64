"""The page of `dancing app`, driven in a real browser: a song in, a video out; errors in words; the puppet."""

import shutil
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from conftest import smoke_params, standing
from drawn_dancer import draw, write_clip

from dancing.errors import UserError
from dancing.media.sound import read_audio, write_audio
from dancing.media.video import probe
from dancing.params import load_params

pytest.importorskip("gradio", reason="Gradio is not installed: pip install -e '.[app]'")
pytest.importorskip("selenium", reason="Selenium is not installed: pip install -e '.[dev]'")

from dancing.app import page, puppet, rendering
from docgen.browser import DESKTOP, PHONE, Browser, BrowserMissingError, start_chromium


@pytest.fixture
def project(trained: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the page is opened: params, models, a song and a rendered dance."""
    monkeypatch.chdir(trained)
    np.savez("dance.npz", landmarks=np.repeat(standing()[None], 30, axis=0), width=32, height=32)
    return trained


# ------------------------------------------------------------------------------------------------- behind the page


@pytest.mark.slow
def test_a_request_becomes_a_video(project: Path):
    frames: list[tuple[int, int]] = []
    values = {"song": "song.wav", "seconds": 2.0, "start": 0.5, "layout": "picture", "format": "landscape", "seed": 3}
    done = rendering.render("models/", values, load_params(), Path("y.mp4"), lambda *frame: frames.append(frame))
    info = probe(done.video)
    assert (info.width, info.height, info.duration) == (1920, 1080, pytest.approx(2.0))
    assert frames == [(k, 60) for k in range(1, 61)]
    assert done.summary.startswith("2 s of dance, ")
    assert "too short to say how well it follows the beat" in done.summary
    with pytest.raises(UserError, match=r"render\.layout: expected"):
        rendering.render("models/", values | {"layout": "all"}, load_params(), Path("y.mp4"), lambda *_: None)


@pytest.mark.slow
def test_the_puppets_image_follows_the_pose(project: Path):
    params = load_params()
    found = puppet.start(params)
    assert (np.shape(found["poses"]), found["ratio"]) == ((30, 33, 2), 1.0)
    image = puppet.paint(found["poses"][0], params)
    assert image.startswith("data:image/jpeg;base64,")
    assert puppet.paint(found["poses"][0], params) == image
    moved = np.array(found["poses"][0])
    moved[[15, 17, 19, 21]] -= 0.3
    assert puppet.paint(moved.tolist(), params) != image
    with pytest.raises(UserError, match=r"\(33, 2\)"):
        puppet.paint([[0.0, 0.0]], params)
    Path("dance.npz").unlink()
    assert "dvc repro" in puppet.start(params)["error"]
    shutil.rmtree("models")
    assert puppet.start(params) == {"error": "models/vae/best.pt: no model is trained yet; `dvc repro` trains one"}


# ---------------------------------------------------------------------------------------------------- in a browser


@pytest.fixture
def browser(project: Path) -> Iterator[Browser]:
    try:
        driver = start_chromium()
    except BrowserMissingError as error:
        pytest.skip(str(error))
    opened, address = page.serve(load_params(), port=0, browser=False, block=False)
    yield Browser(driver, address)
    driver.quit()
    opened.close()


@pytest.mark.slow
def test_a_song_on_the_page_becomes_a_video_and_another_beside_it(browser: Browser, project: Path):
    browser.open(DESKTOP)
    browser.upload(project / "song.wav")
    for k, name in enumerate(("Dance", "Another seed")):
        browser.press(name)
        browser.wait(lambda k=k: browser.text().count("s of dance") == k + 1)
    videos = [video.get_attribute("src") for video in browser.wait(lambda: browser.all("video"))]
    assert len(set(videos)) == 2
    for k, address in enumerate(videos):
        with urllib.request.urlopen(address) as response:
            Path(f"{k}.mp4").write_bytes(response.read())
        info = probe(f"{k}.mp4")
        assert (info.width, info.height, info.has_audio) == (1080, 1920, True)
        assert info.duration == pytest.approx(3.0, abs=0.05)  # the whole song
        assert np.abs(read_audio(f"{k}.mp4", 44_100)).max() > 0.3
    assert len(browser.all("video ~ *, .plot-container, [data-testid=matplotlib] img, .layout img")) > 0
    assert browser.fetched_elsewhere() == []


@pytest.mark.slow
def test_what_does_not_work_is_said_on_the_page(browser: Browser, project: Path):
    browser.open(DESKTOP)
    browser.press("Dance")
    browser.wait(lambda: "Upload a song first, or record one." in browser.text())
    (project / "notes.mp3").write_text("no music", encoding="utf-8")
    browser.upload(project / "notes.mp3")
    browser.press("Dance")
    browser.wait(lambda: "notes.mp3: not a media file that can be read" in browser.text())
    assert "/gradio/" not in browser.text()
    browser.open(DESKTOP)
    write_audio(project / "silence.wav", np.zeros(90_000, np.float32), 44_100)
    browser.upload(project / "silence.wav")
    browser.press("Dance")
    browser.wait(lambda: "silence.wav: its first 20 s are silence" in browser.text())


@pytest.mark.slow
def test_the_puppet_is_dragged_and_its_image_follows(browser: Browser):
    browser.open(DESKTOP)
    browser.tab("Puppet")
    image = browser.wait(lambda: next(iter(browser.all("#puppet img[src]")), None))
    browser.wait(lambda: len(browser.all("#puppet circle")) == 14)
    before = browser.wait(lambda: image.get_attribute("src"))
    wrist = next(c for c in browser.all("#puppet circle") if c.get_attribute("aria-label") == "left wrist")
    at = [float(wrist.get_attribute(key)) for key in ("cx", "cy")]
    browser.drag(wrist, 40, -120)
    browser.wait(lambda: image.get_attribute("src") != before, 20)
    moved = [float(wrist.get_attribute(key)) for key in ("cx", "cy")]
    scale = 100 / browser.all("#puppet svg")[0].size["height"]
    assert np.subtract(moved, at) == pytest.approx(np.array([40, -120]) * scale, abs=3)
    slider = browser.all("#puppet input[type=range]")[0]
    assert slider.get_attribute("max") == "29"


@pytest.mark.slow
def test_clips_are_checked_on_the_page(browser: Browser, project: Path):
    clip = write_clip(project / "clip.mp4", [draw(k / 5) for k in range(60)])
    browser.open(DESKTOP)
    browser.tab("Check clips")
    browser.upload(clip)
    browser.press("Check")
    report = browser.wait(lambda: next(iter(browser.all("iframe.report")), None))
    assert "1 used, 0 skipped" in report.get_attribute("srcdoc")
    assert "clip.mp4" in report.get_attribute("srcdoc")


@pytest.mark.slow
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_it_fits_phones_and_desktops(browser: Browser, project: Path, theme: str):
    song = project / "minute.wav"  # the longer a song, the wider its waveform wants to be
    write_audio(song, np.random.default_rng(0).normal(0, 0.1, 60 * 16_000).astype(np.float32), 16_000)
    for size in (PHONE, DESKTOP):
        browser.open(size, theme)
        browser.upload(song)
        browser.wait(lambda: "1:00" in browser.text())
        for tab in ("Dance", "Check clips", "Puppet"):
            browser.tab(tab)
            time.sleep(0.3)
            assert browser.overflow() <= 0, f"{tab} at {size}"


@pytest.mark.slow
def test_without_a_trained_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "params.yaml").write_text(smoke_params(), encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match="no model is trained yet; `dvc repro` trains one"):
        rendering.render("models/", {"song": "x.mp3"}, load_params(), Path("y.mp4"), lambda *_: None)
