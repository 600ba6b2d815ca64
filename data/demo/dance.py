"""Choreography: from the beats and sections of a song to the motion of all joints.

There is a key pose on every beat. The interpolation between key poses is eased, so that the body is slowest on the
beat. Moves are selected at random from the repertoire of the section, so a song has many valid dances. K is the number
of key poses, T the number of frames.
"""

from dataclasses import dataclass, replace

import numpy as np

from data.demo.body import CHANNELS, SIDES, Body, pose_body
from data.demo.moves import ARMS, HEADS, NEUTRAL, REPERTOIRE, Move, Pose, mirrored
from data.demo.music import Song

MARGIN = 2  # key poses before the first beat and after the last, for the frames before and after the beats
FLOW = 0.35  # speed at a key pose, as a share of the mean speed around it; 0 would stop at each key pose
NEAR = 0.03  # m, a foot stays where it is if it is this close to its target
STEP_HEIGHT = 0.07  # m
ARC = 60.0  # degrees, see `_arc`
STAGE, STAGE_DEPTH = 0.85, 5.0  # m: half the width of the stage at z = 0, and the distance of the camera

#: Delay of body parts relative to the feet in seconds: motion propagates from the hips to the hands.
LAGS = {"pelvis": -0.02, "hips": -0.02, "chest": 0.0, "head": 0.025, "arm": 0.0, "fore": 0.02, "hand": 0.05}
#: Standard deviations of the noise on key poses, by the end of the channel's name (degrees or m).
WOBBLE = {"arm_lift": 6.0, "arm_azimuth": 6.0, "fore_lift": 7.0, "fore_azimuth": 6.0, "chest_yaw": 3.0, "head_yaw": 4.0,
          "head_roll": 2.5, "dip": 0.008, "sway": 0.008}  # fmt: skip


@dataclass(frozen=True)
class Call:
    """A move and how it is danced, for one or two bars of a song."""

    move: str  # key of the section's repertoire
    arms: str  # key of moves.ARMS
    section: str  # key of moves.REPERTOIRE
    beats: int
    amplitude: float  # factor on the distance from the neutral pose
    mirrored: bool
    facing: float  # degrees to the dancer's left
    spot: tuple[float, float]  # x and z of the place on the floor, m
    head: int  # index into moves.HEADS
    reach: float = 1.0  # additional factor for the arms


def plan(song: Song, rng: np.random.Generator) -> list[Call]:
    """Select moves for a song at random.

    Each move is from the repertoire of its section and lasts one or two bars. A move is not repeated directly.
    """
    calls: list[Call] = []
    previous = ""
    for section in song.sections:
        left = section.beats
        while left > 0:
            repertoire = REPERTOIRE[section.kind]
            previous = str(rng.choice([name for name in repertoire if name != previous]))
            beats = min(left, 8 if len(repertoire[previous].poses) == 8 else int(rng.choice([4, 8])))
            calls.append(_call(previous, repertoire[previous], section.kind, beats, rng))
            left -= beats
    return calls


def _call(name: str, move: Move, section: str, beats: int, rng: np.random.Generator) -> Call:
    return Call(
        move=name,
        arms=str(rng.choice(move.arms)),
        section=section,
        beats=beats,
        amplitude=rng.uniform(0.82, 1.1),
        mirrored=bool(rng.random() < 0.5),
        facing=rng.uniform(-16, 16),
        spot=(rng.uniform(-0.12, 0.12), rng.uniform(-0.25, 0.2)),
        head=int(rng.integers(len(HEADS))),
    )


def perform(song: Song, calls: list[Call], fps: float, rng: np.random.Generator) -> Body:
    """Compute the joints of a dance.

    If a call leaves the stage, it is moved towards the middle, its arm motion is reduced, and the dance is computed
    again.

    Args:
        song: gives the beats and the length.
        calls: the moves, which cover all beats.
        fps: frames a second.
        rng: source of the variation.

    Returns:
        The body in ``T = song.seconds * fps`` frames, rounded.

    Raises:
        RuntimeError: the dance still leaves the stage after 60 attempts.
    """
    seed = int(rng.integers(2**32))
    for _ in range(60):
        body = _perform(song, calls, fps, np.random.default_rng(seed))
        leaves = _leaves_stage(song, calls, fps, body)
        if not leaves.any():
            return body
        calls = [_towards_middle(call) if leave else call for call, leave in zip(calls, leaves, strict=True)]
    raise RuntimeError(f"the dance still leaves the stage after 60 attempts: {calls}")


