"""Body model of the demo's dancer: the channels of a pose, and forward kinematics to joints.

World axes in metres: x to the right of the image, y up, z towards the camera. The dancer faces the camera, so that the
left side of the body is at +x. Angles are in degrees. T is the number of frames; s is +1 for the left side of the body
and -1 for the right.
"""

from dataclasses import dataclass

import numpy as np

#: The landmarks of MediaPipe Pose, in its order. (`dancing.body.skeleton` has them too, but imports PyTorch.)
LANDMARKS = (
    "nose", "left_eye_inner", "left_eye", "left_eye_outer", "right_eye_inner", "right_eye", "right_eye_outer",
    "left_ear", "right_ear", "mouth_left", "mouth_right", "left_shoulder", "right_shoulder", "left_elbow",
    "right_elbow", "left_wrist", "right_wrist", "left_pinky", "right_pinky", "left_index", "right_index",
    "left_thumb", "right_thumb", "left_hip", "right_hip", "left_knee", "right_knee", "left_ankle", "right_ankle",
    "left_heel", "right_heel", "left_foot_index", "right_foot_index",
)  # fmt: skip
SIDES = (("left", 1), ("right", -1))
#: Channels of the trunk and the head. Yaw turns to the dancer's left, roll leans to the left, pitch bends forwards.
CENTRE_CHANNELS = (
    "dip", "bounce", "weight", "sway", "pelvis_yaw", "pelvis_roll", "pelvis_pitch",
    "chest_yaw", "chest_roll", "chest_pitch", "head_yaw", "head_roll", "head_pitch",
)  # fmt: skip
#: Channels of each side. A segment of the arm points down at lift 0 and up at lift 180. At lift 90 it points outwards
#: at azimuth 0, forwards at 90 and inwards at 180.
SIDE_CHANNELS = (
    "foot_out", "foot_fwd", "foot_up", "foot_pitch", "foot_turn",
    "arm_lift", "arm_azimuth", "fore_lift", "fore_azimuth", "hand_open",
)  # fmt: skip
CHANNELS = CENTRE_CHANNELS + tuple(f"{side}_{name}" for side, _ in SIDES for name in SIDE_CHANNELS)

THIGH, SHIN, HIP = 0.43, 0.42, 0.095  # HIP and SHOULDER: from the middle to the joint
PELVIS_TO_WAIST, WAIST_TO_SHOULDERS, SHOULDER = 0.17, 0.33, 0.18
UPPER_ARM, FOREARM = 0.285, 0.25
NECK, HEAD = 0.125, 0.07  # shoulders to base of the skull, base of the skull to centre of the head
BALL_HEIGHT, BALL_TO_TOE = 0.025, 0.07
ANKLE_FROM_BALL = (-0.125, 0.06)  # (forwards, up) in a flat foot
HEEL_FROM_BALL = (-0.175, 0.005)
LEG_REACH = 0.995 * (THIGH + SHIN)  # m; the knee is never completely straight
STANDING = BALL_HEIGHT + ANKLE_FROM_BALL[1] + LEG_REACH  # height of the hips, m

#: Landmarks of the head in its own axes (left, up, forwards), m; those on the right are mirrored.
_FACE = {
    "nose": (0.0, -0.022, 0.108),
    "left_eye_inner": (0.018, 0.020, 0.088),
    "left_eye": (0.032, 0.020, 0.084),
    "left_eye_outer": (0.046, 0.019, 0.074),
    "left_ear": (0.077, -0.005, 0.002),
    "mouth_left": (0.026, -0.060, 0.086),
}
#: Landmarks of the hand: distance from the wrist (m) along the hand, and towards the side of the thumb.
_HAND = {"pinky": (0.080, -0.032), "index": (0.092, 0.026), "thumb": (0.055, 0.042)}


@dataclass(frozen=True)
class Body:
    """Positions and orientations of the parts of the body in T frames, in world axes.

    `joints` contains the 33 landmarks, the centres "hips", "waist", "shoulders", "skull" and "head", and for each side
    the ball of the foot ("left_ball") and the direction of the hand ("left_hand", from the wrist).
    """

    joints: dict[str, np.ndarray]  # name -> (T, 3), m
    pelvis: np.ndarray  # (T, 3, 3), columns: its left, up and forward axes
    chest: np.ndarray  # (T, 3, 3), likewise
    head: np.ndarray  # (T, 3, 3), likewise
    thumbs: dict[str, np.ndarray]  # side -> (T, 3), direction from the middle of the hand to the side of the thumb
    hand_open: dict[str, np.ndarray]  # side -> (T,), 0 for a fist, 1 for stretched fingers

    def landmarks(self) -> np.ndarray:
        """Positions of the landmarks in the order of `LANDMARKS`, (T, 33, 3), m."""
        return np.stack([self.joints[name] for name in LANDMARKS], axis=1)


