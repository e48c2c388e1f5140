"""The built-in data: a balanced subset of MNIST, and where its file is.

Not for reading or checking it: that is rpucc.runtime.data. Licence: LICENSE-DATA.md.
"""

from __future__ import annotations

from importlib import resources
from pathlib import Path

MNIST_MINI = "mnist_mini.npz"


def mnist_mini_path() -> Path:
    """Return the path of the built-in MNIST subset.

    An .npz with x_train [6000, 28, 28], y_train [6000], x_test [1000, 28, 28] and y_test [1000],
    all uint8: 600 and 100 images of each digit, in shuffled order.
    """
    return Path(str(resources.files(__name__) / MNIST_MINI))
