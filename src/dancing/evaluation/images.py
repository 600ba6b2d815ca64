"""The image table: the test part as trained models render it, next to the real images and to trivial baselines.

Letters: N frames compared, H x W pixels.
"""

import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import joblib
import numpy as np
import torch

from dancing.body import detection
from dancing.clips.dataset import Dataset
from dancing.evaluation.common import held_out
from dancing.features.feature_distance import REFERENCE_IMAGES, FeatureDistance
from dancing.media.video import read_frames
from dancing.media.video_writer import VideoWriter
from dancing.metrics import image, image_table
from dancing.metrics.bootstrap_cells import Row
from dancing.metrics.controls import nearest_poses
from dancing.pose_to_image.inference import PoseToImage
from dancing.training.device import pick_device

#: Own features are of images whose longer side is at most this, px, so that they mean the same at every size.
FEATURE_SIDE = 128
#: Frames in a run of consecutive frames: flicker needs neighbours, diversity needs many runs.
RUN = 10


@dataclass(frozen=True)
class ImageResult:
    """Rows of the image table, and the images that they were measured on."""

    rows: dict[str, Row]
    pictures: dict[str, np.ndarray]  # row -> (N, H, W, 3) uint8
    landmarks: np.ndarray  # (N, 33, 2) in [0, 1], the real poses
    danced: np.ndarray  # (N, H, W, 3) uint8, images of generated poses, by "ours"
    danced_landmarks: np.ndarray  # (N, 33, 2) in [0, 1], the generated poses
    boxes: torch.Tensor  # (N, 4) px, around the real person
    runs: np.ndarray  # (N,) number of each frame's run, from 0