def _towards_middle(call: Call) -> Call:
    return replace(call, spot=(0.75 * call.spot[0], call.spot[1]), reach=0.95 * call.reach)


def _leaves_stage(song: Song, calls: list[Call], fps: float, body: Body) -> np.ndarray:
    """Whether any joint is off the stage during each call or in the transition to it, (number of calls,) bool."""
    positions = np.stack([path for name, path in body.joints.items() if not name.endswith("_hand")])  # (n, T, 3)
    across = positions[..., 0] * STAGE_DEPTH / (STAGE_DEPTH - positions[..., 2])  # perspective: as if at z = 0
    outside = np.abs(across).max(axis=0) > STAGE  # (T,)
    beat = np.interp(np.arange(len(outside)) / fps, song.beats, np.arange(len(song.beats)))
    ends = np.cumsum([call.beats for call in calls])
    return np.array(
        [outside[(beat >= end - call.beats - 1) & (beat <= end)].any() for call, end in zip(calls, ends, strict=True)]
    )


def _perform(song: Song, calls: list[Call], fps: float, rng: np.random.Generator) -> Body:
    keys, hops = _key_poses(calls, len(song.beats), rng)
    period = 60 / song.bpm
    around = period * np.arange(1, MARGIN + 1)
    times = np.concatenate([song.beats[0] - around[::-1], song.beats, song.beats[-1] + around])
    times[1:-1] += rng.normal(0, 0.010, len(times) - 2)  # s, timing of a human dancer
    keys |= _place_feet(keys, hops)
    keys |= _place_hips(keys)

    t = np.arange(round(song.seconds * fps)) / fps
    curves = {}
    for name in CHANNELS:
        if "_foot_" not in name:
            curves[name] = ease(keys[name], times, t - _lag(name), FLOW)
    for side, _ in SIDES:
        for segment in ("arm", "fore"):
            curves[f"{side}_{segment}_azimuth"] += _arc(keys[f"{side}_{segment}_lift"], times, t - LAGS[segment])
        for angle in ("lift", "azimuth"):  # the hand follows the forearm with a delay
            curves[f"{side}_hand_{angle}"] = ease(keys[f"{side}_fore_{angle}"], times, t - LAGS["hand"], FLOW)
        curves |= _foot_curves(keys, side, times, t)
    for name in ("hips_x", "hips_z"):
        curves[name] = ease(keys[name], times, t - LAGS["hips"], FLOW)
    beat = np.interp(t, times, np.arange(len(times)))
    curves["dip"] = curves["dip"] + curves["bounce"] * (1 + np.cos(2 * np.pi * beat))  # down on the beat
    _fidget(curves, t, rng)
    return pose_body(curves)


def _lag(channel: str) -> float:
    return next((lag for part, lag in LAGS.items() if part in channel), 0.0)


def _fidget(curves: dict[str, np.ndarray], t: np.ndarray, rng: np.random.Generator) -> None:
    """Add small oscillations to hands and head."""
    for name, size in (("hand_lift", 7.0), ("hand_azimuth", 9.0), ("hand_open", 0.12)):
        for side, _ in SIDES:
            rate, phase = rng.uniform(0.5, 0.9), rng.uniform(0, 2 * np.pi)
            curves[f"{side}_{name}"] = curves[f"{side}_{name}"] + size * np.sin(2 * np.pi * rate * t + phase)
    for name in ("head_yaw", "head_roll"):
        curves[name] = curves[name] + 2 * np.sin(2 * np.pi * rng.uniform(0.15, 0.3) * t + rng.uniform(0, 2 * np.pi))


# ------------------------------------------------------------------------------------------------------ key poses


