"""Fetches MNIST from OpenML, once: nothing else in this project downloads anything.

    python -m data.mnist --out data/mnist.npz

Then `data.images: ../../data/mnist.npz` in pipelines/digits/params.yaml. MNIST's own idx files in a folder do as well.
"""

import argparse
from pathlib import Path

import numpy as np
from sklearn.datasets import fetch_openml

import stages  # noqa: F401
from dancing.files import written_whole

LEARNT = 60_000  # of the 70,000; the rest is its test part


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m data.mnist", description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("data/mnist.npz"), help="(%(default)s)")
    out = parser.parse_args().out
    pictures, labels = fetch_openml("mnist_784", version=1, return_X_y=True, as_frame=False, parser="liac-arff")
    x, y = pictures.reshape(-1, 28, 28).astype(np.uint8), labels.astype(np.uint8)
    out.parent.mkdir(parents=True, exist_ok=True)
    with written_whole(out) as whole, whole.open("wb") as file:
        np.savez_compressed(file, x_train=x[:LEARNT], y_train=y[:LEARNT], x_test=x[LEARNT:], y_test=y[LEARNT:])
    print(f"{out}: {len(x)} digits")


if __name__ == "__main__":
    main()
