"""Clips in, clips out: pictures by presentation timestamp, sound in step with them (PyAV, whose wheel carries FFmpeg).

Time zero of a clip is the instant at which its first picture is shown. Pictures are taken at ``t = k / fps`` and sound
is cut so that its sample 0 is heard at time zero: every later stage may forget containers, timestamps and edit lists.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from fractions import Fraction
from itertools import chain
from pathlib import Path
from typing import Literal

import av
import numpy as np
from av.audio.resampler import AudioResampler
from av.stream import Disposition
from av.video.reformatter import ColorPrimaries, ColorRange, Colorspace, ColorTrc

from dancing.errors import UserError
from dancing.files import written_whole

VIDEO_SUFFIXES = (".mp4", ".mov", ".webm", ".mkv", ".avi", ".m4v")
AUDIO_SUFFIXES = (".wav", ".mp3", ".m4a", ".flac", ".ogg", ".opus", ".aac")

_SOUND_CODECS = {".wav": "pcm_s16le", ".mp3": "libmp3lame", ".m4a": "aac", ".flac": "flac"}
_SOUND_CONTAINERS = {".wav": "wav", ".mp3": "mp3", ".m4a": "ipod", ".flac": "flac"}
_SOUND_BIT_RATE = 192_000
_ENCODER_THREADS = "4"  # a fixed number: x264 writes other bytes with another number of threads
_QUEUE = 8  # pictures that wait for the encoder at most: memory does not grow where it is slower than who draws
_TOLERANCE = Fraction(1, 1000)  # s; timestamps that were once in milliseconds (mkv, webm) are off by up to this
_SOUND_GAP_S = 0.05  # a jump of the timestamps beyond this is a gap, below it rounding


class MediaError(UserError):
    """A media file that cannot be read or written; the message names the file and what to do."""


# ---------------------------------------------------------------- reading


@dataclass(frozen=True)
class ClipInfo:
    """What a clip is, by its timestamps: the upright picture's size, average fps, the picture's duration in seconds."""

    path: Path
    width: int
    height: int
    fps: float
    duration: float
    has_audio: bool
    variable_frame_rate: bool
    codec: str


def probe(path: str | os.PathLike) -> ClipInfo:
    """Describe a clip without decoding more than its first picture.

    Raises:
        MediaError: the file is missing, unreadable or holds no picture.
    """
    with _opened(path) as container:
        stream = _picture_stream(container, path)
        height, width = _upright(_first_picture(container, stream, path), stream).shape[:2]
        codec, has_audio = stream.codec_context.name, bool(container.streams.audio)
    with _opened(path) as container:  # again from the start: packets only
        stream = _picture_stream(container, path)
        spans = sorted(
            (start, _duration(packet, stream))
            for packet in _packets(container, stream)
            if not packet.is_discard and (start := _seconds(packet, stream)) is not None
        )
    (first, _), (last, last_duration) = spans[0], spans[-1]
    duration = float(last - first + last_duration)
    steps = np.diff([float(start) for start, _ in spans])
    usual = np.median(steps) if len(steps) else duration
    uneven = np.abs(steps - usual) > 0.1 * usual + float(_TOLERANCE)
    return ClipInfo(
        path=Path(path),
        width=width,
        height=height,
        fps=len(spans) / duration,
        duration=duration,
        has_audio=has_audio,
        variable_frame_rate=bool(uneven.sum() > 0.01 * len(spans)),  # a dropped picture or two is no such thing
        codec=codec,
    )


def read_frames(path: str | os.PathLike, fps: float) -> Iterator[np.ndarray]:
    """Pictures of a clip at a steady rate, whatever its own.

    Frame k is the picture that a viewer sees ``k / fps`` seconds after the first one appeared. There are
    ``duration * fps`` of them, rounded (half up), and one at least. A damaged file gives what still decodes.

    Args:
        fps: frames a second wanted.

    Yields:
        (H, W, 3) uint8 RGB, upright, with square pixels. Read-only: a picture that is shown for several frames is the
        same array each time.

    Raises:
        MediaError: the file is missing, unreadable or holds no picture that decodes.
    """
    rate = Fraction(fps).limit_denominator(1001)
    due: deque[av.VideoFrame] = deque()  # pictures of the frames passed but not yielded yet
    passed = yielded = 0
    latest, array = None, np.empty(0)
    with _opened(path) as container:
        stream = _picture_stream(container, path)
        stream.thread_type = "AUTO"
        for end, picture in _timed_pictures(container, stream):
            while passed / rate < end - _TOLERANCE:
                due.append(picture)
                passed += 1
            # a frame counts when the clip lasts to its middle: known once a later picture, or the end, is past that
            while due and (yielded == 0 or (yielded + Fraction(1, 2)) / rate <= end):
                if due[0] is not latest:
                    latest, array = due[0], _upright(due[0], stream)
                due.popleft()
                yielded += 1
                yield array
    if yielded == 0:
        raise _nothing_decodes(path)


def read_audio(path: str | os.PathLike, sample_rate: int, channels: Literal[1, 2] = 1) -> np.ndarray:
    """The sound of a clip or song, in step with the pictures of `read_frames`.

    Sample 0 is heard when the first picture appears: sound that begins later is led by silence, sound before it is cut
    off. A song (`AUDIO_SUFFIXES`), whatever cover it holds, and a file without pictures begin with their own first
    sample. Gaps in the timestamps become silence.

    Args:
        sample_rate: wanted, in Hz.
        channels: 1 mixes what there is to one, 2 is for listening.

    Returns:
        (n,) for one channel, (n, 2) for two; float32, full scale at 1.

    Raises:
        MediaError: the file is missing or unreadable, has no sound track or none that decodes.
    """
    zero = _first_appearance(path)
    chunks: list[tuple[int, np.ndarray]] = []  # (place in samples from time zero, samples)
    end = None
    with _opened(path) as container:
        if not container.streams.audio:
            raise MediaError(f"{path}: has no sound track: use a clip with its music, or add the music to it")
        stream = container.streams.audio[0]
        stream.thread_type = "AUTO"
        # rematrix_maxval: stereo becomes the mean of its channels; by default it is their sum / sqrt(2), which clips
        resampler = AudioResampler(
            "fltp", "mono" if channels == 1 else "stereo", sample_rate, options={"rematrix_maxval": "1"}
        )
        for frame in chain(_decode(container, stream), [None]):
            for resampled in resampler.resample(frame):
                time = resampled.time or 0.0
                zero = time if zero is None else zero
                start = round((time - zero) * sample_rate)
                if end is not None and start - end < _SOUND_GAP_S * sample_rate:
                    start = end
                samples = resampled.to_ndarray().T  # (samples, channels)
                chunks.append((start, samples))
                end = start + len(samples)
    if end is None or end <= 0:
        raise MediaError(f"{path}: no sound that decodes while its picture lasts: convert it again from its source")
    sound = np.zeros((end, channels), np.float32)
    for start, samples in chunks:
        audible = samples[max(-start, 0) :]  # what is heard before the first picture is cut off
        sound[max(start, 0) :][: len(audible)] = audible
    return sound[:, 0] if channels == 1 else sound


def _first_appearance(path: str | os.PathLike) -> float | None:
    """When the first picture is shown, on the file's own time line in seconds; None in a file of sound alone."""
    if Path(path).suffix.lower() in AUDIO_SUFFIXES:  # converters write covers as films that don't even decode
        return None
    with _opened(path) as container:
        if not _picture_streams(container):
            return None
        stream = _picture_stream(container, path)
        return float(_seconds(_first_picture(container, stream, path), stream) or 0)


