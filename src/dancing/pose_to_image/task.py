"""The tasks of the GANs from poses to images: their data, models and losses.

Letters: B batch, P heatmaps, H x W image.
"""

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from dancing.body.skeleton import Placement, joint_heatmaps
from dancing.clips.dataset import Dataset
from dancing.media.pixels import to_uint8
from dancing.params import Gan
from dancing.pose_to_image.augmentation import JITTER_SHARE, augment, enlarged, jitter
from dancing.pose_to_image.background import dancer_margin, estimate_backgrounds
from dancing.pose_to_image.batches import PoseBatch, PoseImages
from dancing.pose_to_image.losses import ssim_loss, weighted_l1
from dancing.pose_to_image.models import MODELS
from dancing.pose_to_image.person_crops import PersonCrops
from dancing.pose_to_image.skeleton_gan import SkeletonDiscriminator, fold_for
from dancing.training.compute import Compute
from dancing.training.diffaugment import DiffAugment
from dancing.training.processes import own_count, own_rows, randint
from dancing.training.tasks import GanBatch

SAMPLES, VALIDATION = 12, 96  # validation images that are shown after each epoch, and that the loss is computed on
#: How many times a batch's size are drawn at random. They are sorted by the size of the person's box, and a batch takes
#: neighbours, so that its crops need about the same size.
CANDIDATES = 4
#: Of the pixel weights, over the thickness of limbs: how far beyond the mask the dancer counts, because masks cut off
#: hair and fingers; and of the joints' heatmaps.
MASK_REACH, FACE_THICKNESS = 1, 2


class PoseToImageTask:
    """The task of any generator with `render` and any discriminator of images; a `training.tasks.GanTask`.

    It trains on whole images, with the adversarial loss alone.

    Args:
        dataset: open during the training, as images are read batch by batch.
        gan: the section `gan` of the params.
        compute: what the networks are trained with.

    Raises:
        UserError: there is no such subject, it has no images, or the training or validation part has none.

    Attributes:
        best_by: the validation loss whose lowest value makes best.pt.
        cosine_decay: whether the learning rates fall to 0 over the training.
    """

    best_by: str | None = "val_l1"
    cosine_decay = False

    def __init__(self, dataset: Dataset, gan: Gan, compute: Compute) -> None:
        dataset = dataset.for_subject(gan.subject)
        backgrounds = estimate_backgrounds(dataset)
        self.gan, self.compute, device = gan, compute, compute.device
        self.train, self.val = (PoseImages(dataset, split, backgrounds, device) for split in ("train", "val"))
        config = MODELS.config(
            gan.model,
            **gan.model_dump(exclude={"model"}),
            height=dataset.height,
            width=dataset.width,
            setups=len(backgrounds.images),
            margin=dancer_margin(dataset, backgrounds),
            fold=fold_for(dataset.height, dataset.width),
        )
        torch.manual_seed(gan.seed)
        self.generator: Any  # networks of `MODELS`, which share no base class
        self.discriminator: Any
        self.generator, self.discriminator = (compute.place(model) for model in MODELS.build(config))
        first_setup = [piece.landmarks for piece in dataset.split("train") if backgrounds.of(piece) == 0]
        self.content = {
            "config": MODELS.to_dict(config), "fps": dataset.fps, "subject": dataset.pieces[0].subject,
            "placement": Placement.of(first_setup, dataset.width, dataset.height).to_dict(),
            "setups": backgrounds.of_clip,
        }  # fmt: skip
        self.fixed = self.val.batch(self.val.evenly_spaced(SAMPLES))

    def batch(self, rng: torch.Generator) -> GanBatch:
        """Return a random batch of whole images, or this process's share of it, as `GanTask.batch`."""
        batch = self.train.batch(randint(len(self.train), own_count(self.gan.batch_size, rng), rng).tolist())
        fake = self.compute.run(self.generator.render, batch.landmarks, batch.background)
        return GanBatch((batch.images,), (fake,))

    def recalibrate(self, generator: torch.nn.Module) -> None:
        """Do nothing: the generators have no batch norm."""

    @torch.no_grad()
    def validate(self, generator: Any) -> dict[str, float]:
        """Return "val_l1", the mean absolute error of images in [-1, 1]."""
        rows, size = self.val.evenly_spaced(VALIDATION), self.gan.batch_size
        total = torch.zeros((), device=self.compute.device)
        for first in range(0, len(rows), size):
            batch = self.val.batch(rows[first : first + size])
            rendered = generator.render(batch.landmarks, batch.background)
            total += F.l1_loss(rendered, batch.images) * len(batch.images)
        return {"val_l1": float(total) / len(rows)}

    @torch.no_grad()
    def samples(self, generator: Any) -> dict[str, np.ndarray]:
        """Return fixed validation poses: "landmarks" (B, 33, 2), "real" and "generated" (B, H, W, 3) uint8."""
        return {
            "landmarks": self.fixed.landmarks.cpu().numpy(),
            "real": to_uint8(self.fixed.images),
            "generated": to_uint8(generator.render(self.fixed.landmarks, self.fixed.background)),
        }


