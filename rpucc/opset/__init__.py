"""The rpu operator domain, version 2: what the array machine can do, stated in ONNX.

Each op has a registered schema (attributes, arity, shapes, so that `onnx.checker` can refuse a
malformed node) and a function body that states its ideal semantics in standard operators (so that
a program runs on any ONNX runtime). An op is one `OpSpec` in a file here and one row of `OPS`. Not
for the analog semantics: those are in `rpucc.runtime`.

| op | signature |
|---|---|
| `Im2Col(X) -> cols` | [N, C, *space] -> [N, P, C*K] |
| `AppendOne(x) -> x1` | [.., C] -> [.., C+1] |
| `Assign(x) -> shares` | [N, P, C] -> [N, n, Q, C], n = `copies`, Q = ceil(P/n) |
| `Collect(shares) -> y` | [N, n, Q, R] -> [N, P, R] |
| `NoiseManage(x) -> (xs, s)` | x [.., C] -> xs [.., C], s [.., S] |
| `Read(x, W) -> y` | x [.., C], W [R, C] -> y [.., S, R]; transpose: x [.., R] -> y [.., S, C] |
| `BoundedRead(x, W) -> y` | as Read |
| `Rescale(y, s) -> rescaled` | y [.., S, R], s [.., S] -> [.., S, R] |
| `Update(W, x, d, lr) -> W2` | W [R, C], x [.., C], d [.., R], lr [] -> [R, C] |
| `TikiTakaUpdate(W, x, d, lr, fast, count)` | the same, and fast [R, C], count [] to their next |
| `ResidualUpdate(W, x, d, lr, fast, count)` | as TikiTakaUpdate |
| `ERiderUpdate(.., fast, reference, recent, flipped, count)` | as Update, three [R, C], two [] |
| `RiderUpdate(W, x, d, lr, fast, recent, count)` | the same, without a sign that changes |
| `MultiTile2Update(W, x, d, lr, tile_0, count)` | the same, with one array [R, C] besides W |
| .. `MultiTile8Update(W, x, d, lr, tile_6 .. tile_0, count)` | the same with seven |
| `MixedPrecisionUpdate(W, x, d, lr, chi, count)` | as Update, and chi [R, C], count [] |
| `TikiTaka2Update(.., buffer, sizes, count)` | the same, with buffer [R, C], sizes [2] |
| `ChoppedTikiTakaUpdate(.., buffer, chopped, sizes, count)` | the same, with chopped [C] |
| `AgadUpdate(.., buffer, recent, offset, chopped, switched, sizes, count)` | the same |
| `Residual2Update(.., buffer, sizes, count)` | as TikiTaka2Update |
| `OneSidedUpdate(W, x, d, lr, negative, count)` | as Update, and negative [R, C], count [] |
| `MaskedUpdate(W, x, d, lr, mask) -> W2` | as Update, where mask [R, C] (bool) is true |
| `MaskedTikiTakaUpdate(.., mask)` and so on | as TikiTakaUpdate, where mask is true |
| `BatchNorm(x, scale, bias, mean, var, training)` | x [N, C, *space] -> y, and four of [C] |
| `BatchNormGradient(d, x, scale, centre, deviation, training)` | d as x -> dx, dscale, dbias |
| `Drop(x, training, draws) -> (y, mask)` | x [N, ...], draws [3] -> both as x |

N is the batch, C the columns (inputs) and R the rows (outputs) of a weight matrix, P the positions
of a kernel, K its size, S the column (for `transpose`, row) segments of a grid.

With `groups` = G a Read, BoundedRead or Update works on G independent matrices of one shape, the
diagonal blocks of a grouped convolution: W [G*R, C] holds them one below the other, x, d and y have
an axis for them before the positions (x [N, G, P, C] -> y [N, G, P, S, R]), and the cuts are those
of one of them. Where `copies` = n > 1, n of the G are copies of one matrix that learn on their own,
each from its share of the positions.
"""

from __future__ import annotations

import functools

import onnx
import onnx.parser
import onnx_ir as ir

