"""Read and write video and audio files with PyAV, whose wheel contains FFmpeg.

Time zero of a clip is the presentation time of its first picture. Frames are sampled at ``t = k / fps``, and audio is
cut or padded so that sample 0 is at time zero. Later stages need no timestamps and no edit lists.

"Picture" means an image as the file stores it, at the file's own and perhaps variable rate. "Frame" means an image at
the constant rate that the caller asks for. Letters: H x W image size in pixels, n audio samples.
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
from types import TracebackType
from typing import Literal, cast, overload

import av
import numpy as np
from av.audio.resampler import AudioResampler
from av.audio.stream import AudioStream
from av.container import InputContainer, OutputContainer
from av.stream import Disposition
from av.video.reformatter import ColorPrimaries, ColorRange, Colorspace, ColorTrc
from av.video.stream import VideoStream

from dancing.errors import UserError
from dancing.files import atomic_write

VIDEO_SUFFIXES = (".mp4", ".mov", ".webm", ".mkv", ".avi", ".m4v")
AUDIO_SUFFIXES = (".wav", ".mp3", ".m4a", ".flac", ".ogg", ".opus", ".aac")

_SOUND_CODECS = {".wav": "pcm_s16le", ".mp3": "libmp3lame", ".m4a": "aac", ".flac": "flac"}
_SOUND_CONTAINERS = {".wav": "wav", ".mp3": "mp3", ".m4a": "ipod", ".flac": "flac"}
_SOUND_BIT_RATE = 192_000
_ENCODER_THREADS = "4"  # fixed, because the bytes that x264 writes depend on the number of threads
_QUEUE = 8  # frames that may wait for the encoder; bounds the memory if the caller is faster than the encoder
_TOLERANCE = Fraction(1, 1000)  # s; mkv and webm round timestamps to milliseconds
_SOUND_GAP_S = 0.05  # a larger jump of the timestamps is a gap, a smaller one is rounding


class MediaError(UserError):
    """A media file cannot be read or written; the message names the file and what to do."""


# ---------------------------------------------------------------- reading


@dataclass(frozen=True)
class ClipInfo:
    """Properties of a video clip; rates and durations follow from its timestamps."""

    path: Path
    width: int  # pixels, of the upright picture
    height: int  # pixels
    fps: float  # pictures a second on average
    duration: float  # seconds, of the video track
    has_audio: bool
    variable_frame_rate: bool
    codec: str


def probe(path: str | os.PathLike) -> ClipInfo:
    """Return the properties of a clip. Only the first picture is decoded.

    Args:
        path: a video file.

    Raises:
        MediaError: the file is missing, is unreadable or contains no picture.
    """
    with _opened(path) as container:
        stream = _picture_stream(container, path)
        height, width = _upright(_first_picture(container, stream, path), stream).shape[:2]
        codec, has_audio = stream.codec_context.name, bool(container.streams.audio)
    with _opened(path) as container:  # reopened to read the packets from the start
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
        variable_frame_rate=bool(uneven.sum() > 0.01 * len(spans)),  # a few dropped pictures do not count
        codec=codec,
    )


def read_frames(path: str | os.PathLike, fps: float) -> Iterator[np.ndarray]:
    """Yield the frames of a clip at a constant rate, whatever the rate of the file.

    Frame k is the picture on screen ``k / fps`` seconds after the first picture. There are ``duration * fps`` frames,
    rounded half up, and at least one. From a damaged file, only the pictures that decode are used.

    Args:
        path: a video file.
        fps: frames a second to yield.

    Yields:
        (H, W, 3) uint8 RGB, upright, with square pixels. The arrays are read-only: consecutive frames that show the
        same picture are the same array.

    Raises:
        MediaError: the file is missing, is unreadable or contains no picture that decodes.
    """
    rate = Fraction(fps).limit_denominator(1001)
    due: deque[av.VideoFrame] = deque()  # one entry for each frame whose time has passed but that is not yielded yet
    passed = yielded = 0
    latest, array = None, np.empty(0)
    with _opened(path) as container:
        stream = _picture_stream(container, path)
        stream.thread_type = "AUTO"
        for end, picture in _timed_pictures(container, stream):
            while passed / rate < end - _TOLERANCE:
                due.append(picture)
                passed += 1
            # A frame is part of the clip if the clip lasts until the middle of the frame. A picture that ends after
            # the middle shows that it does.
            while due and (yielded == 0 or (yielded + Fraction(1, 2)) / rate <= end):
                if due[0] is not latest:
                    latest, array = due[0], _upright(due[0], stream)
                due.popleft()
                yielded += 1
                yield array
    if yielded == 0:
        raise _nothing_decodes(path)


def read_audio(path: str | os.PathLike, sample_rate: int, channels: Literal[1, 2] = 1) -> np.ndarray:
    """Read the audio of a clip or song, synchronised with the frames of `read_frames`.

    Sample 0 is at the time of the first picture: earlier audio is cut off, and silence is put before audio that starts
    later. In a song (`AUDIO_SUFFIXES`, with or without cover art) and in a file without pictures, sample 0 is the first
    sample of the file. Gaps in the timestamps become silence.

    Args:
        path: a video or audio file.
        sample_rate: rate of the result in Hz; the audio is resampled to it.
        channels: 1 mixes all channels to mono, for audio features; 2 gives stereo, for listening.

    Returns:
        float32 of shape (n,) for one channel and (n, 2) for two; full scale is 1.

    Raises:
        MediaError: the file is missing or unreadable, has no audio track, or its audio does not decode.
    """
    zero = _first_picture_time(path)
    chunks: list[tuple[int, np.ndarray]] = []  # (first sample counted from time zero, samples)
    end: int | None = None
    with _opened(path) as container:
        if not container.streams.audio:
            raise MediaError(f"{path}: has no sound track: use a clip with its music, or add the music to it")
        stream = container.streams.audio[0]
        stream.codec_context.thread_type = "AUTO"
        # With rematrix_maxval, mono is the mean of the channels. The default is their sum / sqrt(2), which clips.
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
        kept = samples[max(-start, 0) :]  # without what comes before the first picture
        sound[max(start, 0) :][: len(kept)] = kept
    return sound[:, 0] if channels == 1 else sound


def _first_picture_time(path: str | os.PathLike) -> float | None:
    """Timestamp of the first picture in seconds, on the time line of the file; None for a file with audio only."""
    if Path(path).suffix.lower() in AUDIO_SUFFIXES:  # some converters write cover art as a video that does not decode
        return None
    with _opened(path) as container:
        if not _picture_streams(container):
            return None
        stream = _picture_stream(container, path)
        return float(_seconds(_first_picture(container, stream, path), stream) or 0)


@contextmanager
def _opened(path: str | os.PathLike) -> Iterator[InputContainer]:
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


def _picture_streams(container: InputContainer) -> list[VideoStream]:
    """Video streams except cover art, which audio files store as a video stream of one picture."""
    return [stream for stream in container.streams.video if not stream.disposition & Disposition.attached_pic]


def _picture_stream(container: InputContainer, path: str | os.PathLike) -> VideoStream:
    streams = _picture_streams(container)
    if not streams:
        raise MediaError(f"{path}: holds no picture: expected a video clip ({', '.join(VIDEO_SUFFIXES)})")
    return streams[0]


def _first_picture(container: InputContainer, stream: VideoStream, path: str | os.PathLike) -> av.VideoFrame:
    first = next(_decode(container, stream), None)
    if first is None:
        raise _nothing_decodes(path)
    return first


def _nothing_decodes(path: str | os.PathLike) -> MediaError:
    return MediaError(f"{path}: none of its pictures decodes: convert it again from its source")


def _packets(container: InputContainer, stream: VideoStream | AudioStream) -> Iterator[av.Packet]:
    """Packets up to the end of the file or its first broken part, then the empty packet that flushes the decoder."""
    try:
        yield from container.demux(stream)
    except av.FFmpegError:
        end = av.Packet()
        end.stream = stream
        yield end


@overload
def _decode(container: InputContainer, stream: VideoStream) -> Iterator[av.VideoFrame]: ...
@overload
def _decode(container: InputContainer, stream: AudioStream) -> Iterator[av.AudioFrame]: ...
def _decode(container: InputContainer, stream: VideoStream | AudioStream) -> Iterator[object]:
    """The decoded frames of a stream in order of presentation; damaged packets are skipped."""
    for packet in _packets(container, stream):
        try:
            frames = packet.decode()
        except av.FFmpegError:
            continue
        yield from frames


def _timed_pictures(container: InputContainer, stream: VideoStream) -> Iterator[tuple[Fraction, av.VideoFrame]]:
    """Each picture with the end of its display time, in seconds after the start of the first picture."""
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


def _seconds(item: av.Packet | av.VideoFrame, stream: VideoStream) -> Fraction | None:
    """Timestamp of a packet or picture on the time line of the file. AVI stores decoding times only."""
    ticks = item.pts if item.pts is not None else item.dts
    return None if ticks is None else ticks * _time_base(stream)


def _duration(item: av.Packet | av.VideoFrame, stream: VideoStream) -> Fraction:
    """Display time of a packet or picture in seconds; where the file does not state it, from the average rate."""
    if item.duration:
        return item.duration * _time_base(stream)
    return 1 / Fraction(stream.average_rate or stream.guessed_rate or 25)


def _time_base(stream: VideoStream) -> Fraction:
    """Seconds a tick of the timestamps."""
    return cast(Fraction, stream.time_base)  # None only before the file is open


def _upright(picture: av.VideoFrame, stream: VideoStream) -> np.ndarray:
    """A decoded picture as (H, W, 3) uint8 RGB with square pixels, rotated as the file says."""
    width = round(picture.width * (stream.sample_aspect_ratio or 1))
    rgb = picture.reformat(width=width, format="rgb24", threads=1).to_ndarray()
    array = np.ascontiguousarray(np.rot90(rgb, picture.rotation // 90))  # both are counter-clockwise
    array.flags.writeable = False
    return array


# ---------------------------------------------------------------- writing


class VideoWriter:
    """Write frames, and audio if given, to an mp4 file (H.264 and AAC) that players can start before it is loaded.

    A context manager: the file gets its name only when the block ends without an exception. A thread encodes the frames
    while the caller computes the next ones. An exception in the thread is raised by the next `write`, or at the end of
    the block. Memory does not grow with the length of the video. The same input gives the same bytes.

    Args:
        path: the mp4 file to write; its folder must exist.
        fps: frames a second.
        width: width of every frame in pixels; even, because 4:2:0 colour halves it.
        height: height of every frame in pixels; even.
        audio: float32 (n,) or (n, 2) in [-1, 1]; sample 0 is at the start of the first frame. It is cut, or padded with
            silence, to the length of the video.
        sample_rate: of the audio in Hz.
        crf: constant rate factor of x264: 0 is lossless, 18 is visually lossless, 23 gives smaller files.

    Raises:
        MediaError: the size is odd, fps or sample_rate is not positive, the audio has another shape or values that are
            not finite, the folder is missing, a frame has another shape, or no frame is written.
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
        self._written = self._encoded = 0  # frames
        self._waiting: deque[Future[None]] = deque()
        self._sample_rate = sample_rate or 0
        self._sound = None if audio is None else _checked_sound(self.path, audio, self._sample_rate)
        self._encoded_samples = 0

        with ExitStack() as opened:
            partial = opened.enter_context(atomic_write(self.path))
            self._container = opened.enter_context(_create(partial, "mp4", {"movflags": "+faststart"}))
            # mbtree=0, because with the macroblock tree x264 does not write the same bytes every time. veryfast,
            # because for a dance the file of superfast is 26 % larger, and faster takes 1.5 times as long for a file
            # that is no smaller.
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
            # Leaving it ends the thread, closes the container, then gives the file its name or removes it.
            self._opened = opened.pop_all()

    def __enter__(self) -> VideoWriter:
        return self

    def write(self, frame: np.ndarray) -> None:
        """Append one frame and the audio of its duration. Blocks while the queue of the encoder is full.

        Args:
            frame: (H, W, 3) uint8 RGB. It is not copied, so the caller must not change it afterwards.

        Raises:
            MediaError: the frame has another shape or dtype.
        """
        if frame.shape != self._shape or frame.dtype != np.uint8:
            raise MediaError(
                f"{self.path}: picture {self._written} is {frame.dtype} {frame.shape}, expected uint8 {self._shape}"
            )
        self._finish(_QUEUE - 1)
        self._waiting.append(self._encoder.submit(self._encode, frame))
        self._written += 1

    def _finish(self, left: int) -> None:
        """Wait until at most `left` frames are waiting for the encoder. Raises the exceptions of the encoder."""
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
        """Encode the audio up to the end of the latest frame; silence after the end of the audio."""
        end = round(self._encoded / self._fps * self._sample_rate)
        samples = sound[:, self._encoded_samples : end]  # (channels, n)
        samples = np.pad(samples, ((0, 0), (0, end - self._encoded_samples - samples.shape[1])))
        _encode_sound(self._container, self._audio, samples, self._encoded_samples, self._sample_rate)
        self._encoded_samples = end

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
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
    """Write audio to a .wav (16 bit), .flac (16 bit), .mp3 or .m4a (192 kbit/s) file, completely or not at all.

    Args:
        path: the file to write; its suffix selects the format, and its folder must exist.
        samples: float (n,) or (n, 2) in [-1, 1], n > 0; values outside are clipped.
        sample_rate: of the samples in Hz; audio of a rate that the codec does not support is resampled to 48 kHz.

    Raises:
        MediaError: the suffix is another one, the samples have another shape or are not finite, or the folder is
            missing.
    """
    path = Path(path)
    suffix = path.suffix.lower()
    if suffix not in _SOUND_CODECS:
        raise MediaError(f"{path}: sound is written as one of {', '.join(_SOUND_CODECS)}, not {suffix or 'no suffix'}")
    sound = _checked_sound(path, samples, sample_rate)  # (channels, n)
    with atomic_write(path) as partial, _create(partial, _SOUND_CONTAINERS[suffix], {}) as container:
        stream = _add_sound(container, _SOUND_CODECS[suffix], sample_rate, sound.shape[0])
        for start in range(0, sound.shape[1], sample_rate):  # a second at a time
            _encode_sound(container, stream, sound[:, start : start + sample_rate], start, sample_rate)
        container.mux(stream.encode(None))


