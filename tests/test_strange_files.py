"""Files as phones, converters and downloads leave them: right, or refused with the place and the reason."""

import resource
import struct
from fractions import Fraction
from itertools import product
from pathlib import Path

import av
import numpy as np
import pytest

from dancing.media.container import MediaError
from dancing.media.sound import SILENCE, read_audio, silences, stream_audio, write_audio
from dancing.media.video import probe, read_frames

pytestmark = pytest.mark.slow  # all write and read clips

RATE = 15_360


def numbered(k: int) -> np.ndarray:
    return np.full((48, 64, 3), 20 + 3 * k, np.uint8)


def numbers(path: Path, fps: float = 30) -> list[int]:
    return [round((float(frame.mean()) - 20) / 3) for frame in read_frames(path, fps)]


def tone(seconds: float, rate: int = 48_000, level: float = 0.5) -> np.ndarray:
    return (level * np.sin(2 * np.pi * 440 * np.arange(round(seconds * rate)) / rate)).astype(np.float32)


def write_clip(path: Path, count: int = 60, codec: str = "libx264", stamp=lambda packet: None, **options: str) -> Path:
    """A clip of numbered pictures at 30 pictures/s; `stamp` may change the timestamps of each packet."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=30, options={"bf": "2", **options})
        stream.width, stream.height, stream.pix_fmt, stream.bit_rate = 64, 48, "yuv420p", 4_000_000
        stream.codec_context.time_base = Fraction(1, 30)
        for k in range(count + 1):
            frame = None
            if k < count:
                frame = av.VideoFrame.from_ndarray(numbered(k), format="rgb24")
                frame.pts, frame.time_base = k, Fraction(1, 30)
            for packet in stream.encode(frame):
                stamp(packet)
                container.mux(packet)
    return path


# --------------------------------------------------------------------------------------------------------- timestamps


@pytest.mark.parametrize("codec", ["mpeg4", "libx264"])
def test_avi_with_b_frames(tmp_path, codec):
    """AVI stores no presentation times, and FFmpeg's guesses for H.264 run back: half of the pictures were lost."""
    path = write_clip(tmp_path / "a.avi", codec=codec)
    assert numbers(path) == list(range(60))
    assert probe(path).duration == pytest.approx(2, abs=0.01)


def test_presentation_times_that_are_decoding_times(tmp_path):
    def stamp(packet):
        packet.pts = packet.dts

    path = write_clip(tmp_path / "a.mkv", stamp=stamp)
    assert numbers(path) == list(range(60))


def test_raw_stream_by_the_name_of_a_film(tmp_path):
    path = tmp_path / "a.mp4"
    with av.open(str(path), "w", format="h264") as container:
        stream = container.add_stream("libx264", rate=25, options={"bf": "2"})
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for k in range(50):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(numbered(k), format="rgb24")))
        container.mux(stream.encode(None))
    assert probe(path).duration == pytest.approx(2)
    assert numbers(path, 25) == list(range(50))


def test_one_late_picture(tmp_path):
    def stamp(packet):
        packet.pts += 3600 * 30 if packet.pts == 59 else 0

    path = write_clip(tmp_path / "a.mp4", stamp=stamp)
    assert numbers(path) == list(range(60))
    assert probe(path).duration == pytest.approx(2, abs=0.05)
    assert "timestamp" in probe(path).notes[0]


def test_pictures_that_jump(tmp_path):
    def late(seconds):
        def stamp(packet):
            if packet.pts >= 30:
                packet.pts, packet.dts = packet.pts + 30 * seconds, packet.dts + 30 * seconds

        return stamp

    info = probe(write_clip(tmp_path / "short.mp4", stamp=late(5), bf="0"))
    assert info.gaps == (pytest.approx((1, 6), abs=0.01),)  # a part without motion
    assert "1.0 s to 6.0 s" in info.notes[0]
    path = write_clip(tmp_path / "long.mp4", stamp=late(3600), bf="0")
    for read in (probe, lambda path: next(read_frames(path, 30)), lambda path: read_audio(path, RATE)):
        with pytest.raises(MediaError, match=r"long.mp4: .* from 1.0 s to 3601.0 s"):
            read(path)


