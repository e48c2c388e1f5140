"""What rpucc does with each ONNX operator, gathered from the tables that decide it.

For `rpucc operators` and `docs/operators.md`, which it writes. Not for what becomes of the nodes
of a given model: that is `compiler/check.py`.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from dataclasses import dataclass

import onnx.defs

from rpucc.layers import LAYER_OPS
from rpucc.passes.fold_batchnorm import SCALED
from rpucc.passes.frontend.rulebook import RULEBOOK
from rpucc.passes.frontend.rules import rule_text
from rpucc.passes.frontend.support import REFUSED_OPS
from rpucc.passes.gradients import GRADIENTS
from rpucc.runtime.digital import NATIVE

COMMAND = "rpucc operators --markdown > docs/operators.md"
"""Writes the page anew."""


@dataclass(frozen=True)
class Operator:
    """One standard operator."""

    name: str
    arrays: bool
    """Whether its constant weights can lie on arrays."""
    forward: str
    """"native", "onnxruntime", "left out", "constant" or "refused"."""
    trained_through: bool
    """Whether layers before it can be trained."""
    remark: str = ""

    @property
    def through(self) -> str:
        """`trained_through` for a reader: nothing where there is no such question."""
        if self.forward in ("refused", "constant"):
            return ""
        return "yes" if self.trained_through else "no"


def operators() -> list[Operator]:
    """Return every operator that a table of rpucc names, sorted; all others are `OTHERS`."""
    named = {*LAYER_OPS, *SCALED, *GRADIENTS, *NATIVE, *REFUSED_OPS, *_OTHERS}
    return [_operator(name) for name in sorted(named) if onnx.defs.has(name)]


OTHERS = (
    "Any other standard operator runs through onnxruntime and has no gradient: no trained layer\n"
    "may lie before it. Compile with `--inference`, or replace it in the model."
)


_OTHERS = {
    "Constant": ("constant", "becomes an initializer"),
    "Identity": ("left out", "does nothing"),
    "Dropout": ("native", "draws its mask in steps of training: see below; else left out"),
}
"""Operators that a program does not have as such: what runs in their place, and a remark."""


def _operator(name: str) -> Operator:
    analog = name in LAYER_OPS
    through = analog or name in GRADIENTS
    if name in REFUSED_OPS:
        return Operator(name, False, "refused", False, REFUSED_OPS[name])
    if name in _OTHERS:
        forward, remark = _OTHERS[name]
        return Operator(name, False, forward, True, remark)
    remark = ""
    if name == "Einsum":
        analog, remark = True, "arrays: where it is a dense layer, see below"
    if name == "BatchNormalization":
        remark = f"folded into a {', '.join(SCALED)} before it, or digital: see below"
    return Operator(name, analog, "native" if name in NATIVE else "onnxruntime", through, remark)


def rules() -> Iterator[tuple[str, list[tuple[str, str, str]]]]:
    """Yield each subject with its rules: name, text of the error, what else there is to say."""
    for subject, found in RULEBOOK:
        rows = []
        for rule in found:
            _, _, more = inspect.cleandoc(rule.__doc__ or "").partition("\n")
            rows.append((rule.__name__, rule_text(rule), " ".join(more.split())))
        yield subject, rows


# ---------------------------------------------------------------- the page


def markdown() -> str:
    """Return the text of docs/operators.md."""
    lines = [_HEAD.format(command=COMMAND), "| operator | arrays | forward | trained through | |"]
    lines.append("| --- | --- | --- | --- | --- |")
    for op in operators():
        cells = (op.name, "yes" if op.arrays else "", op.forward, op.through, op.remark)
        lines.append(f"| {' | '.join(cells)} |".replace("  ", " "))
    lines += ["", OTHERS, "", _WEIGHTS, _BATCH_NORMS, _DROPOUTS, "## Rules", ""]
    lines.append("Each line is the middle of the message that a model gets which breaks the rule:")
    lines.append("`file: node: rule: what was found`.")
    for subject, rows in rules():
        lines += ["", f"### {subject}", ""]
        lines += [f"* {text}.{f' {more}' if more else ''} (`{name}`)" for name, text, more in rows]
    return "\n".join(lines) + "\n"


_HEAD = """# Operators

