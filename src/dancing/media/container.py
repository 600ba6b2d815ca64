"""Open media files: choose the streams, and put their timestamps on one clock.

Files from phones, editors and downloads contain thumbnails beside the video, several audio tracks, timestamps that are
missing, run back or jump. `scan` reads all packets once, without decoding them, and settles these questions for
whoever decodes the file afterwards.

Time zero is the presentation time of the first picture, or of the first sample where there are no pictures.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from pathlib import Path
from typing import cast, overload

import av
import numpy as np
from av.audio.stream import AudioStream
from av.container import InputContainer, OutputContainer
from av.stream import Disposition
from av.video.stream import VideoStream

from dancing.errors import UserError

VIDEO_SUFFIXES = (
    ".mp4", ".mov", ".webm", ".mkv", ".avi", ".m4v", ".mts", ".m2ts", ".ts", ".mpg", ".mpeg", ".wmv", ".3gp", ".flv",
    ".ogv",
)  # fmt: skip
AUDIO_SUFFIXES = (".wav", ".mp3", ".m4a", ".flac", ".ogg", ".opus", ".aac", ".wma", ".aif", ".aiff", ".oga")

TOLERANCE = Fraction(1, 1000)  # s; mkv and webm round timestamps to milliseconds
#: A picture that stays longer than this, in seconds, is not motion: the clip has a gap there.
GAP_S = 1.0
#: Timestamps that jump further, in seconds, are broken, or a part of the recording is missing.
_LONGEST_GAP_S = 10.0
#: Share of the packets whose timestamps may lie beyond such a jump. Their timestamps are ignored.
_STRAY = 0.02
_BACK_S = 1.0  # decoding times that run back further: a second recording was appended
_TRIED_PICTURES = 32  # decoded to see whether presentation times are in order
#: Larger pictures are refused: a small file can declare a size that fills the memory.
MAX_PIXELS = 2**26
_NO_PICTURE = (
    Disposition.attached_pic | Disposition.timed_thumbnails | Disposition.still_image
)  # cover art and thumbnails, which are stored as video streams

MediaStream = VideoStream | AudioStream


class MediaError(UserError):
    """A media file cannot be read or written; the message names the file and what to do."""


@dataclass(frozen=True)
class Timeline:
    """The timestamps of one stream, sorted, on the time line of the file.

    Attributes:
        starts: (n,) float64 seconds, of the packets that are presented; empty if the file has no timestamps.
        zero: seconds, exactly: the first start.
        end: seconds, of the end of the last packet; infinite if the file has no timestamps.
        decoding: the presentation times are missing or out of order, so that decoding times stand for them.
        strays: number of packets whose timestamps are ignored, because they jump far away from all others.
    """

    starts: np.ndarray
    zero: Fraction
    end: float
    decoding: bool
    strays: int

    @property
    def usual(self) -> float:
        """Seconds from one packet to the next, the median."""
        return float(np.median(np.diff(self.starts))) if len(self.starts) > 1 else GAP_S

    def gaps(self) -> list[tuple[float, float]]:
        """Return the gaps over `GAP_S`, from the end of a usual picture to the next one, in seconds after zero."""
        steps, usual = np.diff(self.starts), min(self.usual, GAP_S)
        return [
            (float(self.starts[k] + usual - self.zero), float(self.starts[k + 1] - self.zero))
            for k in np.flatnonzero(steps > GAP_S + usual)
        ]


@dataclass(frozen=True)
class Scan:
    """What `scan` found in a file.

    Attributes:
        video: index of the stream with the pictures; None if there is none.
        audio: indices of the audio streams, the best first.
        times: the timeline of each of these streams by index.
        size: number of packets of each of these streams by index.
    """

    video: int | None
    audio: tuple[int, ...]
    times: dict[int, Timeline]
    size: dict[int, int]

    @property
    def zero(self) -> Fraction | None:
        """Seconds on the time line of the file: the first picture; None if there are no pictures."""
        return None if self.video is None else self.times[self.video].zero


def scan(path: str | os.PathLike) -> Scan:
    """Read all packets of a file, choose its streams and check their timestamps. Files that did not change are cached.

    Raises:
        MediaError: the file is missing or unreadable, or its timestamps jump or start over; the message says when.
    """
    try:
        status = os.stat(path)
    except OSError as error:
        raise _missing(path, error) from None
    return _scan(os.fspath(path), status.st_mtime_ns, status.st_size)


@lru_cache(maxsize=16)
def _scan(path: str, modified: int, size: int) -> Scan:
    packets: dict[int, list[tuple[int | None, int | None, int]]] = {}  # stream -> (pts, dts, duration) in ticks
    with opened(path) as container:
        streams: list[MediaStream] = [*_picture_streams(container, path), *container.streams.audio]
        streams = [stream for stream in streams if stream.codec_context is not None]  # None: an unknown codec
        for packet in packets_of(container, *streams) if streams else ():
            if packet.size and not packet.is_discard:
                packets.setdefault(packet.stream_index, []).append((packet.pts, packet.dts, packet.duration or 0))
        used = [stream for stream in streams if stream.index in packets]
        video = _best_video([s for s in used if isinstance(s, VideoStream)], packets)
        audio = _best_first([s for s in used if isinstance(s, AudioStream)], container)
        chosen: list[MediaStream] = [*([video] if video else []), *audio]
        if video and video.codec_context.width * video.codec_context.height > MAX_PIXELS:
            shape = f"{video.codec_context.width} x {video.codec_context.height}"
            raise MediaError(f"{path}: pictures of {shape} px, over {MAX_PIXELS // 10**6} million: scale it down")
        disordered = video is not None and _disordered(path, video.index)
        return Scan(
            video=None if video is None else video.index,
            audio=tuple(stream.index for stream in audio),
            times={s.index: _timeline(path, s, packets[s.index], disordered and s is video) for s in chosen},
            size={stream.index: len(packets[stream.index]) for stream in chosen},
        )


def _best_video(streams: list[VideoStream], packets: dict[int, list]) -> VideoStream | None:
    """The stream with motion in it, then the one that the file marks as its default, then the largest."""

    def merit(stream: VideoStream) -> tuple[bool, bool, int, int]:
        many = 10 * len(packets[stream.index]) > max(len(packets[other.index]) for other in streams)
        default = bool(stream.disposition & Disposition.default)
        return many, default, stream.codec_context.width * stream.codec_context.height, -stream.index

    return max(streams, key=merit, default=None)


def _best_first(streams: list[AudioStream], container: InputContainer) -> list[AudioStream]:
    """Audio streams in the order in which they are tried: FFmpeg's choice first, commentary and the like last."""
    best = container.streams.best("audio") if streams else None
    return sorted(streams, key=lambda s: (s != best, not s.disposition & Disposition.default, s.index))


