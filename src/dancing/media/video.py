"""Read the pictures of a clip as frames at a constant rate.

"Picture" means an image as the file stores it, at the file's own and perhaps variable rate. "Frame" means an image at
the constant rate that the caller asks for: frame k is what is on screen ``k / fps`` seconds after the first picture.
Later stages need no timestamps and no edit lists. Letters: H x W image size in pixels.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import cast

import av
import numpy as np
from av.container import InputContainer
from av.video.stream import VideoStream

from dancing.media.container import (
    GAP_S,
    TOLERANCE,
    VIDEO_SUFFIXES,
    MediaError,
    Scan,
    Timeline,
    decode,
    opened,
    scan,
    time_base,
)
from dancing.media.framing import Framing
from dancing.media.picture import is_hdr, rgb


@dataclass(frozen=True)
class ClipInfo:
    """Properties of a video clip; rates and durations follow from its timestamps."""

    path: Path
    width: int  # pixels, of the first picture, upright
    height: int  # pixels
    fps: float  # pictures a second on average
    duration: float  # seconds, of the video track
    has_audio: bool
    variable_frame_rate: bool
    codec: str
    gaps: tuple[tuple[float, float], ...]  # from and to, seconds: no new picture for longer than `container.GAP_S`
    notes: tuple[str, ...]  # what was done about oddities of the file, for people


def probe(path: str | os.PathLike) -> ClipInfo:
    """Return the properties of a clip. Only the first picture is decoded.

    Args:
        path: a video file.

    Raises:
        MediaError: the file is missing, is unreadable or contains no picture, or its timestamps jump.
    """
    found = scan(path)
    with opened(path) as container:
        stream = _stream(container, found, path)
        first = next(decode(container, stream), None)
        if first is None:
            raise _nothing_decodes(path)
        height, width = _upright(first, stream).shape[:2]
        codec, rate = stream.codec_context.name, _rate(stream)
    index = cast(int, found.video)
    times = found.times[index]
    count = found.size[index] - times.strays
    duration = times.end - float(times.zero) if len(times.starts) else float(count / rate)
    steps = np.diff(times.starts)
    uneven = np.abs(steps - times.usual) > 0.1 * times.usual + float(TOLERANCE)
    return ClipInfo(
        path=Path(path),
        width=width,
        height=height,
        fps=count / duration,
        duration=duration,
        has_audio=bool(found.audio),
        variable_frame_rate=bool(uneven.sum() > 0.01 * count),  # a few dropped pictures do not count
        codec=codec,
        gaps=tuple(times.gaps()),
        notes=tuple(_notes(first, times)),
    )


def read_frames(path: str | os.PathLike, fps: float) -> Iterator[np.ndarray]:
    """Yield the frames of a clip at a constant rate, whatever the rate of the file.

    Frame k is the picture on screen ``k / fps`` seconds after the first picture. There are ``duration * fps`` frames,
    rounded half up, and at least one. From a damaged file, only the pictures that decode are used.

    Args:
        path: a video file.
        fps: frames a second to yield.

    Yields:
        (H, W, 3) uint8 RGB, upright, with square pixels, in the colours of a screen (see `picture`). Where the size
        changes within the clip, later pictures are scaled to fit the first one's size. The arrays are read-only:
        consecutive frames that show the same picture are the same array.

    Raises:
        MediaError: the file is missing, is unreadable or contains no picture that decodes, or its timestamps jump.
    """
    rate = Fraction(fps).limit_denominator(1001)
    due: deque[av.VideoFrame] = deque()  # one entry for each frame whose time has passed but that is not yielded yet
    passed = yielded = 0
    latest, array = None, np.empty(0)
    found = scan(path)
    with opened(path) as container:
        stream = _stream(container, found, path)
        stream.thread_type = "AUTO"
        for end, picture in _timed_pictures(container, stream, found.times[stream.index]):
            while passed / rate < end - TOLERANCE:
                due.append(picture)
                passed += 1
            # A frame is part of the clip if the clip lasts until the middle of the frame. A picture that ends after
            # the middle shows that it does.
            while due and (yielded == 0 or (yielded + Fraction(1, 2)) / rate <= end):
                if due[0] is not latest:
                    size = array.shape[:2] if yielded else None
                    latest, array = due[0], _fitted(_upright(due[0], stream), size)
                due.popleft()
                yielded += 1
                yield array
    if yielded == 0:
        raise _nothing_decodes(path)


def _notes(first: av.VideoFrame, times: Timeline) -> Iterator[str]:
    if is_hdr(first):
        yield "high dynamic range: brighter than white is shown as white"
    if times.strays:
        yield f"broken timestamps, ignored: {times.strays} of {len(times.starts) + times.strays}"
    for start, stop in times.gaps():
        yield f"no new picture from {start:.1f} s to {stop:.1f} s: this part is left out"


def _stream(container: InputContainer, found: Scan, path: str | os.PathLike) -> VideoStream:
    if found.video is None:
        raise MediaError(f"{path}: holds no picture: expected a video clip ({', '.join(VIDEO_SUFFIXES)})")
    return cast(VideoStream, container.streams[found.video])


def _nothing_decodes(path: str | os.PathLike) -> MediaError:
    return MediaError(f"{path}: none of its pictures decodes: convert it again from its source")


class _Clock:
    """The times of decoded pictures in seconds after zero, in order of presentation."""

    def __init__(self, stream: VideoStream, times: Timeline) -> None:
        self.base, self.times, self.rate = time_base(stream), times, _rate(stream)
        self.first_dts: int | None = None
        self.latest: Fraction | None = None

    def time(self, picture: av.VideoFrame) -> Fraction | None:
        """Return when a picture appears, not before the one before it; None if its timestamps don't say so."""
        if self.first_dts is None:
            self.first_dts = picture.dts
        time = None if self.times.decoding or picture.pts is None else picture.pts * self.base - self.times.zero
        if not self._fits(time):  # decoders give pictures in order, so the presentation time is wrong
            dts, first = picture.dts, self.first_dts
            time = None if dts is None or first is None else (dts - first) * self.base
        if not self._fits(time):
            return None
        self.latest = time
        return time

    def usual(self, picture: av.VideoFrame) -> Fraction:
        """Return the display time of a picture in seconds."""
        if self.times.decoding and len(self.times.starts) > 1:  # such files don't state durations, or wrong ones
            return Fraction(self.times.usual).limit_denominator(10**6)
        stated = picture.duration * self.base if picture.duration else 1 / self.rate
        return min(stated, Fraction(GAP_S))

    def _fits(self, time: Fraction | None) -> bool:
        ends = self.times.end - float(self.times.zero)
        return time is not None and (0 if self.latest is None else self.latest) <= time <= ends