def evaluate_images(
    dataset: Dataset,
    image_models: Mapping[str, PoseToImage],
    dances: Sequence[np.ndarray],
    frames: int,
    feature_steps: int,
    quality: int,
    seed: int,
) -> ImageResult:
    """Render test poses in runs of consecutive frames, and measure the images.

    Args:
        dataset: all of whose pieces have images.
        image_models: row name -> trained model; "ours" is required.
        dances: generated poses (T, 33, 2) in [0, 1], for each test piece.
        frames: number of frames to compare, at most.
        feature_steps: batches that the feature network is trained on.
        quality: constant rate factor of x264, for the row "reencoded".
        seed: of the bootstrap and the feature network.

    Returns:
        Rows with all of `FIDELITY`, `STEADINESS`, `REDETECTION` and `FEATURES`, and `MASK` where there are masks,
        except where a part is missing:

        - each model's name;
        - nearest: the training image with the nearest pose, what playing back real images would score;
        - reencoded: the real images after one pass through the video codec, an invisible loss of quality;
        - real: the ceiling; without `FIDELITY`, which compares with it;
        - shuffled: images of "ours" for other poses, the chance level of metrics that depend on the pose;
        - mean_frame: the mean training image, which shows no person; without `REDETECTION`;
        - ours_danced: images of generated poses, for which there are no real images; `REDETECTION` only.

    Raises:
        UserError: where there is no test part, or no image to train the feature network on.
    """
    pieces = held_out(dataset)
    cut = _runs([len(piece) for piece in pieces], frames)
    real = np.concatenate([dataset.frames(pieces[i], start, stop) for i, start, stop in cut])
    poses = [pieces[i].landmarks[start:stop] for i, start, stop in cut]
    danced_poses = [dances[i][start:stop] for i, start, stop in cut]
    landmarks, visibility = np.concatenate(poses), np.concatenate([pieces[i].visibility[a:b] for i, a, b in cut])
    danced_landmarks = np.concatenate(danced_poses)
    runs = np.repeat(np.arange(len(cut)), [stop - start for _, start, stop in cut])

    train, train_landmarks = _training_images(dataset)
    clips = [pieces[i].clip for i, _, _ in cut]
    pictures, masks = dict[str, np.ndarray](), dict[str, np.ndarray]()
    for name, model in image_models.items():
        pictures[name], painted = _paint(model, poses, [model.setups[clip] for clip in clips])
        if painted is not None:
            masks[name] = painted
    pictures["nearest"], masks["nearest"] = _nearest(dataset, landmarks)
    pictures["reencoded"] = _reencoded(real, dataset.fps, quality)
    pictures["real"] = real
    danced, _ = _paint(image_models["ours"], danced_poses, [0] * len(cut))
    found = _redetected(pictures | {"ours_danced": danced})

    # Whole runs are exchanged, so that their images need not be generated and their poses not be detected again.
    elsewhere = np.roll(np.arange(len(real)), RUN * (len(cut) // 2) or len(real) // 2)
    pictures["shuffled"], found["shuffled"] = pictures["ours"][elsewhere], found["ours"][elsewhere]
    if "ours" in masks:
        masks["shuffled"] = masks["ours"][elsewhere]
    pictures["mean_frame"] = np.repeat(train.mean(axis=0, keepdims=True).round().astype(np.uint8), len(real), axis=0)

    boxes = image.person_boxes(landmarks, visibility, dataset.width, dataset.height)
    steadiness = image_table.Steadiness(image.as_tensor(real), boxes, *image.optical_flow(real))
    feature_distance = FeatureDistance.fit(_reduced(train), train_landmarks, runs, feature_steps, seed, pick_device())
    measure = _Measure(landmarks, visibility, runs, steadiness, feature_distance, seed)
    rows = {name: measure.row(images, found.get(name), name != "real") for name, images in pictures.items()}
    real_masks = np.concatenate([dataset.masks(pieces[i], start, stop) for i, start, stop in cut])
    for name, found_masks in masks.items():
        rows[name] |= image_table.mask_row(found_masks, real_masks, runs, seed)
    rows["ours_danced"] = measure.redetection(found["ours_danced"], danced_landmarks, np.ones_like(visibility))
    return ImageResult(rows, pictures, landmarks, danced, danced_landmarks, boxes, runs)


@dataclass(frozen=True)
class _Measure:
    """The real frames, and what sets of images are compared with them by."""

    landmarks: np.ndarray  # (N, 33, 2)
    visibility: np.ndarray  # (N, 33)
    runs: np.ndarray  # (N,)
    steadiness: image_table.Steadiness
    feature_distance: FeatureDistance
    seed: int

    def row(self, images: np.ndarray, detected: np.ndarray | None, fidelity: bool) -> Row:
        """Row of images (N, H, W, 3) uint8; detected: (N, 33, 2) the poses found in them, None: no `REDETECTION`."""
        generated, row = image.as_tensor(images), Row()
        if fidelity:
            real, boxes = self.steadiness.real, self.steadiness.boxes
            row |= image_table.fidelity_row(generated, real, boxes, self.runs, self.seed)
        if detected is not None:
            row |= self.redetection(detected, self.landmarks, self.visibility)
        row |= self.steadiness.row(generated, self.runs, self.seed)
        return row | self.feature_distance.row(_reduced(images), self.landmarks, self.runs)

    def redetection(self, detected: np.ndarray, landmarks: np.ndarray, visibility: np.ndarray) -> Row:
        height, width = self.steadiness.real.shape[2:]
        return image_table.redetection_row(detected, landmarks, visibility, width, height, self.runs, self.seed)


def _runs(lengths: Sequence[int], frames: int) -> list[tuple[int, int, int]]:
    """(piece, start, stop) of runs of `RUN` consecutive frames, evenly spaced over all pieces; `frames` in all."""
    candidates = [(i, s, min(s + RUN, n)) for i, n in enumerate(lengths) for s in range(0, max(n - RUN + 1, 1), RUN)]
    count = max(1, min(frames // RUN, len(candidates)))
    return [candidates[k] for k in np.linspace(0, len(candidates) - 1, count).astype(int)]


def _reduced(images: np.ndarray) -> np.ndarray:
    """Images (N, H, W, 3) uint8 with a longer side of at most `FEATURE_SIDE`, about, and sides that 8 divides."""
    height, width = images.shape[1:3]
    scale = min(FEATURE_SIDE / max(height, width), 1)
    if scale == 1:
        return images
    size = [max(round(scale * side / 8), 1) * 8 for side in (width, height)]
    return np.stack([cv2.resize(image, size, interpolation=cv2.INTER_AREA) for image in images])


def _training_images(dataset: Dataset) -> tuple[np.ndarray, np.ndarray]:
    """At most `REFERENCE_IMAGES` training images (n, H, W, 3) uint8, evenly spaced, and their poses (n, 33, 2)."""
    rows = [(piece, i) for piece in dataset.split("train") for i in range(len(piece))]
    some = np.linspace(0, len(rows) - 1, min(REFERENCE_IMAGES, len(rows))).astype(int)
    images = np.stack([dataset.frame(*rows[row]) for row in some])
    return images, np.stack([rows[row][0].landmarks[rows[row][1]] for row in some])


def _nearest(dataset: Dataset, landmarks: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The training image (N, H, W, 3) and its mask (N, H, W) whose pose is nearest to each of some poses (N, 33, 2)."""
    rows = [(piece, i) for piece in dataset.split("train") for i in range(len(piece))]
    library = np.concatenate([piece.landmarks for piece in dataset.split("train")])  # a pose for each of `rows`
    nearest = nearest_poses(landmarks, library, dataset.width, dataset.height)
    images, masks = (np.stack([read(*rows[row]) for row in nearest]) for read in (dataset.frame, dataset.mask))
    return images, masks


def _paint(
    model: PoseToImage, poses: Iterable[np.ndarray], setups: Iterable[int]
) -> tuple[np.ndarray, np.ndarray | None]:
    """Images (N, H, W, 3) uint8 of runs of poses (n, 33, 2), each in its camera set-up, and masks (N, H, W), if any."""
    painted = [painting for run, setup in zip(poses, setups, strict=True) for painting in model.paint(run, setup)]
    masks = [painting.mask for painting in painted if painting.mask is not None]
    return np.stack([painting.image for painting in painted]), np.stack(masks) if masks else None


def _reencoded(images: np.ndarray, fps: int, quality: int) -> np.ndarray:
    """Images (N, H, W, 3) uint8, encoded as H.264 and decoded."""
    height, width = images.shape[1:3]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "real.mp4"
        with VideoWriter(path, fps, width, height, crf=quality) as video:
            for frame in images:
                video.write(frame)
        return np.stack(list(read_frames(path, fps)))


def _redetected(pictures: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Detect the poses (N, 33, 2) in the images of every row, in several processes: a detector uses one core."""
    parallel = joblib.Parallel(n_jobs=min(joblib.effective_n_jobs(-1), len(pictures)))
    found = parallel(joblib.delayed(detection.detect_still)(images) for images in pictures.values())
    return {name: landmarks for name, (landmarks, _) in zip(pictures, found, strict=True)}
