"""Read and write the audio of files: clips and songs in, audio files out.

Sample 0 is at time zero (see `container`), so that audio is synchronised with the frames of `video.read_frames`.
Letter: n audio samples.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from fractions import Fraction
from functools import lru_cache
from pathlib import Path
from typing import Literal, cast

import av
import numpy as np
from av.audio.resampler import AudioResampler
from av.audio.stream import AudioStream
from av.container import OutputContainer

from dancing.files import atomic_write
from dancing.media.container import MediaError, Timeline, create, decode, opened, scan

SOUND_BIT_RATE = 192_000
_SOUND_CODECS = {".wav": "pcm_s16le", ".mp3": "libmp3lame", ".m4a": "aac", ".flac": "flac"}
_SOUND_CONTAINERS = {".wav": "wav", ".mp3": "mp3", ".m4a": "ipod", ".flac": "flac"}
_SOUND_GAP_S = 0.05  # a larger jump of the timestamps is a gap, a smaller one is rounding
#: Audio that never exceeds it is silence: -80 dBFS.
SILENCE = 1e-4
SILENCE_S = 2.0  # seconds; a longer silence is no rest within the music
_LOUDEST = 100.0  # +40 dBFS; samples beyond are no sound, but numbers of another kind or broken data
#: Channels cancel each other if their mean has less than this share of the power of the loudest one (-20 dB).
_CANCELLED = 0.01
_TRIAL_RATE = 16_000  # Hz, at which tracks and channels are compared

#: How the channels of the source are mixed; a number selects one of them.
Mix = Literal["mono", "stereo", "source"] | int


def read_audio(
    path: str | os.PathLike,
    sample_rate: int,
    channels: Literal[1, 2] = 1,
    seconds: float | None = None,
    notes: list[str] | None = None,
) -> np.ndarray:
    """Read the audio of a clip or song, synchronised with the frames of `read_frames`.

    Sample 0 is at the time of the first picture: earlier audio is cut off, and silence is put before audio that starts
    later. In a song (`AUDIO_SUFFIXES`, with or without cover art) and in a file without pictures, sample 0 is the first
    sample of the file. Gaps in the timestamps become silence. Of several audio tracks, the first one with sound is
    read.

    Args:
        path: a video or audio file.
        sample_rate: rate of the result in Hz; the audio is resampled to it.
        channels: 1 mixes all channels to mono, for audio features; 2 gives stereo, for listening. If channels cancel
            each other in the mix, mono is the loudest of them.
        seconds: how much to read; None for all.
        notes: gets a sentence on each oddity that was dealt with.

    Returns:
        float32 of shape (n,) for one channel and (n, 2) for two; full scale is 1.

    Raises:
        MediaError: the file is missing or unreadable, has no audio track, its audio does not decode or is silent, its
            timestamps jump, or samples are not finite or far beyond full scale.
    """
    stream, remarks = _track(path)
    blocks = list(_blocks(path, stream, sample_rate, "mono" if channels == 1 else "stereo", seconds))
    sound = np.concatenate(blocks) if blocks else np.zeros((0, channels), np.float32)
    if not len(sound):
        raise MediaError(
            f"{path}: its sound track is empty or broken, or ends before its picture begins: convert it again from its "
            "source"
        )
    if channels == 1 and (loudest := _uncancelled(path, stream, sound, seconds)) is not None:
        remarks = [*remarks, f"its channels cancel each other in the mix to mono: channel {loudest + 1} is used alone"]
        sound = np.concatenate(list(_blocks(path, stream, sample_rate, loudest, seconds)))
    if np.abs(sound).max() < SILENCE:
        what = "its sound is" if seconds is None else f"its first {seconds:g} s are"
        raise MediaError(f"{path}: {what} silence: use a file with its music, or add the music to it")
    if notes is not None:
        notes += remarks
    return sound[:, 0] if channels == 1 else sound


def stream_audio(path: str | os.PathLike, sample_rate: int, seconds: float | None = None) -> Iterator[np.ndarray]:
    """Yield the audio that `read_audio` reads with two channels, in blocks (n, 2), in constant memory.

    Raises:
        MediaError: as `read_audio`, but silence is no error.
    """
    stream, _ = _track(path)
    yield from _blocks(path, stream, sample_rate, "stereo", seconds)


def silences(samples: np.ndarray, sample_rate: int, duration: float) -> list[tuple[float, float]]:
    """Find the stretches without sound that last `SILENCE_S` at least.

    Args:
        samples: (n,), as `read_audio` returns them.
        sample_rate: Hz.
        duration: seconds, of the picture; after the end of the samples there is silence.

    Returns:
        From and to, in seconds.
    """
    block = sample_rate // 100
    count = max(round(duration * sample_rate) // block, 1)
    padded = np.zeros(count * block, np.float32)
    padded[: len(samples)] = samples[: len(padded)]
    silent = np.abs(padded).reshape(count, block).max(axis=1) < SILENCE
    edges = np.flatnonzero(np.diff(np.concatenate([[False], silent, [False]]))).reshape(-1, 2) * block / sample_rate
    return [(float(start), float(stop)) for start, stop in edges if stop - start >= SILENCE_S]


def _track(path: str | os.PathLike) -> tuple[int, list[str]]:
    """Index of the audio stream to read, and remarks on the choice."""
    found = scan(path)
    if not found.audio:
        raise MediaError(f"{path}: has no sound track: use a clip with its music, or add the music to it")
    status = os.stat(path)
    index = _with_sound(os.fspath(path), found.audio, status.st_mtime_ns, status.st_size)
    if index == found.audio[0]:
        return index, []
    return index, [f"audio track {found.audio.index(index) + 1} of {len(found.audio)} is used: those before are silent"]


@lru_cache(maxsize=16)
def _with_sound(path: str, streams: tuple[int, ...], modified: int, size: int) -> int:
    """The first stream that is not silent; the first of all if none has sound."""
    if len(streams) > 1:
        for index in streams:
            if any(
                np.abs(block).max(initial=0) >= SILENCE for block in _blocks(path, index, _TRIAL_RATE, "stereo", None)
            ):
                return index
    return streams[0]


def _blocks(path: str | os.PathLike, index: int, rate: int, mix: Mix, seconds: float | None) -> Iterator[np.ndarray]:
    """Consecutive blocks (n, channels) of a stream from time zero on, with silence in the gaps."""
    position, total = 0, None if seconds is None else round(seconds * rate)
    for start, samples in _placed(path, index, rate, mix):
        block = samples[max(position - start, 0) :]  # without what comes before time zero
        if not len(block):
            continue
        if start > position:
            block = np.pad(block, ((start - position, 0), (0, 0)))
        if total is not None:
            block = block[: total - position]
        position += len(block)
        yield _checked_block(path, block, position / rate)
        if position == total:
            return


def _placed(path: str | os.PathLike, index: int, rate: int, mix: Mix) -> Iterator[tuple[int, np.ndarray]]:
    """Decoded pieces (n, channels) of a stream with their first sample, counted from time zero."""
    found = scan(path)
    zero, times, end = found.zero, found.times[index], None
    for time, samples in _resampled(path, index, rate, mix):
        known = time if time is not None and _within(time, times) else None
        if zero is None:
            zero = Fraction(known or 0)
        start = (end or 0) if known is None else round((known - float(zero)) * rate)
        if end is not None and start - end < _SOUND_GAP_S * rate:
            start = end
        end = start + len(samples)
        yield start, samples


def _within(time: float, times: Timeline) -> bool:
    """Whether a time, in seconds on the time line of the file, is no stray."""
    return not len(times.starts) or times.starts[0] - 1 <= time <= times.end + 1


def _resampled(path: str | os.PathLike, index: int, rate: int, mix: Mix) -> Iterator[tuple[float | None, np.ndarray]]:
    """Decoded pieces (n, channels) float32 of a stream, each with its time. Rate and layout may change within it."""
    resampler, source = None, None
    with opened(path) as container:
        stream = cast(AudioStream, container.streams[index])
        stream.codec_context.thread_type = "AUTO"
        for frame in decode(container, stream):
            form = (frame.format.name, frame.layout.name, frame.sample_rate)
            if form != source:
                yield from _samples(resampler, None, mix)
                resampler, source = _resampler(frame, rate, mix), form
            yield from _samples(resampler, frame, mix)
        yield from _samples(resampler, None, mix)


def _resampler(frame: av.AudioFrame, rate: int, mix: Mix) -> AudioResampler:
    mono = mix == "mono" or frame.layout.nb_channels == 1  # `_samples` doubles it, FFmpeg makes it 3 dB quieter
    layout = "mono" if mono else "stereo" if mix == "stereo" else frame.layout
    # With rematrix_maxval, mono is the mean of the channels. The default is their sum / sqrt(2), which clips.
    return AudioResampler("fltp", layout, rate, options={"rematrix_maxval": "1"})


def _samples(
    resampler: AudioResampler | None, frame: av.AudioFrame | None, mix: Mix
) -> Iterator[tuple[float | None, np.ndarray]]:
    for resampled in [] if resampler is None else resampler.resample(frame):
        samples = resampled.to_ndarray().T
        if isinstance(mix, int):
            samples = samples[:, min(mix, samples.shape[1] - 1), None]
        yield resampled.time, samples.repeat(2, axis=1) if mix == "stereo" and samples.shape[1] == 1 else samples


def _checked_block(path: str | os.PathLike, block: np.ndarray, end: float) -> np.ndarray:
    loudest = np.abs(block).max(initial=0)
    if not loudest <= _LOUDEST:  # NaN fails every comparison
        what = f"{loudest:.3g} times full scale" if np.isfinite(loudest) else "no finite number"
        raise MediaError(
            f"{path}: its sound is broken: a sample before {end:.1f} s is {what}; convert it again from its source"
        )
    return block


def _uncancelled(path: str | os.PathLike, index: int, mono: np.ndarray, seconds: float | None) -> int | None:
    """The loudest channel of the source if the channels cancel each other in the mix to mono, otherwise None."""
    mixed = float(np.mean(np.square(mono, dtype=np.float64)))
    if mixed >= _CANCELLED:  # no channel has more power than full scale: no need to decode them again
        return None
    energy, count = np.zeros(64), 0
    for _, samples in _resampled(path, index, _TRIAL_RATE, "source"):
        energy[: samples.shape[1]] += np.square(samples, dtype=np.float64).sum(axis=0)
        count += len(samples)
        if seconds is not None and count > seconds * _TRIAL_RATE:
            break
    power, loudest = float(energy.max()) / max(count, 1), int(energy.argmax())
    return loudest if mixed < _CANCELLED * power and power > SILENCE**2 else None


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
    sound = checked_sound(path, samples, sample_rate)  # (channels, n)
    with atomic_write(path) as partial, create(partial, _SOUND_CONTAINERS[suffix], {}) as container:
        stream = add_sound(container, _SOUND_CODECS[suffix], sample_rate, sound.shape[0])
        for start in range(0, sound.shape[1], sample_rate):  # a second at a time
            encode_sound(container, stream, sound[:, start : start + sample_rate], start, sample_rate)
        container.mux(stream.encode(None))


def checked_sound(path: Path, samples: np.ndarray, sample_rate: int) -> np.ndarray:
    """Samples as (channels, n) float32."""
    if sample_rate <= 0:
        raise MediaError(f"{path}: sound needs its sample rate in Hz, got {sample_rate}")
    sound = np.asarray(samples, np.float32)
    if sound.ndim not in (1, 2) or sound.size == 0 or (sound.ndim == 2 and sound.shape[1] not in (1, 2)):
        raise MediaError(f"{path}: sound must be (n,) or (n, 2) with n > 0, got {sound.shape}")
    if not np.isfinite(sound).all():
        raise MediaError(f"{path}: sound holds NaN or infinity: remove them before writing")
    return sound.reshape(len(sound), -1).T


def add_sound(container: OutputContainer, codec: str, sample_rate: int, channels: int) -> AudioStream:
    """Add an audio stream to a file that is written, at this rate if the codec supports it, otherwise at 48 kHz."""
    rates = av.Codec(codec, "w").audio_rates
    rate = sample_rate if not rates or sample_rate in rates else 48_000
    stream = cast(AudioStream, container.add_stream(codec, rate=rate, layout="mono" if channels == 1 else "stereo"))
    if codec in ("aac", "libmp3lame"):
        stream.bit_rate = SOUND_BIT_RATE
    return stream


def encode_sound(
    container: OutputContainer, stream: AudioStream, samples: np.ndarray, start: int, sample_rate: int
) -> None:
    """Encode samples (channels, n) float32, clipped to [-1, 1]; `start` is the index of the first one in the file."""
    layout = "mono" if samples.shape[0] == 1 else "stereo"
    frame = av.AudioFrame.from_ndarray(np.clip(samples, -1, 1, order="C"), format="fltp", layout=layout)
    frame.sample_rate, frame.pts, frame.time_base = sample_rate, start, Fraction(1, sample_rate)
    container.mux(stream.encode(frame))
