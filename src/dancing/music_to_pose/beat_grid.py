"""A time grid with a fixed number of points a beat, for latents that do not depend on the tempo.

The grid has N points over T frames of music; point n is at beat n / rate. Dance moves last whole beats, so on this grid
successive moves are equally far apart at any tempo. Values go from points to frames by linear interpolation, and from
frames to points by a weighted mean. Letters: B batch, T frames, N points, C channels.
"""

import math

import torch

#: Beats a second where no beat was found.
DEFAULT_TEMPO = 2.0
#: Squared length of (sine, cosine) above which there is a beat. It is 1 with a beat, 0 without, and may lie in between
#: after interpolation.
MIN_PHASE_NORM = 0.25
MIN_WEIGHT = 1e-6  # divisor of the mean at a point without frames


def positions(beat_phase: torch.Tensor, rate: float, fps: float) -> torch.Tensor:
    """Return the position of each frame on the grid, in points, (B, T) float64.

    Positions start in [0, 1), never decrease, and grow by `rate` a beat. Without a beat, 120 BPM is assumed.

    Args:
        beat_phase: (B, T, 2), sine and cosine of the phase between one beat and the next; both 0 without a beat.
        rate: points a beat.
        fps: frames a second.
    """
    if beat_phase.device.type == "mps":  # MPS lacks float64; float32 would be off by a tenth of a point after an hour
        beat_phase = beat_phase.cpu()
    sine, cosine = beat_phase.double().unbind(-1)
    phase = torch.atan2(sine, cosine) / (2 * math.pi)  # (B, T) beats
    has_beat = sine.square() + cosine.square() > MIN_PHASE_NORM
    step = phase.diff(dim=-1)
    step = (step - step.round()).clamp_min(0)  # a frame is at most half a beat after the one before
    step = torch.where(has_beat[..., 1:] & has_beat[..., :-1], step, DEFAULT_TEMPO / fps)
    first = torch.where(has_beat[..., :1], phase[..., :1] % 1, 0.0)
    position = rate * torch.cat([first, first + step.cumsum(-1)], dim=-1)
    return position - position[..., :1].floor()


def count(position: torch.Tensor) -> int:
    """Return N, the number of points that frames at these positions (B, T) need."""
    return int(position.max()) + 2


def take(points: torch.Tensor, index: torch.Tensor) -> torch.Tensor:
    """Return the points with these indices: points (B, N, C), index (B, T) -> (B, T, C)."""
    return points.gather(1, index[..., None].expand(-1, -1, points.shape[-1]))


def interpolate(points: torch.Tensor, position: torch.Tensor) -> torch.Tensor:
    """Return values at frames by linear interpolation: points (B, N, C), position (B, T) -> (B, T, C)."""
    before = position.floor()
    share = (position - before).to(points)[..., None]
    index = before.long().to(points.device)
    return torch.lerp(take(points, index), take(points, index + 1), share)


def pool(frames: torch.Tensor, position: torch.Tensor, points: int) -> torch.Tensor:
    """Return values at points, means of the frames around each, weighted by nearness: the counterpart of `interpolate`.

    Args:
        frames: (B, T, C).
        position: (B, T), of the frames on the grid.
        points: N.

    Returns:
        (B, N, C). A point without a frame on either side is 0.
    """
    batch, _, channels = frames.shape
    before = position.floor().long()
    share = (position - before).to(frames)
    before = before.to(frames.device)
    sums, weights = frames.new_zeros(batch, points, channels), frames.new_zeros(batch, points)
    for index, weight in ((before, 1 - share), (before + 1, share)):
        sums.scatter_add_(1, index[..., None].expand(-1, -1, channels), frames * weight[..., None])
        weights.scatter_add_(1, index, weight)
    return sums / weights.clamp_min(MIN_WEIGHT)[..., None]