from rpucc.errors import ModelError
from rpucc.op_spec import DOMAIN, OpSpec
from rpucc.opset.append_one import APPEND_ONE
from rpucc.opset.batch_norm import BATCH_NORM, BATCH_NORM_GRADIENT
from rpucc.opset.cell_updates import CELL_UPDATES
from rpucc.opset.drop import DROP
from rpucc.opset.im2col import IM2COL
from rpucc.opset.masked_updates import MASKED_UPDATES
from rpucc.opset.noise_manage import NOISE_MANAGE, RESCALE
from rpucc.opset.read import BOUNDED_READ, READ
from rpucc.opset.schemas import register
from rpucc.opset.shares import ASSIGN, COLLECT
from rpucc.opset.update import UPDATE

__all__ = [
    "DOMAIN",
    "IR_VERSION",
    "OPS",
    "OPSET",
    "VERSION",
    "OpSpec",
    "add_functions",
    "function",
    "functions",
    "register_schemas",
]

VERSION = 2
"""The operator domain's version: of the programs that are written, and the only one that is read.

2: attributes follow from the keys of a target, with its ranges.
"""

OPSET = 21
"""The "" opset version of programs; a model that comes with a newer one keeps it."""

IR_VERSION = 10
"""The IR version of programs: the first with metadata on nodes."""

OPS: dict[str, OpSpec] = {
    spec.name: spec
    for spec in (
        IM2COL,
        APPEND_ONE,
        ASSIGN,
        COLLECT,
        NOISE_MANAGE,
        READ,
        BOUNDED_READ,
        RESCALE,
        UPDATE,
        *CELL_UPDATES,
        *MASKED_UPDATES,
        BATCH_NORM,
        BATCH_NORM_GRADIENT,
        DROP,
    )
}
"""Every op of the domain, in the order of a layer's three cycles."""

_BODY_OF = "rpucc.body_of"
"""Key in ir.Function.meta, never saved: the opset that our own body was made for."""


@functools.cache
def function(name: str, opset_version: int) -> onnx.FunctionProto:
    """Return the ideal body of an op against "" opset `opset_version` (>= 18); do not change it."""
    found = onnx.parser.parse_function(OPS[name].function_text(opset_version))
    found.doc_string = OPS[name].doc
    return found


def functions(opset_version: int = OPSET) -> list[onnx.FunctionProto]:
    """Return the ideal bodies of all ops, written against "" opset `opset_version` (>= 18).

    >>> [f.name for f in functions(21)][:3]
    ['Im2Col', 'AppendOne', 'Assign']
    """
    copies = []
    for name in OPS:
        copy = onnx.FunctionProto()
        copy.CopyFrom(function(name, opset_version))
        copies.append(copy)
    return copies


def add_functions(model: ir.Model) -> None:
    """Give `model` the bodies of exactly the rpu ops it uses, and import the domain.

    Bodies of rpu ops that are no longer used go away; other functions stay.
    """
    used = {
        node.op_type
        for graph in (model.graph, *(f.graph for f in model.functions.values()))
        for node in graph.all_nodes()
        if node.domain == DOMAIN
    }
    unknown = sorted(used - OPS.keys())
    if unknown:
        raise ModelError(
            f"the rpu domain has no op {unknown[0]!r}; version {VERSION} knows {', '.join(OPS)}"
        )
    there = {key: f for key, f in model.functions.items() if key[0] == DOMAIN}
    for identifier in there:
        del model.functions[identifier]
    if not used:
        model.opset_imports.pop(DOMAIN, None)
        return
    model.opset_imports[DOMAIN] = VERSION
    opset_version = model.opset_imports.get("", OPSET)
    for name in OPS:
        if name in used:
            body = there.get((DOMAIN, name, ""))
            if body is None or body.meta.get(_BODY_OF) != opset_version:
                body = ir.serde.deserialize_function(function(name, opset_version))
                body.meta[_BODY_OF] = opset_version
            model.functions[body.identifier()] = body


def register_schemas() -> None:
    """Tell onnx's checker and shape inference about the rpu ops; safe to call repeatedly.

    onnx's schema registry is global to the process. Without registration a program is still
    valid: its ops are then known by their function bodies alone.
    """
    for spec in OPS.values():
        register(spec, VERSION)
