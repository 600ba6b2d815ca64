"""The handwritten digits of scikit-learn, in the format of mnist.npz.

1,797 images of 8 x 8 px by 43 writers (Alpaydin and Kaynak, Optical Recognition of Handwritten Digits, UCI, 1998). The
last fifth is the test part, so that its writers are not in the training part.
"""

import numpy as np
from sklearn.datasets import load_digits

TEST = 0.2  # share of the test part


def digits() -> dict[str, np.ndarray]:
    """Return the images x_train and x_test (N, 8, 8) uint8, and the labels y_train and y_test (N,) uint8."""
    bundled = load_digits()
    images = (bundled.images * (255 / 16)).round().astype(np.uint8)
    labels, n_train = bundled.target.astype(np.uint8), round((1 - TEST) * len(images))
    return {
        "x_train": images[:n_train],
        "y_train": labels[:n_train],
        "x_test": images[n_train:],
        "y_test": labels[n_train:],
    }
