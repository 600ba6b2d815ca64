"""Real handwritten digits that come with scikit-learn, as digits.npz in the shape of MNIST's.

1,797 of 8 x 8 px by 43 writers (Alpaydin and Kaynak, Optical Recognition of Handwritten Digits, UCI, 1998). The last
fifth is the test part, so that its writers are others than those who are learnt from.
"""

import numpy as np
from sklearn.datasets import load_digits

TEST = 0.2


def digits() -> dict[str, np.ndarray]:
    """x_train (N, 8, 8) uint8, y_train (N,) uint8, x_test, y_test."""
    bundled = load_digits()
    pictures = (bundled.images * (255 / 16)).round().astype(np.uint8)
    labels, learnt = bundled.target.astype(np.uint8), round((1 - TEST) * len(pictures))
    return {
        "x_train": pictures[:learnt],
        "y_train": labels[:learnt],
        "x_test": pictures[learnt:],
        "y_test": labels[learnt:],
    }
