"""A corpus of files as people have them, each made on the spot, and what becomes of each.

`python tests/corpus.py` writes the table of docs/strange-files.md; test_corpus.py compares every row. The brightness
of a clip's picture tells its number, and its sound has a click 0.25 s after the first picture, so that lost pictures
and a shift between picture and sound are seen in the outcome.
"""

import os
import re
import struct
import tempfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import test_foreign_files as foreign
import test_hostile_files as hostile
import torch
from PIL import Image

from dancing.clips.dataset import open_dataset
from dancing.clips.listing import list_clips
from dancing.errors import UserError
from dancing.media.song import read_song
from dancing.media.sound import read_audio
from dancing.media.video import probe, read_frames
from dancing.music_to_pose.inference import MusicToPose
from dancing.noise_to_image.sources import read_image
from dancing.params import load_params

RATE = 48_000
PQ, HLG = 16, 18


@dataclass(frozen=True)
class Case:
    """A file of the corpus: `make` writes it into a folder and returns its path; `outcome` says what becomes of it."""

    kind: str
    name: str
    make: Callable[[Path], Path]
    outcome: Callable[[Path], str]


def outcome(case: Case, folder: Path) -> str:
    """What becomes of a case, or "refused: " and the message, without the path."""
    path = case.make(folder)
    try:
        return case.outcome(path)
    except UserError as error:
        message = str(error).replace(f"{path}: ", "").replace(str(path), path.name).replace(f"{folder}/", "")
        return "refused: " + " ".join(message.split())


# -------------------------------------------------------------------------------------------------------------- clips


def clip_outcome(path: Path) -> str:
    info = probe(path)
    frames = [float(frame.mean()) for frame in read_frames(path, 30)]
    distinct = len({round(frame, 1) for frame in frames})
    seen = f"{info.width} x {info.height} px, {info.duration:.1f} s, {len(frames)} frames, {distinct} distinct"
    notes = list(info.notes)
    try:
        sound = read_audio(path, 15_360, notes=notes)
        heard = f"click at {np.argmax(np.abs(sound) > 0.2) / 15_360:.2f} s"
    except UserError as error:
        heard = str(error).removeprefix(f"{path}: ")
    return "; ".join([seen, heard, *notes])


def picture(k: int, size: tuple[int, int] = (64, 48)) -> av.VideoFrame:
    frame = av.VideoFrame.from_ndarray(np.full((size[1], size[0], 3), 20 + 3 * (k % 70), np.uint8), format="rgb24")
    frame.pts, frame.time_base = k, Fraction(1, 30)
    return frame


