"""A row of the table of pictures: one system over the frames compared, in groups of metrics to be put together.

A cell is {"mean", "n": frames that have a value, "ci95": bootstrap 95 % interval over blocks, [low, high]}.
Neighbouring frames are alike, so the bootstrap draws blocks of at most 30 of them (1 s at 30 frames/s), none across two
clips; with few clips the interval is for those clips, not for others. mean is None without any value, ci95 for fewer
than two blocks.

Letters: N frames, H x W pixels, R real training pictures, D features.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from dancing.metrics.bootstrap import interval, percentiles, resampled
from dancing.metrics.distribution import kernel_means, mmd2, mmd2_floor, within_reach
from dancing.metrics.image import (
    Clips,
    clip_numbers,
    frame_changes,
    inside,
    joint_errors,
    l1,
    ms_ssim,
    psnr,
    ssim,
    warping_errors,
)
from dancing.metrics.table import Row

CHUNK = 32  # frames scored at once, or the maps of a long clip fill the memory
BLOCK = 30  # frames
K = 5  # neighbours, of density and coverage

FIDELITY = ("psnr", "ssim", "ms_ssim", "l1", "psnr_crop", "ssim_crop", "l1_crop")
STEADINESS = ("flicker", "flicker_ratio", "warping", "warping_ratio")
REDETECTION = ("detection_rate", "pck_10", "pck_20", "pck_10_of_detected", "pck_20_of_detected", "mean_error")
FEATURES = ("feature_mmd", "feature_mmd_ratio", "density", "coverage")

_Tallies = dict[str, tuple[np.ndarray, np.ndarray]]  # name -> totals and counts, (N,) each: the mean is sum over sum


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
    tallies: _Tallies = {"ms_ssim": (_joined([ms_ssim(made, true) for made, true, _ in chunks]), every)}
    for name, score in {"psnr": psnr, "ssim": ssim, "l1": l1}.items():
        tallies[name] = _joined([score(made, true) for made, true, _ in chunks]), every
        tallies[f"{name}_crop"] = _joined([score(*chunk) for chunk in chunks]), every
    return _cells(tallies, FIDELITY, clips, seed)


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
        tallies: _Tallies = {}
        for name, mine, its in zip(("flicker", "warping"), ours, theirs, strict=True):
            tallies |= {name: mine, f"{name}_ratio": (mine[0], its[0])}
        return _cells(tallies, STEADINESS, clips, seed)

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
    tallies: _Tallies = {"detection_rate": (np.isfinite(detected).all(axis=(1, 2)), np.ones(len(errors)))}
    for name, alpha in {"pck_10": 0.1, "pck_20": 0.2}.items():
        right = (errors <= alpha).sum(axis=1)
        tallies |= {name: (right, asked), f"{name}_of_detected": (right, found)}
    tallies["mean_error"] = np.where(np.isfinite(errors), errors, 0).sum(axis=1), found
    return _cells(tallies, REDETECTION, clips, seed)


@dataclass(frozen=True)
class FeatureReference:
    """Real training pictures in the own feature network's eyes: what every system's are compared with."""

    mean: np.ndarray  # (D,)
    std: np.ndarray  # (D,)
    features: np.ndarray  # (R, D) standardised
    floor: float  # of MMD^2

    @classmethod
    def of(cls, features: np.ndarray, clips: Clips, seed: int) -> "FeatureReference":
        """Features (R, D) of training pictures too far apart in time to be alike; `clips` as of `row`."""
        features = features.astype(np.float64)
        mean, std = features.mean(axis=0), features.std(axis=0)
        std = np.maximum(std, 1e-3 * std.max() + 1e-9)  # a dead channel says nothing
        features = (features - mean) / std
        means = kernel_means(list(_directions(features)[:, None]))
        return cls(mean, std, features, mmd2_floor(means, len(set(clips)), seed))

    def row(self, features: np.ndarray, clips: Clips, seed: int) -> Row:
        """Cells of `FEATURES`: how like real pictures as a set, whichever pose each shows.

        feature_mmd: unbiased MMD^2 from the training pictures. In the directions in which features leave their mean,
            not in how far: cubed by the kernel, the far ones would drown the others. Between 0 and 16, 0 on average
            where nothing differs.
        feature_mmd_ratio: over its usual size between as many real pictures, as `mmd2_floor` has it. Between 0 and
            what real test pictures have, themselves of other clips, is no difference.
        density, coverage: see `within_reach`. Frames are fewer and more alike than real pictures: the ceiling of
            coverage is that of real test pictures, not 1.

        Args:
            features: (N, D) of a system's pictures.
            clips: (N,) which run of neighbours each is of: the units of MMD.
            seed: of the bootstrap.
        """
        features = (features - self.mean) / self.std
        runs = clip_numbers(clips, len(features))
        enough = len(self.features) > K
        near = within_reach(self.features, features, K) if enough else np.zeros((0, len(features)))  # (R, N)
        crowd = {"density": (near.sum(axis=0) / K, np.full(len(features), float(enough)))}
        covered = near.any(axis=1).astype(float)
        return {
            **self._mmd_cells([_directions(features[runs == run]) for run in np.unique(runs)], seed),
            **_cells(crowd, ("density",), clips, seed),
            # Which frames were drawn can't be resampled, since a frame drawn twice covers nothing more.
            "coverage": {
                "mean": float(covered.mean()) if enough else None,
                "n": len(covered),
                "ci95": interval(covered, np.ones(len(covered)), seed),
            },
        }  # fmt: skip

    def _mmd_cells(self, runs: Sequence[np.ndarray], seed: int) -> Row:
        real, made = len(self.features), len(runs)
        means = kernel_means([*_directions(self.features)[:, None], *runs])
        a, b = np.repeat([1.0, 0.0], [real, made]), np.repeat([0.0, 1.0], [real, made])
        weights = resampled(made, seed)
        draws = mmd2(means, a, np.concatenate([np.zeros((len(weights), real)), weights], axis=1))
        mmd = float(mmd2(means, a, b))
        row = {}
        for name, unit in (("feature_mmd", 1.0), ("feature_mmd_ratio", self.floor if self.floor > 0 else np.nan)):
            mean = mmd / unit if np.isfinite(mmd / unit) else None
            row[name] = {"mean": mean, "n": made, "ci95": percentiles(draws / unit) if made > 2 else None}
        return row


def _directions(features: np.ndarray) -> np.ndarray:
    """(n, D) -> the same, all as long as standardised features are on average."""
    lengths = np.linalg.norm(features, axis=1, keepdims=True)
    return features / np.maximum(lengths, 1e-9) * np.sqrt(features.shape[1])


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


def _cells(tallies: _Tallies, names: Sequence[str], clips: Clips, seed: int) -> Row:
    """Totals over counts: a bootstrapped block of frames keeps its weight."""
    clip = clip_numbers(clips, len(next(iter(tallies.values()))[0]))
    blocks = block_numbers(clip, BLOCK)
    row = {}
    for name in names:
        totals, counts = tallies[name]
        mean = float(totals.sum() / counts.sum()) if counts.any() else None
        by_block = np.bincount(blocks, totals), np.bincount(blocks, counts)
        row[name] = {"mean": mean, "n": int((counts > 0).sum()), "ci95": interval(*by_block, seed)}
    return row


def block_numbers(clip: np.ndarray, block: int) -> np.ndarray:
    """(N,) which block of at most `block` neighbouring frames of one clip a frame is of, from 0."""
    begins = np.diff(clip, prepend=-1) != 0
    since = np.arange(len(clip)) - np.maximum.accumulate(np.where(begins, np.arange(len(clip)), 0))
    return np.cumsum(since % block == 0) - 1
