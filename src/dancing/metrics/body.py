"""Whether a moving figure is a body: feet that stand where they stand, bones that keep their length.

Letters: N frames at 60 Hz, 2 feet with 2 landmarks each. Units: torso lengths (L) and seconds.
"""

from collections.abc import Sequence

import numpy as np
from scipy.ndimage import maximum_filter1d

from dancing.body.skeleton import BONE_TWINS, BONES, LEFT_ANKLE, LEFT_TOE, RIGHT_ANKLE, RIGHT_TOE
from dancing.metrics.motion import Motion, mean, smooth, velocity

FEET = ((LEFT_ANKLE, LEFT_TOE), (RIGHT_ANKLE, RIGHT_TOE))
SIGMA = 3.0  # frames, smooths away the landmarks' trembling, which at 60 Hz is as fast as a foot that slides
SLOW = 0.25  # L/s
LOW = 0.05  # L, how near to its lowest place a landmark is down
LOWEST = 1.0  # s to either side within which a foot has its lowest place: the floor rises in the picture with distance
LONG = 1.15  # times a bone's 99th percentile in training


def foot_slide(motion: Motion) -> float:
    """Share of the contact frames of both feet in which the foot slides: 0 is planted, 1 is skating.

    A foot touches the floor where its ankle or its toes are within 0.05 L of their lowest place in the second before
    and after, and go up or down by under 0.25 L/s. It slides where ankle and toes both go sideways by over 0.25 L/s (a
    foot may turn on either). Seen by a fixed camera; NaN where no foot touches the floor.
    """
    feet = smooth(motion.landmarks[:, FEET], SIGMA)  # (N, feet, landmarks, 2)
    height = np.nan_to_num(feet[..., 1], nan=-np.inf)  # y points down: the lowest place is the largest y
    lowest = maximum_filter1d(height, 2 * round(LOWEST * motion.fps) + 1, axis=0, mode="nearest")
    across, down = np.moveaxis(_pace(motion.landmarks[:, FEET], motion.fps), -1, 0)  # (N, feet, landmarks) each
    contact = ((feet[..., 1] > lowest - LOW) & (down < SLOW)).any(axis=-1)  # (N, feet)
    slides = np.fmin(across[..., 0], across[..., 1]) > SLOW
    return float(mean(np.where(contact, slides, np.nan)))


def physical_foot_contact(motion: Motion) -> float:
    """EDGE's PFC (Tseng et al., CVPR 2023) in two dimensions, (L/s)^2: mid-hip can't speed up while no foot stands.

    Mean of |a| * |v left| * |v right|: a is mid-hip's acceleration (downward ones, which need no foot, as 0), over its
    largest; v is the speed along the floor of the stiller of a foot's ankle and toes. In the picture the floor is x.
    A frozen pose has 0.
    """
    if len(motion.root) < 3:
        return np.nan
    push = smooth(np.diff(motion.root, n=2, axis=0), SIGMA) * motion.fps**2  # (N - 2, 2)
    push[:, 1] = np.minimum(push[:, 1], 0)  # y points down
    strength = np.linalg.norm(push, axis=-1)
    strongest = np.nanmax(strength, initial=0.0)
    speeds = _pace(motion.landmarks[:, FEET, 0], motion.fps)[1:-1]  # (N - 2, feet, landmarks)
    stiller = np.fmin(speeds[..., 0], speeds[..., 1])
    return float(mean(strength / (strongest or 1.0) * stiller[:, 0] * stiller[:, 1]))


def _pace(path: np.ndarray, fps: float) -> np.ndarray:
    """Smoothed speed along each axis of (N, ...) in L, L/s."""
    return np.abs(smooth(velocity(path, fps), SIGMA))


def bone_lengths(motion: Motion) -> np.ndarray:
    """(N, 21) lengths of `skeleton.BONES` in L; NaN where not seen."""
    ends = motion.landmarks[:, BONES]  # (N, bones, 2 ends, 2)
    return np.linalg.norm(ends[:, :, 0] - ends[:, :, 1], axis=-1)


def bone_limits(motions: Sequence[Motion]) -> np.ndarray:
    """(21,) how long each bone may be: 1.15 x the 99th percentile over these dances; NaN for one never seen.

    A bone and its twin on the other side are equally long: in a dance that always shows one arm from the front and the
    other from the side, the longer of the two tells.
    """
    lengths = np.concatenate([bone_lengths(motion) for motion in motions])
    limits = np.full(len(BONES), np.nan)
    seen = np.isfinite(lengths).any(axis=0)
    limits[seen] = LONG * np.nanpercentile(lengths[:, seen], 99, axis=0)
    return np.fmax(limits, limits[list(BONE_TWINS)])


def long_bones(motion: Motion, limits: np.ndarray) -> float:
    """Share of the frames in which at least one bone is over its limit; NaN where no bone with a limit is seen."""
    lengths = bone_lengths(motion)
    measured = np.isfinite(lengths) & np.isfinite(limits)
    return float(mean(np.where(measured.any(axis=1), (measured & (lengths > limits)).any(axis=1), np.nan)))