def rotation(yaw: np.ndarray, pitch: np.ndarray, roll: np.ndarray) -> np.ndarray:
    """Rotation matrices (T, 3, 3) from angles (T,) in degrees: first roll, then pitch, then yaw."""
    angles = np.radians([yaw, pitch, roll])
    (sy, sp, sr), (cy, cp, cr) = np.sin(angles), np.cos(angles)
    zero, one = np.zeros_like(sy), np.ones_like(sy)
    turn = np.stack([cy, zero, sy, zero, one, zero, -sy, zero, cy], axis=-1).reshape(-1, 3, 3)
    bow = np.stack([one, zero, zero, zero, cp, -sp, zero, sp, cp], axis=-1).reshape(-1, 3, 3)
    lean = np.stack([cr, sr, zero, -sr, cr, zero, zero, zero, one], axis=-1).reshape(-1, 3, 3)
    return turn @ bow @ lean


def unit(vector: np.ndarray) -> np.ndarray:
    """Scale vectors (..., 3) to length 1."""
    return vector / np.linalg.norm(vector, axis=-1, keepdims=True)


def pose_body(curves: dict[str, np.ndarray]) -> Body:
    """Compute the joints of T frames from the channels.

    Args:
        curves: an array (T,) for each of `CHANNELS`, with these differences. "left_foot_x", "left_foot_z" (world
            position of the ball of the foot, also for the right foot), "hips_x" and "hips_z" replace foot_out,
            foot_fwd, weight and sway. foot_turn is the heading in the world, and dip includes the bounce. In addition,
            "left_hand_lift" and "left_hand_azimuth" (also right) give the direction of the hand, like those of the
            forearm.
    """
    pelvis, chest, head = (
        rotation(*(curves[f"{part}_{angle}"] for angle in ("yaw", "pitch", "roll")))
        for part in ("pelvis", "chest", "head")
    )
    joints: dict[str, np.ndarray] = {}
    for side, _ in SIDES:
        joints |= _foot(curves, side)
    joints |= _legs(curves, joints, pelvis)
    joints |= _trunk(joints["hips"], pelvis, chest, head)
    thumbs = {}
    for side, s in SIDES:
        arm, thumbs[side] = _arm(curves, joints["shoulders"], chest, side, s)
        joints |= arm
    hand_open = {side: curves[f"{side}_hand_open"] for side, _ in SIDES}
    return Body(joints, pelvis, chest, head, thumbs, hand_open)


def _foot(curves: dict[str, np.ndarray], side: str) -> dict[str, np.ndarray]:
    """Joints of a foot, which rotates about its ball. The toes stay flat on the floor until the foot is raised."""
    heading = np.radians(curves[f"{side}_foot_turn"])
    pitch = np.radians(curves[f"{side}_foot_pitch"])
    up = curves[f"{side}_foot_up"]
    forward = np.stack([np.sin(heading), np.zeros_like(heading), np.cos(heading)], axis=-1)

    def from_ball(along: float, above: float, pitch: np.ndarray) -> np.ndarray:
        level = along * np.cos(pitch) + above * np.sin(pitch)
        height = -along * np.sin(pitch) + above * np.cos(pitch)
        return ball + level[:, None] * forward + height[:, None] * np.array([0, 1, 0])

    ball = np.stack([curves[f"{side}_foot_x"], BALL_HEIGHT + up, curves[f"{side}_foot_z"]], axis=-1)
    return {
        f"{side}_ball": ball,
        f"{side}_ankle": from_ball(*ANKLE_FROM_BALL, pitch),
        f"{side}_heel": from_ball(*HEEL_FROM_BALL, pitch),
        f"{side}_foot_index": from_ball(BALL_TO_TOE, 0.0, pitch * np.clip(up / 0.1, 0, 1)),
    }


