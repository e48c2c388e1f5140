"""Samples of networks with several inputs: an array for each, by its name.

Not for the shape of one array (`layout.py`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rpucc.errors import DataError
from rpucc.runtime.data.dataset import Array, Samples, as_samples
from rpucc.runtime.data.layout import Note, arranged, warn


def by_input(
    x: Samples, inputs: Mapping[str, Sequence[int]], where: str, note: Note = warn
) -> dict[str, Array]:
    """Return the samples of each data input in the shape that it takes, in the order of `inputs`.

    x: an array where there is one input, else a dictionary with an array for each. inputs: name to
    shape of a sample. Raises DataError, naming what is there and what is needed.

    >>> import numpy as np
    >>> x = {"b": np.zeros((5, 2)), "a": np.zeros((5, 3))}
    >>> {name: each.shape for name, each in by_input(x, {"a": (3,), "b": (2,)}, "x").items()}
    {'a': (5, 3), 'b': (5, 2)}
    """
    names = ", ".join(inputs)
    if isinstance(x, Mapping):
        if set(x) != set(inputs):
            raise DataError(
                f"{where} has samples for {', '.join(map(str, x))}, but the model's inputs are "
                f"{names}"
            )
        given = {name: (x[name], f"{where}[{name!r}]") for name in inputs}
    elif len(inputs) == 1:
        given = dict.fromkeys(inputs, (x, where))
    else:
        raise DataError(
            f"{where} is one array, but the model has the inputs {names}: give an array for each, "
            "in a dictionary by these names or in an .npz file as NAME_train and NAME_test"
        )
    found = {
        name: arranged(as_samples(each, what), inputs[name], what, note)
        for name, (each, what) in given.items()
    }
    lengths = {name: len(each) for name, each in found.items()}
    if len(set(lengths.values())) > 1:
        counts = ", ".join(f"{name} {n}" for name, n in lengths.items())
        raise DataError(f"{where}: each input needs as many samples as the others; found {counts}")
    return found