def _create(path: Path, container: str, options: dict[str, str]) -> OutputContainer:
    if not path.parent.is_dir():
        raise MediaError(f"{path.parent}: no such folder: make it before writing into it")
    # bitexact omits what differs between runs and versions, such as the name of the writing library
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


def _add_sound(container: OutputContainer, codec: str, sample_rate: int, channels: int) -> AudioStream:
    rates = av.Codec(codec, "w").audio_rates
    rate = sample_rate if not rates or sample_rate in rates else 48_000
    stream = cast(AudioStream, container.add_stream(codec, rate=rate, layout="mono" if channels == 1 else "stereo"))
    if codec in ("aac", "libmp3lame"):
        stream.bit_rate = _SOUND_BIT_RATE
    return stream


def _encode_sound(
    container: OutputContainer, stream: AudioStream, samples: np.ndarray, start: int, sample_rate: int
) -> None:
    """Encode samples (channels, n) float32, clipped to [-1, 1]; `start` is the index of the first one in the file."""
    layout = "mono" if samples.shape[0] == 1 else "stereo"
    frame = av.AudioFrame.from_ndarray(np.clip(samples, -1, 1, order="C"), format="fltp", layout=layout)
    frame.sample_rate, frame.pts, frame.time_base = sample_rate, start, Fraction(1, sample_rate)
    container.mux(stream.encode(frame))
