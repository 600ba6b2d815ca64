"""Pictures and sound survive the way into a file and back, at the right time."""

import threading
import time
from collections.abc import Iterable, Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from dancing.media.container import MediaError
from dancing.media.sound import read_audio, write_audio
from dancing.media.video import probe, read_frames
from dancing.media.video_writer import _QUEUE, VideoWriter

RATE = 15_360


def numbered(k: int, height: int = 48, width: int = 64) -> np.ndarray:
    """A picture that says its number by its brightness."""
    return np.full((height, width, 3), 4 * k, np.uint8)


def number(frame: np.ndarray) -> int:
    return round(float(frame.mean()) / 4)


def click(at: float, seconds: float, rate: int = RATE) -> np.ndarray:
    sound = np.zeros(round(seconds * rate), np.float32)
    start = round(at * rate)
    sound[start : start + rate // 100] = 0.8 * np.sin(2 * np.pi * 1000 * np.arange(rate // 100) / rate)
    return sound


def heard(sound: np.ndarray, rate: int = RATE) -> float:
    """When the first loud sample comes, in seconds."""
    return float(np.argmax(np.abs(sound) > 0.3) / rate)


def mux(
    path: Path, times: list[float], *, rate: int = 30, sound_at: float | None = None, aspect=None, size=(64, 48)
) -> Path:
    """A clip with pictures at the given times (the k-th numbered k), made without the code under test.

    The sound, if any, starts at ``sound_at`` with a click a quarter of a second later.
    """
    codec = {".webm": "libvpx-vp9", ".avi": "mpeg4"}.get(path.suffix, "libx264")
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=rate)
        stream.width, stream.height, stream.bit_rate = *size, 4_000_000
        stream.pix_fmt = "yuv444p" if size[0] % 2 and codec == "libx264" else "yuv420p"
        stream.codec_context.time_base = stream.time_base = Fraction(1, 30 if path.suffix == ".avi" else 1000)
        if aspect:
            stream.codec_context.sample_aspect_ratio = aspect
        if sound_at is not None:
            sound = container.add_stream(
                "aac" if path.suffix in (".mp4", ".mov") else "libopus", rate=48_000, layout="mono"
            )
        for k, time in enumerate(times):
            frame = av.VideoFrame.from_ndarray(numbered(k, size[1], size[0]), format="rgb24")
            frame.time_base = stream.codec_context.time_base
            frame.pts = round(time / frame.time_base)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
        if sound_at is not None:
            frame = av.AudioFrame.from_ndarray(click(0.25, 1.0, 48_000)[None], format="fltp", layout="mono")
            frame.sample_rate, frame.time_base, frame.pts = 48_000, Fraction(1, 48_000), round(sound_at * 48_000)
            container.mux(sound.encode(frame))
            container.mux(sound.encode(None))
    return path


@pytest.mark.slow
def test_round_trip(tmp_path):
    y, x = np.mgrid[:120, :160] / 160
    pictures = [np.uint8(255 * np.stack([x, y, (x + y + k / 20) / 3], axis=-1)) for k in range(20)]
    with VideoWriter(tmp_path / "a.mp4", 25, 160, 120) as writer:
        for picture in pictures:
            writer.write(picture)
    info = probe(tmp_path / "a.mp4")
    assert (info.width, info.height, info.codec) == (160, 120, "h264")
    assert not info.has_audio
    assert not info.variable_frame_rate
    assert info.fps == pytest.approx(25)
    assert info.duration == pytest.approx(0.8)
    read = list(read_frames(tmp_path / "a.mp4", 25))
    assert len(read) == len(pictures)
    error = np.mean((np.float64(read) - np.float64(pictures)) ** 2)
    assert 10 * np.log10(255**2 / error) > 35  # a wrong colour matrix alone costs more than 10 dB


@pytest.mark.slow
@pytest.mark.parametrize("colour", [(255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255), (200, 30, 90)])
def test_colours_come_back(tmp_path, colour):
    with VideoWriter(tmp_path / "a.mp4", 30, 32, 32) as writer:
        writer.write(np.full((32, 32, 3), colour, np.uint8))
    (frame,) = read_frames(tmp_path / "a.mp4", 30)
    np.testing.assert_allclose(frame.mean((0, 1)), colour, atol=4)


