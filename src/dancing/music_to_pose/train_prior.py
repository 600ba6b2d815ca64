"""The training loop of the flow that draws a motion VAE's latents."""

from collections.abc import Callable
from typing import Any

import torch

from dancing.errors import UserError
from dancing.music_to_pose.flow_prior import FlowPrior, FlowPriorConfig
from dancing.music_to_pose.motion_vae import MotionVae
from dancing.music_to_pose.windows import Windows
from dancing.params import Prior
from dancing.training.common import (
    CrashState,
    Ema,
    Epoch,
    History,
    Means,
    check_finite,
    cooled,
    generator,
    progress,
    show,
)
from dancing.training.registry import config_to_dict


class Latents:
    """The posteriors of whole dances, point by point, and runs cut from them.

    Letters: B runs, R points in a run, Z numbers of a latent, C conditions.
    """

    def __init__(self, vae: MotionVae, prior: FlowPrior, windows: Windows, stretch: float, points: int) -> None:
        paces = sorted({1 / (1 + stretch), 1.0, 1 + stretch})
        means, log_vars, conditions = [], [], []
        with torch.no_grad():
            for audio, pose in (whole for pace in paces for whole in windows.whole(pace)):
                mean, log_var = vae.encode(audio, pose)
                # The first and the last point have frames on one side only.
                means.append(mean[0, 1:-1])
                log_vars.append(log_var[0, 1:-1])
                conditions.append(prior.condition(audio)[0, 1:-1])
        lengths = [len(mean) for mean in means]
        #: Points in a run: as many as wanted, fewer where no dance is as long.
        self.points = min(points, max(lengths))
        self.mean, self.log_var, self.condition = torch.cat(means), torch.cat(log_vars), torch.cat(conditions)
        firsts = [sum(lengths[:k]) for k in range(len(lengths))]
        self.starts = torch.cat(
            [torch.arange(a, a + n - self.points + 1) for a, n in zip(firsts, lengths, strict=True) if n >= self.points]
        )

    def random(self, count: int, rng: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
        """Latents (B, R, Z), drawn from their posteriors, and conditions (B, R, C)."""
        starts = self.starts[torch.randint(len(self.starts), (count,), generator=rng)]
        rows = (starts[:, None] + torch.arange(self.points)).to(self.mean.device)
        mean = self.mean[rows]
        noise = torch.randn(mean.shape, generator=rng).to(mean.device)
        return mean + noise * torch.exp(0.5 * self.log_var[rows]), self.condition[rows]


def train_prior(
    vae: MotionVae,
    train: Windows,
    val: Windows,
    prior: Prior,
    stretch: float,
    crash: CrashState,
    on_epoch: Callable[[Epoch], None],
) -> tuple[dict, History]:
    """Learn which latents of a trained VAE go together.

    Returns the averaged flow as a checkpoint's plain values ({"config", "state"}) and the losses by epoch. There is no
    early stopping: the loss on a song or two says little of dances that are right in more ways than one.
    Raises UserError where the dances are too short.
    """
    device = train.audio.device
    config = FlowPriorConfig(
        vae.config.latent_dim, prior.hidden, prior.layers, vae.config.latents_per_beat, vae.config.fps
    )
    torch.manual_seed(prior.seed)
    flow = FlowPrior(config).to(device)
    vae.eval()
    points = prior.beats * config.latents_per_beat
    dances, held_out = Latents(vae, flow, train, stretch, points), Latents(vae, flow, val, 0.0, points)
    if dances.points < 2:
        raise UserError(
            f"the longest dance has {dances.points} latents between its ends, a flow needs 2: give longer clips, "
            "or set vae.prior to normal"
        )
    flow.mean.copy_(dances.mean.mean(dim=0))
    flow.std.copy_(dances.mean.std(dim=0).clamp_min(1e-2))
    ema = Ema(flow, prior.ema)
    optimiser = torch.optim.AdamW(flow.parameters(), lr=prior.lr, weight_decay=0.01)
    history: History = []
    if state := crash.load():
        flow.load_state_dict(state["flow"])
        ema.model.load_state_dict(state["ema"])
        optimiser.load_state_dict(state["optimiser"])
        history = state["history"]

    steps = prior.steps_per_epoch
    for epoch in (
        bar := progress(range(len(history) + 1, prior.epochs + 1), f"prior ({device.type})", prior.epochs, len(history))
    ):
        rng, means = generator(prior.seed, epoch), Means()
        flow.train()
        for step in range((epoch - 1) * steps, epoch * steps):
            cooled(optimiser, prior.lr, step, prior.epochs * steps)
            latents, condition = dances.random(prior.batch_size, rng)
            heard = torch.rand(len(condition), 1, 1, generator=rng) >= prior.unheard
            loss = _flow_loss(flow, latents, condition * heard.to(device), rng)
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(flow.parameters(), 1.0)
            optimiser.step()
            ema.update(flow, step)
            means.add({"flow": loss})
        losses = means.result("train_")
        if held_out.points > 0:  # a dance of a beat has no point with frames on both sides
            losses |= _validate(ema.model, held_out, prior.batch_size)
        check_finite(means, losses, epoch, crash.path)
        history.append({"epoch": epoch, **losses})
        crash.save(
            {"flow": flow.state_dict(), "ema": ema.model.state_dict(), "optimiser": optimiser.state_dict(),
             "history": history}
        )  # fmt: skip
        show(bar, losses, "train_flow", "val_flow")
        on_epoch(Epoch(epoch, losses, dict))
    return {"config": config_to_dict(config), "state": ema.model.state_dict()}, history


def _flow_loss(
    flow: Any, latents: torch.Tensor, condition: torch.Tensor, rng: torch.Generator
) -> torch.Tensor:  # fmt: skip
    """Squared error of the velocity on the straight way from noise to latents (Lipman et al., 2023, eq. 23)."""
    target = (latents - flow.mean) / flow.std
    noise = torch.randn(target.shape, generator=rng).to(target.device)
    time = torch.rand(len(target), generator=rng).to(target.device)
    way = torch.lerp(noise, target, time[:, None, None])
    return (flow(way, time, condition) - (target - noise)).square().mean()


@torch.no_grad()
def _validate(flow: Any, held_out: Latents, batch_size: int) -> dict[str, float]:
    """On the same runs and the same noise every time."""
    rng = generator(0)
    return {"val_flow": float(_flow_loss(flow, *held_out.random(4 * batch_size, rng), rng))}
