"""Training of the classifier that digits are judged by. Letters: B batch, H x W picture."""

import torch
import torch.nn.functional as F

from dancing.noise_to_image.batches import Images
from dancing.noise_to_image.classifier import Classifier
from dancing.noise_to_image.dataset import ImageDataset
from dancing.training.device import make_rng
from dancing.training.optimization import cosine_lr

BATCH, LR = 64, 2e-3
SHIFT = 2  # px: pictures are moved by up to so many, so that it doesn't learn their place by heart


def train_classifier(dataset: ImageDataset, steps: int, seed: int, device: torch.device) -> Classifier:
    """From the training part and its labels, ready for use. `steps`: batches of 64."""
    images, labels = Images(dataset, "train", device), torch.from_numpy(dataset.labels["train"]).long().to(device)
    torch.manual_seed(seed)
    net = Classifier(dataset.height, dataset.width, int(labels.max()) + 1).to(device)
    optimiser, rng = torch.optim.Adam(net.parameters(), lr=LR), make_rng(seed)
    for step in range(steps):
        cosine_lr(optimiser, LR, step, steps)
        rows = torch.randint(len(images), (BATCH,), generator=rng)
        x, y = (torch.randint(-SHIFT, SHIFT + 1, (2,), generator=rng)).tolist()
        moved = F.pad(images.batch(rows.tolist()), (x, -x, y, -y), value=-1.0)
        loss = F.cross_entropy(net(moved), labels[rows.to(device)])
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()
    return net.eval().requires_grad_(False)
