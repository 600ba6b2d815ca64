"""Latents on the music's own clock: so many a beat, however fast the song is.

A grid of N points lies over T frames of music, point n at beat n / rate. A dance's moves last whole beats, so on this
grid a step to the left and one to the right are neighbours at any tempo. Frames and points exchange by linear
interpolation. Letters: B batch, T frames, N points, C channels.
"""

import math

import torch

from dancing.clips.dataset import BEAT_COLUMNS

#: Beats a second where the music has none.
IDLE = 2.0


def positions(audio: torch.Tensor, rate: float, fps: float) -> torch.Tensor:
    """Where on the grid each frame lies, (B, T) float64, from the beat's phase in the audio features (B, T, F).

    Starts in [0, 1), never falls, grows by `rate` a beat, at 120 BPM where no beat is heard. A beat is a point.
    """
    beat = audio[..., -BEAT_COLUMNS : 2 - BEAT_COLUMNS]
    if beat.device.type == "mps":  # has no float64; float32 would be a tenth of a point off after an hour
        beat = beat.cpu()
    sine, cosine = beat.double().unbind(-1)
    phase = torch.atan2(sine, cosine) / (2 * math.pi)  # (B, T) beats
    heard = sine.square() + cosine.square() > 0.25  # without a beat both are 0
    step = phase.diff(dim=-1)
    step = (step - step.round()).clamp_min(0)  # at most half a beat from frame to frame
    step = torch.where(heard[..., 1:] & heard[..., :-1], step, IDLE / fps)
    first = torch.where(heard[..., :1], phase[..., :1] % 1, 0.0)
    position = rate * torch.cat([first, first + step.cumsum(-1)], dim=-1)
    return position - position[..., :1].floor()


def count(position: torch.Tensor) -> int:
    """N, the number of points that the frames at these positions (B, T) lie between."""
    return int(position.max()) + 2


def at(points: torch.Tensor, index: torch.Tensor) -> torch.Tensor:
    """Points (B, N, C) of these numbers (B, T) -> (B, T, C)."""
    return points.gather(1, index[..., None].expand(-1, -1, points.shape[-1]))


def spread(points: torch.Tensor, position: torch.Tensor) -> torch.Tensor:
    """From points (B, N, C) to frames (B, T, C), linearly between two points."""
    before = position.floor()
    share = (position - before).to(points)[..., None]
    index = before.long().to(points.device)
    return torch.lerp(at(points, index), at(points, index + 1), share)


def pool(frames: torch.Tensor, position: torch.Tensor, points: int) -> torch.Tensor:
    """From frames (B, T, C) to points (B, N, C): means, a frame weighing the more the nearer it is to the point.

    A point that no frame lies next to is 0.
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