def _key_poses(calls: list[Call], beats: int, rng: np.random.Generator) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Values of all channels, and of "spot_x", "spot_z" and "facing", at the K key poses; and where hops are allowed.

    K is the number of beats plus two margins. All arrays have shape (K,).
    """
    rows, hops = [], []
    for call in calls:
        move = REPERTOIRE[call.section][call.move]
        swing = rng.choice([1.0, 0.9])  # every other bar may be a little smaller
        for beat in range(call.beats):
            pose = _call_pose(call, move, beat, swing if beat // 4 % 2 else 1.0)
            spot = {"spot_x": call.spot[0], "spot_z": call.spot[1], "facing": call.facing}
            rows.append(pose | spot)
            hops.append(move.hop)
    total = beats + 2 * MARGIN
    rows = rows[:MARGIN][::-1] + rows + rows[-MARGIN:]
    hops = hops[:MARGIN] + hops + hops[-MARGIN:]
    keys = {name: np.array([row[name] for row in rows]) for name in rows[0]}
    for name, values in keys.items():
        std = next((size for ending, size in WOBBLE.items() if name.endswith(ending)), 0.0)
        keys[name] = values + rng.normal(0, 1, total) * std
    for part, share in (("pelvis", 1.0), ("chest", 1.0), ("head", 0.5)):
        keys[f"{part}_yaw"] = keys[f"{part}_yaw"] + share * keys["facing"]
    keys["head_yaw"] = keys["head_yaw"] + 0.25 * keys["chest_yaw"]
    return keys, np.array(hops)


def _call_pose(call: Call, move: Move, beat: int, swing: float) -> Pose:
    """The pose of a call on one of its beats: the move's pose, scaled about the neutral pose."""
    parts = (move.poses, ARMS[call.arms], HEADS[call.head])
    target = {name: value for part in parts for name, value in part[beat % len(part)].items()}
    target = mirrored(target) if call.mirrored else target
    size = call.amplitude * swing
    scaled = {}
    for name, neutral in NEUTRAL.items():
        share = size * call.reach if name.partition("_")[2].startswith(("arm", "fore")) else size
        scaled[name] = neutral + share * (target.get(name, neutral) - neutral)
    return scaled


def _place_feet(keys: dict[str, np.ndarray], hops: np.ndarray) -> dict[str, np.ndarray]:
    """World positions of the feet, "left_foot_x" and "left_foot_z" (K,) and so on, and their headings.

    Only one foot steps at a time, except where hops are allowed. The foot that is farther from its target steps first,
    and the other one stays until the next beat.
    """
    facing = np.radians(keys["facing"])
    wanted = {}
    for side, s in SIDES:
        out, fwd = s * keys[f"{side}_foot_out"], keys[f"{side}_foot_fwd"]
        x = keys["spot_x"] + out * np.cos(facing) + fwd * np.sin(facing)
        z = keys["spot_z"] - out * np.sin(facing) + fwd * np.cos(facing)
        heading = s * keys[f"{side}_foot_turn"] + keys["facing"]
        wanted[side] = np.stack([x, z, heading], axis=-1)  # (K, 3)
    placed = {side: path.copy() for side, path in wanted.items()}
    for k in range(1, len(hops)):
        far = {side: float(np.linalg.norm(placed[side][k, :2] - placed[side][k - 1, :2])) for side, _ in SIDES}
        airborne = {side: keys[f"{side}_foot_up"][k - 1 : k + 1].max() > NEAR for side, _ in SIDES}
        for (side, _), (other, _) in (SIDES, SIDES[::-1]):
            later = airborne[other] or (far[other], other) > (far[side], side)
            if far[side] < NEAR or (later and far[other] >= NEAR and not airborne[side] and not hops[k]):
                placed[side][k, :2] = placed[side][k - 1, :2]
    return {f"{side}_foot_{name}": placed[side][:, i] for side, _ in SIDES for i, name in enumerate(("x", "z", "turn"))}