def write_sound(path: Path, stamp=lambda time: time, seconds: float = 4) -> Path:
    """AAC in Matroska, a frame each 20 ms, whose times `stamp` changes."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=48_000, layout="mono")
        for start in range(0, round(seconds * 48_000), 960):
            frame = av.AudioFrame.from_ndarray(tone(0.02)[None], format="fltp", layout="mono")
            frame.sample_rate, frame.time_base, frame.pts = 48_000, Fraction(1, 48_000), start
            for packet in stream.encode(frame):
                packet.pts = packet.dts = round(stamp(packet.pts / 48_000) * 48_000)
                container.mux(packet)
    return path


def test_sound_that_jumps(tmp_path):
    path = write_sound(tmp_path / "a.mka", lambda time: time + (9000 if time > 1 else 0))
    with pytest.raises(MediaError, match=r"a.mka: .* sound jump from 1.0 s to 900"):
        read_audio(path, RATE)
    stray = write_sound(tmp_path / "b.mka", lambda time: time + (9000 if time > 3.97 else 0))
    assert len(read_audio(stray, RATE)) / RATE == pytest.approx(4, abs=0.1)


# ------------------------------------------------------------------------------------------- what is shown and heard

ORIENTATIONS = [np.array(rows) for a, b in product((1, -1), repeat=2) for rows in ([[a, 0], [0, b]], [[0, a], [b, 0]])]


def with_matrix(path: Path, matrix: np.ndarray, picture: np.ndarray) -> Path:
    """A clip of one picture whose track header holds this display matrix: (x, y) @ matrix is where a pixel goes."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=30, options={"crf": "1"})
        stream.height, stream.width, stream.pix_fmt = *picture.shape[:2], "yuv420p"
        container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode(None))
    content = bytearray(path.read_bytes())
    (a, b), (c, d) = np.round(matrix * 2**16).astype(int).tolist()
    at = content.index(b"tkhd") + 4 + 40
    content[at : at + 36] = struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 2**30)
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("matrix", ORIENTATIONS, ids=lambda m: ",".join(map(str, m.ravel())))
def test_all_eight_orientations(tmp_path, matrix):
    picture = np.zeros((48, 64, 3), np.uint8)
    picture[:16, :32] = 240  # top left
    (shown,) = read_frames(with_matrix(tmp_path / "a.mp4", matrix, picture), 30)
    rows, columns = np.mgrid[:48, :64]
    places = np.stack([columns, rows], axis=-1) @ matrix  # x, y
    places -= places.min(axis=(0, 1))
    expected = np.zeros((*(places.max(axis=(0, 1)) + 1)[::-1], 3), np.uint8)
    expected[places[..., 1], places[..., 0]] = picture
    assert shown.shape == expected.shape
    assert np.abs(np.float32(shown) - expected).mean() < 4


@pytest.mark.parametrize("degrees", [-5, 5, 30])
def test_odd_angles(tmp_path, degrees):
    """An angle that is no quarter turn was rounded down: -5 degrees turned the picture by 90."""
    picture = np.zeros((96, 96, 3), np.uint8)
    picture[:, 44:52] = 240  # upright bar
    angle = np.radians(degrees)
    matrix = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])  # clockwise on the screen
    (shown,) = read_frames(with_matrix(tmp_path / "a.mp4", matrix, picture), 30)
    assert shown.shape == picture.shape
    rows, columns = np.nonzero(shown[20:76, :, 0] > 120)
    assert np.degrees(np.arctan(-np.polyfit(rows, columns, 1)[0])) == pytest.approx(degrees, abs=1)


