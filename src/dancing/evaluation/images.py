"""The test part as image_models draw it, beside the real pictures and beside what asks for no image_model.

Letters: N frames compared, H x W pixels.
"""

import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import joblib
import numpy as np
import torch

from dancing.body import detection
from dancing.clips.dataset import Dataset
from dancing.evaluation.common import held_out
from dancing.features.feature_distance import REFERENCE_IMAGES, FeatureDistance
from dancing.media.video import VideoWriter, read_frames
from dancing.metrics import image, image_table
from dancing.metrics.bootstrap_cells import Row
from dancing.metrics.controls import nearest_poses
from dancing.pose_to_image.inference import PoseToImage
from dancing.training.device import pick_device

#: Frames in a run of neighbours that pictures are compared over: flicker needs neighbours, variety needs many runs.
RUN = 10


@dataclass(frozen=True)
class ImageResult:
    """Rows of the table of pictures, and the pictures behind them."""

    rows: dict[str, Row]
    pictures: dict[str, np.ndarray]  # row -> (N, H, W, 3) uint8
    landmarks: np.ndarray  # (N, 33, 2) in [0, 1], the real poses
    danced: np.ndarray  # (N, H, W, 3) uint8, ours of generated poses
    danced_landmarks: np.ndarray  # (N, 33, 2)
    boxes: torch.Tensor  # (N, 4) px, round the real person
    runs: np.ndarray  # (N,) which run of neighbours a frame is of, from 0


