"""Weights of classes that make up for how often each is among the training labels.

Not for what a loss does with them (`rpucc.passes.gradients.losses`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from rpucc.runtime.data.labels import fitted_labels
from rpucc.runtime.data.load import load_dataset

if TYPE_CHECKING:
    from rpucc.runtime.data.load import DataSource


def balanced_weights(data: DataSource) -> Callable[[Sequence[int]], tuple[float, ...]]:
    """Return what `rpucc.compile(class_weights=...)` takes, so that all classes count alike.

    data: a Dataset, or what `rpucc.load_dataset` makes one of; its training labels are counted.

    The function that is returned gets the shape (K, *space) of an output of the network and returns
    n / (classes · n of the class) for each class, where n counts labels and classes are those that
    there are among them; others weigh 0. It raises DataError for labels that are no classes.

    >>> import numpy as np
    >>> x, y = np.zeros((4, 2), "f4"), np.array([0, 2, 2, 2])
    >>> balanced_weights((x, y, x, y))((3,))
    (2.0, 0.0, 0.6666666666666666)
    """
    dataset = load_dataset(data)

    def weights(output: Sequence[int]) -> tuple[float, ...]:
        y = fitted_labels(dataset.y_train, output, "cross-entropy", f"{dataset.name}: y_train")
        counts = np.bincount(y.reshape(-1), minlength=output[0])
        share = y.size / np.count_nonzero(counts)
        return tuple(float(share / count) if count else 0.0 for count in counts.tolist())

    return weights