def write_hdr(path: Path, transfer: int, signal: np.ndarray) -> Path:
    """One picture of 10-bit HEVC or H.264 in BT.2020, uniformly of this signal (R, G, B) in [0, 1]."""
    red, green, blue = signal
    luma = 0.2627 * red + 0.678 * green + 0.0593 * blue
    chroma = (blue - luma) / 1.8814, (red - luma) / 1.4746
    planes = [np.full((48, 64), round(64 + 876 * luma)), *(np.full((24, 32), round(512 + 896 * c)) for c in chroma)]
    frame = av.VideoFrame(64, 48, "yuv420p10le")
    for plane, values in zip(frame.planes, planes, strict=True):
        rows = np.zeros((plane.height, plane.line_size // 2), np.uint16)
        rows[:, : plane.width] = values
        plane.update(rows.tobytes())
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=30, options={"crf": "1"})
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p10le"
        context = stream.codec_context
        context.color_primaries, context.color_trc, context.colorspace, context.color_range = 9, transfer, 9, 1
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


PQ, HLG, SDR = 16, 18, 1
WHITE = {PQ: 0.5807, HLG: 0.75, SDR: 1.0}  # signal of reference white, 203 cd/m2 (ITU-R BT.2408)


@pytest.mark.parametrize("transfer", [PQ, HLG, SDR])
def test_white_is_white(tmp_path, transfer):
    """White arrived as 146 and 189."""
    path = write_hdr(tmp_path / "a.mp4", transfer, np.full(3, WHITE[transfer]))
    (shown,) = read_frames(path, 30)
    assert shown.min() >= 252
    assert bool(probe(path).notes) == (transfer != SDR)
    (black,) = read_frames(write_hdr(tmp_path / "b.mp4", transfer, np.zeros(3)), 30)
    assert black.max() <= 3


def test_grey_of_hdr_is_that_of_a_screen(tmp_path):
    light = (100 / 255) ** 2.4 * 203  # cd/m2 of grey 100 on a screen whose white is 203 cd/m2
    power = (light / 10_000) ** (2610 / 16384)
    signal = ((3424 / 4096 + 2413 / 128 * power) / (1 + 2392 / 128 * power)) ** (2523 / 32)
    (shown,) = read_frames(write_hdr(tmp_path / "a.mp4", PQ, np.full(3, signal)), 30)
    assert shown.mean() == pytest.approx(100, abs=2)


@pytest.mark.parametrize(("space", "coded"), [(1, 1), (5, 5), (5, 6), (9, 9)])
@pytest.mark.parametrize("full", [False, True])
def test_matrix_and_range_of_the_file_are_followed(tmp_path, space, coded, full):
    wanted = np.array([200, 60, 90], np.uint8)
    frame = av.VideoFrame.from_ndarray(np.tile(wanted, (48, 64, 1)), format="rgb24")
    frame = frame.reformat(format="yuv444p", dst_colorspace=space, dst_color_range=2 if full else 1)
    path = tmp_path / "a.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=30, options={"crf": "1"})
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv444p"
        stream.codec_context.colorspace, stream.codec_context.color_range = coded, 2 if full else 1
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    (shown,) = read_frames(path, 30)
    assert np.abs(shown.reshape(-1, 3).mean(axis=0) - wanted).max() < 4


def test_a_bomb_is_not_decoded(tmp_path):
    """A few hundred bytes that declare 30000 x 30000 px."""
    path = tmp_path / "a.avi"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mjpeg", rate=30)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuvj420p"
        container.mux(stream.encode(av.VideoFrame.from_ndarray(numbered(0), format="rgb24")))
        container.mux(stream.encode(None))
    content = path.read_bytes()
    at = content.index(b"\xff\xc0\x00\x11\x08") + 5  # the start of the frame, in the JPEG
    path.write_bytes(content[:at] + struct.pack(">HH", 30_000, 30_000) + content[at + 4 :])
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(MediaError, match=r"none of its pictures decodes|30000 x 30000 px"):
        next(read_frames(path, 30))
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200_000  # kB


# ----------------------------------------------------------------------------------------------------------- streams


def add_sound(container, levels, layout="stereo", rate=48_000, seconds=2.0):
    """A track of 16-bit PCM; `levels` scale the tone in each channel."""
    stream = container.add_stream("pcm_s16le", rate=rate, layout=layout)
    samples = np.stack([level * tone(seconds, rate) for level in levels], axis=1)
    frame = av.AudioFrame.from_ndarray(np.int16(samples * 32767).reshape(1, -1), format="s16", layout=layout)
    frame.sample_rate, frame.pts, frame.time_base = rate, 0, Fraction(1, rate)
    return lambda: [container.mux(stream.encode(part)) for part in (frame, None)]


def write_tracks(path: Path, *tracks: tuple[float, ...]) -> Path:
    with av.open(str(path), "w") as container:
        for write in [add_sound(container, levels) for levels in tracks]:
            write()
    return path


def test_a_thumbnail_stream_is_not_the_clip(tmp_path):
    path = tmp_path / "a.mkv"
    with av.open(str(path), "w") as container:
        thumbnail = container.add_stream("mjpeg", rate=30)
        film = container.add_stream("libx264", rate=30)
        thumbnail.width, thumbnail.height, thumbnail.pix_fmt = 256, 256, "yuvj420p"
        film.width, film.height, film.pix_fmt = 64, 48, "yuv420p"
        container.mux(thumbnail.encode(av.VideoFrame.from_ndarray(np.zeros((256, 256, 3), np.uint8), format="rgb24")))
        container.mux(thumbnail.encode(None))
        for k in range(30):
            container.mux(film.encode(av.VideoFrame.from_ndarray(numbered(k), format="rgb24")))
        container.mux(film.encode(None))
    assert numbers(path) == list(range(30))
    assert probe(path).duration == pytest.approx(1, abs=0.05)


def test_the_track_that_has_sound_is_read(tmp_path):
    notes: list[str] = []
    path = write_tracks(tmp_path / "a.mka", (0, 0), (1, 1))
    assert np.abs(read_audio(path, RATE, notes=notes)).max() == pytest.approx(0.5, abs=0.02)
    assert "track 2 of 2" in notes[0]
    assert max(np.abs(block).max() for block in stream_audio(path, 48_000)) > 0.4


def test_silence_is_refused(tmp_path):
    path = write_tracks(tmp_path / "a.mka", (0, 0))
    with pytest.raises(MediaError, match="its sound is silence"):
        read_audio(path, RATE)


def test_silences_within_the_sound():
    sound = tone(10, RATE)
    sound[3 * RATE : 6 * RATE], sound[7 * RATE : 8 * RATE] = 0, 0
    assert silences(sound, RATE, 13) == [pytest.approx((3, 6), abs=0.02), pytest.approx((10, 13), abs=0.02)]


def test_channels_that_cancel(tmp_path):
    notes: list[str] = []
    sound = read_audio(write_tracks(tmp_path / "a.mka", (1, -1)), RATE, notes=notes)
    assert np.abs(sound).max() == pytest.approx(0.5, abs=0.02)
    assert "cancel" in notes[0]


def test_mono_is_as_loud_as_it_was(tmp_path):
    write_audio(tmp_path / "a.wav", tone(1), 48_000)
    (block,) = [np.concatenate(list(stream_audio(tmp_path / "a.wav", 48_000)))]
    assert np.abs(block).max(axis=0) == pytest.approx([0.5, 0.5], abs=0.01)  # 0.354 before


def test_rate_and_channels_may_change(tmp_path):
    """Two MP3 files that were joined: the resampler was made for the first."""
    paths = [tmp_path / "a.mp3", tmp_path / "b.mp3"]
    write_audio(paths[0], tone(2, 44_100), 44_100)
    write_audio(paths[1], np.repeat(tone(2)[:, None], 2, axis=1), 48_000)
    joined = tmp_path / "joined.mp3"
    joined.write_bytes(b"".join(path.read_bytes() for path in paths))
    sound = read_audio(joined, RATE)
    assert len(sound) / RATE == pytest.approx(4, abs=0.2)
    for first in (0.5, 2.5):  # 440 Hz before and after the joint
        part = sound[round(first * RATE) :][:RATE]
        assert (np.diff(np.sign(part)) > 0).sum() == pytest.approx(440, abs=2)


def test_size_may_change(tmp_path):
    """A picture of another size is shown within the first one's, not squashed."""
    path = tmp_path / "a.mp4"
    parts = []
    for size in ((64, 48), (48, 64)):
        part = tmp_path / f"{size[0]}.ts"
        with av.open(str(part), "w") as container:
            stream = container.add_stream("mpeg2video", rate=30, options={"g": "1"})
            stream.width, stream.height, stream.pix_fmt, stream.bit_rate = *size, "yuv420p", 4_000_000
            shift = 0 if not parts else 30
            for k in range(30):
                frame = av.VideoFrame.from_ndarray(np.full((size[1], size[0], 3), 200, np.uint8), format="rgb24")
                frame.pts, frame.time_base = k + shift, Fraction(1, 30)
                container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
        parts.append(part.read_bytes())
    path.write_bytes(b"".join(parts))
    frames = list(read_frames(path, 30))
    assert {frame.shape for frame in frames} == {(48, 64, 3)}
    last = frames[-1][24, :, 0] > 100
    assert last.sum() == pytest.approx(36, abs=2)  # 48 x 64 in a height of 48: 36 wide, with borders


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e30])
def test_broken_samples(tmp_path, value):
    samples = tone(1)
    samples[20_000] = value
    path = tmp_path / "a.wav"
    header = struct.pack("<4sI4s4sIHHIIHH4sI", b"RIFF", 36 + 4 * len(samples), b"WAVE", b"fmt ", 16, 3, 1, 48_000,
                         192_000, 4, 32, b"data", 4 * len(samples))  # fmt: skip
    path.write_bytes(header + samples.tobytes())
    with pytest.raises(MediaError, match="its sound is broken"):
        read_audio(path, RATE)


def test_only_what_is_needed_is_read(tmp_path):
    write_audio(tmp_path / "a.wav", tone(60), 48_000)
    whole = read_audio(tmp_path / "a.wav", RATE)
    assert np.array_equal(read_audio(tmp_path / "a.wav", RATE, seconds=1), whole[:RATE])
    assert len(next(stream_audio(tmp_path / "a.wav", 48_000, 60))) < 10_000
    assert np.abs(whole).max() > SILENCE