@contextmanager
def _opened(path: str | os.PathLike):
    if not Path(path).is_file():
        raise MediaError(f"{path}: no such file")
    try:
        container = av.open(str(path), metadata_errors="replace")
    except av.FFmpegError as error:
        raise MediaError(
            f"{path}: not a media file that can be read ({error.strerror}): convert it, for example to mp4"
        ) from error
    with container:
        yield container


def _picture_streams(container) -> list:
    """Video streams without cover art, which song files carry as a video of one picture."""
    return [stream for stream in container.streams.video if not stream.disposition & Disposition.attached_pic]


def _picture_stream(container, path: str | os.PathLike):
    streams = _picture_streams(container)
    if not streams:
        raise MediaError(f"{path}: holds no picture: expected a video clip ({', '.join(VIDEO_SUFFIXES)})")
    return streams[0]


def _first_picture(container, stream, path: str | os.PathLike) -> av.VideoFrame:
    first = next(_decode(container, stream), None)
    if first is None:
        raise _nothing_decodes(path)
    return first


def _nothing_decodes(path: str | os.PathLike) -> MediaError:
    return MediaError(f"{path}: none of its pictures decodes: convert it again from its source")


def _packets(container, stream) -> Iterator[av.Packet]:
    """Packets up to the end of the file or to where it is broken, then the empty one that empties the decoder."""
    try:
        yield from container.demux(stream)
    except av.FFmpegError:
        end = av.Packet()
        end.stream = stream
        yield end