class SkeletonGanTask(PoseToImageTask):
    """The task of `gan.model: skeleton`.

    It trains on crops around the dancer, with losses against the real image beside the adversarial one. The
    discriminator gets the pose too.
    """

    cosine_decay = True

    def __init__(self, dataset: Dataset, gan: Gan, compute: Compute) -> None:
        super().__init__(dataset, gan, compute)
        self.generator.backgrounds.copy_(self.train.scenes)

    def _crops(self, rng: torch.Generator) -> PoseBatch:
        """Return crops around the dancer, of random images in which the dancer's box has about the same size."""
        count, config = self.gan.batch_size, self.generator.config
        rows = torch.randint(len(self.train), (CANDIDATES * count,), generator=rng)
        poses = self.train.landmarks(rows.tolist())  # (CANDIDATES * B, 33, 2)
        by_size = np.argsort(np.ptp(poses, axis=1).prod(axis=-1), kind="stable")
        first = count * int(torch.randint(CANDIDATES, (), generator=rng))
        chosen = by_size[first : first + count]
        crops = PersonCrops.around(poses[chosen], config.height, config.width, config.margin, config.step)
        own = own_rows(count, rng)
        return self.train.batch(rows[chosen][own].tolist(), crops.some(own))

    def batch(self, rng: torch.Generator) -> GanBatch:
        """Return a random batch of augmented crops with auxiliary losses, or its own share, as `GanTask.batch`."""
        gan, batch = self.gan, augment(self._crops(rng), self.gan.flip, rng)
        size = height, width = batch.images.shape[-2:]
        pose_maps = conditioning = self.generator.pose_maps(batch.landmarks, size)
        if float(torch.rand((), generator=rng)) < JITTER_SHARE:
            conditioning = self.generator.pose_maps(jitter(batch.landmarks, height, width, rng), size)
        fake, masks = self.compute.run(self.generator, conditioning, batch.background, batch.coordinates)
        aux_losses = {"l1": (gan.l1_weight, weighted_l1(fake, batch.images, self._pixel_weight(batch)))}
        if gan.mask_weight > 0:
            certainty = (2 * batch.masks - 1).abs()
            aux_losses["mask"] = gan.mask_weight, weighted_l1(masks, batch.masks, certainty)
        if gan.ssim_weight > 0:
            aux_losses["ssim_loss"] = gan.ssim_weight, ssim_loss(fake, batch.images)
        return adversarial_batch(batch.images, fake, pose_maps, self.discriminator, aux_losses, rng)

    def _pixel_weight(self, batch: PoseBatch) -> torch.Tensor:
        """Return the weight of each pixel in the L1 loss, (B, 1, H, W): larger at the dancer, and at face and hands."""
        thickness = self.generator.config.thickness
        reach = round(MASK_REACH * thickness)
        body = F.max_pool2d(batch.masks, 2 * reach + 1, stride=1, padding=reach)
        height, width = batch.masks.shape[-2:]
        joints = joint_heatmaps(batch.landmarks, height, width, FACE_THICKNESS * thickness)
        return 1 + self.gan.person_weight * body + self.gan.face_weight * joints.amax(dim=1, keepdim=True)


def adversarial_batch(
    real: torch.Tensor,
    fake: torch.Tensor,
    pose_maps: torch.Tensor,
    discriminator: SkeletonDiscriminator,
    aux_losses: dict[str, tuple[float, torch.Tensor]],
    rng: torch.Generator,
) -> GanBatch:
    """Return real images (B, 3, H, W), generated ones and their heatmaps as the discriminator takes them, augmented."""
    augmentation = DiffAugment.random(pose_maps.shape[-2], pose_maps.shape[-1], rng)
    maps = discriminator.folded(augmentation.maps(pose_maps))
    augmentation = enlarged(augmentation, discriminator.config.fold)
    return GanBatch((augmentation.images(real), *maps), (augmentation.images(fake), *maps), aux_losses)


def build_task(dataset: Dataset, gan: Gan, compute: Compute) -> PoseToImageTask:
    """Return the task of `gan.model`.

    Raises:
        UserError: as `PoseToImageTask`.
    """
    return (SkeletonGanTask if gan.model == "skeleton" else PoseToImageTask)(dataset, gan, compute)
