"""The training loop of the flow prior over a motion VAE's latents."""

from collections.abc import Callable
from functools import partial

import torch

from dancing.errors import UserError
from dancing.music_to_pose.flow_prior import FlowPrior
from dancing.music_to_pose.models import MODELS
from dancing.music_to_pose.motion_vae import MotionVae
from dancing.music_to_pose.windows import Windows
from dancing.params import Prior
from dancing.training.checkpoints import Checkpoint, ResumeState
from dancing.training.compute import Compute
from dancing.training.device import make_rng
from dancing.training.epochs import Epoch, EpochRunner, Means, Samples, Trained
from dancing.training.optimization import Ema, cosine_lr
from dancing.training.processes import average_gradients, own_count, rand, randint, randn, shared_rng
from dancing.training.transfer import send
from dancing.training.variational import reparameterize

WEIGHT_DECAY, MAX_GRADIENT_NORM = 0.01, 1.0
VALIDATION_BATCHES = 4
MIN_STD = 1e-2  # of a latent dimension, by which latents are divided


class Latents:
    """The posteriors of whole pieces on the beat grid, and random runs of successive points.

    Letters: B runs, R points of a run, P points of all pieces, Z latent dimensions, C conditions.

    Args:
        vae: trained.
        prior: computes the conditions.
        windows: whose pieces are encoded.
        stretch: each piece is also encoded this share slower and faster.
        points: R, if a piece is long enough.

    Attributes:
        points: R; less than asked for if all pieces are shorter.
        mean: (P, Z), of the posterior.
        log_var: (P, Z), of the posterior.
        condition: (P, C).
        starts: the points at which a run can start.
    """

    def __init__(self, vae: MotionVae, prior: FlowPrior, windows: Windows, stretch: float, points: int) -> None:
        paces = sorted({1 / (1 + stretch), 1.0, 1 + stretch})
        means, log_vars, conditions = [], [], []
        with torch.no_grad():
            for audio, pose in (whole for pace in paces for whole in windows.whole(pace)):
                mean, log_var = vae.encode(audio, pose)
                # The first and the last point are left out: they have frames on one side only.
                means.append(mean[0, 1:-1])
                log_vars.append(log_var[0, 1:-1])
                conditions.append(prior.condition(audio)[0, 1:-1])
        lengths = [len(mean) for mean in means]
        self.points = min(points, max(lengths))
        self.mean, self.log_var, self.condition = torch.cat(means), torch.cat(log_vars), torch.cat(conditions)
        firsts = [sum(lengths[:k]) for k in range(len(lengths))]
        self.starts = torch.cat(
            [torch.arange(a, a + n - self.points + 1) for a, n in zip(firsts, lengths, strict=True) if n >= self.points]
        )

    def random(self, count: int, rng: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
        """Return `count` runs: latents (B, R, Z), sampled from their posteriors, and conditions (B, R, C)."""
        starts = self.starts[randint(len(self.starts), count, rng)]
        rows = send(starts[:, None] + torch.arange(self.points), self.mean.device)
        return reparameterize(self.mean[rows], self.log_var[rows], rng), self.condition[rows]


def train_prior(
    vae: MotionVae,
    train: Windows,
    val: Windows,
    prior: Prior,
    stretch: float,
    compute: Compute,
    resume: ResumeState,
    on_epoch: Callable[[Epoch], None] = lambda _: None,
) -> Trained:
    """Train a flow over the latents of a trained VAE.

    There is no early stopping: many dances fit a song, so the validation loss over one or two songs says little.

    Args:
        vae: trained.
        train: the windows that the VAE was trained on.
        val: the windows that the VAE was validated on.
        prior: the section `prior` of the params.
        stretch: the training pieces are also used this share slower and faster.
        compute: what the flow is trained with.
        resume: where the state after each epoch is kept.
        on_epoch: called after each epoch.

    Returns:
        The losses by epoch, and the flow with averaged weights as a checkpoint, {"config", "state"}.

    Raises:
        UserError: all pieces are too short, or a loss is NaN or infinite.
    """
    trainer = _FlowTrainer(vae, train, val, prior, stretch, compute)
    device = train.audio.device
    runner = EpochRunner(
        label=f"prior ({device.type})",
        epochs=prior.epochs,
        resume=resume,
        shown=("train_flow", "val_flow"),
        on_epoch=on_epoch,
    )
    return Trained(runner.run(trainer).history, trainer.checkpoint())


class _FlowTrainer:
    def __init__(
        self, vae: MotionVae, train: Windows, val: Windows, prior: Prior, stretch: float, compute: Compute
    ) -> None:
        self.prior, self.compute, self.device = prior, compute, train.audio.device
        shared = {key: getattr(vae.config, key) for key in ("latent_dim", "beat_columns", "latents_per_beat", "fps")}
        self.config = MODELS.config("flow", **prior.model_dump(), **shared)
        torch.manual_seed(prior.seed)
        self.flow = FlowPrior(self.config)
        compute.place(self.flow)
        vae.eval()
        points = prior.beats * vae.config.latents_per_beat
        self.train = Latents(vae, self.flow, train, stretch, points)
        self.val = Latents(vae, self.flow, val, 0.0, points)
        if self.train.points < 2:
            raise UserError(
                f"the longest dance has {self.train.points} latents between its ends, a flow needs 2: give longer "
                "clips, or set vae.prior to normal"
            )
        self.flow.mean.copy_(self.train.mean.mean(dim=0))
        self.flow.std.copy_(self.train.mean.std(dim=0).clamp_min(MIN_STD))
        self.ema = Ema(self.flow, prior.ema)
        self.parameters = list(self.flow.parameters())
        self.optimizer = torch.optim.AdamW(self.parameters, lr=prior.lr, weight_decay=WEIGHT_DECAY, fused=True)
        self.rows_per_epoch = prior.batch_size * prior.steps_per_epoch

    def train_epoch(self, epoch: int) -> Means:
        prior, rng, means = self.prior, shared_rng(self.prior.seed, epoch), Means()
        steps = prior.steps_per_epoch
        self.flow.train()
        for step in range((epoch - 1) * steps, epoch * steps):
            cosine_lr(self.optimizer, prior.lr, step, prior.epochs * steps)
            loss = self._loss(rng)
            self.optimizer.zero_grad(set_to_none=True)
            loss.backward()
            average_gradients(self.parameters)
            torch.nn.utils.clip_grad_norm_(self.parameters, MAX_GRADIENT_NORM)
            self.optimizer.step()
            self.ema.update(self.flow, step)
            means.add({"flow": loss})
        return means

    def _loss(self, rng: torch.Generator) -> torch.Tensor:
        latents, condition = self.train.random(own_count(self.prior.batch_size, rng), rng)
        kept = rand((len(condition), 1, 1), rng) >= self.prior.cond_drop_prob
        network = partial(self.compute.run, self.flow)
        return flow_matching_loss(self.flow, network, latents, condition * send(kept, self.device), rng)

    @torch.no_grad()
    def validate(self) -> dict[str, float]:
        """Return the loss on fixed runs with fixed noise; nothing if the validation pieces are too short."""
        if self.val.points < 1:  # all pieces are about a beat long: no point has frames on both sides
            return {}
        rng = make_rng(0)
        latents, condition = self.val.random(VALIDATION_BATCHES * self.prior.batch_size, rng)
        assert isinstance(self.ema.model, FlowPrior)
        return {"val_flow": float(flow_matching_loss(self.ema.model, self.ema.model, latents, condition, rng))}

    def samples(self) -> Samples:
        return {}  # the stage evaluate shows generated dances

    def checkpoint(self) -> Checkpoint:
        return {"config": MODELS.to_dict(self.config), "state": self.ema.model.state_dict()}

    def state_dict(self) -> Checkpoint:
        return {
            "flow": self.flow.state_dict(), "ema": self.ema.model.state_dict(), "optimizer": self.optimizer.state_dict()
        }  # fmt: skip

    def load_state_dict(self, state: Checkpoint) -> None:
        self.flow.load_state_dict(state["flow"])
        self.ema.model.load_state_dict(state["ema"])
        self.optimizer.load_state_dict(state["optimizer"])


def flow_matching_loss(
    flow: FlowPrior,
    network: Callable[..., torch.Tensor],
    latents: torch.Tensor,
    condition: torch.Tensor,
    rng: torch.Generator,
) -> torch.Tensor:
    """Return the mean squared error of the velocity at random times on straight paths from noise to latents.

    Lipman et al., Flow Matching for Generative Modeling, ICLR 2023, eq. 23.

    Args:
        flow: whose mean and standard deviation scale the latents.
        network: predicts the velocity: the flow, or the flow in another precision.
        latents: (B, R, Z).
        condition: (B, R, C).
        rng: on the CPU, for noise and times.
    """
    target = (latents - flow.mean) / flow.std
    noise = send(randn(target.shape, rng), target.device)
    time = send(rand((len(target),), rng), target.device)
    path = torch.lerp(noise, target, time[:, None, None])
    return (network(path, time, condition) - (target - noise)).square().mean()