@pytest.mark.slow
@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("rate", [RATE, 44_100, 48_000])
def test_click_and_flash_stay_together(tmp_path, rate, channels):
    flash = 37
    sound = click(flash / 30, 5.0, rate)  # longer than the pictures
    with VideoWriter(tmp_path / "a.mp4", 30, 64, 48, np.stack([sound] * channels, axis=1).squeeze(), rate) as writer:
        for k in range(60):
            writer.write(np.full((48, 64, 3), 255 if k == flash else 0, np.uint8))
    frames = list(read_frames(tmp_path / "a.mp4", 30))
    assert [k for k, frame in enumerate(frames) if frame.mean() > 128] == [flash]
    read = read_audio(tmp_path / "a.mp4", RATE)
    assert heard(read) == pytest.approx(flash / 30, abs=0.002)
    assert len(read) / RATE == pytest.approx(2.0, abs=0.04)  # trimmed to the pictures


@pytest.mark.slow
def test_sound_shorter_than_pictures_is_padded(tmp_path):
    with VideoWriter(tmp_path / "a.mp4", 30, 64, 48, click(0.1, 0.3), RATE) as writer:
        for k in range(60):
            writer.write(numbered(k))
    read = read_audio(tmp_path / "a.mp4", RATE)
    assert len(read) / RATE == pytest.approx(2.0, abs=0.04)
    assert np.abs(read[RATE:]).max() < 0.01


@pytest.mark.slow
@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv", ".webm"])
@pytest.mark.parametrize(("pictures_at", "sound_at"), [(0.0, 0.0), (0.0, 0.4), (0.5, 0.3)])
def test_sound_is_in_step_when_streams_start_apart(tmp_path, suffix, pictures_at, sound_at):
    path = mux(tmp_path / f"a{suffix}", [pictures_at + k / 30 for k in range(30)], sound_at=sound_at)
    assert heard(read_audio(path, RATE)) == pytest.approx(sound_at + 0.25 - pictures_at, abs=0.003)
    assert [number(frame) for frame in read_frames(path, 30)] == list(range(30))


@pytest.mark.slow
@pytest.mark.parametrize("rate", [24, 25, 30, 60, 120])
@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_steady_clock_from_any_rate(tmp_path, rate, suffix):
    path = mux(tmp_path / f"a{suffix}", [k / rate for k in range(61)], rate=rate)
    read = [number(frame) for frame in read_frames(path, 30)]
    assert len(read) == pytest.approx(61 / rate * 30, abs=0.51)
    assert read == [int(k / 30 * rate + 0.01) for k in range(len(read))]
    assert probe(path).variable_frame_rate is False


@pytest.mark.slow
def test_variable_frame_rate(tmp_path):
    times = [0.0, 0.1, 0.15, 0.4, 0.41, 0.8, 0.9]
    path = mux(tmp_path / "a.mp4", times)
    read = [number(frame) for frame in read_frames(path, 20)]
    shown = [int(np.searchsorted(times, k / 20 + 1e-4, side="right")) - 1 for k in range(len(read))]
    assert read == shown
    assert probe(path).variable_frame_rate


@pytest.mark.slow
def test_a_repeated_picture_is_one_array(tmp_path):
    frames = list(read_frames(mux(tmp_path / "a.mp4", [0.0, 0.5]), 10))
    assert frames[0] is frames[4]
    assert not frames[0].flags.writeable


@pytest.mark.slow
@pytest.mark.parametrize("turns", [1, 2, 3])
def test_rotated_phone_clip_is_upright(tmp_path, turns):
    path = tmp_path / "a.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=30)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        stream.set_display_rotation(90 * turns)  # counter-clockwise
        picture = np.zeros((48, 64, 3), np.uint8)
        picture[:16, :16] = 255  # in the top left corner
        container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode(None))
    (frame,) = read_frames(path, 30)
    expected = np.rot90(picture, turns)
    assert frame.shape == expected.shape
    assert np.abs(np.float32(frame) - expected).mean() < 5
    assert (probe(path).height, probe(path).width) == expected.shape[:2]


@pytest.mark.slow
def test_square_pixels(tmp_path):
    path = mux(tmp_path / "a.mp4", [0.0], aspect=Fraction(3, 2))
    assert next(read_frames(path, 30)).shape == (48, 96, 3)
    assert (probe(path).width, probe(path).height) == (96, 48)


@pytest.mark.slow
def test_odd_sizes_are_read(tmp_path):
    path = mux(tmp_path / "a.mp4", [0.0, 0.1], size=(63, 47))
    assert next(read_frames(path, 30)).shape == (47, 63, 3)


