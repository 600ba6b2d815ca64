"""How true generated pictures are: to the real ones, and to the pose that they were asked to show.

Pure functions. Pictures are torch tensors, one score a frame; poses are numpy arrays that a detector has found
elsewhere. `image_table` makes rows of a table of them.

Letters: N frames, H x W pixels, J = 13 joints. Pictures (N, 3, H, W) float in [0, 1]; landmarks (N, 33, 2) as fractions
of the picture; boxes (N, 4) whole pixels: left, top, right, bottom, the last two not included.
"""

from itertools import pairwise

import cv2
import numpy as np
import torch
from torchmetrics.functional.image import (
    multiscale_structural_similarity_index_measure,
    structural_similarity_index_measure,
)

from dancing.metrics.bootstrap_cells import Clips, clip_numbers
from dancing.metrics.motion import HIPS, JOINTS, MIN_VISIBILITY, SHOULDERS

BEST_PSNR = 100.0  # dB, of equal pictures: infinity has no mean, and no number in JSON
SSIM_WINDOW = 11  # px
SCALE_WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)  # of MS-SSIM, fine to coarse (Wang et al., 2003)


# ---------------------------------------------------------------------------------------------------------- pictures


def as_tensor(pictures: np.ndarray) -> torch.Tensor:
    """(N, H, W, 3) uint8 -> (N, 3, H, W) float in [0, 1]."""
    return torch.from_numpy(pictures).permute(0, 3, 1, 2).float() / 255


def person_boxes(
    landmarks: np.ndarray, visibility: np.ndarray, width: int, height: int, margin: float = 0.15
) -> torch.Tensor:
    """Where the person is in each frame: (N, 4) int64 boxes round the landmarks seen.

    Args:
        landmarks, visibility: (N, 33, 2) in [0, 1] and (N, 33); those under 0.5 or NaN don't count.
        width, height: px.
        margin: on every side, as a share of the box's longer side: landmarks end at the eyes, the wrists' fingers and
            the toes, while the picture has hair, skirts and sleeves.

    A frame in which nothing is seen has the whole picture as its box.
    """
    seen = ((visibility >= MIN_VISIBILITY) & np.isfinite(landmarks).all(axis=-1))[..., None]  # (N, 33, 1)
    pixels = np.asarray(landmarks, dtype=np.float64) * [width, height]
    low = np.where(seen, pixels, np.inf).min(axis=1)  # (N, 2)
    high = np.where(seen, pixels, -np.inf).max(axis=1)
    pad = margin * (high - low).max(axis=1, keepdims=True)
    nothing = ~seen.any(axis=1)  # (N, 1)
    size = np.array([width, height])
    low = np.where(nothing, 0, np.floor(np.clip(low - pad, 0, size - 1)))
    high = np.where(nothing, size, np.ceil(np.clip(high + pad, low + 1, size)))
    return torch.from_numpy(np.concatenate([low, high], axis=1).astype(np.int64))


def inside(boxes: torch.Tensor, height: int, width: int) -> torch.Tensor:
    """Which pixels lie in each box: (N, 4) -> (N, H, W) bool."""
    left, top, right, bottom = boxes.unbind(dim=1)
    x, y = torch.arange(width, device=boxes.device), torch.arange(height, device=boxes.device)
    columns = (x >= left[:, None]) & (x < right[:, None])  # (N, W)
    rows = (y >= top[:, None]) & (y < bottom[:, None])  # (N, H)
    return rows[:, :, None] & columns[:, None, :]


def _frame_means(scores: torch.Tensor, where: torch.Tensor | None) -> torch.Tensor:
    """Mean of (N, 3, H, W) over each frame, or over its pixels `where` (N, H, W); NaN where there are none. (N,)"""
    maps = scores.mean(dim=1)  # (N, H, W)
    if where is None:
        return maps.mean(dim=(1, 2))
    return torch.where(where, maps, 0).sum(dim=(1, 2)) / where.sum(dim=(1, 2))


def _crop(generated: torch.Tensor, real: torch.Tensor, boxes: torch.Tensor | None) -> torch.Tensor | None:
    """The pixels that count, (N, H, W), or None for all; complains about pictures that can't be compared."""
    if generated.shape != real.shape or generated.ndim != 4 or generated.shape[1] != 3:
        raise ValueError(f"expected two equal shapes (N, 3, H, W), got {tuple(generated.shape)}, {tuple(real.shape)}")
    if not (generated.is_floating_point() and real.is_floating_point()):
        raise ValueError(f"expected float pictures in [0, 1], got {generated.dtype} and {real.dtype}")
    return None if boxes is None else inside(boxes.to(real.device), *real.shape[2:])


