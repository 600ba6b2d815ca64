"""The noise that generators of images get. Letters: B batch, Z noise, K categories."""

import torch
import torch.nn.functional as F

from dancing.training.processes import randint, randn

#: Value that marks the category. It is large, as the other numbers have a standard deviation of 1.
CATEGORY_VALUE = 8.0


def draw_noise(count: int, size: int, categories: int, rng: torch.Generator) -> torch.Tensor:
    """Return noise (B, Z): standard normal, and with categories the first K numbers name one at random.

    Of these K numbers one is `CATEGORY_VALUE`, and the others are 0. Digits come in distinct kinds. A continuous
    generator of normal noise, which has a single mode, generates in-between images as well; separated modes avoid
    them. Training has no labels: the generator itself decides which kind a category stands for, as in InfoGAN
    (Chen et al., NeurIPS 2016), here without its second loss. Noise from a mixture: DeLiGAN (Gurumurthy et al., CVPR
    2017).

    Args:
        count: B.
        size: Z.
        categories: K; 0: standard normal noise alone.
        rng: on the CPU.
    """
    normal = randn((count, size), rng)
    if categories:
        chosen = randint(categories, count, rng)
        normal[:, :categories] = CATEGORY_VALUE * F.one_hot(chosen, categories)
    return normal
