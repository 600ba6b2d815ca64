"""Whether motion is physically plausible: planted feet do not slide, and bones keep their length.

Letters: N frames at 60 Hz, 2 feet with 2 landmarks each. Units: torso lengths (L) and seconds.
"""

from collections.abc import Sequence

import numpy as np
from scipy.ndimage import maximum_filter1d

from dancing.body.skeleton import BONE_TWINS, BONES, LEFT_ANKLE, LEFT_TOE, RIGHT_ANKLE, RIGHT_TOE
from dancing.metrics.motion import Motion, mean, smooth, velocity

FEET = ((LEFT_ANKLE, LEFT_TOE), (RIGHT_ANKLE, RIGHT_TOE))
#: Of the smoothing, in frames. Landmark noise at 60 Hz is otherwise as fast as a sliding foot.
SIGMA = 3.0
#: L/s. A landmark that moves more slowly is taken to stand still.
SLOW = 0.25
#: L. A landmark this close to its lowest position is on the floor.
LOW = 0.05
#: Seconds before and after a frame in which the lowest position is sought. It is local because the floor is higher in
#: the image the farther away it is.
LOWEST = 1.0
#: A bone's limit, as a multiple of the 99th percentile of its length in training.
LONG = 1.15


def foot_slide(motion: Motion) -> float:
    """Share of contact frames, over both feet, in which the foot slides: 0 is planted, 1 is skating.

    A foot is in contact where its ankle or its toe is within 0.05 L of its lowest position in the second before and
    after, and moves vertically by less than 0.25 L/s. It slides where ankle and toe both move horizontally by more than
    0.25 L/s; one of them may move while the foot turns on the other. The camera must be fixed.

    Returns:
        In [0, 1]; NaN without a contact frame.
    """
    feet = smooth(motion.landmarks[:, FEET], SIGMA)  # (N, feet, landmarks, 2)
    height = np.nan_to_num(feet[..., 1], nan=-np.inf)  # y points down: the lowest position is the largest y
    lowest = maximum_filter1d(height, 2 * round(LOWEST * motion.fps) + 1, axis=0, mode="nearest")
    across, down = np.moveaxis(_axis_speeds(motion.landmarks[:, FEET], motion.fps), -1, 0)  # (N, feet, landmarks) each
    contact = ((feet[..., 1] > lowest - LOW) & (down < SLOW)).any(axis=-1)  # (N, feet)
    slides = np.fmin(across[..., 0], across[..., 1]) > SLOW
    return float(mean(np.where(contact, slides, np.nan)))


def physical_foot_contact(motion: Motion) -> float:
    """Physical foot contact score (PFC) in two dimensions: mid-hip should not accelerate while both feet move.

    After Tseng et al., EDGE (CVPR 2023). Mean of |a| * |v left| * |v right|: a is the acceleration of mid-hip over its
    maximum, with downward components set to 0 because gravity alone explains them; v is the horizontal speed of the
    slower of a foot's ankle and toe. The floor is taken to be the image's x axis.

    Returns:
        In (L/s)^2; 0 for a frozen pose, NaN for fewer than three frames.
    """
    if len(motion.root) < 3:
        return np.nan
    acceleration = smooth(np.diff(motion.root, n=2, axis=0), SIGMA) * motion.fps**2  # (N - 2, 2)
    acceleration[:, 1] = np.minimum(acceleration[:, 1], 0)  # y points down
    strength = np.linalg.norm(acceleration, axis=-1)
    strongest = np.nanmax(strength, initial=0.0)
    speeds = _axis_speeds(motion.landmarks[:, FEET, 0], motion.fps)[1:-1]  # (N - 2, feet, landmarks)
    slower = np.fmin(speeds[..., 0], speeds[..., 1])
    return float(mean(strength / (strongest or 1.0) * slower[:, 0] * slower[:, 1]))


def _axis_speeds(path: np.ndarray, fps: float) -> np.ndarray:
    """Smoothed absolute velocity along each axis: (N, ...) in L -> (N, ...) in L/s."""
    return np.abs(smooth(velocity(path, fps), SIGMA))


def bone_lengths(motion: Motion) -> np.ndarray:
    """Lengths of `skeleton.BONES`, (N, 21) in L; NaN where an end is not visible."""
    ends = motion.landmarks[:, BONES]  # (N, bones, 2 ends, 2)
    return np.linalg.norm(ends[:, :, 0] - ends[:, :, 1], axis=-1)


def bone_limits(motions: Sequence[Motion]) -> np.ndarray:
    """Length limit of each bone: 1.15 times the 99th percentile of its length in these dances.

    A bone and its counterpart on the other side share the larger of their two limits, because a clip may always show
    one arm from the front and the other from the side.

    Returns:
        (21,) in L; NaN for a bone that is never visible.
    """
    lengths = np.concatenate([bone_lengths(motion) for motion in motions])
    limits = np.full(len(BONES), np.nan)
    visible = np.isfinite(lengths).any(axis=0)
    limits[visible] = LONG * np.nanpercentile(lengths[:, visible], 99, axis=0)
    return np.fmax(limits, limits[list(BONE_TWINS)])


def long_bones(motion: Motion, limits: np.ndarray) -> float:
    """Share of frames in which at least one bone is longer than its limit.

    Args:
        motion: the dance to measure.
        limits: (21,) in L, from `bone_limits`.

    Returns:
        In [0, 1], over the frames that show at least one bone with a limit; NaN without such a frame.
    """
    lengths = bone_lengths(motion)
    measured = np.isfinite(lengths) & np.isfinite(limits)
    return float(mean(np.where(measured.any(axis=1), (measured & (lengths > limits)).any(axis=1), np.nan)))
