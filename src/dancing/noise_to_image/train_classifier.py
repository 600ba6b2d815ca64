"""Training of the digits' classifier. Letters: B batch, H x W image."""

import torch
import torch.nn.functional as F

from dancing.noise_to_image.batches import Images
from dancing.noise_to_image.classifier import Classifier
from dancing.noise_to_image.dataset import ImageDataset
from dancing.training.device import make_rng
from dancing.training.optimization import cosine_lr

BATCH, LR = 64, 2e-3
MAX_SHIFT = 2  # px by which batches are shifted at most, so that positions are not memorised


def train_classifier(dataset: ImageDataset, steps: int, seed: int, device: torch.device) -> Classifier:
    """Train a classifier on the training part and its labels.

    Args:
        dataset: with labels 0 to K - 1 and one channel.
        steps: batches of 64 images.
        seed: of weights and batches.
        device: to train on.

    Returns:
        The classifier on the device, in eval mode and without gradients.
    """
    images, labels = Images(dataset, "train", device), torch.from_numpy(dataset.labels["train"]).long().to(device)
    torch.manual_seed(seed)
    net = Classifier(dataset.height, dataset.width, int(labels.max()) + 1).to(device)
    optimizer, rng = torch.optim.Adam(net.parameters(), lr=LR), make_rng(seed)
    for step in range(steps):
        cosine_lr(optimizer, LR, step, steps)
        rows = torch.randint(len(images), (BATCH,), generator=rng)
        x, y = torch.randint(-MAX_SHIFT, MAX_SHIFT + 1, (2,), generator=rng).tolist()
        shifted = F.pad(images.batch(rows.tolist()), (x, -x, y, -y), value=-1.0)  # (B, 1, H, W), black at the edges
        loss = F.cross_entropy(net(shifted), labels[rows.to(device)])
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
    return net.eval().requires_grad_(False)
