"""Pruning a network: the smallest weights of its layers become 0, one by one or in whole blocks.

A helper that writes files; keeping the zeros at 0 is `update.mask` (`rpucc.passes.mask_weights`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from rpucc import arguments
from rpucc.constant_weights import INITIAL_WEIGHTS
from rpucc.errors import ModelError, one_line
from rpucc.layer_rules import known_names
from rpucc.layers import analog_layers, other_names
from rpucc.masks import weights_of
from rpucc.origins.export import Export, export
from rpucc.patterns import matches
from rpucc.placement.cuts import greedy_cuts

if TYPE_CHECKING:
    from rpucc.layers import AnalogLayer
    from rpucc.passes.frontend.source import Source
    from rpucc.program import Program

OVERRIDES = (
    "batch_norm.policy=frozen",
    "mapping.bias=digital",
    "mapping.weight_scaling=off",
)
"""What leaves the weights of the file as they are, and biases alone."""
SHARE = "a number from 0 up to, and without, 1"
BLOCKS = "two integers, the rows and columns of a block, as in (16, 16)"


@dataclass(frozen=True)
class PrunedLayer:
    """What became of one layer."""

    name: str
    weights: int
    zeros: int
    """Weights that are 0 now."""

    @property
    def share(self) -> float:
        """Zeros by weights."""
        return self.zeros / self.weights


@dataclass(frozen=True)
class Pruned(Export):
    """A model some weights of which became 0; all else is as it was."""

    layers: tuple[PrunedLayer, ...] = ()
    """The layers that were pruned, in forward order."""


def prune(
    model: Source,
    share: float,
    *,
    blocks: Sequence[int] | None = None,
    together: bool = False,
    layers: Sequence[str] | None = None,
) -> Pruned:
    """Set the smallest weights of a network to 0, and return it.

    model: as `rpucc.compile` takes it; it stays untouched.
    share: of the weights, 0 to below 1, that are to be 0: of each layer, or of all together.
    blocks: (rows, columns), to take whole blocks of that size of a layer's matrix as it lies on
        arrays (docs/mapping.md), those with the smallest mean |w|; blocks at the ends of the matrix
        may be smaller, and no more weights become 0 than `share` says. None: single weights.
    together: rank the weights of all layers together, so that layers of small weights lose more.
    layers: names of layers or globs on them; by default all that can lie on arrays.

    Biases and batch norms stay. Raises ModelError where the model cannot be read or a name is of no
    layer, ArgumentError for other arguments.

    >>> import rpucc
    >>> rpucc.prune("mlp", 0.9, blocks=(16, 16)).layers[0]
    PrunedLayer(name='fc1', weights=200704, zeros=180480)
    """
    from rpucc.compiler.compile import compile_model

    wanted = arguments.not_negative("share", share)
    if wanted >= 1:
        raise arguments.wrong("share", share, SHARE)
    size = _block(blocks)
    program = compile_model(model, "ideal", overrides=OVERRIDES, training=False, verify=False)
    chosen = _chosen(program, layers)
    weights = {str(layer.weight.name): weights_of(layer).copy() for layer in chosen}
    matrices = list(weights.values())
    for group in [chosen] if together else [[layer] for layer in chosen]:
        held = [weights[str(layer.weight.name)] for layer in group]
        if size is None:
            _prune_single(held, wanted)
        else:
            _prune_blocks(
                [
                    matrix[place]
                    for layer, matrix in zip(group, held, strict=True)
                    for place in _places(matrix.shape, layer.matrices, size)
                ],
                wanted,
            )
    label = f"model {program.name!r}"
    found = export(program.model, weights, label)
    if INITIAL_WEIGHTS in program.model.metadata_props:  # they are as little trained as they were
        found.model.metadata_props[INITIAL_WEIGHTS] = program.model.metadata_props[INITIAL_WEIGHTS]
    return Pruned(
        found.model,
        found.written,
        found.notes,
        layers=tuple(
            PrunedLayer(layer.name, matrix.size, int(np.count_nonzero(matrix == 0)))
            for layer, matrix in zip(chosen, matrices, strict=True)
        ),
    )


def _block(blocks: Sequence[int] | None) -> tuple[int, int] | None:
    if blocks is None:
        return None
    sizes = arguments.integers("blocks", blocks, 1, BLOCKS)
    if len(sizes) != 2:
        raise arguments.wrong("blocks", blocks, BLOCKS)
    return sizes[0], sizes[1]


def _chosen(program: Program, names: Sequence[str] | None) -> list[AnalogLayer]:
    """The layers that the names are of, in forward order."""
    found, others = analog_layers(program.model), other_names(program.model)
    if not found:
        raise ModelError(f"model {program.name!r}: has no layer that could lie on arrays")
    if names is None:
        return found
    known = {layer.name: (layer.name, *others.get(layer.name, ())) for layer in found}
    allowed = "a list of names of layers, or of globs on them"
    for pattern in arguments.strings("layers", names, allowed):
        if not any(matches(pattern, name) for each in known.values() for name in each):
            hint = known_names(pattern, known)
            raise ModelError(f"model {program.name!r}: no layer {one_line(pattern)!r}; {hint}")
    return [
        layer
        for layer in found
        if any(matches(pattern, name) for pattern in names for name in known[layer.name])
    ]


def _places(
    shape: tuple[int, ...], matrices: int, size: tuple[int, int]
) -> list[tuple[slice, slice]]:
    """The blocks of matrices one below the other."""
    rows, columns = shape[0] // matrices, shape[1]
    return [
        (slice(m * rows + a, m * rows + b), slice(*across))
        for m in range(matrices)
        for a, b in pairwise(greedy_cuts(rows, size[0]))
        for across in pairwise(greedy_cuts(columns, size[1]))
    ]


def _prune_single(matrices: Sequence[NDArray[Any]], share: float) -> None:
    """Set the smallest weights to 0 in place; of equals the first."""
    sizes = np.concatenate([np.abs(matrix).reshape(-1) for matrix in matrices])
    gone = np.zeros(len(sizes), bool)
    gone[np.argsort(sizes, kind="stable")[: round(share * len(sizes))]] = True
    first = 0
    for matrix in matrices:
        matrix[gone[first : first + matrix.size].reshape(matrix.shape)] = 0
        first += matrix.size


def _prune_blocks(blocks: Sequence[NDArray[Any]], share: float) -> None:
    """Set the blocks of the smallest mean |w| to 0 in place; blocks are views."""
    order = np.argsort([float(np.abs(block).mean()) for block in blocks], kind="stable")
    taken = np.cumsum([blocks[i].size for i in order])
    count = int(np.searchsorted(taken, round(share * int(taken[-1])), side="right"))
    for i in order[:count]:
        blocks[i][...] = 0