def l1(generated: torch.Tensor, real: torch.Tensor, boxes: torch.Tensor | None = None) -> torch.Tensor:
    """Mean absolute error of each frame, (N,) in [0, 1]; with `boxes`, of the person's box only.

    All three scores take the box's pixels as they are, at their own size: no crop is resized, so that large and small
    figures are judged alike.

    Raises:
        ValueError: for other shapes than two equal (N, 3, H, W), or for integers.
    """
    where = _crop(generated, real, boxes)
    return _frame_means((generated - real).abs(), where)


def psnr(generated: torch.Tensor, real: torch.Tensor, boxes: torch.Tensor | None = None) -> torch.Tensor:
    """Peak signal-to-noise ratio of each frame in dB, (N,), at most 100; with `boxes`, of the person's box only.

    The mean over frames is then of ratios, as usual, not the ratio of the mean error. Raises as `l1`.
    """
    where = _crop(generated, real, boxes)
    error = _frame_means((generated - real) ** 2, where)
    return -10 * torch.log10(error.clamp_min(10 ** (-BEST_PSNR / 10)))


def ssim(generated: torch.Tensor, real: torch.Tensor, boxes: torch.Tensor | None = None) -> torch.Tensor:
    """Structural similarity of each frame (Wang et al., IEEE TIP 2004), (N,), at most 1.

    With `boxes`, the mean of the similarity map over the person's box: its border is compared with what really lies
    around it. Raises as `l1`, and torch does for pictures under 6 pixels.
    """
    where = _crop(generated, real, boxes)
    _, maps = structural_similarity_index_measure(
        generated, real, data_range=1.0, reduction="none", return_full_image=True
    )
    return _frame_means(maps, where)


def ms_ssim(generated: torch.Tensor, real: torch.Tensor) -> torch.Tensor:
    """Multi-scale structural similarity of each whole frame (Wang et al., Asilomar 2003), (N,), at most 1.

    Of the five scales, each half the one before, those are used on which torchmetrics lets the window of 11 px slide:
    n scales need 11 (n - 1)^2 px on the shorter side (three from 44 px up, five from 176 px), and their
    weights are scaled to a sum of 1. Raises as `l1`, and torch does for pictures under 12 pixels.
    """
    _crop(generated, real, None)
    shorter = min(real.shape[2:])
    scales = max(n for n in range(1, 6) if shorter >= SSIM_WINDOW * (n - 1) ** 2)
    weights = SCALE_WEIGHTS[:scales]
    return multiscale_structural_similarity_index_measure(
        generated, real, data_range=1.0, reduction="none", kernel_size=SSIM_WINDOW,
        betas=tuple(weight / sum(weights) for weight in weights),
    )  # fmt: skip


def frame_changes(frames: torch.Tensor, boxes: torch.Tensor) -> torch.Tensor:
    """Mean absolute change from each frame to the next outside the person's box in both: (N - 1,), in [0, 1].

    frames: (N, 3, H, W) in order. boxes: (N, 4). NaN where the two boxes fill the picture.
    """
    where = _crop(frames, frames, boxes)
    assert where is not None
    return _frame_means((frames[1:] - frames[:-1]).abs(), ~(where[1:] | where[:-1]))


def flicker(frames: torch.Tensor, boxes: torch.Tensor) -> float:
    """Mean of `frame_changes` over one sequence: 0 where the background stands still; NaN where it can't be told.

    Real film flickers too (grain, compression, shadows): read it over the real clip's.
    """
    changes = frame_changes(frames, boxes)
    return float(changes.nanmean()) if len(changes) else float("nan")


