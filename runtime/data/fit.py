"""A data set in the shapes that a model takes; all of it is checked before the first step.

Not for how: samples are layout.py, labels are labels.py.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence

from rpucc.runtime.data.dataset import Array, Dataset, Samples, check_finite, named
from rpucc.runtime.data.inputs import by_input
from rpucc.runtime.data.labels import fitted_labels
from rpucc.runtime.data.layout import Note, warn
from rpucc.runtime.data.streams import Streamed


def fitted(
    dataset: Dataset,
    inputs: Mapping[str, Sequence[int]],
    output: Sequence[int],
    loss: str,
    note: Note = warn,
) -> Dataset:
    """Return the data set as a model takes it.

    inputs: each data input of the model with the shape of a sample; output: the shape of its
    output, without the batch axis; loss: that of the program. Which axes are channels is decided as
    `layout.arranged` says, what labels there are as `labels.fitted_labels` does; `note` gets a line
    where that is a choice. Raises DataError, one line, for shapes, labels, NaN and infinity that do
    not fit.
    """
    shaped = copy.copy(dataset)  # not `replace`: all has been checked
    for part in ("train", "test"):
        x, y = getattr(dataset, f"x_{part}"), getattr(dataset, f"y_{part}")
        said = note if part == "train" else _unsaid  # both parts are alike
        where = f"{dataset.name}: x_{part}"
        found = by_input(x, inputs, where, said)
        x = found if isinstance(x, Mapping) else next(iter(found.values()))
        for what, samples in named(x, where).items():
            check_finite(samples, what)
        y = fitted_labels(y, output, loss, f"{dataset.name}: y_{part}", said)
        object.__setattr__(shaped, f"x_{part}", x)
        object.__setattr__(shaped, f"y_{part}", y)
    if isinstance(shaped, Streamed):
        object.__setattr__(shaped, "stream", shaped.stream.fitted(_batch_fit(inputs, output, loss)))
    return shaped


def _batch_fit(
    inputs: Mapping[str, Sequence[int]], output: Sequence[int], loss: str
) -> Callable[[Samples, Array, str], tuple[Samples, Array]]:
    """Return what brings one batch into a model's shapes; the first has said which way."""

    def fit(x: Samples, y: Array, where: str) -> tuple[Samples, Array]:
        found = by_input(x, inputs, where, _unsaid)
        for each in found.values():
            check_finite(each, where)
        shaped = found if isinstance(x, Mapping) else next(iter(found.values()))
        return shaped, fitted_labels(y, output, loss, where, _unsaid)

    return fit


def _unsaid(line: str) -> None:
    """Leave out what has been said already."""