def _legs(curves: dict[str, np.ndarray], joints: dict[str, np.ndarray], pelvis: np.ndarray) -> dict[str, np.ndarray]:
    """Joints of the hips and knees. Both legs limit the height of the hips; the knees point in the feet's direction."""
    hips = np.stack([curves["hips_x"], np.zeros_like(curves["hips_x"]), curves["hips_z"]], axis=-1)
    offsets = {side: pelvis @ np.array([s * HIP, 0, 0]) for side, s in SIDES}
    heights = [STANDING - curves["dip"]]
    for side, _ in SIDES:
        reach = joints[f"{side}_ankle"] - hips - offsets[side]  # from the hip to the ankle, if the hip were at height 0
        heights.append(reach[:, 1] + np.sqrt(LEG_REACH**2 - reach[:, 0] ** 2 - reach[:, 2] ** 2))
    sharpness = 60.0  # of the soft minimum, 1/m
    hips[:, 1] = -np.log(np.exp(-sharpness * np.stack(heights)).sum(axis=0)) / sharpness

    result = {"hips": hips}
    for side, s in SIDES:
        hip, ankle = hips + offsets[side], joints[f"{side}_ankle"]
        knee_points = joints[f"{side}_foot_index"] - joints[f"{side}_heel"] + 0.06 * s * pelvis[:, :, 0]
        result |= {f"{side}_hip": hip, f"{side}_knee": _middle_joint(hip, ankle, knee_points, THIGH, SHIN)}
    return result


def _middle_joint(start: np.ndarray, end: np.ndarray, towards: np.ndarray, first: float, second: float) -> np.ndarray:
    """The knee (T, 3) between hip and ankle, bent in the direction `towards`; from the law of cosines."""
    line = end - start
    distance = np.linalg.norm(line, axis=-1, keepdims=True)
    line = line / distance
    along = (first**2 - second**2 + distance**2) / (2 * distance)
    across = unit(towards - (towards * line).sum(axis=-1, keepdims=True) * line)
    return start + along * line + np.sqrt(np.maximum(first**2 - along**2, 0)) * across


def _trunk(hips: np.ndarray, pelvis: np.ndarray, chest: np.ndarray, head: np.ndarray) -> dict[str, np.ndarray]:
    waist = hips + PELVIS_TO_WAIST * pelvis[:, :, 1]
    shoulders = waist + WAIST_TO_SHOULDERS * chest[:, :, 1]
    skull = shoulders + NECK * unit(0.7 * chest[:, :, 1] + 0.3 * head[:, :, 1])
    middle = skull + head @ np.array([0, HEAD, 0.015])
    joints = {"waist": waist, "shoulders": shoulders, "skull": skull, "head": middle}
    for name, place in _FACE.items():
        joints[name] = middle + head @ np.array(place)
        joints[name.replace("left", "right")] = middle + head @ (np.array(place) * [-1, 1, 1])
    return joints


def _arm(
    curves: dict[str, np.ndarray], shoulders: np.ndarray, chest: np.ndarray, side: str, s: int
) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Joints of an arm, and the direction to the side of the thumb (T, 3)."""

    def direction(segment: str) -> np.ndarray:
        lift, azimuth = (np.radians(curves[f"{side}_{segment}_{angle}"]) for angle in ("lift", "azimuth"))
        local = np.stack([s * np.sin(lift) * np.cos(azimuth), -np.cos(lift), np.sin(lift) * np.sin(azimuth)], axis=-1)
        return (chest @ local[..., None])[..., 0]

    shoulder = shoulders + s * SHOULDER * chest[:, :, 0]
    elbow = shoulder + UPPER_ARM * direction("arm")
    wrist = elbow + FOREARM * direction("fore")
    hand = direction("hand")
    # The thumb points to the front if the arm hangs down, and to the head if it is raised.
    inwards = np.radians(0.5 * curves[f"{side}_fore_lift"])
    local = np.stack([-s * np.sin(inwards), np.full_like(inwards, 0.4), np.cos(inwards)], axis=-1)
    thumb = (chest @ local[..., None])[..., 0]
    thumb = unit(thumb - (thumb * hand).sum(axis=-1, keepdims=True) * hand)
    joints = {
        f"{side}_shoulder": shoulder,
        f"{side}_elbow": elbow,
        f"{side}_wrist": wrist,
        f"{side}_hand": wrist + hand,
    }
    for name, (along, across) in _HAND.items():
        joints[f"{side}_{name}"] = wrist + along * hand + across * thumb
    return joints, thumb