def evaluate_images(
    dataset: Dataset,
    image_models: Mapping[str, PoseToImage],
    dances: Sequence[np.ndarray],
    frames: int,
    feature_steps: int,
    quality: int,
    seed: int,
) -> ImageResult:
    """Paint at most `frames` test poses in runs of neighbours, and measure.

    Args:
        dataset: all of whose pieces have pictures.
        image_models: row names -> trained models; "ours" must be there.
        dances: generated poses, (T, 33, 2) in [0, 1] one a test piece.
        frames: pictures compared.
        feature_steps: batches that the own feature network learns from.
        quality: x264's constant rate factor, of the row "reencoded".
        seed: of the bootstrap and the feature network.

    Returns:
        Rows, all of `FIDELITY`, `STEADINESS`, `REDETECTION` and `FEATURES` but where said otherwise:

        - each image_model's name;
        - nearest: the training picture whose pose is nearest, what playing real pictures would look like;
        - shuffled: ours of other poses, the chance level of what looks at the pose;
        - reencoded: the real pictures, once through the video codec that render writes: what no eye misses;
        - mean_frame: the mean training picture, which shows nobody; without re-detection;
        - real: the ceiling; without `FIDELITY`, which compares with it;
        - ours_danced: generated poses, which no real pictures show; `REDETECTION` alone.

    Raises:
        UserError: where there is no test part, or no picture to learn features from.
    """
    pieces = held_out(dataset)
    train = [(piece, i) for piece in dataset.split("train") for i in range(len(piece))]
    cut = _runs([len(piece) for piece in pieces], frames)
    real = np.concatenate([dataset.frames(pieces[i], start, stop) for i, start, stop in cut])
    poses = [pieces[i].landmarks[start:stop] for i, start, stop in cut]
    danced_poses = [dances[i][start:stop] for i, start, stop in cut]
    landmarks, visibility = np.concatenate(poses), np.concatenate([pieces[i].visibility[a:b] for i, a, b in cut])
    runs = np.repeat(np.arange(len(cut)), [stop - start for _, start, stop in cut])

    clips = [pieces[i].clip for i, _, _ in cut]
    pictures = {
        name: _painted(image_model, poses, [image_model.setups[clip] for clip in clips])
        for name, image_model in image_models.items()
    }
    library = np.concatenate([piece.landmarks for piece in dataset.split("train")])  # a row for each of `train`
    nearest = nearest_poses(landmarks, library, dataset.width, dataset.height)
    pictures["nearest"] = np.stack([dataset.frame(*train[row]) for row in nearest])
    pictures["reencoded"] = _reencoded(real, dataset.fps, quality)
    pictures["real"] = real
    danced = _painted(image_models["ours"], danced_poses, [0] * len(cut))
    found = _redetected(pictures | {"ours_danced": danced})

    # Whole runs change places: those are the model's images of the other poses, not generated again.
    elsewhere = np.roll(np.arange(len(real)), RUN * (len(cut) // 2) or len(real) // 2)
    pictures["shuffled"], found["shuffled"] = pictures["ours"][elsewhere], found["ours"][elsewhere]
    some = np.linspace(0, len(train) - 1, min(REFERENCE_IMAGES, len(train))).astype(int)
    learnt = np.stack([dataset.frame(*train[row]) for row in some])
    pictures["mean_frame"] = np.repeat(learnt.mean(axis=0, keepdims=True).round().astype(np.uint8), len(real), axis=0)

    boxes = image.person_boxes(landmarks, visibility, dataset.width, dataset.height)
    steadiness = image_table.Steadiness(image.as_tensor(real), boxes, *image.optical_flow(real))
    feature_distance = FeatureDistance.fit(learnt, library[some], runs, feature_steps, seed, pick_device())

    def row(name: str) -> Row:
        shown, cells = image.as_tensor(pictures[name]), Row()
        if name != "real":
            cells |= image_table.fidelity_row(shown, image.as_tensor(real), boxes, runs, seed)
        if name in found:
            cells |= redetection(found[name], landmarks, visibility)
        return cells | steadiness.row(shown, runs, seed) | feature_distance.row(pictures[name], landmarks, runs)

    def redetection(detected: np.ndarray, asked: np.ndarray, seen: np.ndarray) -> Row:
        return image_table.redetection_row(detected, asked, seen, dataset.width, dataset.height, runs, seed)

    danced_landmarks = np.concatenate(danced_poses)
    rows = {name: row(name) for name in pictures}
    rows["ours_danced"] = redetection(found["ours_danced"], danced_landmarks, np.ones_like(visibility))
    return ImageResult(rows, pictures, landmarks, danced, danced_landmarks, boxes, runs)


def _runs(lengths: Sequence[int], frames: int) -> list[tuple[int, int, int]]:
    """(piece, start, stop) of runs of `RUN` neighbours, evenly spaced over the pieces, `frames` in all at most."""
    candidates = [(i, s, min(s + RUN, n)) for i, n in enumerate(lengths) for s in range(0, max(n - RUN + 1, 1), RUN)]
    count = max(1, min(frames // RUN, len(candidates)))
    return [candidates[k] for k in np.linspace(0, len(candidates) - 1, count).astype(int)]


def _painted(image_model: PoseToImage, poses: Iterable[np.ndarray], setups: Iterable[int]) -> np.ndarray:
    """Run by run, each in its camera set-up: a picture may depend on the one before it."""
    return np.stack([shot for run, setup in zip(poses, setups, strict=True) for shot in image_model.render(run, setup)])


def _reencoded(pictures: np.ndarray, fps: int, quality: int) -> np.ndarray:
    """(N, H, W, 3) uint8 -> the same through H.264 and back."""
    height, width = pictures.shape[1:3]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "real.mp4"
        with VideoWriter(path, fps, width, height, crf=quality) as video:
            for picture in pictures:
                video.write(picture)
        return np.stack(list(read_frames(path, fps)))


def _redetected(pictures: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The poses found in the pictures of every row, (N, 33, 2) each; a process a core, since a detector uses one."""
    parallel = joblib.Parallel(n_jobs=min(joblib.effective_n_jobs(-1), len(pictures)))
    found = parallel(joblib.delayed(detection.detect_still)(shown) for shown in pictures.values())
    return {name: landmarks for name, (landmarks, _) in zip(pictures, found, strict=True)}