def _decode(container, stream) -> Iterator:
    """What decodes of a stream, in order of presentation; damaged packets are passed over."""
    for packet in _packets(container, stream):
        try:
            frames = packet.decode()
        except av.FFmpegError:
            continue
        yield from frames


def _timed_pictures(container, stream) -> Iterator[tuple[Fraction, av.VideoFrame]]:
    """Each picture with the time at which it stops being shown, in seconds after the first one appeared."""
    shown, start, zero = None, Fraction(0), Fraction(0)
    for picture in _decode(container, stream):
        appears = _seconds(picture, stream)
        if shown is None:
            start = zero = appears or Fraction(0)
        else:
            appears = start + _duration(shown, stream) if appears is None else max(appears, start)
            yield appears - zero, shown
            start = appears
        shown = picture
    if shown is not None:
        yield start + _duration(shown, stream) - zero, shown


def _seconds(item: av.Packet | av.VideoFrame, stream) -> Fraction | None:
    """When a packet or picture is due, on the file's own time line; AVI gives the time of decoding only."""
    ticks = item.pts if item.pts is not None else item.dts
    return None if ticks is None else ticks * stream.time_base


def _duration(item: av.Packet | av.VideoFrame, stream) -> Fraction:
    """How long a packet or picture is shown, in seconds; by the average rate where the file does not say."""
    if item.duration:
        return item.duration * stream.time_base
    return 1 / Fraction(stream.average_rate or stream.guessed_rate or 25)


