"""Rows of the image table: one system's images of the frames compared, in groups of metrics.

The caller joins the groups into one row. Letters: N frames, H x W pixels.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from dancing.metrics.bootstrap_cells import Clips, Row, Tallies, cells, clip_numbers
from dancing.metrics.image import (
    frame_changes,
    gradient_energy,
    inside,
    joint_errors,
    l1,
    mask_overlap,
    ms_ssim,
    psnr,
    ssim,
    warping_errors,
)

CHUNK = 32  # frames scored at once, because the similarity maps of a long clip would not fit into memory

FIDELITY = ("psnr", "ssim", "ms_ssim", "l1", "psnr_crop", "ssim_crop", "l1_crop", "sharpness")
MASK = ("mask_iou",)
STEADINESS = ("flicker", "flicker_ratio", "warping", "warping_ratio")
REDETECTION = ("detection_rate", "pck_10", "pck_20", "pck_10_of_detected", "pck_20_of_detected", "mean_error")


def fidelity_row(
    generated: torch.Tensor, real: torch.Tensor, boxes: torch.Tensor, clips: Clips, seed: int
) -> Row:  # fmt: skip
    """Cells of `FIDELITY`: similarity to the real images, frame by frame.

    Names with "crop" are for the person's box, as is "sharpness", the gradient energy over that of the real images. The
    others are for the whole image.

    Args:
        generated: (N, 3, H, W) float in [0, 1], the frames of a clip one after another.
        real: the same shape.
        boxes: (N, 4) px, around the real person.
        clips: (N,) identifier of each frame's clip.
        seed: of the bootstrap.

    Raises:
        ValueError: where shapes or numbers of frames don't match.
    """
    every = np.ones(len(real))
    chunks = list(zip(generated.split(CHUNK), real.split(CHUNK), boxes.split(CHUNK), strict=True))
    tallies: Tallies = {"ms_ssim": (_joined([ms_ssim(made, true) for made, true, _ in chunks]), every)}
    similarities = [ssim(*chunk) for chunk in chunks]
    for name, scores in zip(("ssim", "ssim_crop"), zip(*similarities, strict=True), strict=True):
        tallies[name] = _joined(scores), every
    for name, score in {"psnr": psnr, "l1": l1}.items():
        tallies[name] = _joined([score(made, true) for made, true, _ in chunks]), every
        tallies[f"{name}_crop"] = _joined([score(*chunk) for chunk in chunks]), every
    energy, real_energy = (
        _joined([gradient_energy(*part) for part in zip(images.split(CHUNK), boxes.split(CHUNK), strict=True)])
        for images in (generated, real)
    )
    tallies["sharpness"] = energy, real_energy
    return cells(tallies, FIDELITY, clips, seed)


def mask_row(masks: np.ndarray, real: np.ndarray, clips: Clips, seed: int) -> Row:
    """Cells of `MASK`: intersection over union of the person's masks with those of the real images.

    Args:
        masks: (N, H, W) uint8.
        real: (N, H, W) uint8.
        clips: (N,) identifier of each frame's clip.
        seed: of the bootstrap.
    """
    return cells({"mask_iou": mask_overlap(masks, real)}, MASK, clips, seed)


@dataclass(frozen=True)
class Steadiness:
    """Real frames and their optical flow, which the steadiness of generated frames is measured against."""

    real: torch.Tensor  # (N, 3, H, W) float in [0, 1]
    boxes: torch.Tensor  # (N, 4) px
    offsets: np.ndarray  # (N - 1, H, W, 2) px, of `image.optical_flow` of the real frames
    trusted: np.ndarray  # (N - 1, H, W) bool, its mask

    def row(self, generated: torch.Tensor, clips: Clips, seed: int) -> Row:
        """Cells of `STEADINESS`: how much the images change over time where the real ones don't.

        flicker: mean absolute change from frame to frame outside the person's box, where nothing should change.
        warping: mean absolute change inside the person's box after motion compensation with the real frames' flow.
        flicker_ratio, warping_ratio: the same over the value of the real frames.

        Args:
            generated: (N, 3, H, W) float in [0, 1].
            clips: (N,) identifier of each frame's clip; the first frame of a clip has no value.
            seed: of the bootstrap.

        Raises:
            ValueError: where shapes or numbers of frames don't match.
        """
        clip = clip_numbers(clips, len(self.real))
        of_generated, of_real = (
            (_flicker(frames, self.boxes, clip), self._warping(frames, clip)) for frames in (generated, self.real)
        )
        tallies: Tallies = {}
        for name, ours, theirs in zip(("flicker", "warping"), of_generated, of_real, strict=True):
            tallies |= {name: ours, f"{name}_ratio": (ours[0], theirs[0])}
        return cells(tallies, STEADINESS, clips, seed)

    def _warping(self, frames: torch.Tensor, clip: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Tally of the warping errors of frames (N, 3, H, W)."""
        people = inside(self.boxes, *frames.shape[2:])
        where = torch.from_numpy(self.trusted) & people[1:] & people[:-1]
        return _of_pairs(warping_errors(frames, self.offsets, where).numpy(), clip)


