"""The training loop of the GANs that turn poses into pictures. Letters: B batch, P heatmaps, H x W picture."""

import copy
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from dancing.hdf5 import Dataset
from dancing.losses import GanLoss, feature_matching, gradient_penalty, perceptual, weighted_l1
from dancing.models import build_gan, config_to_dict
from dancing.models.dense_gan import DenseGanConfig
from dancing.models.feature_net import FeatureNet
from dancing.models.skeleton_gan import SkeletonGanConfig
from dancing.params import Gan
from dancing.skeleton import LIMBS, Figure, joint_heatmaps
from dancing.training.augmentation import NOISY, Disguise, disturbed, varied
from dancing.training.common import (
    CrashState,
    Ema,
    Epoch,
    History,
    Means,
    check_finite,
    cooled,
    file_digest,
    generator,
    pick_device,
    progress,
    save_checkpoint,
    show,
)
from dancing.training.features import train_features
from dancing.training.pictures import Batch, Pictures, to_uint8
from dancing.training.plates import Plates, background_plates

#: How many held-out poses are drawn anew each epoch, and how many pictures the validation loss is taken over.
SAMPLES, VALIDATION = 12, 96
FEATURE_PICTURES, FEATURE_STEPS = 300, 150  # from how many the perceptual loss's network learns, and how long
#: Losses of a discriminator that can't tell, and the share of it under which ours doesn't learn.
CHANCE, HANDICAP = {"hinge": 2.0, "bce": 2 * math.log(2)}, 0.95
PENALTY = 10.0  # weight of WGAN's gradient penalty, as in its paper


@dataclass(frozen=True)
class GanHistory:
    """Losses by epoch."""

    gan: History
    crash: CrashState = field(compare=False)

    def settled(self) -> None:
        """What was trained is used and kept: forget where an interrupted run would go on."""
        self.crash.clear()


#: What a discriminator sees: poses drawn and their pictures, the poses before and theirs.
Seen = tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]


def train_gan(
    dataset: Dataset, gan: Gan, out: Path, crash_dir: Path, on_epoch: Callable[[Epoch], None] = lambda _: None
) -> GanHistory:
    """Train `gan.model` on `gan.subject`'s training part; discriminator and generator take turns, a step each a batch.

    Writes out/best.pt (least pixel error on the validation part) and out/last.pt: averaged generator weights,
    discriminator, config, subject, figure, set-ups. Interrupted, it goes on after the last finished epoch; done, it is
    done at once until the history that it returns is `settled`.
    Raises UserError where `Dataset.of_subject` does, or where there is nothing to train on or validate with.
    """
    dataset, device = dataset.of_subject(gan.subject), pick_device()
    crash = CrashState(crash_dir, "train_gan", gan.model_dump(), file_digest(dataset.path), device.type)
    plates = background_plates(dataset)
    train, val = (Pictures(dataset, split, plates, device) for split in ("train", "val"))
    config = _config(gan, dataset, plates)
    torch.manual_seed(gan.seed)
    players = build_gan(config)
    if gan.model == "skeleton":
        players[0].plates.copy_(plates.pictures)  # type: ignore[operator]
    perceived = gan.model == "skeleton" and gan.perceptual_weight > 0
    trainer = _Trainer(*players, gan, device, _features(train, gan.seed) if perceived else None)

    in_front = [piece.landmarks for piece in dataset.split("train") if plates.of(piece) == 0]
    content = {
        "config": config_to_dict(config), "fps": dataset.fps, "params": gan.model_dump(),
        "subject": dataset.pieces[0].subject, "figure": Figure.of(in_front, dataset.width, dataset.height).to_dict(),
        "setups": plates.of_clip,
    }  # fmt: skip
    history: History = []
    best = float("inf")
    best_checkpoint: dict[str, Any] = {}
    if state := crash.load():
        trainer.load_state_dict(state["trainer"])
        history, best, best_checkpoint = state["history"], state["best"], state["best_checkpoint"]
        # DVC empties a stage's outputs before it runs again.
        save_checkpoint(out / "best.pt", best_checkpoint)
        save_checkpoint(out / "last.pt", content | {"epoch": len(history), **trainer.weights()})

    fixed = val.batch(val.spread(SAMPLES))
    bar = progress(range(len(history) + 1, gan.epochs + 1), f"train_gan ({device.type})", gan.epochs, len(history))
    for epoch in bar:
        rng, means = generator(gan.seed, epoch), Means()
        for _ in range(gan.steps_per_epoch):
            rows = torch.randint(len(train), (gan.batch_size,), generator=rng).tolist()
            means.add(trainer.step(train.batch(rows), rng))
        losses = means.result("train_") | {"val_l1": trainer.validate(val, gan.batch_size)}
        check_finite(losses, epoch, out / "best.pt")
        history.append({"epoch": epoch, **losses})
        checkpoint = copy.deepcopy(content | {"epoch": epoch, **trainer.weights()})
        if losses["val_l1"] < best:
            best, best_checkpoint = losses["val_l1"], checkpoint
            save_checkpoint(out / "best.pt", checkpoint)
        save_checkpoint(out / "last.pt", checkpoint)
        crash.save(
            {"trainer": trainer.state_dict(), "history": history, "best": best, "best_checkpoint": best_checkpoint}
        )  # fmt: skip
        show(bar, losses, "train_generator", "train_discriminator", "val_l1")
        on_epoch(Epoch(epoch, losses, lambda: trainer.samples(fixed)))
    return GanHistory(history, crash)


