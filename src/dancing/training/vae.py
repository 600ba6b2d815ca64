"""The training loop of the VAEs that turn sound into poses."""

import copy
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from dancing.errors import UserError
from dancing.hdf5 import BEAT_COLUMNS, SPLITS, Dataset
from dancing.losses import MotionLoss, SeedVaeLoss
from dancing.models import build_vae, config_to_dict
from dancing.models.lstm_vae import LstmVaeConfig
from dancing.models.motion_vae import MotionVae, MotionVaeConfig
from dancing.params import Prior, Vae
from dancing.skeleton import PoseKind, PoseSpace
from dancing.training.common import (
    CrashState,
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
from dancing.training.prior import train_prior
from dancing.training.windows import Windows


@dataclass(frozen=True)
class VaeHistory:
    """Losses by epoch."""

    vae: History
    prior: History  # empty without a flow prior
    crashes: tuple[CrashState, ...] = field(compare=False)

    def settled(self) -> None:
        """What was trained is used and kept: forget where an interrupted run would go on."""
        for crash in self.crashes:
            crash.clear()


def window_lengths(dataset: Dataset, vae: Vae) -> tuple[int, int]:
    """Frames in a window for training and for validation: `vae.window`, or less where the pieces are shorter.

    Pieces that are shorter than a window are not learnt from, so it is one that half of all frames fit into.
    Raises UserError where the pieces of a split are too short for any.
    """
    train, val = (sorted((len(p) for p in dataset.split(split)), reverse=True) for split in SPLITS[:2])
    for name, lengths, least in (("training", train, 8), ("validation", val, 3)):
        if max(lengths, default=0) < least:
            raise UserError(
                f"{dataset.path}: the longest piece of the {name} part has {max(lengths, default=0)} frames, {least} "
                "are needed at least. Give more or longer clips, or change data.split or data.val"
            )
    half = next(length for length, total in zip(train, np.cumsum(train), strict=True) if 2 * total >= sum(train))
    length = min(vae.window, max(half, 8))
    if unused := sum(piece < length for piece in train):
        print(f"train_vae: {unused} of {len(train)} pieces are shorter than a window of {length} frames: left out")
    return length, min(vae.window, val[0])


def train_vae(
    dataset: Dataset,
    vae: Vae,
    prior: Prior,
    out: Path,
    crash_dir: Path,
    on_epoch: Callable[[Epoch], None] = lambda _: None,
    on_prior_epoch: Callable[[Epoch], None] = lambda _: None,
) -> VaeHistory:
    """Train `vae.model` on the training part, stop early on the validation part; then the prior of its latents.

    Writes out/best.pt and out/last.pt (weights, config, pose space, normalisation); best.pt gets the prior too.
    Interrupted, it goes on after the last finished epoch and ends with the same weights; done, it is done at once until
    the history that it returns is `settled`.
    """
    device = pick_device()
    data = file_digest(dataset.path)
    crash = CrashState(crash_dir, "train_vae", vae.model_dump(), data, device.type)
    train_pieces = dataset.split("train")
    kind: PoseKind = "picture" if vae.model == "lstm" else "body"
    space = PoseSpace.fit(kind, [piece.landmarks for piece in train_pieces], dataset.width, dataset.height)
    length, val_length = window_lengths(dataset, vae)
    # The seed's model learns where in the picture the dancer stands: a mirrored dance would be elsewhere.
    train = Windows(dataset, train_pieces, space, length, device, mirror=vae.model == "motion")
    val = Windows(dataset, dataset.split("val"), space, val_length, device)

    config = _config(vae, dataset, train.audio.shape[-1], space.dim)
    torch.manual_seed(vae.seed)
    model = build_vae(config).to(device)
    optimiser = torch.optim.Adam((p for p in model.parameters() if p.requires_grad), lr=vae.lr)
    loss = _loss(vae, space, device)

    content: dict[str, Any] = {
        "config": config_to_dict(config), "window": length, "fps": dataset.fps, "n_mfcc": dataset.n_mfcc,
        "pose_space": space.to_dict(), "audio_mean": dataset.audio_mean.tolist(),
        "audio_std": dataset.audio_std.tolist(), "params": vae.model_dump(),
    }  # fmt: skip
    history: History = []
    best, best_epoch = float("inf"), 0
    best_checkpoint: dict[str, Any] = {}
    if state := crash.load():
        model.load_state_dict(state["model"])
        optimiser.load_state_dict(state["optimiser"])
        history, best, best_epoch = state["history"], state["best"], state["best_epoch"]
        best_checkpoint = state["best_checkpoint"]
        # DVC empties a stage's outputs before it runs again.
        save_checkpoint(out / "best.pt", best_checkpoint)
        save_checkpoint(out / "last.pt", content | {"epoch": len(history), "state": state["model"]})

    bar = progress(range(len(history) + 1, vae.epochs + 1), f"train_vae ({device.type})", vae.epochs, len(history))
    for epoch in bar:
        if epoch - best_epoch > vae.patience:
            break
        warmup = min(1.0, epoch / vae.kl_warmup) if vae.kl_warmup else 1.0
        means = _train_epoch(model, optimiser, loss, train, vae, warmup, epoch)
        losses = means.result("train_") | _validate(model, loss, val)
        check_finite(means, losses, epoch, out / "best.pt")
        history.append({"epoch": epoch, **losses})
        checkpoint = content | {"epoch": epoch, "state": copy.deepcopy(model.state_dict())}
        if losses["val_total"] < best:
            best, best_epoch, best_checkpoint = losses["val_total"], epoch, checkpoint
            save_checkpoint(out / "best.pt", checkpoint)
        save_checkpoint(out / "last.pt", checkpoint)
        crash.save(
            {"model": model.state_dict(), "optimiser": optimiser.state_dict(), "history": history, "best": best,
             "best_epoch": best_epoch, "best_checkpoint": best_checkpoint}
        )  # fmt: skip
        show(bar, losses, "train_total", "val_total", "train_kl")
        on_epoch(Epoch(epoch, losses, lambda: _samples(model, val, space, vae)))

    prior_history, crashes = list[dict[str, float]](), [crash]
    if isinstance(model, MotionVae) and vae.prior == "flow":
        prior_crash = CrashState(crash_dir, "prior", vae.model_dump(), prior.model_dump(), data, device.type)
        model.load_state_dict(best_checkpoint["state"])
        flow, prior_history = train_prior(model, train, val, prior, vae.time_stretch, prior_crash, on_prior_epoch)
        save_checkpoint(out / "best.pt", best_checkpoint | {"prior": flow})
        crashes.append(prior_crash)
    return VaeHistory(history, prior_history, tuple(crashes))


def _config(vae: Vae, dataset: Dataset, audio_dim: int, pose_dim: int) -> LstmVaeConfig | MotionVaeConfig:
    if vae.model == "lstm":
        return LstmVaeConfig(dataset.n_mfcc, vae.latent_dim, pose_dim=pose_dim)
    rate = vae.latents_per_beat
    return MotionVaeConfig(audio_dim, pose_dim, vae.latent_dim, vae.hidden, vae.layers, rate, dataset.fps)


def _loss(vae: Vae, space: PoseSpace, device: torch.device) -> SeedVaeLoss | MotionLoss:
    if vae.model == "lstm":
        return SeedVaeLoss(vae.kl_weight)
    mean, std = (torch.tensor(values, dtype=torch.float32, device=device) for values in (space.mean, space.std))
    return MotionLoss(
        mean, std, vae.kl_weight, vae.free_bits, vae.velocity_weight, vae.acceleration_weight, vae.bone_weight,
        vae.foot_weight,
    )  # fmt: skip


def _train_epoch(
    model: Any, optimiser: torch.optim.Optimizer, loss: Any, windows: Windows, vae: Vae, warmup: float, epoch: int
) -> Means:  # fmt: skip
    model.train()
    means, rng = Means(), generator(vae.seed, epoch)
    ours, steps = vae.model == "motion", vae.steps_per_epoch
    for step in range((epoch - 1) * steps, epoch * steps):
        audio, pose = windows.random(vae.batch_size, rng, vae.time_stretch if ours else 0.0)
        if ours:
            cooled(optimiser, vae.lr, step, vae.epochs * steps)
            audio = _disturbed(audio, vae.audio_noise, rng)
        decoded, mean, log_var = model(audio, pose, rng)
        scalars = loss(decoded, pose, mean, log_var, warmup)
        optimiser.zero_grad(set_to_none=True)
        scalars["total"].backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        means.add(scalars)
    return means


def _disturbed(audio: torch.Tensor, spread: float, rng: torch.Generator) -> torch.Tensor:
    """Noise on all audio features but the beat's: a few songs' timbre must not be learnt by heart, their beat must."""
    noise = spread * torch.randn(audio.shape, generator=rng).to(audio.device)
    noise[..., -BEAT_COLUMNS:] = 0
    return audio + noise


@torch.no_grad()
def _validate(model: Any, loss: Any, windows: Windows) -> dict[str, float]:
    """Losses of the decoded posterior mean over windows side by side, with the KL at full weight."""
    model.eval()
    audio, pose = windows.cut(windows.tiled_starts)
    decoded, mean, log_var = model(audio, pose)
    return {f"val_{name}": float(value) for name, value in loss(decoded, pose, mean, log_var, 1.0).items()}


@torch.no_grad()
def _samples(model: Any, windows: Windows, space: PoseSpace, vae: Vae) -> dict[str, np.ndarray]:
    """One held-out window, always the same: real, reconstructed and freely danced, each (T, 33, 2)."""
    model.eval()
    audio, pose = windows.cut(windows.tiled_starts[:1])
    drawn = model.decode(audio, model.draw(audio, generator(vae.seed), 1.0))
    dances = {"real": pose, "reconstructed": model(audio, pose)[0], "danced": drawn}
    return {name: space.decode(vectors[0].cpu().numpy()) for name, vectors in dances.items()}
