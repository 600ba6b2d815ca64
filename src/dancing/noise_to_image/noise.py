"""What generators of pictures begin with. Letters: B batch, Z noise, K categories."""

import torch
import torch.nn.functional as F

APART = 8.0  # length of the vector that says which category; a normal number's standard deviation is 1


def draw_noise(count: int, size: int, categories: int, rng: torch.Generator) -> torch.Tensor:
    """(B, Z): standard normal; of K categories the first K numbers say which, one of them being `APART`, the others 0.

    Digits are kinds with nothing between them, while normal noise is one cloud: a continuous generator has to draw
    something on each way from kind to kind. Clouds apart spare it that. Which kind a category stands for the generator
    finds by itself, no label is shown (as in InfoGAN, Chen et al., 2016, without its second loss; noise that is a
    mixture: DeLiGAN, Gurumurthy et al., 2017).
    """
    normal = torch.randn(count, size, generator=rng)
    if categories:
        chosen = torch.randint(categories, (count,), generator=rng)
        normal[:, :categories] = APART * F.one_hot(chosen, categories)
    return normal
