"""A row of the table of pictures: one system over the frames compared, in groups of metrics to be put together.

What a cell is says `cells`. Letters: N frames, H x W pixels.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from dancing.metrics.bootstrap_cells import Clips, Row, Tallies, cells, clip_numbers
from dancing.metrics.image import (
    frame_changes,
    inside,
    joint_errors,
    l1,
    ms_ssim,
    psnr,
    ssim,
    warping_errors,
)

CHUNK = 32  # frames scored at once, or the maps of a long clip fill the memory

FIDELITY = ("psnr", "ssim", "ms_ssim", "l1", "psnr_crop", "ssim_crop", "l1_crop")
STEADINESS = ("flicker", "flicker_ratio", "warping", "warping_ratio")
REDETECTION = ("detection_rate", "pck_10", "pck_20", "pck_10_of_detected", "pck_20_of_detected", "mean_error")


def fidelity_row(
    generated: torch.Tensor, real: torch.Tensor, boxes: torch.Tensor, clips: Clips, seed: int
) -> Row:  # fmt: skip
    """Cells of `FIDELITY`: how like the real pictures, frame by frame; "crop" is the person's box.

    Args:
        generated, real: (N, 3, H, W) float in [0, 1], a clip's frames one after another.
        boxes: (N, 4) px, round the real person.
        clips: (N,) which clip a frame is of.
        seed: of the bootstrap.

    Raises:
        ValueError: where shapes or numbers of frames don't fit.
    """
    every = np.ones(len(real))
    chunks = list(zip(generated.split(CHUNK), real.split(CHUNK), boxes.split(CHUNK), strict=True))
    tallies: Tallies = {"ms_ssim": (_joined([ms_ssim(made, true) for made, true, _ in chunks]), every)}
    for name, score in {"psnr": psnr, "ssim": ssim, "l1": l1}.items():
        tallies[name] = _joined([score(made, true) for made, true, _ in chunks]), every
        tallies[f"{name}_crop"] = _joined([score(*chunk) for chunk in chunks]), every
    return cells(tallies, FIDELITY, clips, seed)


@dataclass(frozen=True)
class Steadiness:
    """What changes from one real frame to the next: the standard of `steadiness_row`."""

    real: torch.Tensor  # (N, 3, H, W) float in [0, 1]
    boxes: torch.Tensor  # (N, 4) px
    offsets: np.ndarray  # (N - 1, H, W, 2) px and
    trusted: np.ndarray  # (N - 1, H, W) bool: `optical_flow` of the real frames

    def row(self, generated: torch.Tensor, clips: Clips, seed: int) -> Row:
        """Cells of `STEADINESS`: how restless a video the pictures (N, 3, H, W) make.

        flicker: mean absolute change from frame to frame outside the person's box, where nothing should happen.
        warping: of what moves, the mean absolute change inside the person's box once the real motion is made up for.
        Both are also given over that of the real pictures.
        """
        clip = clip_numbers(clips, len(self.real))
        ours, theirs = (
            (_changes(pictures, self.boxes, clip), self._warping(pictures, clip)) for pictures in (generated, self.real)
        )
        tallies: Tallies = {}
        for name, mine, its in zip(("flicker", "warping"), ours, theirs, strict=True):
            tallies |= {name: mine, f"{name}_ratio": (mine[0], its[0])}
        return cells(tallies, STEADINESS, clips, seed)

    def _warping(self, frames: torch.Tensor, clip: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        people = inside(self.boxes, *frames.shape[2:])
        where = torch.from_numpy(self.trusted) & people[1:] & people[:-1]
        return _of_pairs(warping_errors(frames, self.offsets, where).numpy(), clip)


def redetection_row(
    detected: np.ndarray, landmarks: np.ndarray, visibility: np.ndarray, width: int, height: int,
    clips: Clips, seed: int,
) -> Row:  # fmt: skip
    """Cells of `REDETECTION`: whether the pose that was asked for is found in the pictures.

    pck_10, pck_20: share of joints within 0.1 and 0.2 torso lengths, those not found counting as wrong;
    "of_detected": of the joints found. mean_error: of the joints found, in torso lengths.

    Args:
        detected: (N, 33, 2) in [0, 1], found in the pictures; NaN where nobody was.
        landmarks, visibility: (N, 33, 2) in [0, 1] and (N, 33): the pose that the pictures should show.
        width, height: px.
        clips: (N,) which clip a frame is of.
        seed: of the bootstrap.

    Raises:
        ValueError: where shapes or numbers of frames don't fit.
    """
    errors = joint_errors(detected, landmarks, visibility, width, height, clips)  # (N, 13)
    found, asked = np.isfinite(errors).sum(axis=1), (~np.isnan(errors)).sum(axis=1)
    tallies: Tallies = {"detection_rate": (np.isfinite(detected).all(axis=(1, 2)), np.ones(len(errors)))}
    for name, alpha in {"pck_10": 0.1, "pck_20": 0.2}.items():
        right = (errors <= alpha).sum(axis=1)
        tallies |= {name: (right, asked), f"{name}_of_detected": (right, found)}
    tallies["mean_error"] = np.where(np.isfinite(errors), errors, 0).sum(axis=1), found
    return cells(tallies, REDETECTION, clips, seed)


def _joined(scores: Sequence[torch.Tensor]) -> np.ndarray:
    return torch.cat(list(scores)).cpu().numpy()


def _changes(frames: torch.Tensor, boxes: torch.Tensor, clip: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    starts = range(0, len(frames) - 1, CHUNK)
    changes = [frame_changes(frames[k : k + CHUNK + 1], boxes[k : k + CHUNK + 1]).cpu().numpy() for k in starts]
    return _of_pairs(np.concatenate([np.zeros(0), *changes]), clip)


def _of_pairs(sizes: np.ndarray, clip: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Scores (N - 1,) of neighbours -> a tally of each frame and the one before it in its clip, (N,) and (N,)."""
    sizes = np.concatenate([[np.nan], sizes])
    counted = np.isfinite(sizes) & (np.diff(clip, prepend=-1) == 0)
    return np.where(counted, sizes, 0), counted