What rpucc does with each ONNX operator, and every rule that a model must keep. Written from the
tables and rules of the code by `{command}`;
a test keeps it current. `rpucc check MODEL` says the same about each node of a model of yours.

* **arrays**: with constant weights, it can live on arrays and be trained there.
* **forward**: a kernel of rpucc's own (`native`, in the usual cases; others run through
  onnxruntime), onnxruntime, left out, known beforehand (`constant`), or `refused`.
* **trained through**: layers before it can be trained.
"""

_WEIGHTS = """## Constant weights

A layer is a product of an activation and a constant matrix or kernel, however the file writes it:

* Conv, ConvTranspose, Gemm, MatMul; the constant may stand on either side;
* a MatMul with one matrix a channel (weight [G, K, M]): G matrices, as of a grouped convolution;
* an Einsum of two operands in which every index is of one of four kinds: positions (activation and
  result), outputs (weight and result), inputs (both operands), groups (all three). The index of the
  samples is a position.

It lies on arrays, or is digital by a layer rule; trained it is in both cases. One more constant for
each output, added right behind it, is its bias.

What the file uses in several places (one initializer, or its transpose or reshape) stays one
matrix: [mapping.md](mapping.md).

All other constant weights (of PRelu, LayerNormalization and its like, an Einsum of another kind,
Gather's table, a vector that is multiplied or added somewhere) are digital and training leaves them
as they are; `check` says so of each node, and `compile` counts them. Single numbers, masks, and
what is subtracted or divided by (means, deviations) are no weights.
"""

_BATCH_NORMS = """## Batch norms

The target says what becomes of them, for all (`[batch_norm]`) or by name (`[[layer]]` rules):

* `policy = "auto"`, the default: `batch` in a program that trains, where the file's mean and
  variance were never measured (they are exactly 0 and 1, or the node is in training mode), else
  `fold`. `compile` and `check` say so in a line.
* `policy = "fold"`: into the layer before, where nothing else uses its result. One that follows no
  such layer (DenseNet's BN → ReLU → Conv) stays digital and frozen, and `compile` and `check` say
  why.
* `policy = "frozen"`: digital; training changes nothing in it.
* `policy = "train"`: digital; scale and bias are trained. Mean and variance stay the file's.
* `policy = "batch"`: digital; scale and bias are trained. In training it normalises by mean and
  variance of the minibatch, over samples and positions, and the gradient goes through them. The
  running ones follow with the node's momentum (running · momentum + batch · (1 - momentum), the
  variance with 1/n, as ONNX has it), evaluation uses them, checkpoints and `export` have them. A
  step in which a channel has one number only (a dense layer at minibatch 1) is refused. For
  inference (`--inference`) it is `frozen`.

A batch norm that was exported in training mode and does not get the policy `batch` is taken as in
inference, with a note.
"""

_DROPOUTS = """## Dropouts

In a program that trains each Dropout of the file draws a mask in every step, whatever its training
mode: an element becomes 0 with the probability `ratio`, the others are divided by 1 - ratio. The
gradient goes through the same mask, an evaluation has none. In the program it is one `rpu.Drop`,
whose mask is a value of the graph; a note names all of them in one line.

* The ratio is an attribute (up to opset 11) or a constant input, 0.5 where there is none. With a
  ratio of 0 the node goes. One that is computed, or not from 0 to 0.999999, is refused, and the
  message names the node.
* `dropout.policy = "off"` leaves them out, all (`[dropout]`) or by name (`[[layer]]` rules).
* Between a layer and its batch norm, or its bias, it keeps these apart: the batch norm is not
  folded.
* A Dropout of constants (of weights) is left out, with a note.
* `--inference` leaves all of them out.
"""