def redetection_row(
    detected: np.ndarray, landmarks: np.ndarray, visibility: np.ndarray, width: int, height: int,
    clips: Clips, seed: int,
) -> Row:  # fmt: skip
    """Cells of `REDETECTION`: whether a pose detector finds the target pose in the images.

    detection_rate: share of frames in which a pose was detected.
    pck_10, pck_20: share of correct keypoints (Yang and Ramanan, PAMI 2013): joints within 0.1 and 0.2 torso lengths of
        the target. A joint that was not detected is wrong; with "of_detected", it is left out.
    mean_error: mean distance of the detected joints, in torso lengths.

    Args:
        detected: (N, 33, 2) in [0, 1], detected in the images; NaN where no pose was.
        landmarks: (N, 33, 2) in [0, 1], the target poses.
        visibility: (N, 33) of the targets; joints under 0.5 don't count.
        width: px.
        height: px.
        clips: (N,) identifier of each frame's clip.
        seed: of the bootstrap.

    Raises:
        ValueError: where shapes or numbers of frames don't match.
    """
    errors = joint_errors(detected, landmarks, visibility, width, height, clips)  # (N, 13)
    found, counted = np.isfinite(errors).sum(axis=1), (~np.isnan(errors)).sum(axis=1)
    tallies: Tallies = {"detection_rate": (np.isfinite(detected).all(axis=(1, 2)), np.ones(len(errors)))}
    for name, alpha in {"pck_10": 0.1, "pck_20": 0.2}.items():
        right = (errors <= alpha).sum(axis=1)
        tallies |= {name: (right, counted), f"{name}_of_detected": (right, found)}
    tallies["mean_error"] = np.where(np.isfinite(errors), errors, 0).sum(axis=1), found
    return cells(tallies, REDETECTION, clips, seed)


def _joined(scores: Sequence[torch.Tensor]) -> np.ndarray:
    return torch.cat(list(scores)).cpu().numpy()


def _flicker(frames: torch.Tensor, boxes: torch.Tensor, clip: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Tally of the frame changes of frames (N, 3, H, W)."""
    starts = range(0, len(frames) - 1, CHUNK)
    changes = [frame_changes(frames[k : k + CHUNK + 1], boxes[k : k + CHUNK + 1]).cpu().numpy() for k in starts]
    return _of_pairs(np.concatenate([np.zeros(0), *changes]), clip)


def _of_pairs(scores: np.ndarray, clip: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Tally (N,) and (N,) of scores (N - 1,) of neighbouring frames, without pairs from two clips."""
    scores = np.concatenate([[np.nan], scores])
    counted = np.isfinite(scores) & (np.diff(clip, prepend=-1) == 0)
    return np.where(counted, scores, 0), counted
