"""Sheets of an image system's images: samples, reconstructions, interpolations, latent traversals, alphas.

Letters: N images, H x W pixels, C channels, Z noise.
"""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch

from dancing.evaluation.generated import GeneratedResult
from dancing.noise_to_image.dataset import ImageDataset
from dancing.noise_to_image.inference import NoiseToImage
from dancing.render import plots
from dancing.render.latent_walk import slerp
from dancing.training.param_tanh import CnnParamTanh

SAMPLES, COLUMNS = 60, 12  # images of each model, and in a row
INTERPOLATIONS = 5
TRAVERSED = (-3, -2, -1, 0, 1, 2, 3)  # values of a latent dimension, in standard deviations
DIMENSIONS = 10  # at most, those that change the image most
MAPPED = 8  # images that alphas are averaged over


def save_samples(folder: Path, result: GeneratedResult, samplers: Mapping[str, NoiseToImage]) -> None:
    """Draw samples and reconstructions.

    NAME.png has samples of each model, real.png as many real images, NAME_again.png held-out images and their
    reconstructions by a model that encodes.

    Args:
        folder: to write to.
        result: rows and images of the evaluation.
        samplers: row name -> model.
    """
    for name in ("real", *samplers):
        plots.save_picture(folder / f"{name}.png", plots.picture_sheet(_some(result.pictures[name], SAMPLES)))
        if f"{name}_again" in result.pictures:
            real, reconstructed = (_some(result.pictures[row], 3 * COLUMNS) for row in ("real", f"{name}_again"))
            rows = {}
            for i in range(0, len(real), COLUMNS):
                rows[f"real {i // COLUMNS + 1}"] = real[i : i + COLUMNS]
                rows[f"reconstructed {i // COLUMNS + 1}"] = reconstructed[i : i + COLUMNS]
            plots.save_picture(folder / f"{name}_again.png", plots.picture_rows(rows))


def save_interpolation(path: Path, sampler: NoiseToImage, seed: int) -> None:
    """Draw interpolations between random images, spherical in the noise."""
    ends = sampler.noise(2 * INTERPOLATIONS, seed)
    noise = slerp(ends[:INTERPOLATIONS], ends[INTERPOLATIONS:], np.linspace(0, 1, COLUMNS))
    noise = noise.astype(np.float32)  # (COLUMNS, INTERPOLATIONS, Z)
    rows = {f"path {i + 1}": list(sampler.generate(noise[:, i])) for i in range(INTERPOLATIONS)}
    plots.save_picture(path, plots.picture_rows(rows))


def save_traversal(path: Path, sampler: NoiseToImage, dataset: ImageDataset, seed: int) -> None:
    """Draw a latent traversal of a held-out image: one dimension after another is set to the values of `TRAVERSED`.

    The dimensions that change the image most come first. The sampler must encode.
    """
    latent = sampler.encode(dataset.evenly_spaced("test", 1))
    changed = np.repeat(latent[None], sampler.size, axis=0).repeat(len(TRAVERSED), axis=1)  # (Z, values, Z)
    for dimension in range(sampler.size):
        changed[dimension, :, dimension] = TRAVERSED
    images = [sampler.generate(rows) for rows in changed]
    effects = [float(np.abs(row[-1].astype(float) - row[0]).mean()) for row in images]
    strongest = np.argsort(effects)[::-1][:DIMENSIONS]
    plots.save_picture(path, plots.picture_rows({f"latent {int(d) + 1}": list(images[d]) for d in strongest}))


def save_alphas(path: Path, sampler: NoiseToImage, seed: int) -> bool:
    """Plot the steepness alpha of a generator whose `gan.output` is a parametric tanh that depends on the image.

    Args:
        path: file to write.
        sampler: with the generator.
        seed: of the images.

    Returns:
        Whether the generator has such an output; without it nothing is written.
    """
    layer = getattr(sampler.model, "output", None)
    if not isinstance(layer, CnnParamTanh):
        return False
    alphas: list[torch.Tensor] = []
    handle = layer.register_forward_pre_hook(lambda _, inputs: alphas.append(layer.alpha(inputs[0])))
    sampler.generate(sampler.noise(MAPPED, seed))
    handle.remove()
    maps = torch.cat(alphas)[:, 0].cpu().numpy()  # (MAPPED, 16, 16)
    shown = {"mean": maps.mean(axis=0)} | {f"image {i + 1}": maps[i] for i in range(3)}
    plots.save_figure(path, plots.maps(shown, "alpha, the steepness of tanh; 1 is a plain tanh"))
    return True


def _some(images: np.ndarray, count: int) -> list[np.ndarray]:
    """At most `count` of the images, evenly spaced."""
    return list(images[np.linspace(0, len(images) - 1, min(count, len(images))).astype(int)])