def _timed_pictures(
    container: InputContainer, stream: VideoStream, times: Timeline
) -> Iterator[tuple[Fraction, av.VideoFrame]]:
    """Each picture with the end of its display time, in seconds after the start of the first picture."""
    clock, shown, start = _Clock(stream, times), None, Fraction(0)
    for picture in decode(container, stream):
        appears = clock.time(picture)
        if shown is None:
            start = appears or Fraction(0)
        else:
            start = start + clock.usual(shown) if appears is None else max(appears, start)
            yield start, shown
        shown = picture
    if shown is not None:
        end = start + clock.usual(shown)
        known = Fraction(times.end).limit_denominator(10**6) - times.zero if len(times.starts) else end
        yield max(start, min(end, known)), shown


def _rate(stream: VideoStream) -> Fraction:
    """Pictures a second as the file states them."""
    return Fraction(stream.average_rate or stream.guessed_rate or 25)


def _upright(picture: av.VideoFrame, stream: VideoStream) -> np.ndarray:
    """(H, W, 3) uint8 RGB."""
    return rgb(picture, float(stream.sample_aspect_ratio or 1))


def _fitted(image: np.ndarray, size: tuple[int, ...] | None) -> np.ndarray:
    """The image (H, W, 3), scaled to fit the size (H, W) and centred on black; unchanged if the size is None."""
    if size is None or image.shape[:2] == size:
        return image
    framed = Framing(image.shape[1], image.shape[0], size[1], size[0], "letterbox").picture(image)
    framed.flags.writeable = False
    return framed
