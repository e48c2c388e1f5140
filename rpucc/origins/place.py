"""Putting numbers into the graph of a user's model: into a constant, for a value, for one use.

Not for which numbers: `restore.py`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any

import numpy as np
import onnx_ir as ir
import onnx_ir.passes.common as common
from numpy.typing import NDArray

from rpucc.errors import ModelError
from rpucc.origins.source import constants_of, set_constant

Use = tuple[str, int]
"""The first output of a node, and which of its inputs."""


class Placing:
    """Changes constants of a model, and notes which."""

    def __init__(self, model: ir.Model, constants: dict[str, NDArray[Any]], label: str) -> None:
        self.model, self.constants, self.label = model, constants, label
        self.written: list[str] = []

    def fill(self, names: Iterable[str]) -> None:
        """Put the numbers of these constants back that the model was kept without."""
        for name in names:
            set_constant(self.model, name, self.constants[name])

    def replace(self, name: str, array: NDArray[Any], *, alone: bool = False) -> None:
        """Give a constant other numbers, for all that uses it.

        A value that the model computes from constants becomes an initializer. alone: refuse that
        several nodes use it.
        """
        value = self._value(name)
        if value is None:
            raise ModelError(
                f"{self.label}: the model that it was compiled from has no value {name!r} to write "
                "weights into; a pass that changed the graph has made it"
            )
        if alone and len(list(value.uses())) != 1:
            raise ModelError(
                f"{self.label}: {name!r} has to change for one batch norm, and others use it, too; "
                "give each numbers of its own in the model"
            )
        self.written.append(name)
        if self._is_constant(value):
            set_constant(self.model, name, array)
        else:
            self._cut(value, array)

    def at_uses(
        self, name: str, uses: Collection[Use], array: NDArray[Any], *, alone: bool = False
    ) -> None:
        """Give some uses of a constant numbers of their own, others keep theirs.

        alone: nothing else uses it.
        """
        if alone and self._value(name) is not None:
            self.replace(name, array)
            return
        nodes = {str(node.outputs[0].name): node for node in self._with_nodes(uses)}
        new = self._initializer(f"{name}_2", array)
        for output, index in uses:
            node = nodes.get(output)
            value = node.inputs[index] if node is not None and index < len(node.inputs) else None
            followed = None if value is None else self._followed(value, name, new)
            if node is None or followed is None or followed is value:
                raise ModelError(
                    f"{self.label}: the model that it was compiled from uses {name!r} in several "
                    "places that have learned different weights, and they cannot be told apart; "
                    "give each a constant of its own in the model"
                )
            node.replace_input_with(index, followed)
        self.written.append(str(new.name))

    def pin(self, computed: Mapping[str, NDArray[Any]]) -> None:
        """Let values that are computed from changed constants be what they were.

        computed: values of the program that the file has as constants or computes from them.
        """
        changed = set(self.written)
        if not changed:
            return
        inlined = self.model
        if len(inlined.functions):
            inlined = inlined.clone()
            common.InlinePass()(inlined)
        made = {str(v.name): v for node in inlined.graph for v in node.outputs}
        for name in sorted((computed.keys() & made.keys()) - changed):
            if _ancestors(made[name]) & changed:
                self.replace(name, computed[name])

    # ---------------------------------------------------------------- the graph

    def _value(self, name: str) -> ir.Value | None:
        """Return a value of the main graph, if need be of one whose functions are inlined."""
        found = self._in_graph(name)
        if found is None and len(self.model.functions):
            common.InlinePass()(self.model)
            found = self._in_graph(name)
        return found

    def _in_graph(self, name: str) -> ir.Value | None:
        known = self.model.graph.initializers.get(name)
        if known is not None:
            return known
        return next((v for node in self.model.graph for v in node.outputs if v.name == name), None)

    def _with_nodes(self, uses: Collection[Use]) -> list[ir.Node]:
        for output, _ in uses:
            self._value(output)
        return [node for node in self.model.graph if node.outputs]

    def _is_constant(self, value: ir.Value) -> bool:
        if value.is_initializer():
            return True
        return str(value.name) in constants_of(self.model)

    def _initializer(self, name: str, array: NDArray[Any]) -> ir.Value:
        taken = {v.name for node in self.model.graph for v in node.outputs}
        taken |= {*self.model.graph.initializers, *(v.name for v in self.model.graph.inputs)}
        stem, number, unique = name.removesuffix("_2"), 2, name
        while unique in taken:
            number += 1
            unique = f"{stem}_{number}"
        value = ir.val(unique, const_value=ir.tensor(np.asarray(array), name=unique))
        self.model.graph.register_initializer(value)
        return value

    def _cut(self, value: ir.Value, array: NDArray[Any]) -> None:
        """Let an initializer take a computed value's place and name; what only made it goes."""
        name, node = str(value.name), value.producer()
        assert node is not None
        value.name = None
        new = self._initializer(name, array)
        value.replace_all_uses_with(new, replace_graph_outputs=True)
        value.name = f"{name}.computed"
        self._remove(node)

    def _remove(self, node: ir.Node) -> None:
        """Remove a node whose results nothing uses, and what only it used."""
        if any(v.uses() or v.is_graph_output() for v in node.outputs):
            return
        before = [value for value in node.inputs if value is not None]
        self.model.graph.remove(node, safe=True)
        for value in before:
            producer = value.producer()
            if producer is not None:
                self._remove(producer)
            elif value.is_initializer() and not value.uses() and not value.is_graph_output():
                self.model.graph.initializers.pop(str(value.name), None)

    def _followed(self, value: ir.Value, name: str, new: ir.Value) -> ir.Value | None:
        """Return what `value` is with `new` in the place of the constant `name`.

        The nodes between them, which only move its numbers, are there twice then.
        """
        if value.name == name:
            return new
        node = value.producer()
        if node is None:
            return value
        followed = [None if v is None else self._followed(v, name, new) for v in node.inputs]
        if followed == list(node.inputs):
            return value
        attributes = list(node.attributes.values())
        outputs = [ir.Value(name=f"{v.name}_{new.name}") for v in node.outputs]
        copy = ir.Node(node.domain, node.op_type, followed, attributes, outputs=outputs)
        self.model.graph.insert_before(node, copy)
        return outputs[list(node.outputs).index(value)]


def _ancestors(value: ir.Value) -> set[str]:
    """Return the names of all that a value is computed from."""
    found: set[str] = set()
    stack = [value]
    while stack:
        node = stack.pop().producer()
        for each in node.inputs if node is not None else ():
            if each is not None and str(each.name) not in found:
                found.add(str(each.name))
                stack.append(each)
    return found