def _disordered(path: str, index: int) -> bool:
    """Whether the first pictures come without presentation times, or their times don't grow. AVI stores none."""
    with opened(path) as container:
        stream = container.streams[index]
        latest: int | None = None
        for count, picture in enumerate(decode(container, cast(VideoStream, stream)), start=1):
            if picture.pts is None or (latest is not None and picture.pts <= latest):
                return True
            latest = picture.pts
            if count == _TRIED_PICTURES:
                break
    return False


def _timeline(path: str, stream: MediaStream, packets: list, decoding: bool) -> Timeline:
    """Sort and check the timestamps of a stream's packets. Raises MediaError if they jump or start over."""
    base = time_base(stream)
    rate = None if isinstance(stream, AudioStream) else stream.average_rate or stream.guessed_rate
    decoded = np.array([dts for _, dts, _ in packets if dts is not None], np.int64)
    back = np.flatnonzero(np.diff(decoded) * float(base) < -_BACK_S)
    if len(back):
        at = float((decoded[back[0]] - decoded[0]) * base)
        raise MediaError(
            f"{path}: its timestamps start over {at:.1f} s after the start, as if two recordings were joined: cut it "
            "there, or convert it again from its source"
        )
    stamps = [dts if decoding or pts is None else pts for pts, dts, _ in packets]
    spans = sorted(
        (stamp, duration) for stamp, (_, _, duration) in zip(stamps, packets, strict=True) if stamp is not None
    )
    if not spans:
        return Timeline(np.zeros(0), Fraction(0), np.inf, decoding, 0)
    starts, durations = np.array(spans, np.float64).T * float(base)
    kept = _without_strays(path, stream, starts)
    strays = len(starts) - (kept.stop - kept.start)
    starts, last = starts[kept], min(float(durations[kept][-1]), GAP_S)
    step = float(starts[-1] - starts[0]) / (len(starts) - 1) if len(starts) > 1 else 1 / float(rate or 25)
    # Decoding times state no durations, and the duration before a stray reaches up to it. Packets without a time may be
    # the last ones.
    if decoding or strays or not last:
        last = step * (1 + len(packets) - len(starts))
    return Timeline(
        starts=starts,
        zero=spans[kept.start][0] * base,
        end=float(starts[-1]) + last,
        decoding=decoding,
        strays=strays,
    )


