"""Activation functions that a network can be built with, by name: one row of ACTIVATIONS each.

All of one input, from ONNX's operators that rpucc has gradients for. Not for their gradients:
`rpucc.passes.gradients`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from rpucc.errors import UsageError
from rpucc.models.network import Network


@dataclass(frozen=True)
class Activation:
    """A row of ACTIVATIONS: an ONNX operator, its attributes, and how weights before it begin."""

    op_type: str
    attributes: Mapping[str, float | str] = field(default_factory=dict)
    init: str = "uniform"
    """The row of `initial.INITS` that is drawn where the user names none."""


ACTIVATIONS: dict[str, Activation] = {
    "relu": Activation("Relu", init="he"),
    "tanh": Activation("Tanh"),
    "sigmoid": Activation("Sigmoid"),
    "leaky-relu": Activation("LeakyRelu", {"alpha": 0.01}, init="he"),
    "relu6": Activation("Relu6", init="he"),
    "elu": Activation("Elu", init="he"),
    "selu": Activation("Selu", init="lecun"),
    "celu": Activation("Celu", init="he"),
    "gelu": Activation("Gelu", init="he"),
    "silu": Activation("Silu", init="he"),
    "mish": Activation("Mish", init="he"),
    "softplus": Activation("Softplus"),
    "softsign": Activation("Softsign"),
    "hard-sigmoid": Activation("HardSigmoid"),
    "hard-swish": Activation("HardSwish", init="he"),
    "none": Activation("Identity"),
}
"""ReLU and what is like it lose half of the variance, which He's weights make up for; SELU is made
for LeCun's. "none" leaves a network of linear layers. Relu6 and Silu are no operators of ONNX's
opset 21: they are written as others."""


def checked_activation(name: str) -> Activation:
    """Return the row of a name; raises UsageError."""
    if name not in ACTIVATIONS:
        raise UsageError(f"activation {name!r} is unknown; there are {', '.join(ACTIVATIONS)}")
    return ACTIVATIONS[name]


def activate(net: Network, name: str, number: int, x: str) -> str:
    """Add the activation called `name` behind a value; its node is called `<name><number>`."""
    row, node = checked_activation(name), f"{name.replace('-', '_')}{number}"
    if name == "none":
        return x
    if name == "relu6":
        return net.relu6(node, x)
    if name == "silu":
        return net.node("Mul", node, x, net.node("Sigmoid", f"{node}_sigmoid", x))
    return net.node(row.op_type, node, x, **row.attributes)
