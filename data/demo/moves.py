"""The repertoire of moves, as the key poses on successive beats.

A move defines legs and trunk. Patterns for the arms are separate, so that a few of each give many combinations.
Positions of the feet are relative to the spot where the move is danced.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from data.demo.body import CENTRE_CHANNELS, CHANNELS, SIDES

Pose = dict[str, float]  # values of some of body.CHANNELS; for the others, NEUTRAL has the values

_GROUPS: dict[str, tuple[str, ...]] = {
    part: tuple(f"{part}_{angle}" for angle in ("yaw", "roll", "pitch")) for part in ("pelvis", "chest", "head")
}
for _side, _ in SIDES:
    _GROUPS[f"{_side}_foot"] = tuple(f"{_side}_foot_{part}" for part in ("out", "fwd", "up", "pitch", "turn"))
    _GROUPS[f"{_side}_arm"] = tuple(
        f"{_side}_{part}" for part in ("arm_lift", "arm_azimuth", "fore_lift", "fore_azimuth", "hand_open")
    )


def pose(**parts: float | tuple[float, ...]) -> Pose:
    """Make a pose from its parts, such as ``pose(dip=0.1, left_foot=(0.2, 0.0), arms=(90, 0, 180, 0))``.

    Args:
        parts: a number for a channel, or a tuple for a group of channels, which may be shorter than the group. "arms"
            and "feet" set both sides.
    """
    channels: Pose = {}
    for name, values in parts.items():
        groups = [f"left_{name[:-1]}", f"right_{name[:-1]}"] if name == "arms" else [name]
        groups = ["left_foot", "right_foot"] if name == "feet" else groups
        for group in groups:
            if isinstance(values, tuple):
                channels |= dict(zip(_GROUPS[group], values, strict=False))
            else:
                channels[group] = values
    return channels


def mirrored(given: Pose) -> Pose:
    """Mirror a pose: left and right are swapped."""
    result = {}
    for name, value in given.items():
        if name in CENTRE_CHANNELS:
            lateral = name in ("weight", "sway") or name.endswith(("_yaw", "_roll"))
            result[name] = -value if lateral else value
        else:
            side, _, rest = name.partition("_")
            result[f"{'right' if side == 'left' else 'left'}_{rest}"] = value
    return result


def alternate(*poses: Pose) -> list[Pose]:
    """Return the poses, followed by their mirror images."""
    return [*poses, *map(mirrored, poses)]


NEUTRAL: Pose = dict.fromkeys(CHANNELS, 0.0) | pose(
    dip=0.03, bounce=0.022, feet=(0.11, 0.0, 0.0, 0.0, 14.0), arms=(14, 10, 28, 60, 0.6)
)


@dataclass(frozen=True)
class Move:
    """A move of legs and trunk, which repeats its poses."""

    poses: list[Pose]  # one a beat
    arms: tuple[str, ...]  # keys of ARMS that fit the move
    hop: bool = False  # both feet may leave the floor at once


# The last number of a tuple is the hand: 0.3 is a loose fist, 1 an open hand.
ARMS: Mapping[str, list[Pose]] = {
    "swing": alternate(pose(left_arm=(38, 75, 100, 100, 0.3), right_arm=(36, -40, 60, 40, 0.3))),
    "swing wide": alternate(pose(left_arm=(62, 50, 105, 120, 0.4), right_arm=(40, -15, 50, 16, 0.5))),
    "clap": [pose(arms=(52, 25, 105, 60, 1)), pose(arms=(44, 66, 108, 147, 1))],
    "clap high": [pose(arms=(58, 20, 130, 30, 1)), pose(arms=(112, 52, 158, 150, 1))],
    "hips": alternate(pose(left_arm=(52, -22, 44, 172, 0.2), right_arm=(44, -14, 46, 166, 0.2))),
    "roof": [pose(arms=(106, 14, 168, 10, 1)), pose(arms=(66, 24, 146, 24, 1))],
    "box": alternate(pose(left_arm=(78, 22, 152, 30, 0.2), right_arm=(66, 16, 32, 40, 0.2))),
    "roll": alternate(pose(left_arm=(46, 62, 118, 138, 0.2), right_arm=(36, 66, 74, 132, 0.2))),
    "snap": [pose(arms=(22, 10, 52, 24, 0.4)), pose(arms=(36, 30, 126, 50, 0.6))],
    "snap aside": alternate(pose(left_arm=(50, 20, 138, 26, 0.5), right_arm=(26, 40, 64, 110, 0.5))),
    "cross": [pose(arms=(36, 62, 104, 156, 0.9)), pose(arms=(40, 10, 50, 14, 1))],
    "wave": alternate(pose(left_arm=(138, 6, 152, 4, 1), right_arm=(150, 16, 168, 160, 1))),
    "wave wide": alternate(pose(left_arm=(126, 16, 148, 14, 1), right_arm=(136, 14, 176, 170, 1))),
    "reach": alternate(
        pose(left_arm=(160, 10, 170, 20, 1), right_arm=(46, -16, 46, 170, 0.3)),
        pose(left_arm=(66, 36, 148, 64, 0.3), right_arm=(52, 40, 128, 90, 0.3)),
    ),
    "disco": [
        pose(left_arm=(142, 10, 146, 8, 0.8), right_arm=(44, -16, 46, 170, 0.3)),
        pose(left_arm=(36, 62, 58, 128, 0.8), right_arm=(48, -18, 46, 170, 0.3)),
    ],
    "point": alternate(
        pose(left_arm=(136, 8, 140, 8, 0.8), right_arm=(34, 50, 92, 140, 0.4)),
        pose(left_arm=(40, 40, 112, 120, 0.4), right_arm=(40, 40, 112, 120, 0.4)),
    ),
    "pump": [pose(arms=(60, 55, 140, 80, 0.1)), pose(arms=(34, 30, 112, 84, 0.1))],
    "flick": alternate(pose(left_arm=(66, 30, 108, 52, 1), right_arm=(40, 30, 120, 110, 0.4))),
}


_STEP = pose(left_foot=(0.22,), right_foot=(0.22,), weight=0.75, pelvis=(4, -6), chest=(6, 4))
_TOUCH = pose(left_foot=(0.22,), right_foot=(-0.05, 0.0, 0, 30), weight=0.85, pelvis=(8, 4), chest=(-6, -5), dip=0.06)

VERSE: Mapping[str, Move] = {
    "side step": Move(alternate(_STEP, _TOUCH), ("swing", "snap", "clap", "snap aside")),
    "two-step": Move(
        alternate(
            pose(left_foot=(0.11,), right_foot=(0.16,), weight=0.5, pelvis=(8, -4), chest=(-8, 3)),
            pose(left_foot=(0.11,), right_foot=(0.03,), weight=-0.4, pelvis=(-6, 4), chest=(8, -3), dip=0.05),
            pose(left_foot=(0.22,), right_foot=(0.03,), weight=0.6, pelvis=(8, -4), chest=(-8, 3)),
            pose(left_foot=(0.22,), right_foot=(-0.07, 0.02, 0, 28), weight=0.8, chest=(8, -5), dip=0.06),
        ),
        ("swing", "swing wide", "snap"),
    ),
    "grapevine": Move(
        alternate(
            pose(left_foot=(0.11,), right_foot=(0.14,), weight=0.5, pelvis=(6,), chest=(4, 3)),
            pose(
                left_foot=(0.11,), right_foot=(-0.16, -0.14, 0, 24), weight=-0.2, pelvis=(-16,), chest=(-8, 5), dip=0.07
            ),
            pose(left_foot=(0.23,), right_foot=(-0.10, -0.14), weight=0.7, pelvis=(6,), chest=(6, 3)),
            pose(
                left_foot=(0.23,), right_foot=(-0.08, 0.03, 0, 30), weight=0.8, pelvis=(10, 5), chest=(8, -6), dip=0.06
            ),
        ),
        ("snap", "roll", "hips", "swing"),
    ),
    "twist": Move(
        alternate(
            pose(
                left_foot=(0.13, 0.02, 0, 12, 44),
                right_foot=(0.13, -0.02, 0, 16, -22),
                weight=0.35,
                pelvis=(30, -5),
                chest=(-14, 6),
                dip=0.10,
                bounce=0.01,
            )
        ),
        ("swing wide", "box", "roll"),
    ),
    "groove": Move(
        alternate(
            pose(
                feet=(0.17,),
                right_foot=(0.17, 0, 0, 18),
                weight=0.7,
                sway=0.03,
                pelvis=(-6, -9),
                chest=(8, 8),
                dip=0.06,
            )
        ),
        ("snap aside", "snap", "roll", "hips"),
    ),
    "march": Move(
        alternate(pose(feet=(0.10,), left_foot=(0.11, 0.06, 0.17, 24), weight=-0.7, pelvis=(8, -4), chest=(-9, -3))),
        ("swing", "roll", "pump"),
    ),
    "body roll": Move(
        [
            pose(feet=(0.16,), pelvis=(0, 0, -6), chest=(0, 3, 17), dip=0.12, weight=0.3, sway=0.02),
            pose(feet=(0.16,), pelvis=(0, 0, 7), chest=(0, -2, -8), dip=0.02, weight=0.1),
            pose(feet=(0.16,), pelvis=(0, 0, -6), chest=(0, -3, 17), dip=0.12, weight=-0.3, sway=-0.02),
            pose(feet=(0.16,), pelvis=(0, 0, 7), chest=(0, 2, -8), dip=0.02, weight=-0.1),
        ],
        ("cross", "snap", "pump"),
    ),
}

CHORUS: Mapping[str, Move] = {
    "knee lift": Move(
        alternate(
            pose(feet=(0.12,), left_foot=(0.16, 0.20, 0.36, 30), weight=-0.85, pelvis=(-8, -6), chest=(6, 6), dip=0.02),
            pose(feet=(0.12,), weight=-0.1, dip=0.07, chest=(0, 0, 6)),
        ),
        ("clap", "clap high", "roof"),
    ),
    "point and pose": Move(
        alternate(
            pose(left_foot=(0.26,), right_foot=(0.12, 0, 0, 26), weight=0.7, pelvis=(12, -7), chest=(16, -8), dip=0.05),
            pose(left_foot=(0.26,), right_foot=(0.12,), weight=-0.5, pelvis=(-10, 5), chest=(-12, 6), dip=0.09),
        ),
        ("point", "reach"),
    ),
    "running man": Move(
        alternate(
            pose(
                left_foot=(0.12, 0.18, 0.30, 26),
                right_foot=(0.12, -0.10, 0, 14),
                weight=-0.6,
                pelvis=(6, -5),
                chest=(-12, 2, 8),
                dip=0.07,
            )
        ),
        ("swing", "pump", "swing wide"),
        hop=True,
    ),
    "disco": Move(
        [
            pose(feet=(0.20,), right_foot=(0.20, 0, 0, 24), weight=0.7, pelvis=(10, -9), chest=(16, -6)),
            pose(feet=(0.20,), left_foot=(0.20, 0, 0, 14), weight=-0.5, pelvis=(-14, 6), chest=(-18, 5, 5), dip=0.09),
        ],
        ("disco", "disco", "flick"),
    ),
    "arms wave": Move(
        alternate(
            pose(
                feet=(0.19,),
                right_foot=(0.19, 0, 0, 22),
                weight=0.55,
                sway=0.02,
                pelvis=(0, -8),
                chest=(6, 7),
                dip=0.05,
            )
        ),
        ("wave", "wave wide", "roof"),
    ),
    "kick": Move(
        alternate(
            pose(
                feet=(0.11,), left_foot=(0.30, 0.24, 0.20, 8), weight=-0.85, pelvis=(-8, -4), chest=(12, -6), dip=0.05
            ),
            pose(feet=(0.11,), weight=0.2, dip=0.06),
        ),
        ("swing wide", "cross", "clap"),
    ),
    "lunge": Move(
        alternate(
            pose(left_foot=(0.30,), right_foot=(0.14, 0, 0, 20), weight=0.5, pelvis=(8, -4), chest=(10, 9), dip=0.16),
            pose(left_foot=(0.06,), right_foot=(0.14,), weight=-0.3, dip=0.02, chest=(-6, -3)),
        ),
        ("roof", "flick", "cross", "reach"),
    ),
    "half turn": Move(
        [
            pose(
                left_foot=(0.16, -0.06, 0, 0, 50),
                right_foot=(0.10, 0.10, 0, 14, -20),
                weight=0.4,
                pelvis=(36,),
                chest=(40, 3),
            ),
            pose(
                left_foot=(0.16, -0.06, 0, 0, 36),
                right_foot=(0.16, 0.04),
                weight=-0.5,
                pelvis=(6, 5),
                chest=(2, -4),
                dip=0.07,
            ),
            pose(
                left_foot=(0.10, 0.10, 0, 14, -20),
                right_foot=(0.16, 0.04, 0, 0, 50),
                weight=-0.4,
                pelvis=(-36,),
                chest=(-40, -3),
            ),
            pose(
                left_foot=(0.16, 0.04),
                right_foot=(0.16, 0.04, 0, 0, 30),
                weight=0.5,
                pelvis=(-6, -5),
                chest=(-2, 4),
                dip=0.07,
            ),
        ],
        ("snap aside", "wave wide", "roof", "box"),
    ),
}

REPERTOIRE: Mapping[str, Mapping[str, Move]] = {"verse": VERSE, "chorus": CHORUS}

#: Patterns of the head: one pose for each of two beats.
HEADS: tuple[list[Pose], ...] = (
    [pose(head=(0, 0, 8)), pose(head=(0, 0, -3))],
    [pose(head=(0, 7, 2)), pose(head=(0, -7, 2))],
    [pose(head=(12, 3, 3)), pose(head=(-12, -3, 3))],
    [pose(head=(6, -4, 6)), pose(head=(0, 5, -2))],
)
