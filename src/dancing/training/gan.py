"""The training loop of the GANs that turn poses into pictures."""

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

from dancing.errors import UserError
from dancing.hdf5 import Dataset, Piece, Split
from dancing.losses import GanLoss, feature_matching, weighted_l1
from dancing.models import build_gan, config_to_dict
from dancing.models.dense_gan import DenseGanConfig
from dancing.models.skeleton_gan import SkeletonGanConfig
from dancing.params import Gan
from dancing.skeleton import limb_heatmaps
from dancing.training.common import (
    CrashState,
    Ema,
    Epoch,
    History,
    Means,
    check_finite,
    file_digest,
    generator,
    pick_device,
    progress,
    save_checkpoint,
    show,
)

#: How many held-out poses are drawn anew each epoch, and how many pictures the validation loss is taken over.
SAMPLES, VALIDATION = 12, 96


@dataclass(frozen=True)
class GanHistory:
    """Losses by epoch."""

    gan: History
    crash: CrashState = field(compare=False)

    def settled(self) -> None:
        """What was trained is used and kept: forget where an interrupted run would go on."""
        self.crash.clear()


class Pictures:
    """Poses and pictures of a split by one running index; pictures are read from the file when asked for.

    Raises UserError where no piece of the split has pictures.
    """

    def __init__(self, dataset: Dataset, split: Split) -> None:
        self.dataset = dataset
        pieces = dataset.with_pictures().split(split)
        self.index: list[tuple[Piece, int]] = [(piece, i) for piece in pieces for i in range(len(piece))]
        if not self.index:
            raise UserError(
                f"{dataset.path}: no pictures in the {split} part; give more or longer videos, or train without "
                "pictures (gan.model: none)"
            )

    def __len__(self) -> int:
        return len(self.index)

    def batch(self, rows: list[int], device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
        """Landmarks (B, 33, 2) in [0, 1] and pictures (B, 3, H, W) in [-1, 1]."""
        chosen = [self.index[row] for row in rows]
        landmarks = torch.from_numpy(np.stack([piece.landmarks[i] for piece, i in chosen]))
        pictures = torch.from_numpy(np.stack([self.dataset.frame(piece, i) for piece, i in chosen]))
        return landmarks.to(device), pictures.to(device).permute(0, 3, 1, 2).float() / 127.5 - 1

    def spread(self, count: int) -> list[int]:
        """At most `count` rows, evenly spaced over the split: always the same ones."""
        return [int(row) for row in np.linspace(0, len(self) - 1, min(count, len(self)))]


def background_plate(pictures: Pictures, count: int = 120) -> torch.Tensor:
    """The scene without the dancer, (1, 3, H, W) in [-1, 1].

    Each pixel's median over those of `count` pictures in which no limb is near it; where there is always one, what is
    round about goes on.
    """
    landmarks, frames = pictures.batch(pictures.spread(count), torch.device("cpu"))
    height, width = frames.shape[-2:]
    near = torch.stack(
        [limb_heatmaps(pose[None], height, width, thickness=height / 32)[0].amax(0) for pose in landmarks]
    )
    plate = frames.masked_fill((near > 0.2)[:, None], float("nan")).nanmedian(dim=0, keepdim=True).values
    known = ~plate[:, :1].isnan()
    if not known.any():
        return frames.median(dim=0, keepdim=True).values
    plate = plate.nan_to_num()
    while not known.all():  # ring by ring inwards: an unknown pixel becomes the mean of its known neighbours
        share = F.avg_pool2d(known.float(), 3, stride=1, padding=1)
        spread = F.avg_pool2d(plate * known, 3, stride=1, padding=1) / share.clamp_min(1e-6)
        ring = (share > 0) & ~known
        plate, known = torch.where(ring, spread, plate), known | ring
    return plate


def train_gan(
    dataset: Dataset, gan: Gan, out: Path, crash_dir: Path, on_epoch: Callable[[Epoch], None] = lambda _: None
) -> GanHistory:
    """Train `gan.model` on the training part; discriminator and generator take turns, a step each a batch.

    Writes out/best.pt (least pixel error on the validation part) and out/last.pt: averaged generator weights,
    discriminator, config. Interrupted, it goes on after the last finished epoch; done, it is done at once until the
    history that it returns is `settled`.
    """
    device = pick_device()
    crash = CrashState(crash_dir, "train_gan", gan.model_dump(), file_digest(dataset.path), device.type)
    train, val = Pictures(dataset, "train"), Pictures(dataset, "val")
    config: DenseGanConfig | SkeletonGanConfig = DenseGanConfig(dataset.height, dataset.width)
    if gan.model == "skeleton":
        config = SkeletonGanConfig(dataset.height, dataset.width, gan.channels)
    torch.manual_seed(gan.seed)
    players = build_gan(config)
    if gan.model == "skeleton":
        players[0].plate.copy_(background_plate(train))  # type: ignore[operator]
    trainer = _Trainer(*players, gan, device, total_steps=gan.epochs * gan.steps_per_epoch)

    content = {"config": config_to_dict(config), "fps": dataset.fps, "params": gan.model_dump()}
    history: History = []
    best = float("inf")
    best_checkpoint: dict[str, Any] = {}
    if state := crash.load():
        trainer.load_state_dict(state["trainer"])
        history, best, best_checkpoint = state["history"], state["best"], state["best_checkpoint"]
        # DVC empties a stage's outputs before it runs again.
        save_checkpoint(out / "best.pt", best_checkpoint)
        save_checkpoint(out / "last.pt", content | {"epoch": len(history), **trainer.weights()})

    fixed = val.batch(val.spread(SAMPLES), device)
    bar = progress(range(len(history) + 1, gan.epochs + 1), f"train_gan ({device.type})", gan.epochs, len(history))
    for epoch in bar:
        rng, means = generator(gan.seed, epoch), Means()
        for _ in range(gan.steps_per_epoch):
            rows = torch.randint(len(train), (gan.batch_size,), generator=rng).tolist()
            means.add(trainer.step(*train.batch(rows, device)))
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
        on_epoch(Epoch(epoch, losses, lambda: trainer.samples(*fixed)))
    return GanHistory(history, crash)


class _Trainer:
    """Two players, their optimisers, and the generator's averaged twin."""

    def __init__(
        self, player: nn.Module, critic: nn.Module, gan: Gan, device: torch.device, total_steps: int
    ) -> None:  # fmt: skip
        self.gan, self.device, self.steps, self.total_steps = gan, device, 0, total_steps
        self.player, self.critic = player.to(device), critic.to(device)
        self.ema = Ema(self.player, gan.ema)
        self.loss = GanLoss(gan.loss)
        betas = (gan.betas[0], gan.betas[1])
        self.player_optimiser = torch.optim.Adam(self.player.parameters(), lr=gan.lr, betas=betas)
        self.critic_optimiser = torch.optim.Adam(self.critic.parameters(), lr=gan.discriminator_lr, betas=betas)

    def step(self, landmarks: torch.Tensor, real: torch.Tensor) -> dict[str, torch.Tensor]:
        if self.gan.model == "skeleton":  # the seed's learning rate is constant
            self._cool_down()
        fake = self.player(landmarks)
        real_score, real_features = self.critic(landmarks, real)
        fake_score, _ = self.critic(landmarks, fake.detach())
        critic_loss = self.loss.discriminator(real_score, fake_score)
        self.critic_optimiser.zero_grad(set_to_none=True)
        critic_loss.backward()
        self.critic_optimiser.step()

        self.critic.requires_grad_(False)
        score, features = self.critic(landmarks, fake)
        player_loss = self.loss.generator(score)
        scalars = {"discriminator": critic_loss, "real_score": real_score.mean(), "fake_score": fake_score.mean()}
        if self.gan.model == "skeleton":
            near = limb_heatmaps(landmarks, *real.shape[-2:], thickness=2 * self.player.config.thickness)  # type: ignore
            weight = 1 + self.gan.person_weight * near.amax(dim=1, keepdim=True)
            scalars["l1"] = weighted_l1(fake, real, weight)
            matching = feature_matching(real_features, features)
            player_loss = player_loss + self.gan.l1_weight * scalars["l1"] + self.gan.feature_weight * matching
        self.player_optimiser.zero_grad(set_to_none=True)
        player_loss.backward()
        self.player_optimiser.step()
        self.critic.requires_grad_(True)
        self.steps += 1
        self.ema.update(self.player, self.steps)
        return scalars | {"generator": player_loss}

    def _cool_down(self) -> None:
        """Learning rates along half a cosine to zero (Loshchilov and Hutter, 2017): the last passes sharpen."""
        share = 0.5 * (1 + math.cos(math.pi * self.steps / self.total_steps))
        self.player_optimiser.param_groups[0]["lr"] = share * self.gan.lr
        self.critic_optimiser.param_groups[0]["lr"] = share * self.gan.discriminator_lr

    @torch.no_grad()
    def validate(self, pictures: Pictures, batch_size: int) -> float:
        """Mean absolute error of the averaged generator, pictures in [-1, 1]."""
        rows = pictures.spread(VALIDATION)
        total = torch.zeros((), device=self.device)
        for first in range(0, len(rows), batch_size):
            landmarks, real = pictures.batch(rows[first : first + batch_size], self.device)
            total += F.l1_loss(self.ema.model(landmarks), real) * len(real)
        return float(total) / len(rows)

    @torch.no_grad()
    def samples(self, landmarks: torch.Tensor, real: torch.Tensor) -> dict[str, np.ndarray]:
        """The fixed held-out poses: landmarks (B, 33, 2), real and generated pictures (B, H, W, 3) uint8."""
        return {
            "landmarks": landmarks.cpu().numpy(),
            "real": to_uint8(real),
            "generated": to_uint8(self.ema.model(landmarks)),
        }

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


def to_uint8(pictures: torch.Tensor) -> np.ndarray:
    """(B, 3, H, W) in [-1, 1] -> (B, H, W, 3) uint8 on the CPU."""
    scaled = ((pictures + 1) * 127.5).round().clamp(0, 255)
    return scaled.to(torch.uint8).permute(0, 2, 3, 1).contiguous().cpu().numpy()