def _upright(picture: av.VideoFrame, stream) -> np.ndarray:
    """A decoded picture as (H, W, 3) uint8 RGB with square pixels, turned as the phone was held."""
    width = round(picture.width * (stream.sample_aspect_ratio or 1))
    rgb = picture.reformat(width=width, format="rgb24", threads=1).to_ndarray()
    array = np.ascontiguousarray(np.rot90(rgb, picture.rotation // 90))  # both turn counter-clockwise
    array.flags.writeable = False
    return array


# ---------------------------------------------------------------- writing


class VideoWriter:
    """Write pictures, and sound if given, to an H.264 + AAC mp4 that starts playing before it is wholly loaded.

    A context manager. The file appears under its name only when the block ends without an exception. Pictures are
    encoded in a thread of their own while the next ones are drawn; what goes wrong there is raised by the next `write`
    or when the block ends. Memory does not grow with the length; the same input gives the same bytes.

    Args:
        path: the mp4 file to write; its folder must exist.
        fps: pictures a second.
        width, height: size of every picture in pixels, both even (4:2:0 colour halves them).
        audio: float32 (n,) or (n, 2) in [-1, 1], sample 0 heard with the first picture. Trimmed, or padded with
            silence, to the length of the pictures.
        sample_rate: of the audio in Hz.
        crf: x264's constant rate factor: 0 is lossless, 18 visually so, 23 smaller.

    Raises:
        MediaError: odd sizes, a picture of another shape, sound without its rate, no picture at all.
    """

    def __init__(
        self,
        path: str | os.PathLike,
        fps: float,
        width: int,
        height: int,
        audio: np.ndarray | None = None,
        sample_rate: int | None = None,
        crf: int = 18,
    ) -> None:
        self.path = Path(path)
        if width % 2 or height % 2 or width <= 0 or height <= 0:
            raise MediaError(f"{path}: H.264 needs even sizes, got {width}x{height}: crop or pad by one pixel")
        if fps <= 0:
            raise MediaError(f"{path}: fps must be positive, got {fps}")
        self._fps = Fraction(fps).limit_denominator(1001)
        self._shape = (height, width, 3)
        self._written = self._encoded = 0  # pictures
        self._waiting: deque[Future[None]] = deque()
        self._sample_rate = sample_rate or 0
        self._sound = None if audio is None else _checked_sound(self.path, audio, self._sample_rate)
        self._heard = 0  # samples handed to the encoder so far

        with ExitStack() as opened:
            partial = opened.enter_context(written_whole(self.path))
            self._container = opened.enter_context(_create(partial, "mp4", {"movflags": "+faststart"}))
            # Without the macroblock tree: with it, x264 does not write the same bytes every time. veryfast: of a dance,
            # superfast's file is 26 % larger, faster's no smaller for half as much time again.
            options = {"crf": str(crf), "preset": "veryfast", "threads": _ENCODER_THREADS, "x264-params": "mbtree=0"}
            self._video = self._container.add_stream("libx264", rate=self._fps, options=options)
            self._video.width, self._video.height, self._video.pix_fmt = width, height, "yuv420p"
            context = self._video.codec_context
            context.time_base = 1 / self._fps
            context.colorspace, context.color_range = Colorspace.ITU709, ColorRange.MPEG
            context.color_primaries, context.color_trc = ColorPrimaries.BT709, ColorTrc.BT709
            if self._sound is not None:
                self._audio = _add_sound(self._container, "aac", self._sample_rate, self._sound.shape[0])
            self._encoder = ThreadPoolExecutor(1, "encoder")
            opened.callback(self._encoder.shutdown, cancel_futures=True)
            # what ends the thread, closes the container, then gives the file its name or removes it
            self._opened = opened.pop_all()

    def __enter__(self) -> VideoWriter:
        return self

    def write(self, frame: np.ndarray) -> None:
        """Append one picture, (H, W, 3) uint8 RGB, and the sound that is heard while it is shown.

        It is kept, not copied: change it no more. Waits where too many pictures wait for the encoder already.
        """
        if frame.shape != self._shape or frame.dtype != np.uint8:
            raise MediaError(
                f"{self.path}: picture {self._written} is {frame.dtype} {frame.shape}, expected uint8 {self._shape}"
            )
        self._finish(_QUEUE - 1)
        self._waiting.append(self._encoder.submit(self._encode, frame))
        self._written += 1

    def _finish(self, left: int) -> None:
        """Wait until no more than so many pictures are left to encode. Raises what the encoder raised."""
        while self._waiting and (len(self._waiting) > left or self._waiting[0].done()):
            self._waiting.popleft().result()

    def _encode(self, frame: np.ndarray) -> None:
        picture = av.VideoFrame.from_numpy_buffer(np.ascontiguousarray(frame), format="rgb24")
        picture = picture.reformat(
            format="yuv420p", dst_colorspace=Colorspace.ITU709, dst_color_range=ColorRange.MPEG, threads=1
        )
        picture.pts, picture.time_base = self._encoded, 1 / self._fps
        self._container.mux(self._video.encode(picture))
        self._encoded += 1
        if self._sound is not None:
            self._write_sound(self._sound)

    def _write_sound(self, sound: np.ndarray) -> None:
        """Sound up to the end of the latest picture; silence where the audio has run out."""
        end = round(self._encoded / self._fps * self._sample_rate)
        samples = sound[:, self._heard : end]  # (channels, n)
        samples = np.pad(samples, ((0, 0), (0, end - self._heard - samples.shape[1])))
        _encode_sound(self._container, self._audio, samples, self._heard, self._sample_rate)
        self._heard = end

    def __exit__(self, kind, error, trace) -> None:
        if kind is not None:
            self._opened.__exit__(kind, error, trace)
            return
        with self._opened:
            if self._written == 0:
                raise MediaError(f"{self.path}: no picture was written: a video needs at least one")
            self._finish(0)
            self._container.mux(self._video.encode(None))
            if self._sound is not None:
                self._container.mux(self._audio.encode(None))


def write_audio(path: str | os.PathLike, samples: np.ndarray, sample_rate: int) -> None:
    """Write sound to a .wav (16 bit), .flac (16 bit), .mp3 or .m4a (192 kbit/s) file, whole or not at all.

    Args:
        samples: float (n,) or (n, 2) in [-1, 1].
        sample_rate: in Hz; a rate that the codec does not know is resampled to 48 kHz.

    Raises:
        MediaError: another suffix, samples of another shape, no samples.
    """
    path = Path(path)
    suffix = path.suffix.lower()
    if suffix not in _SOUND_CODECS:
        raise MediaError(f"{path}: sound is written as one of {', '.join(_SOUND_CODECS)}, not {suffix or 'no suffix'}")
    sound = _checked_sound(path, samples, sample_rate)  # (channels, n)
    with written_whole(path) as partial, _create(partial, _SOUND_CONTAINERS[suffix], {}) as container:
        stream = _add_sound(container, _SOUND_CODECS[suffix], sample_rate, sound.shape[0])
        for start in range(0, sound.shape[1], sample_rate):  # a second at a time
            _encode_sound(container, stream, sound[:, start : start + sample_rate], start, sample_rate)
        container.mux(stream.encode(None))


def _create(path: Path, container: str, options: dict[str, str]):
    if not path.parent.is_dir():
        raise MediaError(f"{path.parent}: no such folder: make it before writing into it")
    # bitexact leaves out what differs between runs and versions, such as the writing library's name
    return av.open(str(path), "w", format=container, container_options={"fflags": "+bitexact", **options})


def _checked_sound(path: Path, samples: np.ndarray, sample_rate: int) -> np.ndarray:
    """Samples as (channels, n) float32."""
    if sample_rate <= 0:
        raise MediaError(f"{path}: sound needs its sample rate in Hz, got {sample_rate}")
    sound = np.asarray(samples, np.float32)
    if sound.ndim not in (1, 2) or sound.size == 0 or (sound.ndim == 2 and sound.shape[1] not in (1, 2)):
        raise MediaError(f"{path}: sound must be (n,) or (n, 2) with n > 0, got {sound.shape}")
    if not np.isfinite(sound).all():
        raise MediaError(f"{path}: sound holds NaN or infinity: remove them before writing")
    return sound.reshape(len(sound), -1).T


def _add_sound(container, codec: str, sample_rate: int, channels: int):
    rates = av.Codec(codec, "w").audio_rates
    rate = sample_rate if not rates or sample_rate in rates else 48_000
    stream = container.add_stream(codec, rate=rate, layout="mono" if channels == 1 else "stereo")
    if codec in ("aac", "libmp3lame"):
        stream.bit_rate = _SOUND_BIT_RATE
    return stream


def _encode_sound(container, stream, samples: np.ndarray, start: int, sample_rate: int) -> None:
    """Encode (channels, n) float32, clipped to [-1, 1], whose first sample is number ``start`` of the whole."""
    layout = "mono" if samples.shape[0] == 1 else "stereo"
    frame = av.AudioFrame.from_ndarray(np.clip(samples, -1, 1, order="C"), format="fltp", layout=layout)
    frame.sample_rate, frame.pts, frame.time_base = sample_rate, start, Fraction(1, sample_rate)
    container.mux(stream.encode(frame))
