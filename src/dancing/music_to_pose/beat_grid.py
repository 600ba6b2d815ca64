"""Latents on the music's own clock: a fixed number of them a beat, however fast the song is.

A grid of N points lies over T frames of music, point n at beat n / rate. A dance's moves last whole beats, so on this
grid a step to the left and a step to the right are neighbours at any tempo. Frames and points exchange values by linear
interpolation. Letters: B batch, T frames, N points, C channels.
"""

import math

import torch

#: Beats a second where the music has none.
DEFAULT_TEMPO = 2.0


def positions(beat_phase: torch.Tensor, rate: float, fps: float) -> torch.Tensor:
    """Return where on the grid each frame lies, (B, T) float64.

    It starts in [0, 1), never falls, and grows by `rate` a beat, at 120 BPM where there is no beat.

    Args:
        beat_phase: (B, T, 2) sine and cosine of the phase between one beat and the next; both 0 without a beat.
        rate: points a beat.
        fps: frames a second.
    """
    if beat_phase.device.type == "mps":  # has no float64; float32 would be a tenth of a point off after an hour
        beat_phase = beat_phase.cpu()
    sine, cosine = beat_phase.double().unbind(-1)
    phase = torch.atan2(sine, cosine) / (2 * math.pi)  # (B, T) beats
    has_beat = sine.square() + cosine.square() > 0.25
    step = phase.diff(dim=-1)
    step = (step - step.round()).clamp_min(0)  # at most half a beat from frame to frame
    step = torch.where(has_beat[..., 1:] & has_beat[..., :-1], step, DEFAULT_TEMPO / fps)
    first = torch.where(has_beat[..., :1], phase[..., :1] % 1, 0.0)
    position = rate * torch.cat([first, first + step.cumsum(-1)], dim=-1)
    return position - position[..., :1].floor()


def count(position: torch.Tensor) -> int:
    """Return N, the number of points that the frames at these positions (B, T) lie between."""
    return int(position.max()) + 2


def take(points: torch.Tensor, index: torch.Tensor) -> torch.Tensor:
    """Return the points (B, N, C) with these numbers (B, T) -> (B, T, C)."""
    return points.gather(1, index[..., None].expand(-1, -1, points.shape[-1]))


def interpolate(points: torch.Tensor, position: torch.Tensor) -> torch.Tensor:
    """Return values at frames (B, T, C) of points (B, N, C), linearly between two points."""
    before = position.floor()
    share = (position - before).to(points)[..., None]
    index = before.long().to(points.device)
    return torch.lerp(take(points, index), take(points, index + 1), share)


def pool(frames: torch.Tensor, position: torch.Tensor, points: int) -> torch.Tensor:
    """Return values at points (B, N, C) of frames (B, T, C): means, weighted by how near a frame is to the point.

    A point without a frame beside it is 0.
    """
    batch, _, channels = frames.shape
    before = position.floor().long()
    share = (position - before).to(frames)
    before = before.to(frames.device)
    sums, weights = frames.new_zeros(batch, points, channels), frames.new_zeros(batch, points)
    for index, weight in ((before, 1 - share), (before + 1, share)):
        sums.scatter_add_(1, index[..., None].expand(-1, -1, channels), frames * weight[..., None])
        weights.scatter_add_(1, index, weight)
    return sums / weights.clamp_min(1e-6)[..., None]
