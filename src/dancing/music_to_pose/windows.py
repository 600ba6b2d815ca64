"""Windows of audio features and poses for training. All data are on the device.

Letters: B windows, T frames, F audio features, D pose dimensions, R rows, C channels.
"""

import math

import numpy as np
import torch

from dancing.body.skeleton import PoseSpace, mirrored
from dancing.clips.dataset import Dataset, Piece
from dancing.training.processes import rand, randint
from dancing.training.transfer import send


def interpolate_rows(rows: torch.Tensor, position: torch.Tensor) -> torch.Tensor:
    """Return linear interpolations of rows (R, C) at fractional indices (...), which are on the CPU: (..., C)."""
    before = position.floor().clamp(0, len(rows) - 2)
    index, share = before.long().to(rows.device), (position - before).to(rows)
    return torch.lerp(rows[index], rows[index + 1], share[..., None])


class Windows:
    """The pieces of a split in one row of frames, and windows of them. Pieces shorter than a window are left out.

    Args:
        dataset: open.
        pieces: of one split.
        space: encodes landmarks as pose vectors.
        length: of a window, in frames.
        device: that all data are moved to.
        mirror: whether to add each piece a second time, with left and right swapped.

    Attributes:
        length: of a window, in frames.
        audio: (R, F), standardised audio features of all pieces.
        pose: (R, D), standardised poses of all pieces.
        pieces: the first and last row of each piece.
        random_starts: the rows at which a window can start.
        random_lasts: the last row of the piece that each of these is in.
        tiled_starts: the starts of adjoining windows.
    """

    def __init__(
        self, dataset: Dataset, pieces: list[Piece], space: PoseSpace, length: int, device: torch.device,
        mirror: bool = False,
    ) -> None:  # fmt: skip
        pieces = [piece for piece in pieces if len(piece) >= length]
        self.length = length
        audio, dances = [dataset.audio(piece) for piece in pieces], [piece.landmarks for piece in pieces]
        if mirror:
            pieces, audio, dances = 2 * pieces, 2 * audio, dances + [mirrored(dance) for dance in dances]
        self.audio = torch.from_numpy(np.concatenate(audio)).to(device)
        self.pose = torch.from_numpy(np.concatenate([space.encode(dance) for dance in dances])).to(device)
        stops = np.cumsum([len(piece) for piece in pieces])
        self.pieces = [(int(stop) - len(piece), int(stop) - 1) for piece, stop in zip(pieces, stops, strict=True)]
        firsts = [torch.arange(first, last - length + 2) for first, last in self.pieces]
        self.random_starts = torch.cat(firsts)
        self.random_lasts = torch.cat(
            [torch.full((len(first),), last) for first, (_, last) in zip(firsts, self.pieces, strict=True)]
        )
        self.tiled_starts = torch.cat([torch.arange(first, last - length + 2, length) for first, last in self.pieces])

    def cut(self, starts: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the windows that start at these rows (B,): audio (B, T, F) and poses (B, T, D)."""
        rows = send(starts[:, None] + torch.arange(self.length), self.audio.device)
        return self.audio[rows], self.pose[rows]

    def random(self, count: int, rng: torch.Generator, stretch: float = 0.0) -> tuple[torch.Tensor, torch.Tensor]:
        """Return random windows: audio (B, T, F) and poses (B, T, D).

        Args:
            count: B.
            rng: on the CPU.
            stretch: audio and poses are resampled to be up to this share faster or slower.
        """
        chosen = randint(len(self.random_starts), count, rng)
        starts, lasts = self.random_starts[chosen], self.random_lasts[chosen]
        if stretch == 0:
            return self.cut(starts)
        pace = torch.exp((2 * rand((count,), rng) - 1) * math.log1p(stretch)).double()
        pace = torch.minimum(pace, (lasts - starts) / (self.length - 1))  # stay within the piece
        rows = starts[:, None] + pace[:, None] * torch.arange(self.length)
        return interpolate_rows(self.audio, rows), interpolate_rows(self.pose, rows)

    def whole(self, pace: float) -> list[tuple[torch.Tensor, torch.Tensor]]:
        """Return each piece as a whole, audio (1, T, F) and poses (1, T, D), resampled to be `pace` times as fast."""
        # A little more than `last`, which belongs to the range.
        positions = [torch.arange(first, last + 1e-6, pace, dtype=torch.float64) for first, last in self.pieces]
        return [
            (interpolate_rows(self.audio, rows)[None], interpolate_rows(self.pose, rows)[None]) for rows in positions
        ]