def _place_hips(keys: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """World position of the hips, (K,) each: between the feet at weight 0, nearly above the left foot at weight 1."""
    share = 0.5 + 0.4 * keys["weight"]
    x, z = (share * keys[f"left_foot_{axis}"] + (1 - share) * keys[f"right_foot_{axis}"] for axis in "xz")
    facing = np.radians(keys["facing"])
    back = 0.08  # m, from the ball of the foot back to the point that carries the weight
    return {
        "hips_x": x + keys["sway"] * np.cos(facing) - back * np.sin(facing),
        "hips_z": z - keys["sway"] * np.sin(facing) - back * np.cos(facing),
    }


# ------------------------------------------------------------------------------------------------------- in between


def ease(keys: np.ndarray, times: np.ndarray, t: np.ndarray, flow: float) -> np.ndarray:
    """Interpolate between keys with continuous speed and acceleration.

    Quintic Hermite splines with zero acceleration at the keys. With `flow` 0 they have minimum jerk (Flash and Hogan,
    The coordination of arm movements, 1985).

    Args:
        keys: (K,) values.
        times: (K,) times of the keys in s, ascending.
        t: (T,) times in s at which to interpolate; beyond the ends, the first or last value is returned.
        flow: speed at a key, as a share of the mean speed around it.

    Returns:
        (T,) values.
    """
    speed = flow * np.gradient(keys, times)
    k, u, period = _piece(times, t)
    start, end = keys[k], keys[k + 1]
    rise = u**3 * (10 - 15 * u + 6 * u**2)
    leave = u - u**3 * (6 - 8 * u + 3 * u**2)
    arrive = -(u**3) * (4 - 7 * u + 3 * u**2)
    return start + (end - start) * rise + period * (speed[k] * leave + speed[k + 1] * arrive)


def _arc(lifts: np.ndarray, times: np.ndarray, t: np.ndarray) -> np.ndarray:
    """Degrees to add to the azimuth, so that an arm swings forwards on its way up or down instead of in a plane."""
    k, u, _ = _piece(times, t)
    return ARC * np.clip(np.abs(lifts[k + 1] - lifts[k]) / 90, 0, 1) * _hump(u)


def _hump(u: np.ndarray) -> np.ndarray:
    """0 at u = 0 and 1, 1 at u = 0.5, with continuous acceleration."""
    return 64 * (u * (1 - u)) ** 3


def _piece(times: np.ndarray, t: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """For each t (T,): the index of its interval, its position there in [0, 1], and the length of the interval in s."""
    k = np.clip(np.searchsorted(times, t, side="right") - 1, 0, len(times) - 2)
    period = times[k + 1] - times[k]
    return k, np.clip((t - times[k]) / period, 0, 1), period


def _foot_curves(keys: dict[str, np.ndarray], side: str, times: np.ndarray, t: np.ndarray) -> dict[str, np.ndarray]:
    """Curves (T,) of a foot: still between equal keys, raised during a step, coming down early and going up late."""
    k, u, _ = _piece(times, t)
    up = keys[f"{side}_foot_up"]
    lands, rises = (up[k] > NEAR) & (up[k + 1] <= NEAR), (up[k] <= NEAR) & (up[k + 1] > NEAR)
    u = np.where(lands, np.minimum(u / 0.62, 1), np.where(rises, np.maximum(1 - (1 - u) / 0.62, 0), u))
    share = u**3 * (10 - 15 * u + 6 * u**2)

    def between(name: str) -> np.ndarray:
        values = keys[f"{side}_foot_{name}"]
        return values[k] + (values[k + 1] - values[k]) * share

    x, z = keys[f"{side}_foot_x"], keys[f"{side}_foot_z"]
    steps = np.hypot(x[k + 1] - x[k], z[k + 1] - z[k]) > 1e-6
    curves = {f"{side}_foot_{name}": between(name) for name in ("x", "z", "turn", "up", "pitch")}
    curves[f"{side}_foot_up"] += _hump(u) * np.where(steps & ~lands & ~rises, STEP_HEIGHT, 0)
    curves[f"{side}_foot_pitch"] += _hump(u) * np.where(steps, 16, 0)
    return curves
