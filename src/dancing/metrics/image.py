"""Scores of generated images: fidelity to real ones, steadiness over time, and the error of re-detected poses.

Pure functions. Images are torch tensors and have one score a frame; poses are NumPy arrays from a pose detector.
`image_table` makes table rows of the scores.

Letters: N frames, H x W pixels. Images (N, 3, H, W) float in [0, 1]; landmarks (N, 33, 2) as fractions of the image;
boxes (N, 4) in whole pixels: left, top, right, bottom, the last two exclusive.
"""

from itertools import pairwise

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torchmetrics.functional.image import (
    multiscale_structural_similarity_index_measure,
    structural_similarity_index_measure,
)

from dancing.metrics.bootstrap_cells import Clips, clip_numbers
from dancing.metrics.motion import HIPS, JOINTS, MIN_VISIBILITY, SHOULDERS

BEST_PSNR = 100.0  # dB, of equal images: infinity would spoil the mean and is no valid JSON
SSIM_WINDOW = 11  # px
SCALE_WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)  # of MS-SSIM, fine to coarse (Wang et al., 2003)


# ------------------------------------------------------------------------------------------------------------ images


def as_tensor(images: np.ndarray) -> torch.Tensor:
    """(N, H, W, 3) uint8 -> (N, 3, H, W) float in [0, 1]."""
    return torch.from_numpy(images).permute(0, 3, 1, 2).float() / 255


def person_boxes(
    landmarks: np.ndarray, visibility: np.ndarray, width: int, height: int, margin: float = 0.15
) -> torch.Tensor:
    """Bounding box of the visible landmarks, with a margin.

    Args:
        landmarks: (N, 33, 2) in [0, 1]; NaN counts as not visible.
        visibility: (N, 33); landmarks under 0.5 count as not visible.
        width: px.
        height: px.
        margin: added on every side, as a share of the box's longer side, because hair, sleeves and skirts extend beyond
            the landmarks.

    Returns:
        (N, 4) int64; the whole image for a frame without a visible landmark.
    """
    visible = ((visibility >= MIN_VISIBILITY) & np.isfinite(landmarks).all(axis=-1))[..., None]  # (N, 33, 1)
    pixels = np.asarray(landmarks, dtype=np.float64) * [width, height]
    low = np.where(visible, pixels, np.inf).min(axis=1)  # (N, 2)
    high = np.where(visible, pixels, -np.inf).max(axis=1)
    pad = margin * (high - low).max(axis=1, keepdims=True)
    nothing = ~visible.any(axis=1)  # (N, 1)
    size = np.array([width, height])
    low = np.where(nothing, 0, np.floor(np.clip(low - pad, 0, size - 1)))
    high = np.where(nothing, size, np.ceil(np.clip(high + pad, low + 1, size)))
    return torch.from_numpy(np.concatenate([low, high], axis=1).astype(np.int64))


def inside(boxes: torch.Tensor, height: int, width: int) -> torch.Tensor:
    """Mask of the pixels inside each box: (N, 4) -> (N, H, W) bool."""
    left, top, right, bottom = boxes.unbind(dim=1)
    x, y = torch.arange(width, device=boxes.device), torch.arange(height, device=boxes.device)
    columns = (x >= left[:, None]) & (x < right[:, None])  # (N, W)
    rows = (y >= top[:, None]) & (y < bottom[:, None])  # (N, H)
    return rows[:, :, None] & columns[:, None, :]


def _frame_means(scores: torch.Tensor, where: torch.Tensor | None) -> torch.Tensor:
    """Mean of (N, 3, H, W) over each frame, or over its pixels `where` (N, H, W): (N,); NaN without a pixel."""
    maps = scores.mean(dim=1)  # (N, H, W)
    if where is None:
        return maps.mean(dim=(1, 2))
    return torch.where(where, maps, 0).sum(dim=(1, 2)) / where.sum(dim=(1, 2))


