"""What a comparison relies on in the JSON of a program, whoever wrote it and when.

All else in it may be anything. Not for what the keys mean: `rpucc.report.text.program.describe`.
"""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, Field

Table = dict[str, Any]


class Named(BaseModel):
    """A table that is found by its name."""

    name: str


class BatchNorm(BaseModel):
    """What became of a batch norm, found by the name of its node."""

    node: str


class Plan(BaseModel):
    """The plan, with the layers by their names."""

    target: str
    training: bool
    layers: list[Named]
    totals: Table


class Target(BaseModel):
    """The target, with the kinds of array by their names."""

    array: list[Named]


class Work(BaseModel):
    """Digital operations of a kind."""

    op: str
    cycle: str
    nodes: int


class Cost(BaseModel):
    """The cost table and the digital operations."""

    table: Table
    digital: list[Work]


class Digests(BaseModel):
    """Weights of each layer, other weights, and the graph."""

    network: str
    other_weights: str
    weights: dict[str, str]


class Described(BaseModel):
    """A program's JSON; what an older version did not write may be absent."""

    plan: Plan
    target: Target | None = None
    policies: dict[str, Table] | None = None
    cost: Cost | None = None
    digests: Digests | None = None
    batch_norms: list[BatchNorm] = Field(default=[])
