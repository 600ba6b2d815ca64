"""Pictures made from numbers alone, to look at. Letters: N pictures, H x W, C channels, Z noise."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch

from dancing.evaluation.generated import GeneratedResult
from dancing.noise_to_image.dataset import ImageDataset
from dancing.noise_to_image.inference import NoiseToImage
from dancing.render import plots
from dancing.render.latent_walk import between
from dancing.training.param_tanh import CnnParamTanh

SAMPLES, COLUMNS = 60, 12  # pictures of a model; of a row
WAYS = 5  # from one picture to another
TRAVERSED = (-3, -2, -1, 0, 1, 2, 3)  # standard deviations given to one number of a latent
DIMENSIONS = 10  # at most, those that change the picture most
MAPPED = 8  # pictures whose alphas are shown


def save_samples(folder: Path, result: GeneratedResult, samplers: Mapping[str, NoiseToImage]) -> None:
    """NAME.png: a model's pictures; real.png: as many real ones; NAME_again.png: held-out ones, and drawn again."""
    for name in ("real", *samplers):
        plots.save_picture(folder / f"{name}.png", plots.picture_sheet(_some(result.pictures[name], SAMPLES)))
        if f"{name}_again" in result.pictures:
            real, again = (_some(result.pictures[row], 3 * COLUMNS) for row in ("real", f"{name}_again"))
            rows = {}
            for i in range(0, len(real), COLUMNS):
                rows[f"real {i // COLUMNS + 1}"] = real[i : i + COLUMNS]
                rows[f"again {i // COLUMNS + 1}"] = again[i : i + COLUMNS]
            plots.save_picture(folder / f"{name}_again.png", plots.picture_rows(rows))


def save_interpolation(path: Path, sampler: NoiseToImage, seed: int) -> None:
    """Ways from one picture to another, along the sphere on which noise lies."""
    ends = sampler.noise(2 * WAYS, seed)
    way = between(ends[:WAYS], ends[WAYS:], np.linspace(0, 1, COLUMNS))  # (COLUMNS, WAYS, Z)
    rows = {f"way {i + 1}": list(sampler.generate(way[:, i].astype(np.float32))) for i in range(WAYS)}
    plots.save_picture(path, plots.picture_rows(rows))


def save_traversal(path: Path, sampler: NoiseToImage, dataset: ImageDataset, seed: int) -> None:
    """A held-out picture's latent, of a sampler that encodes, with one number after another changed."""
    latent = sampler.encode(dataset.evenly_spaced("test", 1))
    changed = np.repeat(latent[None], sampler.size, axis=0).repeat(len(TRAVERSED), axis=1)  # (Z, values, Z)
    for dimension in range(sampler.size):
        changed[dimension, :, dimension] = TRAVERSED
    drawn = [sampler.generate(rows) for rows in changed]
    reach = [float(np.abs(rows[-1].astype(float) - rows[0]).mean()) for rows in drawn]
    strongest = np.argsort(reach)[::-1][:DIMENSIONS]
    plots.save_picture(path, plots.picture_rows({f"number {int(d) + 1}": list(drawn[d]) for d in strongest}))


def save_alphas(path: Path, sampler: NoiseToImage, seed: int) -> bool:
    """The steepness that a generator with `gan.output` param_tanh chooses, beside its pictures and as their mean.

    Returns whether it has such an output."""
    layer = getattr(sampler.model, "output", None)
    if not isinstance(layer, CnnParamTanh):
        return False
    alphas: list[torch.Tensor] = []
    handle = layer.register_forward_pre_hook(lambda _, given: alphas.append(layer.alpha(given[0])))
    sampler.generate(sampler.noise(MAPPED, seed))
    handle.remove()
    maps = torch.cat(alphas)[:, 0].cpu().numpy()  # (MAPPED, 16, 16)
    shown = {"mean of all": maps.mean(axis=0)} | {f"picture {i + 1}": maps[i] for i in range(3)}
    plots.save_figure(path, plots.maps(shown, "alpha, the steepness of tanh; 1 is a plain one"))
    return True


def _some(pictures: np.ndarray, count: int) -> list[np.ndarray]:
    return list(pictures[np.linspace(0, len(pictures) - 1, min(count, len(pictures))).astype(int)])