def _mask(generated: torch.Tensor, real: torch.Tensor, boxes: torch.Tensor | None) -> torch.Tensor | None:
    """The pixels that count, (N, H, W) bool, or None for all. Raises ValueError for images that can't be compared."""
    if generated.shape != real.shape or generated.ndim != 4 or generated.shape[1] != 3:
        raise ValueError(f"expected two equal shapes (N, 3, H, W), got {tuple(generated.shape)}, {tuple(real.shape)}")
    if not (generated.is_floating_point() and real.is_floating_point()):
        raise ValueError(f"expected float images in [0, 1], got {generated.dtype} and {real.dtype}")
    return None if boxes is None else inside(boxes.to(real.device), *real.shape[2:])


def l1(generated: torch.Tensor, real: torch.Tensor, boxes: torch.Tensor | None = None) -> torch.Tensor:
    """Mean absolute error of each frame.

    Args:
        generated: (N, 3, H, W) float in [0, 1].
        real: the same shape.
        boxes: (N, 4) px; only pixels inside the box count. The box is not resized, so a small person is measured at the
            same resolution as a large one.

    Returns:
        (N,) in [0, 1].

    Raises:
        ValueError: for other shapes than two equal (N, 3, H, W), or for integers.
    """
    where = _mask(generated, real, boxes)
    return _frame_means((generated - real).abs(), where)


def psnr(generated: torch.Tensor, real: torch.Tensor, boxes: torch.Tensor | None = None) -> torch.Tensor:
    """Peak signal-to-noise ratio of each frame. Arguments and exceptions are those of `l1`.

    A mean over frames averages these ratios, as usual; it is not the ratio of the mean error.

    Returns:
        (N,) dB, at most 100.
    """
    where = _mask(generated, real, boxes)
    error = _frame_means((generated - real) ** 2, where)
    return -10 * torch.log10(error.clamp_min(10 ** (-BEST_PSNR / 10)))


def ssim(
    generated: torch.Tensor, real: torch.Tensor, boxes: torch.Tensor | None = None
) -> tuple[torch.Tensor, torch.Tensor]:
    """Structural similarity of each frame (Wang et al., IEEE TIP 2004). Arguments and exceptions are those of `l1`.

    Returns:
        (N,) and (N,), at most 1: the means of the similarity map over the whole image, and over the box if there is
        one. Windows at the box's border include pixels outside it.

    Raises:
        RuntimeError: from torch, for images under 6 px.
    """
    where = _mask(generated, real, boxes)
    _, maps = structural_similarity_index_measure(
        generated, real, data_range=1.0, reduction="none", return_full_image=True
    )
    return _frame_means(maps, None), _frame_means(maps, where)


def ms_ssim(generated: torch.Tensor, real: torch.Tensor) -> torch.Tensor:
    """Multi-scale structural similarity of each whole frame (Wang et al., Asilomar 2003).

    There are five scales, each half the size of the one before. As many are used as torchmetrics allows with a window
    of 11 px: n scales need 11 (n - 1)^2 px on the shorter side (three from 44 px, five from 176 px). Their weights are
    scaled to a sum of 1.

    Args:
        generated: (N, 3, H, W) float in [0, 1].
        real: the same shape.

    Returns:
        (N,), at most 1.

    Raises:
        ValueError: as for `l1`.
        RuntimeError: from torch, for images under 12 px.
    """
    _mask(generated, real, None)
    shorter = min(real.shape[2:])
    scales = max(n for n in range(1, 6) if shorter >= SSIM_WINDOW * (n - 1) ** 2)
    weights = SCALE_WEIGHTS[:scales]
    return multiscale_structural_similarity_index_measure(
        generated, real, data_range=1.0, reduction="none", kernel_size=SSIM_WINDOW,
        betas=tuple(weight / sum(weights) for weight in weights),
    )  # fmt: skip