def click(seconds: float, rate: int = RATE, at: float = 0.25) -> np.ndarray:
    """A quiet tone with a click."""
    sound = 0.05 * np.sin(2 * np.pi * 220 * np.arange(round(seconds * rate)) / rate)
    start = round(at * rate)
    sound[start : start + rate // 50] += 0.8 * np.sin(
        2 * np.pi * 1000 * np.arange(len(sound[start : start + rate // 50])) / rate
    )
    return sound.astype(np.float32)


def clip(
    name: str,
    codec: str = "libx264",
    *,
    count: int = 60,
    size: tuple[int, int] = (64, 48),
    pix_fmt: str = "yuv420p",
    rate: int = 30,
    sound: str | None = "aac",
    sound_rate: int = RATE,
    layout: str = "mono",
    late: float = 0.0,
    times: list[float] | None = None,
    options: dict[str, str] | None = None,
    tags: dict[str, object] | None = None,
    form: str | None = None,
) -> Callable[[Path], Path]:
    """A clip of `count` pictures at `rate` or at `times`, with a sound track that starts `late` seconds."""

    def make(folder: Path) -> Path:
        path = folder / name
        with av.open(os.fspath(path), "w", format=form) as container:
            stream = container.add_stream(codec, rate=rate, options=options or {})
            stream.width, stream.height, stream.pix_fmt = *size, pix_fmt
            if codec not in ("ffv1", "prores_ks", "huffyuv"):
                stream.bit_rate = 4_000_000
            stream.codec_context.time_base = Fraction(1, 1000 if times else rate)
            for key, value in (tags or {}).items():
                setattr(stream.codec_context, key, value)
            track = container.add_stream(sound, rate=sound_rate, layout=layout) if sound else None
            for k in range(count):
                frame = picture(k, size)
                frame.time_base = stream.codec_context.time_base
                frame.pts = round(times[k] * 1000) if times else k
                container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
            if track is not None:
                _add_sound(container, track, click((times or [count / rate])[-1] + 0.1), late)
        return path

    return make


def _add_sound(
    container: av.container.OutputContainer, track: av.audio.AudioStream, sound: np.ndarray, late: float
) -> None:
    frame = av.AudioFrame.from_ndarray(sound[None], format="fltp", layout="mono")
    frame.sample_rate, frame.time_base, frame.pts = RATE, Fraction(1, RATE), 0
    resampler = av.AudioResampler(track.format.name, track.layout, track.rate, frame_size=track.frame_size or 1024)
    for part in (*resampler.resample(frame), *resampler.resample(None)):
        part.pts += round(late * track.rate)
        container.mux(track.encode(part))
    container.mux(track.encode(None))


def changed(make: Callable[[Path], Path], change: Callable[[bytes], bytes]) -> Callable[[Path], Path]:
    """The file with its bytes changed."""

    def remake(folder: Path) -> Path:
        path = make(folder)
        path.write_bytes(change(path.read_bytes()))
        return path

    return remake


def written(name: str, content: bytes) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        (folder / name).write_bytes(content)
        return folder / name

    return make


def turned(matrix: tuple[int, int, int, int]) -> Callable[[bytes], bytes]:
    """The display matrix of the track, in 16.16."""

    def change(content: bytes) -> bytes:
        at = content.index(b"tkhd") + 44
        a, b, c, d = (value * 65536 for value in matrix)
        return content[:at] + struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 2**30) + content[at + 36 :]

    return change


def restamped(name: str, stamp: Callable[[av.Packet], None], sound: bool = False) -> Callable[[Path], Path]:
    """A clip, or a song, whose packets of one kind are given other timestamps."""

    def make(folder: Path) -> Path:
        source = clip("source.mkv", options={"bf": "0"})(folder)
        with av.open(os.fspath(source)) as container, av.open(os.fspath(folder / name), "w") as out:
            copies = {stream.index: out.add_stream_from_template(stream) for stream in container.streams}
            for packet in container.demux():
                if packet.dts is not None:
                    if (packet.stream.type == "audio") == sound:
                        stamp(packet)
                    packet.stream = copies[packet.stream_index]
                    out.mux(packet)
        source.unlink()
        return folder / name

    return make


def _later(seconds: float, after: float) -> Callable[[av.Packet], None]:
    def stamp(packet: av.Packet) -> None:
        if packet.pts * packet.time_base >= after:
            packet.pts = packet.dts = packet.pts + round(seconds / packet.time_base)

    return stamp


def joined(name: str, *parts: Callable[[Path], Path]) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        contents = [part(folder).read_bytes() for part in parts]
        (folder / name).write_bytes(b"".join(contents))
        return folder / name

    return make


def thumbnail_first(folder: Path) -> Path:
    path = folder / "a.mkv"
    with av.open(os.fspath(path), "w") as container:
        small, film = container.add_stream("mjpeg", rate=30), container.add_stream("libx264", rate=30)
        small.width, small.height, small.pix_fmt = 256, 256, "yuvj420p"
        film.width, film.height, film.pix_fmt = 64, 48, "yuv420p"
        container.mux(small.encode(picture(0, (256, 256))))
        container.mux(small.encode(None))
        for k in range(60):
            container.mux(film.encode(picture(k)))
        container.mux(film.encode(None))
    return path


def tracks(name: str, *levels: tuple[float, float], codec: str = "pcm_s16le") -> Callable[[Path], Path]:
    """A clip with several stereo tracks; `levels` scale the sound in both channels of each."""

    def make(folder: Path) -> Path:
        path = folder / name
        with av.open(os.fspath(path), "w") as container:
            film = container.add_stream("libx264", rate=30)
            film.width, film.height, film.pix_fmt = 64, 48, "yuv420p"
            streams = [container.add_stream(codec, rate=RATE, layout="stereo") for _ in levels]
            for k in range(60):
                container.mux(film.encode(picture(k)))
            container.mux(film.encode(None))
            for stream, pair in zip(streams, levels, strict=True):
                sound = np.int16(np.outer(click(2), pair) * 32767).reshape(1, -1)
                frame = av.AudioFrame.from_ndarray(sound, format="s16", layout="stereo")
                frame.sample_rate, frame.time_base, frame.pts = RATE, Fraction(1, RATE), 0
                container.mux(stream.encode(frame))
                container.mux(stream.encode(None))
        return path

    return make


def hdr(transfer: int) -> Callable[[Path], Path]:
    tags = {"color_trc": transfer, "color_primaries": 9, "colorspace": 9, "color_range": 1}
    return clip("a.mp4", "libx265", pix_fmt="yuv420p10le", tags=tags, options={"x265-params": "log-level=none"})


def _half(content: bytes) -> bytes:
    return content[: len(content) // 2]


def _variable(count: int = 60) -> list[float]:
    rng = np.random.default_rng(0)
    return [0.0, *np.cumsum(rng.uniform(0.02, 0.05, count - 1)).tolist()]


CLIPS: dict[str, Callable[[Path], Path]] = {
    "H.264 and AAC in mp4": clip("a.mp4", options={"bf": "2"}),
    "mov": clip("a.mov"),
    "HEVC": clip("a.mp4", "libx265", options={"x265-params": "log-level=none"}),
    "VP9 and Opus in webm": clip("a.webm", "libvpx-vp9", sound="libopus"),
    "VP8": clip("a.webm", "libvpx", sound="libopus"),
    "AV1": clip("a.mkv", "libsvtav1", size=(64, 64), options={"preset": "12"}),
    "ProRes 10 bit": clip("a.mov", "prores_ks", pix_fmt="yuv422p10le", sound="pcm_s16le"),
    "MPEG-4 with B-frames in avi": clip("a.avi", "mpeg4", sound="libmp3lame", options={"bf": "2"}),
    "H.264 with B-frames in avi": clip("a.avi", sound="libmp3lame", options={"bf": "2"}),
    "Motion JPEG in avi": clip("a.avi", "mjpeg", pix_fmt="yuvj420p", sound="pcm_s16le"),
    "lossless FFV1 in mkv": clip("a.mkv", "ffv1", sound="flac"),
    "raw H.264 named mp4": clip("a.mp4", form="h264", sound=None, rate=25),
    "MPEG transport stream named mp4": clip("a.mp4", form="mpegts"),
    "8 pictures/s": clip("a.mp4", rate=8, count=16),
    "120 pictures/s": clip("a.mp4", rate=120, count=240),
    "variable rate": clip("a.mkv", times=_variable()),
    "a single picture": clip("a.mp4", count=1, sound=None),
    "odd size": clip("a.mkv", "ffv1", size=(63, 47)),
    "32 px": clip("a.mp4", size=(32, 32)),
    "8K": clip("a.mp4", "mjpeg", size=(7680, 4320), count=2, pix_fmt="yuvj420p", form="mov"),
    "wide pixels": clip("a.mp4", tags={"sample_aspect_ratio": Fraction(4, 3)}),
    "interlaced": clip("a.mpg.mkv", "mpeg2video", options={"flags": "+ilme+ildct"}),
    "full range": clip("a.mp4", pix_fmt="yuvj420p", tags={"color_range": 2}),
    "HDR, PQ": hdr(PQ),
    "HDR, HLG": hdr(HLG),
    "turned by 90 degrees": changed(clip("a.mp4"), turned((0, 1, -1, 0))),
    "turned by 180 degrees": changed(clip("a.mp4"), turned((-1, 0, 0, -1))),
    "mirrored (selfie)": changed(clip("a.mp4"), turned((-1, 0, 0, 1))),
    "turned and mirrored": changed(clip("a.mp4"), turned((0, 1, 1, 0))),
    "no sound": clip("a.mp4", sound=None),
    "sound starts 0.4 s late": clip("a.mp4", late=0.4),
    "mono, 8 kHz": clip("a.mkv", sound="pcm_s16le", sound_rate=8_000),
    "96 kHz": clip("a.mkv", sound="pcm_s16le", sound_rate=96_000),
    "5.1": clip("a.mp4", layout="5.1"),
    "silent sound": tracks("a.mkv", (0, 0)),
    "first track silent, second is the music": tracks("a.mkv", (0, 0), (1, 1)),
    "channels that cancel": tracks("a.mkv", (1, -1)),
    "music in the right channel alone": tracks("a.mkv", (0, 1)),
    "thumbnail stream first": thumbnail_first,
    "presentation times are decoding times": restamped("a.mkv", lambda packet: None),
    "one picture an hour late": restamped("a.mkv", _later(3600, 1.96)),
    "pictures jump by 5 s": restamped("a.mkv", _later(5, 1)),
    "pictures jump by an hour": restamped("a.mkv", _later(3600, 1)),
    "sound jumps by 9,000 s": restamped("a.mkv", _later(9000, 1), sound=True),
    "sound has a gap of 0.5 s": restamped("a.mkv", _later(0.5, 1), sound=True),
    "two recordings joined": joined("a.ts.mp4", clip("1.mp4", form="mpegts"), clip("2.mp4", form="mpegts")),
    "size changes midway": joined(
        "a.mp4", clip("1.mp4", "mpeg1video", form="mpeg1video", sound=None),
        clip("2.mp4", "mpeg1video", form="mpeg1video", size=(48, 64), sound=None),
    ),
    "cut off, index missing": changed(clip("a.mp4"), _half),
    "cut off, no index needed": changed(clip("a.mkv"), _half),
    "a broken part in the middle": changed(
        clip("a.mkv"), lambda content: content[:4000] + bytes(300) + content[4300:]
    ),
    "empty file": written("a.mp4", b""),
    "text": written("a.mp4", b"This is no film.\n" * 100),
    "zeros": written("a.mp4", bytes(10_000)),
    "a song named mp4": changed(clip("a.mp4", count=0), lambda content: content),
}  # fmt: skip


# -------------------------------------------------------------------------------------------------------------- songs


def song_outcome(path: Path) -> str:
    song = read_song(path, 30, 13, None)
    loudest = max(float(np.abs(block).max()) for block in song.sound())
    return f"{song.seconds:.1f} s, {len(song.features)} rows, peak {loudest:.2f}"


def song(name: str, codec: str, layout: str = "stereo", rate: int = RATE, seconds: float = 2) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        with av.open(os.fspath(folder / name), "w") as container:
            track = container.add_stream(codec, rate=rate, layout=layout)
            _add_sound(container, track, click(seconds), 0)
        return folder / name

    return make


def float_wav(*values: tuple[int, float]) -> Callable[[Path], Path]:
    """A WAV file of floats, with these samples changed."""
    sound = click(2)
    for at, value in values:
        sound[at] = value
    header = struct.pack(
        "<4sI4s4sIHHIIHH4sI", b"RIFF", 36 + 4 * len(sound), b"WAVE", b"fmt ", 16, 3, 1, RATE, 4 * RATE, 4, 32, b"data",
        4 * len(sound),
    )  # fmt: skip
    return written("a.wav", header + sound.tobytes())


SONGS: dict[str, Callable[[Path], Path]] = {
    "WAV, 16 bit": song("a.wav", "pcm_s16le"),
    "WAV, 24 bit": song("a.wav", "pcm_s24le"),
    "WAV, float": float_wav(),
    "WAV, 8 bit": song("a.wav", "pcm_u8"),
    "MP3": song("a.mp3", "libmp3lame"),
    "AAC in m4a": song("a.m4a", "aac"),
    "FLAC": song("a.flac", "flac"),
    "Opus": song("a.opus", "libopus"),
    "Opus in ogg": song("a.ogg", "libopus"),
    "a video as a song": clip("a.mp4"),
    "mono": song("a.wav", "pcm_s16le", "mono"),
    "mono 8 kHz": song("a.wav", "pcm_s16le", "mono", 8_000),
    "5.1": song("a.flac", "flac", "5.1"),
    "rate and channels change (joined MP3)": joined(
        "a.mp3", song("1.mp3", "libmp3lame", "mono", 44_100), song("2.mp3", "libmp3lame")
    ),
    "a NaN": float_wav((50_000, np.nan)),
    "an infinite sample": float_wav((50_000, np.inf)),
    "a sample of 1e30": float_wav((50_000, 1e30)),
    "silence": float_wav(*((at, 0.0) for at in range(2 * RATE))),
    "ten samples": song("a.wav", "pcm_s16le", seconds=10 / RATE),
    "cut off MP3": changed(song("a.mp3", "libmp3lame"), _half),
    "empty file": written("a.mp3", b""),
    "text": written("a.mp3", b"la la la\n" * 100),
    "missing": lambda folder: folder / "none.mp3",
    "a folder": lambda folder: folder,
}  # fmt: skip


# ------------------------------------------------------------------------------------------------------------- folders


def folder_outcome(path: Path) -> str:
    listing = list_clips(path)
    names = [f"clip {name!r}" for name in listing.clips]
    return "; ".join([*names, *(f"{file}: {reason}" for file, reason in listing.refused.items())])


def folder(*names: str | bytes, links: dict[str, str] | None = None) -> Callable[[Path], Path]:
    """A folder of empty files of these names, and links to the places."""

    def make(parent: Path) -> Path:
        for name in names:
            path = parent / os.fsdecode(name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
        for name, target in (links or {}).items():
            (parent / name).symlink_to(parent / target)
        return parent

    return make


FOLDERS: dict[str, Callable[[Path], Path]] = {
    "space, quote, umlaut": folder("my clip.mp4", 'the "best".mov', "Tänzer.mkv"),
    "newline": folder("two\nlines.mp4"),
    "leading dash": folder("-rf.mp4"),
    "dots": folder("a..b.mp4", "c.0.mp4"),
    "240 bytes": folder("x" * 236 + ".mp4"),
    "not UTF-8": folder(b"bad\xff.mp4"),
    "a group of the dataset": folder("normalisation.mp4"),
    "another clip's piece": folder("a.mp4", "a.0.mp4"),
    "same name, two formats": folder("a.mp4", "a.mov"),
    "same name, two folders": folder("x/a.mp4", "y/a.mp4", "x__a.mp4"),
    "a folder named x.mp4": folder("x.mp4/inside.mkv"),
    "link to nothing": folder(links={"a.mp4": "nowhere"}),
    "link to a folder, and in a circle": folder("x/a.mp4", links={"y": "x", "z": "."}),
    "camcorder and old formats": folder("a.mts", "b.wmv", "c.3gp", "d.mpg"),
    "what is no clip": folder("a.jpg", "b.txt", ".hidden.mp4"),
}


# -------------------------------------------------------------------------------------------------------------- images


def image_outcome(path: Path) -> str:
    try:
        pixels = read_image(path)
    except UserError as error:
        return f"skipped: {error}"
    return f"{pixels.shape[1]} x {pixels.shape[0]} px, mean {pixels.mean():.0f}"


def image(name: str, mode: str = "RGB", size: tuple[int, int] = (60, 40), **options: object) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        colour: object = {"RGBA": (200, 200, 200, 0), "RGB": (200, 200, 200), "CMYK": (0, 0, 0, 55)}.get(mode, 200)
        Image.new(mode, size, 51_400 if mode == "I;16" else colour).save(folder / name, **options)
        return folder / name

    return make


def turned_image(folder: Path) -> Path:
    exif = Image.Exif()
    exif[274] = 6
    return image("a.jpg", exif=exif)(folder)


def bomb(folder: Path) -> Path:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", 30_000, 30_000, 8, 2, 0, 0, 0)
    content = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(bytes(10**6)))
    return written("a.png", content)(folder)


IMAGES: dict[str, Callable[[Path], Path]] = {
    "JPEG": image("a.jpg"),
    "PNG": image("a.png"),
    "WebP": image("a.webp"),
    "TIFF, 16 bit grey": image("a.tiff", "I;16"),
    "CMYK JPEG": image("a.jpg", "CMYK"),
    "transparent PNG, over black": image("a.png", "RGBA"),
    "turned by EXIF": turned_image,
    "a strip": image("a.png", size=(3000, 20)),
    "truncated JPEG": changed(image("a.jpg", size=(600, 400)), _half),
    "JPEG with a hole": changed(image("a.jpg", size=(600, 400)), lambda whole: whole[: len(whole) // 2] + b"\xff\xd9"),
    "JPEG that ends in zeros": changed(
        image("a.jpg", size=(600, 400)), lambda whole: whole[: len(whole) // 2] + bytes(len(whole) // 2)
    ),
    "EPS, which another program would read": image("a.eps"),
    "PNG that declares 30,000 x 30,000 px": bomb,
    "HEIC": written("a.heic", b"\0\0\0\x18ftypheic" + bytes(1000)),
    "text named jpg": written("a.jpg", b"no picture"),
    "empty": written("a.jpg", b""),
}


# ---------------------------------------------------------------------------------------------- datasets, checkpoints


def dataset_outcome(path: Path) -> str:
    with open_dataset(path) as dataset:
        return f"{len(dataset.pieces)} pieces"


def spoiled(spoil: Callable[[Path], None]) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        path = folder / "dataset.h5"
        foreign.write_good(path)
        spoil(path)
        return path

    return make


def checkpoint(content: object) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        torch.save(content, folder / "best.pt")
        return folder / "best.pt"

    return make


def checkpoint_outcome(path: Path) -> str:
    return f"{MusicToPose.load(path).fps} frames/s"


DATASETS = {
    "whole": spoiled(lambda path: None),
    **{spoil.__name__.replace("_", " "): spoiled(spoil) for spoil in [*foreign.SPOILS, *hostile.SPOILS]},
}
CHECKPOINTS: dict[str, Callable[[Path], Path]] = {
    "that runs a command where it is unpickled": checkpoint({"pose_space": foreign.Hostile("true")}),
    "of another model": checkpoint({"model": "something", "fps": 30}),
    "a list": checkpoint([1, 2, 3]),
    "a list inside itself": checkpoint({"fps": hostile.circle()}),
    "a tensor of 10^12 values in 4 bytes": checkpoint({"fps": torch.zeros(1).expand(10**12)}),
    "cut off": changed(checkpoint({"fps": 30}), _half),
    "text": written("best.pt", b"no checkpoint"),
    "missing": lambda folder: folder / "best.pt",
}


# -------------------------------------------------------------------------------------------------------------- params


def params_outcome(path: Path) -> str:
    return f"vae.latent_dim {load_params(path).vae.latent_dim}"


def params(change: Callable[[str], str]) -> Callable[[Path], Path]:
    text = (PAGE.parents[1] / "params.yaml").read_text(encoding="utf-8")
    return written("params.yaml", change(text).encode())


def line(key: str, value: str) -> Callable[[str], str]:
    return lambda text: re.sub(rf"(?m)^  {key}:[^#\n]*", f"  {key}: {value}  ", text, count=1)


PAGE = Path(__file__).resolve().parents[1] / "docs" / "strange-files.md"
PARAMS: dict[str, Callable[[Path], Path]] = {
    "as they are": params(lambda text: text),
    "a word for a number": params(line("latent_dim", "abc")),
    "a number in words of YAML": params(line("latent_dim", "yes")),
    "far too large": params(line("batch_size", str(10**12))),
    "negative": params(line("lr", "-1e-3")),
    "not a number": params(line("lr", ".nan")),
    "a mistyped key": params(lambda text: text.replace("  latent_dim:", "  latent_dims:")),
    "a contradiction": params(line("epochs", "2")),
    "a missing section": params(lambda text: re.sub(r"(?ms)^gan:.*?^(?=\w)", "", text)),
    "no YAML": params(lambda text: "- {\n" + text),
    "a list": params(lambda text: "- 1\n- 2\n"),
    "empty": params(lambda text: ""),
}

CASES = [
    *(Case("clip", name, make, clip_outcome) for name, make in CLIPS.items()),
    *(Case("song", name, make, song_outcome) for name, make in SONGS.items()),
    *(Case("folder", name, make, folder_outcome) for name, make in FOLDERS.items()),
    *(Case("image", name, make, image_outcome) for name, make in IMAGES.items()),
    *(Case("dataset", name, make, dataset_outcome) for name, make in DATASETS.items()),
    *(Case("checkpoint", name, make, checkpoint_outcome) for name, make in CHECKPOINTS.items()),
    *(Case("params", name, make, params_outcome) for name, make in PARAMS.items()),
]


_HEAD = "| kind | file | outcome |\n| --- | --- | --- |\n"


def row(case: Case, folder: Path) -> str:
    """The case's line of the table, in Markdown."""
    text = re.sub(r"[_*<]", r"\\\g<0>", " ".join(outcome(case, folder).split())).replace("|", "/")
    return f"| {case.kind} | {case.name} | {text} |"


def write_page() -> None:
    """Bring the table of the page up to date."""
    rows = []
    for case in CASES:
        with tempfile.TemporaryDirectory() as folder:
            rows.append(row(case, Path(folder)))
    text = PAGE.read_text(encoding="utf-8").split(_HEAD)[0]
    PAGE.write_text(text + _HEAD + "\n".join(rows) + "\n", encoding="utf-8")


if __name__ == "__main__":
    write_page()