@pytest.mark.slow
def test_avi(tmp_path):
    path = mux(tmp_path / "a.avi", [k / 30 for k in range(30)])
    assert [number(frame) for frame in read_frames(path, 30)] == list(range(30))


@pytest.mark.slow
def test_a_gap_in_the_sound_is_silence(tmp_path):
    path = tmp_path / "a.mka"
    with av.open(str(path), "w", format="matroska") as container:
        stream = container.add_stream("pcm_s16le", rate=RATE, layout="mono")
        for start in (0.0, 2.0):
            frame = av.AudioFrame.from_ndarray(np.int16(32767 * click(0.25, 1.0))[None], format="s16", layout="mono")
            frame.sample_rate, frame.time_base, frame.pts = RATE, Fraction(1, RATE), round(start * RATE)
            container.mux(stream.encode(frame))
    read = read_audio(path, RATE)
    assert len(read) / RATE == pytest.approx(3.0, abs=0.01)
    assert heard(read[RATE:]) == pytest.approx(1.25, abs=0.003)


@pytest.mark.slow
def test_truncated_file_gives_what_is_left(tmp_path):
    path = tmp_path / "a.mp4"
    noise = np.random.default_rng(0)
    with VideoWriter(path, 30, 64, 48) as writer:
        for _ in range(60):
            writer.write(noise.integers(0, 255, (48, 64, 3), np.uint8))
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    assert 10 < len(list(read_frames(path, 30))) < 50


@pytest.mark.slow
def test_same_input_same_bytes(tmp_path):
    for name in ("a.mp4", "b.mp4"):
        with VideoWriter(tmp_path / name, 30, 64, 48, click(0.1, 2.0), RATE) as writer:
            for k in range(40):
                writer.write(numbered(k))
    assert (tmp_path / "a.mp4").read_bytes() == (tmp_path / "b.mp4").read_bytes()


@pytest.mark.slow
def test_starts_before_it_is_loaded(tmp_path):
    with VideoWriter(tmp_path / "a.mp4", 30, 64, 48) as writer:
        writer.write(numbered(0))
    content = (tmp_path / "a.mp4").read_bytes()
    assert content.index(b"moov") < content.index(b"mdat")


def interrupted(path: Path, error: Exception) -> None:
    with VideoWriter(path, 30, 64, 48, click(0, 1), RATE) as writer:
        writer.write(numbered(0))
        raise error


@pytest.mark.slow
def test_an_exception_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "a.mp4"
    path.write_text("old")
    with pytest.raises(KeyError):
        interrupted(path, KeyError("stop"))
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def write(path: Path, pictures: Iterable[np.ndarray]) -> None:
    with VideoWriter(path, 30, 64, 48, click(0, 1), RATE) as writer:
        for picture in pictures:
            writer.write(picture)


def encoders() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name.startswith("encoder")]


@pytest.mark.slow
@pytest.mark.parametrize("after", [0, 1, 29])
def test_what_the_encoders_thread_raises_arrives_and_nothing_is_left(tmp_path, monkeypatch, after):
    def fail(self: VideoWriter):
        if self._encoded > after:
            raise MediaError("no space left")

    monkeypatch.setattr(VideoWriter, "_write_sound", fail)
    with pytest.raises(MediaError, match="no space"):
        write(tmp_path / "a.mp4", map(numbered, range(30)))
    assert list(tmp_path.iterdir()) == []
    assert not encoders()


@pytest.mark.slow
def test_what_fails_to_draw_stops_the_encoder(tmp_path, monkeypatch):
    encoded: list[np.ndarray] = []
    go_on = threading.Event()
    monkeypatch.setattr(VideoWriter, "_encode", lambda self, frame: go_on.wait() and encoded.append(frame))

    def draw_badly() -> Iterator[np.ndarray]:
        yield from map(numbered, range(5))
        threading.Timer(0.1, go_on.set).start()
        raise KeyError

    with pytest.raises(KeyError):
        write(tmp_path / "a.mp4", draw_badly())
    assert len(encoded) == 1  # the one that it was at
    assert list(tmp_path.iterdir()) == []
    assert not encoders()


