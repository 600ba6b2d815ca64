"""Download MNIST from OpenML. Nothing else in this project downloads data.

    python -m data.mnist --out data/mnist.npz

Then set `data.images: ../../data/mnist.npz` in pipelines/digits/params.yaml. A folder with the original idx files of
MNIST works too.
"""

import argparse
from pathlib import Path

import numpy as np
from sklearn.datasets import fetch_openml

import stages  # noqa: F401
from dancing.files import atomic_write

TRAIN = 60_000  # of the 70,000 images; the rest is the test part


def main() -> None:
    """Download MNIST and write the .npz file that the command line names."""
    parser = argparse.ArgumentParser(prog="python -m data.mnist", description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("data/mnist.npz"), help="(%(default)s)")
    out = parser.parse_args().out
    images, labels = fetch_openml("mnist_784", version=1, return_X_y=True, as_frame=False, parser="liac-arff")
    x, y = images.reshape(-1, 28, 28).astype(np.uint8), labels.astype(np.uint8)
    out.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(out) as partial, partial.open("wb") as file:
        np.savez_compressed(file, x_train=x[:TRAIN], y_train=y[:TRAIN], x_test=x[TRAIN:], y_test=y[TRAIN:])
    print(f"{out}: {len(x)} digits")


if __name__ == "__main__":
    main()
