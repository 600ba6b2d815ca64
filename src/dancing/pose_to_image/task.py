"""Poses to pictures as a game: ours, over a background and after the picture before, and the seed's.

Letters: B batch, P heatmaps, H x W picture.
"""

from abc import ABC, abstractmethod
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from dancing.body.skeleton import LIMBS, Figure, joint_heatmaps
from dancing.clips.dataset import Dataset
from dancing.features.feature_net import FeatureNet
from dancing.features.train_features import train_features
from dancing.params import Gan
from dancing.pose_to_image.augmentation import NOISY, Disguise, disturbed, varied
from dancing.pose_to_image.background import Plates, background_plates, reach
from dancing.pose_to_image.batches import Batch, Pictures, to_uint8
from dancing.pose_to_image.dense_gan import DenseGanConfig
from dancing.pose_to_image.person_crops import Crops
from dancing.pose_to_image.skeleton_gan import SkeletonGanConfig
from dancing.training.gan_task import Turn
from dancing.training.losses import dissimilarity, perceptual, weighted_l1
from dancing.training.registry import build_gan, config_to_dict

#: How many held-out poses are drawn anew each epoch, and how many pictures the validation loss is taken over.
SAMPLES, VALIDATION = 12, 96
CHOICE = 4  # times as many pictures as a step has are drawn, and those taken that need crops of one size
FEATURE_PICTURES, FEATURE_STEPS = 300, 150  # from how many the perceptual loss's network learns, and how long


class PoseGame(ABC):
    """What both have: one subject's poses and pictures, and how likeness is measured.

    Raises UserError where `Dataset.of_subject` does, or where there is nothing to train on or validate with.
    """

    best_by: str | None = "val_l1"
    cooled: bool
    feature_weight: float

    def __init__(self, dataset: Dataset, gan: Gan, device: torch.device) -> None:
        dataset = dataset.of_subject(gan.subject)
        plates = background_plates(dataset)
        self.gan, self.device = gan, device
        self.train, self.val = (Pictures(dataset, split, plates, device) for split in ("train", "val"))
        config = self._config(dataset, plates)
        torch.manual_seed(gan.seed)
        self.player: Any
        self.critic: Any
        self.player, self.critic = (player.to(device) for player in build_gan(config))
        in_front = [piece.landmarks for piece in dataset.split("train") if plates.of(piece) == 0]
        self.content = {
            "config": config_to_dict(config), "fps": dataset.fps, "subject": dataset.pieces[0].subject,
            "figure": Figure.of(in_front, dataset.width, dataset.height).to_dict(), "setups": plates.of_clip,
        }  # fmt: skip
        self.fixed = self.val.batch(self.val.spread(SAMPLES))

    @abstractmethod
    def _config(self, dataset: Dataset, plates: Plates) -> Any:
        """Of the two players."""

    @abstractmethod
    def turn(self, rng: torch.Generator) -> Turn:
        """As `Game`'s."""

    def _batch(self, rng: torch.Generator) -> Batch:
        return self.train.batch(torch.randint(len(self.train), (self.gan.batch_size,), generator=rng).tolist())

    def _rendered(self, player: Any, batch: Batch) -> torch.Tensor:
        """The player's pictures (B, 3, H, W) as in rendering."""
        return player.pictures(batch.landmarks, batch.plate)

    def settle(self, player: Any) -> None:
        """Nothing to mend: these generators have no batch norm."""
        return

    @torch.no_grad()
    def validate(self, player: Any) -> dict[str, float]:
        """Mean absolute error, pictures in [-1, 1]."""
        rows, size = self.val.spread(VALIDATION), self.gan.batch_size
        total = torch.zeros((), device=self.device)
        for first in range(0, len(rows), size):
            batch = self.val.batch(rows[first : first + size])
            total += F.l1_loss(self._rendered(player, batch), batch.pictures) * len(batch.pictures)
        return {"val_l1": float(total) / len(rows)}

    @torch.no_grad()
    def samples(self, player: Any) -> dict[str, np.ndarray]:
        """Fixed held-out poses: landmarks (B, 33, 2), real and generated pictures (B, H, W, 3) uint8."""
        return {
            "landmarks": self.fixed.landmarks.cpu().numpy(),
            "real": to_uint8(self.fixed.pictures),
            "generated": to_uint8(self._rendered(player, self.fixed)),
        }


class DenseGame(PoseGame):
    """The seed's: the game alone, and constant learning rates."""

    cooled, feature_weight = False, 0.0

    def _config(self, dataset: Dataset, plates: Plates) -> DenseGanConfig:
        return DenseGanConfig(dataset.height, dataset.width, self.gan.output)

    def turn(self, rng: torch.Generator) -> Turn:
        batch = self._batch(rng)
        return Turn((batch.pictures,), (self.player(self.player.draw(batch.landmarks)),), {})


