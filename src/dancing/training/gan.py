"""The training loop of the GANs: discriminator and generator take turns. What they play for is a `Game`."""

import copy
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from dancing.clips.dataset import Dataset
from dancing.noise_to_image.dataset import ImageDataset
from dancing.noise_to_image.gan_task import NoiseGame, VaeGame
from dancing.params import Gan, GanTraining, NoiseGan, VaeGan
from dancing.pose_to_image.task import DenseGame, SkeletonGame
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
from dancing.training.gan_task import Game, Turn
from dancing.training.losses import GanLoss, Scalars, feature_matching, gradient_penalty, slope_penalty

PENALTY = 10.0  # weight of WGAN's gradient penalty, as in its paper
LAZY = 8  # steps from one slope penalty to the next, which counts for all of them (Karras et al., StyleGAN2, 2020)


@dataclass(frozen=True)
class GanHistory:
    """Losses by epoch."""

    gan: History
    crash: CrashState = field(compare=False)

    def settled(self) -> None:
        """What was trained is used and kept: forget where an interrupted run would go on."""
        self.crash.clear()


def train_gan(
    dataset: Dataset | ImageDataset,
    gan: Gan | NoiseGan | VaeGan,
    out: Path,
    crash_dir: Path,
    on_epoch: Callable[[Epoch], None] = lambda _: None,
) -> GanHistory:
    """Train `gan.model` on the training part; discriminator and generator take turns.

    Writes out/best.pt (least pixel error on the validation part; of a game without one, the last) and out/last.pt:
    averaged generator weights, discriminator, and what the game adds. Gradients are not clipped: where a GAN runs away,
    its discriminator does, and that is what `gan.r1_weight` and the gradient penalty are for.
    Interrupted, it goes on after the last finished epoch; done, it is done at once until the history that it returns is
    `settled`. Raises UserError where there is nothing to train on or validate with, or a loss is not finite any more.
    """
    device = pick_device()
    crash = CrashState(crash_dir, "train_gan", gan.model_dump(), file_digest(dataset.path), device.type)
    game = _game(dataset, gan, device)
    trainer = _Trainer(game, gan, device)
    content = game.content | {"params": gan.model_dump()}
    history: History = []
    best = float("inf")
    best_checkpoint: dict[str, Any] = {}
    if state := crash.load():
        trainer.load_state_dict(state["trainer"])
        history, best, best_checkpoint = state["history"], state["best"], state["best_checkpoint"]
        # DVC empties a stage's outputs before it runs again.
        save_checkpoint(out / "best.pt", best_checkpoint)
        save_checkpoint(out / "last.pt", content | {"epoch": len(history), **trainer.weights()})

    bar = progress(range(len(history) + 1, gan.epochs + 1), f"train_gan ({device.type})", gan.epochs, len(history))
    for epoch in bar:
        rng, means = generator(gan.seed, epoch), Means()
        torch.manual_seed(rng.initial_seed())  # of dropout, which has no generator of its own
        for _ in range(gan.steps_per_epoch):
            means.add(trainer.step(rng))
        game.settle(trainer.ema.model)
        losses = means.result("train_") | game.validate(trainer.ema.model)
        check_finite(means, losses, epoch, out / "best.pt")
        history.append({"epoch": epoch, **losses})
        checkpoint = copy.deepcopy(content | {"epoch": epoch, **trainer.weights()})
        score = losses[game.best_by] if game.best_by else -epoch
        if score < best:
            best, best_checkpoint = score, checkpoint
            save_checkpoint(out / "best.pt", checkpoint)
        save_checkpoint(out / "last.pt", checkpoint)
        crash.save(
            {"trainer": trainer.state_dict(), "history": history, "best": best, "best_checkpoint": best_checkpoint}
        )
        show(bar, losses, "train_generator", "train_discriminator", game.best_by or "")
        on_epoch(Epoch(epoch, losses, lambda: game.samples(trainer.ema.model)))
    return GanHistory(history, crash)