def _config(gan: Gan, dataset: Dataset, plates: Plates) -> DenseGanConfig | SkeletonGanConfig:
    size = (dataset.height, dataset.width)
    if gan.model == "dense":
        return DenseGanConfig(*size)
    return SkeletonGanConfig(*size, gan.channels, len(plates.pictures), gan.previous > 0)


def _features(train: Pictures, seed: int) -> FeatureNet:
    """A network that has learnt to find the landmarks in the training pictures."""
    batch = train.batch(train.spread(FEATURE_PICTURES))
    return train_features(
        to_uint8(batch.pictures), batch.landmarks.cpu().numpy(), "pose", FEATURE_STEPS, seed, train.device
    )[0]


class _Trainer:
    """Two players, their optimisers, and the generator's averaged twin."""

    def __init__(
        self, player: nn.Module, critic: nn.Module, gan: Gan, device: torch.device, features: FeatureNet | None
    ) -> None:
        self.gan, self.device, self.features, self.steps = gan, device, features, 0
        self.player: Any = player.to(device)
        self.critic: Any = critic.to(device)
        self.ema = Ema(self.player, gan.ema)
        self.loss = GanLoss(gan.loss)
        betas = (gan.betas[0], gan.betas[1])
        self.player_optimiser = torch.optim.Adam(self.player.parameters(), lr=gan.lr, betas=betas)
        self.critic_optimiser = torch.optim.Adam(self.critic.parameters(), lr=gan.discriminator_lr, betas=betas)

    def step(self, batch: Batch, rng: torch.Generator) -> dict[str, torch.Tensor]:
        """One of the discriminator, then one of the generator. Returns named losses."""
        ours = self.gan.model == "skeleton"  # the seed's has the game alone, and constant learning rates
        if ours:
            total = self.gan.epochs * self.gan.steps_per_epoch
            cooled(self.player_optimiser, self.gan.lr, self.steps, total)
            cooled(self.critic_optimiser, self.gan.discriminator_lr, self.steps, total)
            batch = varied(batch, self.gan.flip, rng)
        real, fake, made, drawing = self._skeleton_turn(batch, rng) if ours else self._dense_turn(batch)

        real_judged = self.critic(*real)
        critic_loss = self.loss.discriminator(real_judged, self.critic(*(part.detach() for part in fake)))
        critic_total = critic_loss
        if self.gan.loss == "wgan_gp":
            critic_total = critic_loss + PENALTY * self._penalty(real, fake, rng)
        elif ours:
            # One that wins waits: left alone it runs away, some hundred steps on, and the pictures spoil.
            critic_total = critic_loss * (critic_loss.detach() > HANDICAP * CHANCE[self.gan.loss])
        self.critic_optimiser.zero_grad(set_to_none=True)
        critic_total.backward()
        self.critic_optimiser.step()

        self.critic.requires_grad_(False)
        judged = self.critic(*fake)
        player_loss = self.loss.generator(judged)
        scalars = {"discriminator": critic_loss}
        if ours:
            scalars["l1"] = weighted_l1(made, batch.pictures, self._weight(drawing, batch.landmarks))
            scalars["features"] = feature_matching(real_judged, judged)
            player_loss = player_loss + self.gan.l1_weight * scalars["l1"]
            player_loss = player_loss + self.gan.feature_weight * scalars["features"]
        if self.features is not None:
            scalars["perceptual"] = perceptual(self.features(batch.pictures), self.features(made))
            player_loss = player_loss + self.gan.perceptual_weight * scalars["perceptual"]
        self.player_optimiser.zero_grad(set_to_none=True)
        player_loss.backward()
        self.player_optimiser.step()
        self.critic.requires_grad_(True)
        self.steps += 1
        self.ema.update(self.player, self.steps)
        return scalars | {"generator": player_loss}

    def _dense_turn(self, batch: Batch) -> tuple[Seen, Seen, torch.Tensor, torch.Tensor]:
        numbers = self.player.draw(batch.landmarks)
        made = self.player(numbers)
        return (numbers, batch.pictures, numbers, batch.previous), (numbers, made, numbers, made), made, numbers

    def _skeleton_turn(self, batch: Batch, rng: torch.Generator) -> tuple[Seen, Seen, torch.Tensor, torch.Tensor]:
        """Some pictures are made after the one before, itself made without; so it is never better than in rendering.

        Returns what the discriminator sees of the real ones and of ours, then ours and the poses drawn, undisguised."""
        height, width = batch.pictures.shape[-2:]
        drawing, before = self.player.draw(batch.landmarks), self.player.draw(batch.before)
        asked = drawing
        if float(torch.rand((), generator=rng)) < NOISY:
            asked = self.player.draw(disturbed(batch.landmarks, height, width, rng))
        with torch.no_grad():
            previous = self.player(before, batch.plate)
        unseen = torch.rand(len(previous), 1, 1, 1, generator=rng) >= self.gan.previous
        made = self.player(asked, batch.plate, previous.masked_fill(unseen.to(self.device), float("nan")))
        disguise = Disguise.random(height, width, rng)
        now, then = disguise.maps(drawing), disguise.maps(before)
        real = (now, disguise.pictures(batch.pictures), then, disguise.pictures(batch.previous))
        return real, (now, disguise.pictures(made), then, disguise.pictures(previous)), made, drawing

    def _penalty(self, real: Seen, fake: Seen, rng: torch.Generator) -> torch.Tensor:
        share = torch.rand(len(real[1]), 1, 1, 1, generator=rng).to(self.device)
        pictures, previous = (torch.lerp(real[part], fake[part].detach(), share) for part in (1, 3))
        return gradient_penalty(lambda between: self.critic(real[0], between, real[2], previous), pictures)

    def _weight(self, drawing: torch.Tensor, landmarks: torch.Tensor) -> torch.Tensor:
        """How much each pixel counts in the pixel loss, (B, 1, H, W): more near the dancer, most at face and hands."""
        height, width = drawing.shape[-2:]
        near = drawing[:, : len(LIMBS)].amax(dim=1, keepdim=True) ** 0.25  # as if drawn twice as thick
        fine = joint_heatmaps(landmarks, height, width, 2 * self.player.config.thickness).amax(dim=1, keepdim=True)
        return 1 + self.gan.person_weight * near + self.gan.face_weight * fine

    @torch.no_grad()
    def validate(self, pictures: Pictures, batch_size: int) -> float:
        """Mean absolute error of the averaged generator, pictures in [-1, 1]."""
        rows = pictures.spread(VALIDATION)
        total = torch.zeros((), device=self.device)
        for first in range(0, len(rows), batch_size):
            batch = pictures.batch(rows[first : first + batch_size])
            total += F.l1_loss(self._rendered(batch), batch.pictures) * len(batch.pictures)
        return float(total) / len(rows)

    @torch.no_grad()
    def samples(self, batch: Batch) -> dict[str, np.ndarray]:
        """The fixed held-out poses: landmarks (B, 33, 2), real and generated pictures (B, H, W, 3) uint8."""
        return {
            "landmarks": batch.landmarks.cpu().numpy(),
            "real": to_uint8(batch.pictures),
            "generated": to_uint8(self._rendered(batch)),
        }

    def _rendered(self, batch: Batch) -> torch.Tensor:
        """The averaged generator's pictures, as in rendering the ones after their made predecessors."""
        model: Any = self.ema.model
        previous = None
        if self.gan.model == "skeleton" and self.gan.previous > 0:
            previous = model(model.draw(batch.before), batch.plate)
        return model(model.draw(batch.landmarks), batch.plate, previous)

    def weights(self) -> dict[str, Any]:
        return {"generator": self.ema.model.state_dict(), "discriminator": self.critic.state_dict()}

    def _parts(self) -> dict[str, Any]:
        return {
            "player": self.player, "critic": self.critic, "ema": self.ema.model,
            "player_optimiser": self.player_optimiser, "critic_optimiser": self.critic_optimiser,
        }  # fmt: skip

    def state_dict(self) -> dict[str, Any]:
        return {"steps": self.steps, **{name: part.state_dict() for name, part in self._parts().items()}}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.steps = state["steps"]
        for name, part in self._parts().items():
            part.load_state_dict(state[name])