def _without_strays(path: str, stream: MediaStream, starts: np.ndarray) -> slice:
    """The longest run of sorted times without a jump over `_LONGEST_GAP_S`, if it holds nearly all of them."""
    jumps = np.flatnonzero(np.diff(starts) > _LONGEST_GAP_S)
    bounds = np.concatenate([[0], jumps + 1, [len(starts)]])
    longest = int(np.argmax(np.diff(bounds)))
    first, stop = int(bounds[longest]), int(bounds[longest + 1])
    if len(starts) - (stop - first) > min(max(1, _STRAY * len(starts)), len(starts) // 3):
        before, after = starts[jumps[0]] - starts[0], starts[jumps[0] + 1] - starts[0]
        what = "picture" if isinstance(stream, VideoStream) else "sound"
        raise MediaError(
            f"{path}: the timestamps of its {what} jump from {before:.1f} s to {after:.1f} s: they are broken, or a "
            "part of it is missing; cut it there, or convert it again from its source"
        )
    return slice(first, stop)


@contextmanager
def opened(path: str | os.PathLike) -> Iterator[InputContainer]:
    """Open a media file.

    Raises:
        MediaError: it is missing, unreadable or not a media file.
    """
    if Path(path).is_dir():
        raise MediaError(f"{path}: is a folder; expected a media file")
    if not Path(path).is_file():
        raise _missing(path)
    try:
        container = av.open(os.fspath(path), metadata_errors="replace", options={"max_pixels": str(MAX_PIXELS)})
    except PermissionError as error:
        raise _missing(path, error) from None
    except (av.FFmpegError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise MediaError(
            f"{path}: not a media file that can be read, or incomplete ({reason}): copy it again, or convert it, for "
            "example to mp4 or mp3"
        ) from error
    with container:
        yield container


def _missing(path: str | os.PathLike, error: OSError | None = None) -> MediaError:
    if error is None or isinstance(error, FileNotFoundError):
        return MediaError(f"{path}: no such file")
    return MediaError(f"{path}: cannot be opened ({error.strerror}): check its permissions and links")


def _picture_streams(container: InputContainer, path: str | os.PathLike) -> list[VideoStream]:
    """Video streams other than cover art. Some converters write it as a plain video stream, so songs have none."""
    if Path(path).suffix.lower() in AUDIO_SUFFIXES:
        return []
    return [stream for stream in container.streams.video if not stream.disposition & _NO_PICTURE]


def packets_of(container: InputContainer, *streams: MediaStream) -> Iterator[av.Packet]:
    """Packets up to the end of the file or its first broken part, then the empty packets that flush the decoders."""
    try:
        yield from container.demux(*streams)
    except av.FFmpegError:
        for stream in streams:
            end = av.Packet()
            end.stream = stream
            yield end


@overload
def decode(container: InputContainer, stream: VideoStream) -> Iterator[av.VideoFrame]: ...
@overload
def decode(container: InputContainer, stream: AudioStream) -> Iterator[av.AudioFrame]: ...
def decode(container: InputContainer, stream: MediaStream) -> Iterator[object]:
    """The decoded frames of a stream in order of presentation; damaged packets are skipped."""
    if isinstance(stream, VideoStream):
        stream.codec_context.options = {"max_pixels": str(MAX_PIXELS)}
    for packet in packets_of(container, stream):
        try:
            frames = packet.decode()
        except av.FFmpegError:
            continue
        yield from frames


def time_base(stream: MediaStream) -> Fraction:
    """Seconds a tick of the timestamps."""
    return cast(Fraction, stream.time_base)  # None only before the file is open


def create(path: Path, container: str, options: dict[str, str]) -> OutputContainer:
    """Open a file for writing, in the format `container`. The same packets give the same bytes.

    Raises:
        MediaError: the folder is missing.
    """
    if not path.parent.is_dir():
        raise MediaError(f"{path.parent}: no such folder: make it before writing into it")
    # bitexact omits what differs between runs and versions, such as the name of the writing library
    return av.open(str(path), "w", format=container, container_options={"fflags": "+bitexact", **options})