class SkeletonGame(PoseGame):
    """Ours: beside the game, likeness to the real picture; the discriminator sees the pose and the picture before."""

    cooled = True

    def __init__(self, dataset: Dataset, gan: Gan, device: torch.device) -> None:
        super().__init__(dataset, gan, device)
        self.feature_weight = gan.feature_weight
        self.player.plates.copy_(self.train.scenes)
        self.features = self._features() if gan.perceptual_weight > 0 else None

    def _config(self, dataset: Dataset, plates: Plates) -> SkeletonGanConfig:
        size = (dataset.height, dataset.width)
        return SkeletonGanConfig(
            *size,
            self.gan.channels,
            len(plates.pictures),
            self.gan.previous > 0,
            self.gan.output,
            reach(dataset, plates),
        )

    def _features(self) -> FeatureNet:
        """A network that has learnt to find the landmarks in the training pictures."""
        batch = self.train.batch(self.train.spread(FEATURE_PICTURES))
        pictures, landmarks = to_uint8(batch.pictures), batch.landmarks.cpu().numpy()
        return train_features(pictures, landmarks, "pose", FEATURE_STEPS, self.gan.seed, self.device)[0]

    def _batch(self, rng: torch.Generator) -> Batch:
        """Crops round the dancer: of several times as many random pictures those that need crops of about one size."""
        count, config = self.gan.batch_size, self.player.config
        rows = torch.randint(len(self.train), (CHOICE * count,), generator=rng)
        poses = self.train.poses(rows.tolist())
        poses = poses.reshape(len(poses), -1, 2)  # (CHOICE * B, 2 * 33, 2), before and now
        alike = np.argsort(np.ptp(poses, axis=1).prod(axis=-1), kind="stable")
        first = count * int(torch.randint(CHOICE, (), generator=rng))
        some = alike[first : first + count]
        crops = Crops.around(poses[some], config.height, config.width, config.margin, 2**config.levels)
        return self.train.batch(rows[some].tolist(), crops)

    def turn(self, rng: torch.Generator) -> Turn:
        """Some pictures are made after the one before, itself made without; so it is never better than in rendering."""
        gan = self.gan
        batch = varied(self._batch(rng), gan.flip, rng)
        height, width = batch.pictures.shape[-2:]
        drawing, before = (self.player.draw(poses, (height, width)) for poses in (batch.landmarks, batch.before))
        asked = drawing
        if float(torch.rand((), generator=rng)) < NOISY:
            asked = self.player.draw(disturbed(batch.landmarks, height, width, rng), (height, width))
        with torch.no_grad():
            previous = self.player(before, batch.plate, None, batch.place)
        unseen = torch.rand(len(previous), 1, 1, 1, generator=rng) >= gan.previous
        seen = previous.masked_fill(unseen.to(self.device), float("nan"))
        made = self.player(asked, batch.plate, seen, batch.place)
        likeness = {"l1": (gan.l1_weight, weighted_l1(made, batch.pictures, self._weight(drawing, batch.landmarks)))}
        if gan.ssim_weight > 0:
            likeness["dissimilarity"] = gan.ssim_weight, dissimilarity(made, batch.pictures)
        if self.features is not None:
            difference = perceptual(self.features(batch.pictures), self.features(made))
            likeness["perceptual"] = gan.perceptual_weight, difference
        disguise = Disguise.random(height, width, rng)
        now, then = disguise.maps(drawing), disguise.maps(before)
        real = (disguise.pictures(batch.pictures), now, then, disguise.pictures(batch.previous))
        return Turn(real, (disguise.pictures(made), now, then, disguise.pictures(previous)), likeness)

    def _weight(self, drawing: torch.Tensor, landmarks: torch.Tensor) -> torch.Tensor:
        """How much each pixel counts in the pixel loss, (B, 1, H, W): more near the dancer, most at face and hands."""
        height, width = drawing.shape[-2:]
        near = drawing[:, : len(LIMBS)].amax(dim=1, keepdim=True) ** 0.25  # as if drawn twice as thick
        fine = joint_heatmaps(landmarks, height, width, 2 * self.player.config.thickness).amax(dim=1, keepdim=True)
        return 1 + self.gan.person_weight * near + self.gan.face_weight * fine

    def _rendered(self, player: Any, batch: Batch) -> torch.Tensor:
        """The player's pictures, the ones after their made predecessors if rendering sees those."""
        previous = None
        if self.gan.previous > 0:
            previous = player.pictures(batch.before, batch.plate)
        return player.pictures(batch.landmarks, batch.plate, previous)
