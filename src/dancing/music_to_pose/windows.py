"""Windows of audio features and poses for training, all on the device.

Letters: B windows, T frames, F audio features, D pose dimensions.
"""

import math

import numpy as np
import torch

from dancing.body.skeleton import PoseSpace, mirrored
from dancing.clips.dataset import Dataset, Piece


def interpolate_rows(rows: torch.Tensor, at: torch.Tensor) -> torch.Tensor:
    """Return rows (R, C) at fractional indices (...), which are on the CPU, linearly -> (..., C)."""
    before = at.floor().clamp(0, len(rows) - 2)
    index, share = before.long().to(rows.device), (at - before).to(rows)
    return torch.lerp(rows[index], rows[index + 1], share[..., None])


class Windows:
    """All pieces of a split laid end to end, and windows cut from them.

    With `mirror` each dance is there twice: as it is, and with left and right swapped.
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
        #: First and last row of each piece.
        self.pieces = [(int(stop) - len(piece), int(stop) - 1) for piece, stop in zip(pieces, stops, strict=True)]
        #: First frames from which a whole window fits into its piece, and that piece's last frame.
        firsts = [torch.arange(first, last - length + 2) for first, last in self.pieces]
        self.random_starts = torch.cat(firsts)
        self.random_lasts = torch.cat(
            [torch.full((len(first),), last) for first, (_, last) in zip(firsts, self.pieces, strict=True)]
        )
        self.tiled_starts = torch.cat([torch.arange(first, last - length + 2, length) for first, last in self.pieces])

    def cut(self, starts: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the windows that begin at `starts` (B,): audio (B, T, F) and pose (B, T, D)."""
        rows = (starts[:, None] + torch.arange(self.length)).to(self.audio.device)
        return self.audio[rows], self.pose[rows]

    def random(self, count: int, rng: torch.Generator, stretch: float = 0.0) -> tuple[torch.Tensor, torch.Tensor]:
        """Return random windows, played faster or slower by up to `stretch`, audio and poses alike."""
        chosen = torch.randint(len(self.random_starts), (count,), generator=rng)
        starts, lasts = self.random_starts[chosen], self.random_lasts[chosen]
        if stretch == 0:
            return self.cut(starts)
        pace = torch.exp((2 * torch.rand(count, generator=rng) - 1) * math.log1p(stretch)).double()
        pace = torch.minimum(pace, (lasts - starts) / (self.length - 1))  # not beyond the piece's end
        rows = starts[:, None] + pace[:, None] * torch.arange(self.length)
        return interpolate_rows(self.audio, rows), interpolate_rows(self.pose, rows)

    def whole(self, pace: float) -> list[tuple[torch.Tensor, torch.Tensor]]:
        """Return every piece as one window (1, T, F) and (1, T, D), played at `pace`: above 1 is faster."""
        places = [torch.arange(first, last + 1e-6, pace, dtype=torch.float64) for first, last in self.pieces]
        return [(interpolate_rows(self.audio, rows)[None], interpolate_rows(self.pose, rows)[None]) for rows in places]
