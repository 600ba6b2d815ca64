"""Find the clips that are danced to the same song, so that no song is both in the training and in the test part.

Two recordings are of the same song if their chroma agree at some shift in time: the same notes at the same moments,
which a transposition, another tempo or another piece does not have. Loudness, codec and where the recording starts
don't matter. Letters: T frames.
"""

from collections.abc import Mapping

import numpy as np
from scipy.signal import correlate, correlation_lags

_STEP_S = 0.1  # seconds, between the values that are compared
_OVERLAP_S = 4.0  # seconds that two recordings must have in common: less can agree by chance
#: Correlation from which two recordings are of the same song. Of over 1,900 pairs of other songs (made, recorded,
#: and ballroom dances of one kind), the highest was 0.45; the same song under another dance had 1.00.
SAME_SONG = 0.65


def song_groups(chromas: Mapping[str, np.ndarray], fps: float) -> list[list[str]]:
    """Group the clips by song.

    Args:
        chromas: (T, 12) of each clip by name.
        fps: frames a second.

    Returns:
        Names of the clips of each song; groups and names are in the order of the mapping.
    """
    prints = {name: _fingerprint(chroma, fps) for name, chroma in chromas.items()}
    groups: list[list[str]] = []
    for name in prints:
        same = [
            group for group in groups if any(similarity(prints[name], prints[other]) > SAME_SONG for other in group)
        ]
        merged = [member for group in same for member in group] + [name]
        groups = [group for group in groups if group not in same]
        groups.append(merged)
    order = {name: k for k, name in enumerate(prints)}
    return sorted((sorted(group, key=order.__getitem__) for group in groups), key=lambda group: order[group[0]])


def _fingerprint(chroma: np.ndarray, fps: float) -> np.ndarray:
    """Chroma without what lasts, (steps, 12), at `_STEP_S`."""
    width = max(round(_STEP_S * fps), 1)
    steps = len(chroma) // width
    means = chroma[: steps * width].reshape(steps, width, 12).mean(axis=1)
    return means - means.mean(axis=0)


def similarity(a: np.ndarray, b: np.ndarray) -> float:
    """The highest correlation of two fingerprints (steps, 12) over the shifts with enough overlap; 0 without any."""
    product = sum(correlate(a[:, pitch], b[:, pitch], method="fft") for pitch in range(12))
    # The energy of the parts that overlap at each shift.
    ones_a, ones_b = np.ones(len(a)), np.ones(len(b))
    energy_a = correlate((a**2).sum(axis=1), ones_b, method="fft")
    energy_b = correlate(ones_a, (b**2).sum(axis=1), method="fft")
    lags = correlation_lags(len(a), len(b))
    common = np.minimum(len(a) - np.maximum(lags, 0), len(b) + np.minimum(lags, 0))
    enough = common >= _OVERLAP_S / _STEP_S
    if not enough.any():
        return 0.0
    norm = np.sqrt(np.maximum(energy_a * energy_b, 0))
    return float(np.max(np.where(enough & (norm > 1e-6), product / np.maximum(norm, 1e-6), 0)))
