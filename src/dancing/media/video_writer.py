"""Write frames and audio to an mp4 file."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from fractions import Fraction
from pathlib import Path
from types import TracebackType

import av
import numpy as np
from av.video.reformatter import ColorPrimaries, ColorRange, Colorspace, ColorTrc

from dancing.files import atomic_write
from dancing.media.container import MediaError, create
from dancing.media.sound import add_sound, checked_sound, encode_sound

_ENCODER_THREADS = "4"  # fixed, because the bytes that x264 writes depend on the number of threads
_QUEUE = 8  # frames that may wait for the encoder; bounds the memory if the caller is faster than the encoder


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
        audio: float32 (n,) or (n, 2) in [-1, 1], or consecutive blocks (n, 2) of it, which are read as they are needed;
            sample 0 is at the start of the first frame. It is cut, or padded with silence, to the length of the video.
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
        audio: np.ndarray | Iterable[np.ndarray] | None = None,
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
        blocks = [audio] if isinstance(audio, np.ndarray) else audio or []
        self._blocks = (checked_sound(self.path, block, self._sample_rate) for block in blocks)
        self._pending = next(self._blocks, np.zeros((2, 0), np.float32))  # (channels, samples) that are to be encoded
        self._has_sound = audio is not None
        self._encoded_samples = 0

        with ExitStack() as opened:
            partial = opened.enter_context(atomic_write(self.path))
            self._container = opened.enter_context(create(partial, "mp4", {"movflags": "+faststart"}))
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
            if self._has_sound:
                self._audio = add_sound(self._container, "aac", self._sample_rate, len(self._pending))
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
        if self._has_sound:
            self._write_sound()

    def _write_sound(self) -> None:
        """Encode the audio up to the end of the latest frame; silence after the end of the audio."""
        count = round(self._encoded / self._fps * self._sample_rate) - self._encoded_samples
        while self._pending.shape[1] < count:
            block = next(self._blocks, np.zeros((len(self._pending), count), np.float32))
            self._pending = np.concatenate([self._pending, block], axis=1)
        samples, self._pending = self._pending[:, :count], self._pending[:, count:]
        encode_sound(self._container, self._audio, samples, self._encoded_samples, self._sample_rate)
        self._encoded_samples += count

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
            if self._has_sound:
                self._container.mux(self._audio.encode(None))