def optical_flow(frames: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Where in the picture before it each pixel of a picture was (Kroeger et al., Dense Inverse Search, ECCV 2016).

    Args:
        frames: (N, H, W, 3) uint8, real ones, in order.

    Returns:
        Offsets (N - 1, H, W, 2) float32, x and y in px, and whether to trust them, (N - 1, H, W) bool: where the flow
        forth and that back agree. What one picture hides of the other has no flow (Sundaram et al., ECCV 2010).
    """
    grey = [cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in frames]
    flow = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    flow.setFinestScale(0)  # pose_models are small here: half the size, the preset's, loses hands
    offsets, trusted = np.zeros((len(frames) - 1, *frames.shape[1:3], 2), np.float32), []
    for k, (before, after) in enumerate(pairwise(grey)):
        offsets[k] = back = flow.calc(after, before, None)  # type: ignore[call-overload]
        forth = _seen_through(flow.calc(before, after, None), back)  # type: ignore[call-overload]
        disagreement = ((back + forth) ** 2).sum(axis=-1)
        trusted.append(disagreement <= 0.01 * ((back**2).sum(axis=-1) + (forth**2).sum(axis=-1)) + 0.5)
    return offsets, np.array(trusted, dtype=bool).reshape(offsets.shape[:3])


def warping_errors(frames: torch.Tensor, offsets: np.ndarray, where: torch.Tensor) -> torch.Tensor:
    """Mean absolute difference of each frame from the one before it, moved as the real dancer moved: (N - 1,).

    What a dancer wears moves with him; what is drawn anew in every picture does not (Lai et al., Learning Blind Video
    Temporal Consistency, ECCV 2018). Read it over the real frames' own, since no flow is perfect.

    Args:
        frames: (N, 3, H, W) in [0, 1], in order.
        offsets: (N - 1, H, W, 2) of `optical_flow` of the real frames.
        where: (N - 1, H, W) bool, which pixels count; NaN where none does.
    """
    rows = frames.permute(0, 2, 3, 1).cpu().numpy()
    moved = np.array([_seen_through(frame, offset) for frame, offset in zip(rows, offsets, strict=False)])
    before = torch.from_numpy(moved.reshape(-1, *rows.shape[1:])).permute(0, 3, 1, 2)
    return _frame_means((frames[1:].cpu() - before).abs(), where.cpu())


def _seen_through(picture: np.ndarray, offsets: np.ndarray) -> np.ndarray:
    """(H, W, n) float32 with each pixel taken from where its offset (H, W, 2) points to."""
    x, y = np.meshgrid(*(np.arange(n, dtype=np.float32) for n in picture.shape[1::-1]))
    return cv2.remap(
        picture, x + offsets[..., 0], y + offsets[..., 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )


# ------------------------------------------------------------------------------------------------------------- poses


def torso_lengths(
    landmarks: np.ndarray,
    visibility: np.ndarray,
    width: int,
    height: int,
    clips: Clips | None = None,
) -> np.ndarray:
    """The measure of pose errors: (N,) px, mid-hip to mid-shoulder, median over the frame's clip.

    The median, since a dancer who bends towards the camera has no torso for a moment. Frames whose hips and shoulders
    are not all seen don't count; NaN for a clip without others. clips: (N,) which clip a frame is of; default one.
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
    """How far each joint found in a picture is from the pose that was asked for, in torso lengths.

    Args:
        detected: (N, 33, 2) in [0, 1], NaN for a frame in which no pose was found.
        target: (N, 33, 2) in [0, 1], the pose that conditioned the picture.
        visibility: (N, 33) of the target; joints under 0.5 are not asked about.
        width, height: px of the picture.
        clips: (N,) which clip a frame is of, for `torso_lengths`.

    Returns:
        (N, 13) for the metrics' `JOINTS`: infinite where the joint was not found, NaN where it is not asked about.

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
    asked = (visibility[:, JOINTS] >= MIN_VISIBILITY) & (np.isfinite(errors) | ~found)
    return np.where(asked, np.where(found, errors, np.inf), np.nan)


def pck(errors: np.ndarray, alpha: float, of_detected: bool = False) -> float:
    """Percentage of correct keypoints as a share: joints within `alpha` torso lengths of where they should be.

    Args:
        errors: (N, 13), as `joint_errors` gives them.
        alpha: torso lengths, 0.1 or 0.2.
        of_detected: leave out joints that were not found. By default they count as wrong: a picture in which nobody
            is to be seen has not drawn the pose.

    Returns:
        In [0, 1], NaN where no joint counts. After Yang & Ramanan (PAMI 2013), with the torso as measure.
    """
    counted = np.isfinite(errors) if of_detected else ~np.isnan(errors)
    return float((errors[counted] <= alpha).mean()) if counted.any() else float("nan")


def mean_error(errors: np.ndarray) -> float:
    """Mean of (N, 13) `joint_errors` over the joints that were found, in torso lengths; NaN where none was."""
    found = np.isfinite(errors)
    return float(errors[found].mean()) if found.any() else float("nan")


def detection_rate(detected: np.ndarray) -> float:
    """Share of frames in which a pose was found. detected: (N, 33, 2), NaN where not; NaN without frames."""
    return float(_found(detected).mean()) if len(detected) else float("nan")


def _found(detected: np.ndarray) -> np.ndarray:
    """(N, 33, 2) -> (N,) bool."""
    return np.isfinite(detected).all(axis=(1, 2))