def _game(dataset: Dataset | ImageDataset, gan: Gan | NoiseGan | VaeGan, device: torch.device) -> Game:
    if isinstance(dataset, ImageDataset):
        assert not isinstance(gan, Gan)
        return VaeGame(dataset, gan, device) if gan.model == "vae" else NoiseGame(dataset, gan, device)
    assert isinstance(gan, Gan)
    return SkeletonGame(dataset, gan, device) if gan.model == "skeleton" else DenseGame(dataset, gan, device)


class _Trainer:
    """Two players, their optimisers, and the generator's averaged twin."""

    def __init__(self, game: Game, gan: GanTraining, device: torch.device) -> None:
        self.game, self.gan, self.device, self.steps = game, gan, device, 0
        self.player, self.critic = game.player, game.critic
        self.ema = Ema(self.player, gan.ema)
        self.loss = GanLoss(gan.loss)
        betas = (gan.betas[0], gan.betas[1])
        self.player_optimiser = torch.optim.Adam(self.player.parameters(), lr=gan.lr, betas=betas)
        self.critic_optimiser = torch.optim.Adam(self.critic.parameters(), lr=gan.discriminator_lr, betas=betas)

    def step(self, rng: torch.Generator) -> Scalars:
        """`gan.critic_steps` of the discriminator, then one of the generator. Returns named losses."""
        if self.game.cooled:
            total = self.gan.epochs * self.gan.steps_per_epoch
            cooled(self.player_optimiser, self.gan.lr, self.steps, total)
            cooled(self.critic_optimiser, self.gan.discriminator_lr, self.steps, total)
        for _ in range(self.gan.critic_steps - 1):
            with torch.no_grad():
                turn = self.game.turn(rng)
            self._judge(turn, rng)
        turn = self.game.turn(rng)
        scalars, real_judged = self._judge(turn, rng)
        scalars |= self._play(turn, real_judged)
        self.steps += 1
        self.ema.update(self.player, self.steps)
        return scalars

    def _judge(self, turn: Turn, rng: torch.Generator) -> tuple[Scalars, Any]:
        """A step of the discriminator: losses, and what it says of the real pictures."""
        fake = tuple(part.detach() for part in turn.fake)
        real_judged, fake_judged = self.critic(*turn.real), self.critic(*fake)
        loss = self.loss.discriminator(real_judged, fake_judged)
        total = loss
        if self.gan.loss == "wgan_gp":
            share = torch.rand(len(fake[0]), 1, 1, 1, generator=rng).to(self.device)
            pictures, *beside = (torch.lerp(*parts, share) for parts in zip(turn.real, fake, strict=True))
            total = loss + PENALTY * gradient_penalty(lambda between: self.critic(between, *beside), pictures)
        elif self.gan.r1_weight and self.steps % LAZY == 0:
            pictures, *beside = turn.real
            total = loss + LAZY * self.gan.r1_weight * slope_penalty(lambda real: self.critic(real, *beside), pictures)
        self.critic_optimiser.zero_grad(set_to_none=True)
        total.backward()
        self.critic_optimiser.step()
        scores = {"real_score": self.loss.score(real_judged), "fake_score": self.loss.score(fake_judged)}
        return {"discriminator": loss} | scores, real_judged

    def _play(self, turn: Turn, real_judged: Any) -> Scalars:
        """A step of the generator."""
        self.critic.requires_grad_(False)
        judged = self.critic(*turn.fake)
        likeness = dict(turn.likeness)
        if self.game.feature_weight:
            likeness["features"] = self.game.feature_weight, feature_matching(real_judged, judged)
        loss = self.loss.generator(judged) + sum(weight * value for weight, value in likeness.values())
        self.player_optimiser.zero_grad(set_to_none=True)
        loss.backward()
        self.player_optimiser.step()
        self.critic.requires_grad_(True)
        return {name: value for name, (_, value) in likeness.items()} | {"generator": loss}

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