def gradient_energy(images: torch.Tensor, boxes: torch.Tensor) -> torch.Tensor:
    """Mean squared difference of neighbouring pixels inside the person's box: more in a sharp image than in a blur.

    Noise and false edges count, too: compare with the value of the real frames.

    Args:
        images: (N, 3, H, W) float in [0, 1].
        boxes: (N, 4) px.

    Returns:
        (N,).

    Raises:
        ValueError: as for `l1`.
    """
    where = _mask(images, images, boxes)
    down, across = ((images.diff(dim=axis) ** 2) for axis in (2, 3))
    return _frame_means(F.pad(down, (0, 0, 0, 1)) + F.pad(across, (0, 1)), where)


def mask_overlap(masks: np.ndarray, real: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Intersection and union of the persons' masks; the mean of one over that of the other is the IoU.

    Args:
        masks: (N, H, W) uint8, above 127 where the person is.
        real: (N, H, W) uint8, likewise. Pixels that are not within a quarter of 0 or 255 are uncertain and don't count.

    Returns:
        (N,) and (N,), numbers of pixels.
    """
    ours, theirs = masks > 127, real > 127
    certain = np.abs(real.astype(np.int16) - 127) > 64
    return (ours & theirs & certain).sum(axis=(1, 2)), ((ours | theirs) & certain).sum(axis=(1, 2))


def frame_changes(frames: torch.Tensor, boxes: torch.Tensor) -> torch.Tensor:
    """Flicker: mean absolute change from each frame to the next, outside the person's box in both.

    Real video flickers too (grain, compression, shadows): compare with the value of the real frames.

    Args:
        frames: (N, 3, H, W) float in [0, 1], in order.
        boxes: (N, 4) px.

    Returns:
        (N - 1,) in [0, 1]; NaN where the two boxes cover the whole image.

    Raises:
        ValueError: as for `l1`.
    """
    where = _mask(frames, frames, boxes)
    assert where is not None
    return _frame_means((frames[1:] - frames[:-1]).abs(), ~(where[1:] | where[:-1]))


def optical_flow(frames: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Backward optical flow: from each frame to the frame before it.

    By Dense Inverse Search (Kroeger et al., ECCV 2016). Pixels that are occluded in one of the frames have no valid
    flow; they are found by comparing forward and backward flow (Sundaram et al., ECCV 2010).

    Args:
        frames: (N, H, W, 3) uint8, real frames in order.

    Returns:
        Offsets (N - 1, H, W, 2) float32, x and y in px, and a mask (N - 1, H, W) bool of the pixels whose flow is
        valid.
    """
    grey = [cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in frames]
    flow = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    flow.setFinestScale(0)  # people are small here: at half the size, the preset's finest scale, hands are lost
    offsets, valid = np.zeros((len(frames) - 1, *frames.shape[1:3], 2), np.float32), []
    for k, (before, after) in enumerate(pairwise(grey)):
        offsets[k] = back = flow.calc(after, before, None)  # type: ignore[call-overload]
        forth = _warp(flow.calc(before, after, None), back)  # type: ignore[call-overload]
        disagreement = ((back + forth) ** 2).sum(axis=-1)
        valid.append(disagreement <= 0.01 * ((back**2).sum(axis=-1) + (forth**2).sum(axis=-1)) + 0.5)
    return offsets, np.array(valid, dtype=bool).reshape(offsets.shape[:3])


def warping_errors(frames: torch.Tensor, offsets: np.ndarray, where: torch.Tensor) -> torch.Tensor:
    """Mean absolute difference between each frame and the one before it, warped by the flow of the real frames.

    A consistent texture, such as clothes, moves with the flow; one that is generated independently in every frame does
    not (Lai et al., Learning Blind Video Temporal Consistency, ECCV 2018). No flow is perfect: compare with the value
    of the real frames.

    Args:
        frames: (N, 3, H, W) in [0, 1], in order.
        offsets: (N - 1, H, W, 2) px, `optical_flow` of the real frames.
        where: (N - 1, H, W) bool, the pixels that count.

    Returns:
        (N - 1,) in [0, 1]; NaN where no pixel counts.
    """
    rows = frames.permute(0, 2, 3, 1).cpu().numpy()
    warped = np.array([_warp(frame, offset) for frame, offset in zip(rows, offsets, strict=False)])
    before = torch.from_numpy(warped.reshape(-1, *rows.shape[1:])).permute(0, 3, 1, 2)
    return _frame_means((frames[1:].cpu() - before).abs(), where.cpu())


def _warp(image: np.ndarray, offsets: np.ndarray) -> np.ndarray:
    """Sample an image (H, W, n) float32 at each pixel plus its offset (H, W, 2)."""
    x, y = np.meshgrid(*(np.arange(n, dtype=np.float32) for n in image.shape[1::-1]))
    return cv2.remap(image, x + offsets[..., 0], y + offsets[..., 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)


# ------------------------------------------------------------------------------------------------------------- poses


def torso_lengths(
    landmarks: np.ndarray,
    visibility: np.ndarray,
    width: int,
    height: int,
    clips: Clips | None = None,
) -> np.ndarray:
    """Unit of pose errors: the distance from mid-hip to mid-shoulder, median over the frame's clip.

    The median, because the projected torso vanishes when the dancer bends towards the camera.

    Args:
        landmarks: (N, 33, 2) in [0, 1].
        visibility: (N, 33); frames in which a hip or a shoulder is under 0.5 don't count.
        width: px.
        height: px.
        clips: (N,) identifier of each frame's clip; None: all frames are of one clip.

    Returns:
        (N,) px; NaN for a clip without a frame that counts.

    Raises:
        ValueError: for another number of clips than of frames.
    """
    pixels = landmarks[:, JOINTS] * [width, height]  # (N, 13, 2)
    torso = np.linalg.norm(pixels[:, SHOULDERS].mean(axis=1) - pixels[:, HIPS].mean(axis=1), axis=-1)  # (N,)
    upright = (visibility[:, JOINTS][:, HIPS + SHOULDERS] >= MIN_VISIBILITY).all(axis=1) & (torso > 0)
    clip = clip_numbers(clips, len(torso))
    lengths = np.full(len(torso), np.nan)
    for own in (clip == number for number in np.unique(clip)):
        if (own & upright).any():
            lengths[own] = np.median(torso[own & upright])
    return lengths


def joint_errors(
    detected: np.ndarray,
    target: np.ndarray,
    visibility: np.ndarray,
    width: int,
    height: int,
    clips: Clips | None = None,
) -> np.ndarray:
    """Distance of each detected joint from the pose that the image was generated from.

    Args:
        detected: (N, 33, 2) in [0, 1]; NaN for a frame in which no pose was detected.
        target: (N, 33, 2) in [0, 1], the pose that conditioned the image.
        visibility: (N, 33) of the target; joints under 0.5 don't count.
        width: px.
        height: px.
        clips: (N,) identifier of each frame's clip, for `torso_lengths`.

    Returns:
        (N, 13) torso lengths, of `motion.JOINTS`: infinite where the joint was not detected, NaN where it doesn't
        count.

    Raises:
        ValueError: for other shapes, or another number of clips than of frames.
    """
    if detected.shape != target.shape or target.shape[1:] != (33, 2) or visibility.shape != target.shape[:2]:
        raise ValueError(
            "expected detected and target (N, 33, 2) and visibility (N, 33), "
            f"got {detected.shape}, {target.shape} and {visibility.shape}"
        )
    offsets = (detected - target)[:, JOINTS] * [width, height]  # (N, 13, 2) px
    errors = np.linalg.norm(offsets, axis=-1) / torso_lengths(target, visibility, width, height, clips)[:, None]
    found = np.isfinite(detected[:, JOINTS]).all(axis=-1)
    counted = (visibility[:, JOINTS] >= MIN_VISIBILITY) & (np.isfinite(errors) | ~found)
    return np.where(counted, np.where(found, errors, np.inf), np.nan)
