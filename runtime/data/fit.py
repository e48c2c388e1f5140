"""A data set in the shapes that a model takes; all of it is checked before the first step.

Not for how: samples are layout.py, labels are labels.py.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence

from rpucc.runtime.data.dataset import Dataset, check_finite
from rpucc.runtime.data.labels import fitted_labels
from rpucc.runtime.data.layout import Note, arranged, warn


def fitted(
    dataset: Dataset, sample: Sequence[int], output: Sequence[int], loss: str, note: Note = warn
) -> Dataset:
    """Return the data set as a model takes it.

    sample, output: shapes of the model's input and output without the batch axis; loss: that of the
    program. Which axes are channels is decided as `layout.arranged` says, what labels there are as
    `labels.fitted_labels` does; `note` gets a line where that is a choice. Raises DataError, one
    line, for shapes, labels, NaN and infinity that do not fit.
    """
    shaped = copy.copy(dataset)  # not `replace`: all has been checked
    for part in ("train", "test"):
        x, y = getattr(dataset, f"x_{part}"), getattr(dataset, f"y_{part}")
        said = note if part == "train" else _unsaid  # both parts are alike
        x = arranged(x, sample, f"{dataset.name}: x_{part}", said)
        check_finite(x, f"{dataset.name}: x_{part}")
        y = fitted_labels(y, output, loss, f"{dataset.name}: y_{part}", said)
        object.__setattr__(shaped, f"x_{part}", x)
        object.__setattr__(shaped, f"y_{part}", y)
    return shaped


def _unsaid(line: str) -> None:
    """Leave out what has been said already."""
