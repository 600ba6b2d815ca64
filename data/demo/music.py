"""Generate random songs from a seed, synthesised with NumPy.

A song is a sequence of sections of two kinds, verse and chorus, which differ in harmony, drums and instruments. The
tempo is constant. A bar has four beats, and each beat four steps. Pitches are MIDI note numbers; times are in seconds.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.signal import butter, fftconvolve, sosfilt

SAMPLE_RATE = 44100
STEPS = 16  # a bar

Scale = tuple[int, ...]

MAJOR: Scale = (0, 2, 4, 5, 7, 9, 11)
MINOR: Scale = (0, 2, 3, 5, 7, 8, 10)
#: Roots of the chords, one a bar, as degrees of the scale.
PROGRESSIONS: dict[Scale, tuple[tuple[int, ...], ...]] = {
    MAJOR: ((0, 4, 5, 3), (0, 5, 3, 4), (3, 4, 0, 5), (0, 3, 5, 4)),
    MINOR: ((0, 5, 2, 6), (0, 3, 5, 6), (5, 6, 0, 0), (0, 6, 5, 6)),
}
#: One character a step: x is a stroke, o a soft stroke.
DRUMS = {
    "verse": (
        {"kick": "x.......x.......", "snare": "....o.......o...", "hat": "x.o.x.o.x.o.x.o."},
        {"kick": "x.....o.x.......", "snare": "....x.......x...", "hat": "x...o...x...o..."},
        {"kick": "x...o...x...o...", "snare": "....o.......o..o", "hat": "..x...x...x...x."},
    ),
    "chorus": (
        {"kick": "x...x...x...x...", "snare": "....x.......x...", "hat": "o.x.o.x.o.x.o.x."},
        {"kick": "x...x...x...x..o", "snare": "....x.......x.o.", "hat": "xoooxoooxoooxooo"},
        {"kick": "x..ox...x.o.x...", "snare": "....x.......x...", "hat": "x.xox.xox.xox.xo"},
    ),
}
BASS = {
    "verse": ("x.......x.......", "x.....x.x.....o.", "x...........x.o."),
    "chorus": ("x.x.x.x.x.x.x.x.", "x..x..x.x..x..x.", "..x...x...x...x."),
}
RHYTHMS = ("x..x..x.x...x...", "x...x.x...x.x...", "x.x...x.x.x.....", "x.....x.x..x..x.")


@dataclass(frozen=True)
class Section:
    """A section of a song."""

    kind: str  # verse or chorus
    start: int  # index of the first beat
    beats: int


@dataclass(frozen=True)
class Song:
    """A generated song with its true beats."""

    bpm: float
    seconds: float
    beats: np.ndarray  # (b,) times in s
    sections: list[Section]  # in order; they cover all beats
    sound: np.ndarray  # (n, 2) float32 in [-1, 1] at SAMPLE_RATE


def compose(bpm: float, seconds: float, rng: np.random.Generator) -> Song:
    """Generate a song.

    Args:
        bpm: tempo.
        seconds: length; it is rounded to 1/30 s, so that it is a whole number of video frames.
        rng: source of the variation.
    """
    seconds = round(seconds * 30) / 30
    period = 60 / bpm
    first = rng.uniform(0.03, 0.3)
    beats = np.arange(first, seconds - 0.1, period)
    sections = _sections(len(beats), 4 if bpm >= 112 else 2, rng)
    return Song(bpm, seconds, beats, sections, _play(sections, period, first, seconds, rng))


def _sections(beats: int, longest: int, rng: np.random.Generator) -> list[Section]:
    """Alternate verse and chorus of 2 to `longest` bars; the last section also gets the remaining beats."""
    kind = str(rng.choice(["verse", "chorus"]))
    sections: list[Section] = []
    start = 0
    while start < beats:
        length = 4 * int(rng.integers(2, longest + 1))
        if beats - start - length < 4:
            length = beats - start
        sections.append(Section(kind, start, length))
        start += length
        kind = "chorus" if kind == "verse" else "verse"
    return sections


# ---------------------------------------------------------------------------------------------------- arrangement


class _Mixer:
    """Adds notes to a stereo track, (n, 2)."""

    def __init__(self, seconds: float) -> None:
        self.track = np.zeros((round(seconds * SAMPLE_RATE), 2))

    def add(self, start: float, sound: np.ndarray, volume: float, pan: float = 0.0) -> None:
        """Add a sound (m,) at `start` seconds. Pan is from -1 (left) to 1 (right), with constant power."""
        at = min(round(start * SAMPLE_RATE), len(self.track))
        sound = sound[: len(self.track) - at]
        angle = (pan + 1) * np.pi / 4
        self.track[at : at + len(sound)] += volume * sound[:, None] * [np.cos(angle), np.sin(angle)]


def _play(sections: list[Section], period: float, first: float, seconds: float, rng: np.random.Generator) -> np.ndarray:
    """Arrange, mix and master the song, (n, 2) float32. `first` is the time of the first beat, s."""
    scale = (MAJOR, MINOR)[int(rng.integers(2))]
    tonic = int(rng.integers(43, 52))
    step = period / 4
    parts = {kind: _part(kind, scale, rng) for kind in ("verse", "chorus")}
    drums, tune = _Mixer(seconds), _Mixer(seconds)
    for section in sections:
        part = parts[section.kind]
        for beat in range(section.beats):
            bar, quarter = divmod(beat, 4)
            start = first + (section.start + beat) * period
            _play_beat(part, bar, quarter, start, step, tonic, scale, drums, tune, rng)
        if section.start:
            drums.add(first + section.start * period, _crash(rng), 0.16, 0.3)
    pumped = tune.track * _pump(first, period, len(tune.track))[:, None]
    mix = drums.track + _reverb(pumped, rng)
    mix = np.tanh(1.1 * mix / np.quantile(np.abs(mix), 0.999))
    fade = round(0.3 * SAMPLE_RATE)
    mix[-fade:] *= np.linspace(1, 0, fade)[:, None] ** 2
    return (0.85 * mix / np.abs(mix).max()).astype(np.float32)


@dataclass(frozen=True)
class _Part:
    """Harmony, rhythm and melody of one kind of section."""

    kind: str
    chords: tuple[int, ...]  # one of PROGRESSIONS
    drums: dict[str, str]  # one of DRUMS
    bass: str  # one of BASS
    melody: list[int | None]  # for each of 32 steps a degree of the scale, or None for a rest


def _part(kind: str, scale: Scale, rng: np.random.Generator) -> _Part:
    progressions, drums, bass = PROGRESSIONS[scale], DRUMS[kind], BASS[kind]
    rhythm = RHYTHMS[rng.integers(len(RHYTHMS))] + RHYTHMS[rng.integers(len(RHYTHMS))]
    pentatonic = (0, 1, 2, 4, 5) if scale == MAJOR else (0, 2, 3, 4, 6)
    place, melody = int(rng.integers(3, 7)), []
    for mark in rhythm:
        place = int(np.clip(place + rng.choice([-2, -1, -1, 1, 1, 2]), 0, 9))
        melody.append(pentatonic[place % 5] + 7 * (place // 5) if mark == "x" else None)
    return _Part(
        kind,
        progressions[rng.integers(len(progressions))],
        drums[rng.integers(len(drums))],
        bass[rng.integers(len(bass))],
        melody,
    )


def _play_beat(
    part: _Part, bar: int, quarter: int, start: float, step: float, tonic: int, scale: Scale,
    drums: _Mixer, tune: _Mixer, rng: np.random.Generator,
) -> None:  # fmt: skip
    """Add the notes of all instruments in one beat (four steps)."""
    chorus = part.kind == "chorus"
    root = part.chords[bar % len(part.chords)]

    def frequency(degree: int, octave: int = 0) -> float:
        note = tonic + 12 * (octave + degree // 7) + scale[degree % 7]
        return 440 * 2 ** ((note - 69) / 12)

    for i in range(4):
        now, place = start + i * step, 4 * quarter + i
        for name, volume, pan in (("kick", 0.80, 0), ("snare", 0.50, 0.05), ("hat", 0.24, -0.25)):
            mark = part.drums[name][place]
            if mark != ".":
                drums.add(now, _STROKES[name](rng), volume * (1 if mark == "x" else 0.5), pan)
        if part.bass[place] != ".":
            tune.add(now, _bass(frequency(root, -1), 2.2 * step if chorus else 3.5 * step), 0.36)
        degree = part.melody[(16 * bar + place) % 32]
        if degree is not None:
            lead = _lead(frequency(degree, 2), 2.5 * step) if chorus else _bell(frequency(degree, 1), 5 * step)
            tune.add(now, lead, 0.19 if chorus else 0.26, 0.2)
    triad = [frequency(root + third, 1 if root + third < 6 else 0) for third in (0, 2, 4)]
    for pitch, pan in zip(triad, (-0.5, 0.0, 0.5), strict=True):
        if quarter == 0:
            tune.add(start, _pad(pitch, 16 * step), 0.10 if chorus else 0.07, pan)
        if chorus:
            tune.add(start + 2 * step, _bell(pitch, 2 * step), 0.14, -pan)  # off the beat
        elif quarter % 2 == 0:
            tune.add(start, _bell(pitch, 6 * step), 0.16, pan)


# ---------------------------------------------------------------------------------------------------- instruments


def _time(seconds: float) -> np.ndarray:
    return np.arange(round(seconds * SAMPLE_RATE)) / SAMPLE_RATE


def _envelope(t: np.ndarray, attack: float, decay: float) -> np.ndarray:
    """Linear attack of `attack` seconds, exponential decay (to 1/e in `decay` seconds), and fade-out at the end."""
    return np.minimum(t / attack, 1) * np.exp(-t / decay) * np.minimum((t[-1] - t) / 0.02, 1)


def _harmonics(frequency: float, t: np.ndarray, amplitudes: tuple[float, ...]) -> np.ndarray:
    numbers = np.arange(1, len(amplitudes) + 1)[:, None]
    return np.asarray(amplitudes) @ np.sin(2 * np.pi * frequency * numbers * t)


def _kick(rng: np.random.Generator) -> np.ndarray:
    t = _time(0.3)
    sweep = 48 * t + 110 * 0.035 * (1 - np.exp(-t / 0.035))  # from 158 Hz down to 48
    return np.sin(2 * np.pi * sweep) * _envelope(t, 0.002, 0.11)


def _noise(seconds: float, low: float, high: float, rng: np.random.Generator) -> np.ndarray:
    band = butter(2, [low, high], "bandpass", fs=SAMPLE_RATE, output="sos")
    return sosfilt(band, rng.normal(0, 1, round(seconds * SAMPLE_RATE)))


def _snare(rng: np.random.Generator) -> np.ndarray:
    t = _time(0.22)
    return _noise(0.22, 900, 7000, rng) * _envelope(t, 0.001, 0.06) + 0.6 * np.sin(2 * np.pi * 190 * t) * _envelope(
        t, 0.001, 0.05
    )


def _hat(rng: np.random.Generator) -> np.ndarray:
    return _noise(0.08, 6500, 14000, rng) * _envelope(_time(0.08), 0.001, 0.022)


def _crash(rng: np.random.Generator) -> np.ndarray:
    return _noise(1.4, 3500, 13000, rng) * _envelope(_time(1.4), 0.003, 0.4)


_STROKES: dict[str, Callable[[np.random.Generator], np.ndarray]] = {"kick": _kick, "snare": _snare, "hat": _hat}


def _bass(frequency: float, seconds: float) -> np.ndarray:
    t = _time(seconds)
    return _harmonics(frequency, t, (1, 0.45, 0.22, 0.1, 0.05)) * _envelope(t, 0.008, 0.5 * seconds)


def _bell(frequency: float, seconds: float) -> np.ndarray:
    """An electric piano with frequency modulation synthesis (Chowning 1973)."""
    t = _time(seconds)
    strike = 1.6 * np.exp(-t / 0.12) * np.sin(2 * np.pi * 2 * frequency * t)
    return np.sin(2 * np.pi * frequency * t + strike) * _envelope(t, 0.004, 0.35 * seconds)


def _pad(frequency: float, seconds: float) -> np.ndarray:
    t = _time(seconds)
    voices = sum(_harmonics(frequency * detune, t, (1, 0.3, 0.16, 0.08)) for detune in (0.997, 1.003))
    return voices * np.minimum(t / 0.12, 1) * np.minimum((t[-1] - t) / 0.12, 1)


def _lead(frequency: float, seconds: float) -> np.ndarray:
    t = _time(seconds)
    wobble = 0.004 * np.sin(2 * np.pi * 5.5 * t) * np.minimum(t / 0.2, 1)
    phase = t + wobble / 5.5
    return _harmonics(frequency, phase, (1, 0.1, 0.28, 0.04, 0.1)) * _envelope(t, 0.012, 0.7 * seconds)


def _pump(first: float, period: float, samples: int) -> np.ndarray:
    """Volume curve that lowers the melody on every beat, so that the kick drum stands out (sidechain compression)."""
    since = (np.arange(samples) / SAMPLE_RATE - first) % period
    return 1 - 0.45 * np.exp(-since / 0.09)


def _reverb(dry: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    t = _time(0.9)
    room = rng.normal(0, 1, (len(t), 2)) * np.exp(-t / 0.18)[:, None]
    room /= np.sqrt((room**2).sum(axis=0))
    return dry + 0.22 * fftconvolve(dry, room, axes=0)[: len(dry)]
