"""What is poor about a clip that is used, with what to do about it."""

import numpy as np

from dancing.body.detection import PoseTrack
from dancing.body.skeleton import LEFT_ANKLE, LEFT_WRIST, RIGHT_ANKLE, RIGHT_WRIST

#: Above this share of the frames with a pose in which feet or hands are out of the picture, it is noted.
_CUT_OFF = 0.2
#: Below this share of the picture's height, or with more gaps a minute than this, it is noted.
_SMALL, _GAPS_A_MINUTE = 0.25, 12
_EMPTY_END_S = 1.0  # without anybody, such as an end card


def advice(pose: PoseTrack, duration: float) -> list[str]:
    """Say what makes the poses of a clip worse than they could be.

    Args:
        pose: the poses of the clip.
        duration: of the clip, s.

    Returns:
        A sentence on each weakness; none for a good clip.
    """
    if not pose.detected.any():
        return []
    found, fps = [], len(pose.detected) / duration
    landmarks = pose.landmarks[pose.detected]
    for limbs, pair in (("feet", [LEFT_ANKLE, RIGHT_ANKLE]), ("hands", [LEFT_WRIST, RIGHT_WRIST])):
        outside = float(((landmarks[:, pair] < 0) | (landmarks[:, pair] > 1)).any(axis=(1, 2)).mean())
        if outside > _CUT_OFF:
            found.append(f"the {limbs} are out of the picture in {outside:.0%} of the frames: film the whole body")
    tall = float(np.nanmedian(np.ptp(landmarks[..., 1], axis=1)))
    if tall < _SMALL:
        found.append(f"the dancer fills {tall:.0%} of the picture's height: go closer, or crop the clip")
    edges = np.flatnonzero(np.diff(np.concatenate([[True], pose.detected, [True]]).astype(np.int8)))
    gaps = len(edges) // 2
    if gaps > _GAPS_A_MINUTE * max(duration / 60, 0.5):
        found.append(f"the pose was lost {gaps} times: more light, a plain background, nothing in front of the dancer")
    empty = (len(pose.detected) - 1 - int(np.flatnonzero(pose.detected)[-1])) / fps
    if empty >= _EMPTY_END_S:
        found.append(f"nobody is seen in the last {empty:.1f} s: cut them off if they are an end card")
    return found
