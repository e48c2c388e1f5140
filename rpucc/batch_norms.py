"""The batch norms of a program: whose statistics can be measured again, and why others' cannot.

Not for what becomes of a batch norm (`passes/fold_batchnorm.py`), nor for the measuring
(`runtime/recalibration.py`).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from rpucc.checked import Allowed, Name
from rpucc.listed import listed
from rpucc.opset import DOMAIN
from rpucc.step_contract import StepContract

BATCH_NORMS = "rpucc.batch_norms"
"""Model metadata: JSON list of what became of each batch norm of the file."""

FOLDED = (
    "folded into the layer before, whose weights hold the statistics; compile with "
    "--set batch_norm.policy=frozen or batch to keep it digital"
)
COMPUTED = "mean or variance are computed, no constants"
MIXED = "its mean or its variance is another's, too, but not both"
EARLIER = (
    "the program is an earlier version's, whose backward cycle keeps the statistics; compile the "
    "model again"
)
IN_COMMON = (
    "its statistics are also those of a batch norm that depends on it; give each numbers of its "
    "own in the model"
)
"""Why the statistics of a batch norm cannot be measured again, and what would help."""


Fate = Annotated[
    Literal["folded", "frozen", "trained", "batch"], Allowed("folded, frozen, trained or batch")
]


@dataclass(frozen=True)
class Decision:
    """What became of one batch norm of the file: an entry of that list."""

    node: Name
    fate: Fate
    into: Name = ""
    """The layer that it was folded into."""
    why: Name = ""
    """Why a batch norm that the target wants folded is not; empty where the target says so."""


@dataclass(frozen=True)
class Statistics:
    """The mean and variance, [C] each, that one batch norm has, or several in common."""

    nodes: tuple[ir.Node, ...]
    """In the order of the graph."""
    mean: str
    """The name of the initializer."""
    var: str

    @property
    def names(self) -> tuple[str, ...]:
        """The batch norms."""
        return tuple(str(node.name) for node in self.nodes)

    def problem(self, var: NDArray[Any]) -> str | None:
        """Return what is wrong with variances in their place; see `variance_problem`."""
        return variance_problem(var, min(epsilon_of(node) for node in self.nodes))


def statistics_of(model: ir.Model) -> tuple[Statistics, ...]:
    """Return the statistics of the digital batch norms that can be measured again."""
    return tuple(found for found, why in _digital(model) if why is None)


def not_measurable(model: ir.Model) -> dict[str, str]:
    """Return the other batch norms of the file, each with why its statistics cannot be measured."""
    entries = json.loads(model.metadata_props.get(BATCH_NORMS, "[]"))
    found = {str(entry["node"]): FOLDED for entry in entries if entry.get("fate") == "folded"}
    for statistics, why in _digital(model):
        if why is not None:
            found |= dict.fromkeys(statistics.names, why)
    return found


def left_text(left: Mapping[str, str]) -> str:
    """Return batch norms by why they cannot be measured again, as `not_measurable` gives them.

    >>> left_text({"a": "its reason", "b": "another", "c": "its reason"})
    "'a', 'c': its reason; 'b': another"
    """
    reasons: dict[str, list[str]] = {}
    for name, why in left.items():
        reasons.setdefault(why, []).append(name)
    return "; ".join(f"{listed(names)}: {why}" for why, names in reasons.items())


def fixed_statistics(model: ir.Model) -> frozenset[str]:
    """Return the initializers of statistics that no step of training changes."""
    step = StepContract.find(model)
    changing: Mapping[str, str] = {} if step is None else step.state
    names = (name for each in statistics_of(model) for name in (each.mean, each.var))
    return frozenset(name for name in names if name not in changing)


def _digital(model: ir.Model) -> Iterator[tuple[Statistics, str | None]]:
    """Yield the digital batch norms by their statistics, with why these cannot be measured."""
    groups: dict[tuple[str, str], list[ir.Node]] = {}
    for node in model.graph:
        if is_batch_norm(node):
            mean, var = (source_of(node.inputs[index]) for index in (3, 4))
            groups.setdefault((mean, var), []).append(node)
    names = [name for pair in groups for name in pair]
    for (mean, var), nodes in groups.items():
        found = Statistics(tuple(nodes), mean, var)
        if not (_is_vector(model, mean) and _is_vector(model, var)):
            yield found, COMPUTED
        elif names.count(mean) > 1 or names.count(var) > 1:
            yield found, MIXED
        elif any(_keeps_its_own(model, node) for node in nodes):
            yield found, EARLIER
        else:
            yield found, None


def is_batch_norm(node: ir.Node) -> bool:
    """Whether it is a digital batch norm, with statistics of its own or of the batch."""
    standard = node.domain in ("", "ai.onnx") and node.op_type == "BatchNormalization"
    return standard or is_moving(node)


def is_moving(node: ir.Node | None) -> bool:
    """Whether it is a batch norm with statistics of the batch."""
    return node is not None and node.domain == DOMAIN and node.op_type == "BatchNorm"


def running_statistics(graph: ir.Graph) -> dict[ir.Value, ir.Value]:
    """Return the initializers that batch norms with statistics of the batch move -> their next."""
    found: dict[ir.Value, ir.Value] = {}
    first: dict[ir.Value, ir.Value] = {}
    for node in filter(is_moving, graph):
        for old, new in zip(node.inputs[3:5], node.outputs[1:3], strict=True):
            assert old is not None
            first[new] = first.get(old, old)  # of one that has its statistics in common
            found[first[new]] = new
    return found


def source_of(value: ir.Value | None) -> str:
    """Return where a statistic is kept: one in common is moved by one batch norm after another."""
    while value is not None and is_moving(node := value.producer()):
        assert node is not None
        moved = dict(zip(node.outputs[1:3], node.inputs[3:5], strict=True))
        if value not in moved:
            break  # what one gives besides is kept nowhere
        value = moved[value]
    return "" if value is None else str(value.name)


def epsilon_of(node: ir.Node) -> float:
    """Return what a batch norm adds to each variance."""
    return node.attributes.get_float("epsilon", 1e-5)


def variance_problem(var: NDArray[Any], epsilon: float) -> str | None:
    """Return what is wrong with the variances of a batch norm; None where each has a root.

    >>> import numpy as np
    >>> variance_problem(np.array([1, -0.5, -1]), 1e-5)
    'has 2 of 3 that are -0.5'
    """
    below = var < 0
    wrong = var[below if below.any() else var.astype(np.float64) + epsilon <= 0]
    if not wrong.size:
        return None
    found = f"has {wrong.size} of {var.size} that are {wrong[0]:g}"
    return found if below.any() else f"{found}, with epsilon {epsilon:g}"


def _is_vector(model: ir.Model, name: str) -> bool:
    value = model.graph.initializers.get(name)
    tensor = None if value is None else value.const_value
    return tensor is not None and tensor.dtype == ir.DataType.FLOAT and len(tensor.shape) == 1


def _keeps_its_own(model: ir.Model, node: ir.Node) -> bool:
    """Whether the gradient holds constants made of the statistics, in the place of them.

    Programs of version 0.1.0 do.
    """
    if is_moving(node):
        return False
    gradient, var = f"{node.outputs[0].name}.grad", node.inputs[4]
    has_one = any(value.name == gradient for each in model.graph for value in each.outputs)
    return has_one and var is not None and all(is_batch_norm(n) for n in var.consumers())