@pytest.mark.slow
def test_a_bounded_number_of_pictures_waits(tmp_path, monkeypatch):
    waiting = []
    encode = VideoWriter._encode

    def slowly(self: VideoWriter, frame: np.ndarray) -> None:
        time.sleep(0.002)
        waiting.append(self._written - self._encoded)
        encode(self, frame)

    monkeypatch.setattr(VideoWriter, "_encode", slowly)
    write(tmp_path / "a.mp4", map(numbered, range(60)))
    assert 1 < max(waiting) <= _QUEUE  # with the one at hand
    assert probe(tmp_path / "a.mp4").duration == pytest.approx(2.0)


@pytest.mark.parametrize("suffix", [".wav", ".flac", ".mp3", ".m4a"])
@pytest.mark.parametrize("channels", [1, 2])
def test_sound_round_trip(tmp_path, suffix, channels):
    path = tmp_path / f"a{suffix}"
    sound = np.stack([click(0.5, 1.5)] * channels, axis=1).squeeze()
    write_audio(path, sound, RATE)
    read = read_audio(path, RATE)
    assert heard(read) == pytest.approx(0.5, abs=0.003)
    assert np.abs(read).max() == pytest.approx(0.8, abs=0.1)  # stereo is averaged, not summed
    if suffix in (".wav", ".flac"):
        np.testing.assert_allclose(read, click(0.5, 1.5), atol=1e-4)


@pytest.mark.slow
def test_cover_art_is_not_a_picture(tmp_path):
    path = tmp_path / "a.mp3"
    with av.open(str(path), "w") as container:
        sound = container.add_stream("libmp3lame", rate=48_000, layout="mono")
        cover = container.add_stream("png", rate=1)
        cover.width, cover.height, cover.pix_fmt = 64, 48, "rgb24"
        cover.disposition = av.stream.Disposition.attached_pic
        container.mux(cover.encode(av.VideoFrame.from_ndarray(numbered(9), format="rgb24")))
        frame = av.AudioFrame.from_ndarray(click(0.25, 1.0, 48_000)[None], format="fltp", layout="mono")
        frame.sample_rate = 48_000
        container.mux(sound.encode(frame))
        container.mux(sound.encode(None))
    assert heard(read_audio(path, RATE)) == pytest.approx(0.25, abs=0.003)
    with pytest.raises(MediaError, match="holds no picture"):
        probe(path)


@pytest.mark.slow
def test_a_cover_written_as_a_film_is_not_what_a_song_begins_with(tmp_path):
    path = mux(tmp_path / "a.mkv", [0.5], sound_at=0.0)
    song = path.rename(tmp_path / "a.ogg")
    assert heard(read_audio(song, RATE)) == pytest.approx(0.25, abs=0.003)


@pytest.mark.slow
def test_errors_name_the_file_and_the_way_out(tmp_path):
    with pytest.raises(MediaError, match=r"none\.mp4: no such file"):
        probe(tmp_path / "none.mp4")
    (tmp_path / "text.mp4").write_text("no film")
    with pytest.raises(MediaError, match=r"text\.mp4: not a media file.*convert"):
        list(read_frames(tmp_path / "text.mp4", 30))
    with pytest.raises(MediaError, match=r"silent\.mp4: has no sound track"):
        read_audio(mux(tmp_path / "silent.mp4", [0.0]), RATE)
    with pytest.raises(MediaError, match=r"odd\.mp4: H\.264 needs even sizes, got 63x48"):
        VideoWriter(tmp_path / "odd.mp4", 30, 63, 48)
    with pytest.raises(MediaError, match=r"a\.mp4: .*sample rate"):
        VideoWriter(tmp_path / "a.mp4", 30, 64, 48, audio=click(0, 1))
    with (
        pytest.raises(MediaError, match=r"a\.mp4: picture 0 is float64"),
        VideoWriter(tmp_path / "a.mp4", 30, 64, 48) as writer,
    ):
        writer.write(np.zeros((48, 64, 3)))
    with (
        pytest.raises(MediaError, match=r"a\.mp4: no picture was written"),
        VideoWriter(tmp_path / "a.mp4", 30, 64, 48),
    ):
        pass
    with pytest.raises(MediaError, match=r"a\.ogg: sound is written as one of"):
        write_audio(tmp_path / "a.ogg", click(0, 1), RATE)
    with pytest.raises(MediaError, match=r"a\.wav: .*NaN"):
        write_audio(tmp_path / "a.wav", np.array([np.nan]), RATE)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["silent.mp4", "text.mp4"]
