"""Origins on the values of a model while it is compiled, and in a program's metadata.

Not for what they mean: `terms.py` and `matrix.py`.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from typing import Any

import onnx_ir as ir

from rpucc.layers import LAYER_OPS, static_shape
from rpucc.origins.matrix import MatrixOrigin
from rpucc.origins.terms import Layout, Origin, Term, table, term_from_dict, term_to_dict

ORIGINS = "rpucc.origins"
"""Model metadata: JSON {initializer: what it comes from}; docs/training.md describes it."""

_KEY = "rpucc.origin"
_COUNTS = ("groups", "devices", "copies")


def origin_of(value: ir.Value | None) -> Origin | None:
    """Return what a constant comes from; None where nobody knows, or it is a whole matrix."""
    found = None if value is None else value.meta.get(_KEY)
    return found if isinstance(found, Origin) else None


def matrix_origin_of(value: ir.Value) -> MatrixOrigin | None:
    """Return what the matrix of a layer comes from; None where nobody knows."""
    found = value.meta.get(_KEY)
    return found if isinstance(found, MatrixOrigin) else None


def note_origin(value: ir.Value, origin: Origin | MatrixOrigin | None) -> None:
    """Note what a constant comes from; None where that cannot be said."""
    if origin is not None:
        value.meta[_KEY] = origin


def carry_origin(old: ir.Value, new: ir.Value) -> None:
    """Let `new` come from where `old` does."""
    if _KEY in old.meta:
        new.meta[_KEY] = old.meta[_KEY]


def carry_layout(old: ir.Value, new: ir.Value, layout: Layout) -> None:
    """Let `new`, which is layout(numbers of `old`), come from where `old` does."""
    origin = origin_of(old)
    note_origin(new, None if origin is None else origin.laid_out(layout))


# ---------------------------------------------------------------- metadata


def write_origins(model: ir.Model) -> dict[str, Origin | MatrixOrigin]:
    """Write the origins of all initializers into the metadata, and return them."""
    found = {
        name: value.meta[_KEY]
        for name, value in model.graph.initializers.items()
        if _KEY in value.meta
    }
    shared = Counter(name for origin in found.values() for name in _names(origin))
    if found:
        data = {name: _to_plain(origin, shared) for name, origin in found.items()}
        model.metadata_props[ORIGINS] = json.dumps(data)
    return found


def read_origins(model: ir.Model) -> dict[str, Origin | MatrixOrigin]:
    """Return the origins that the metadata hold; raises ValueError where they are damaged."""
    try:
        data = table(json.loads(model.metadata_props.get(ORIGINS, "{}")))
    except RecursionError as error:
        raise ValueError("is no valid JSON") from error
    return {name: _from_plain(name, entry) for name, entry in data.items()}


def origin_problems(model: ir.Model) -> Iterator[str]:
    """Yield where the origins do not fit the initializers that they are of, one line each."""
    for name, origin in read_origins(model).items():
        value = model.graph.initializers.get(name)
        if value is None:
            yield f"metadata {ORIGINS}: there is no constant {name!r}"
            continue
        shape = static_shape(value)
        if origin.shape != shape:
            yield (
                f"metadata {ORIGINS}: constant {name!r} is {list(shape)}, its origin "
                f"{list(origin.shape)}"
            )


def _terms(origin: Origin | MatrixOrigin) -> Iterator[Term]:
    parts = (origin.weight, origin.bias) if isinstance(origin, MatrixOrigin) else (origin,)
    for part in parts:
        yield from part.terms if part is not None else ()


def _names(origin: Origin | MatrixOrigin) -> Iterator[str]:
    """Yield the constants of the file that one comes from, or is scaled by."""
    for term in _terms(origin):
        yield term.source
        for factor in term.factors:
            if factor.norm is not None:
                yield from (factor.norm.scale, factor.norm.variance)


def _to_plain(origin: Origin | MatrixOrigin, shared: Counter[str]) -> Any:
    if isinstance(origin, Origin):
        terms = [term_to_dict(t, with_uses=shared[t.source] > 1) for t in origin.terms]
        return terms[0] if len(terms) == 1 else terms
    data: dict[str, Any] = {"op": origin.op, "weight": _to_plain(origin.weight, shared)}
    if origin.bias is not None:
        data["bias"] = _to_plain(origin.bias, shared)
    data |= {name: getattr(origin, name) for name in _COUNTS if getattr(origin, name) != 1}
    return {**data, "rows_first": True} if origin.rows_first else data


def _from_plain(name: str, data: Any) -> Origin | MatrixOrigin:
    try:
        if not isinstance(data, dict) or "op" not in data:
            return _origin_from(data)
        counts = {key: data.get(key, 1) for key in _COUNTS}
        rows_first = data.get("rows_first", False)
        if data["op"] not in LAYER_OPS or not isinstance(rows_first, bool):
            raise ValueError("is no layer")
        if not all(type(count) is int and 1 <= count < 2**31 for count in counts.values()):
            raise ValueError("has an impossible number of groups, devices or copies")
        bias = _origin_from(data["bias"]) if "bias" in data else None
        found = MatrixOrigin(
            _origin_from(data.get("weight")), data["op"], bias, rows_first=rows_first, **counts
        )
        _ = found.shape  # raises ValueError where groups and weight do not fit
    except (ValueError, IndexError) as error:
        raise ValueError(f"constant {name!r}: {error}") from error
    return found


def _origin_from(data: Any) -> Origin:
    terms = tuple(term_from_dict(each) for each in (data if isinstance(data, list) else [data]))
    if not terms or len({term.view.shape for term in terms}) != 1:
        raise ValueError("is a sum of constants of different shapes")
    return Origin(terms)
