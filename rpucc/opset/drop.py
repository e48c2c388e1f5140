"""Drop: a dropout whose mask each step of training draws, by the same counters as the machine.

Srivastava et al. 2014, JMLR 15, in the form that ONNX's Dropout has: what stays is divided by the
share that stays. The body says which elements stay, word for word: Philox4x32-10 of (seed, purpose
and number of the dropout, sample, element) in integer arithmetic that never passes 2^63, addressed
as `rpucc.runtime.scalars.philox` says. So any ONNX runtime drops what the machine drops.

Not for which dropout of a model becomes one: that is `rpucc.passes.draw_dropouts`.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx_ir as ir

from rpucc.cost.operations import Node, Operations
from rpucc.node_attributes import Attribute, whole
from rpucc.op_shapes import Attributes, Shape, agree, check_rank
from rpucc.op_spec import Interval, OpSpec
from rpucc.target.values import Allowed

PURPOSE = 28
"""What the draws are for: the top byte of counter word 2, `DROPOUT` of the scalars."""

MOST = 2**24
"""Dropouts of a program that can be told apart."""

# The multipliers of the rounds, D2511F53 and CD9E8D57, come in halves of 16 bits: a product of two
# words of 32 bits has no place in an int64.
_BODY = f"""
{{
  half         = Constant <value_int = 65536> ()
  words        = Constant <value_int = 4294967296> ()
  zero         = Constant <value_int = 0> ()
  one          = Constant <value_int = 1> ()
  two          = Constant <value_int = 2> ()
  three        = Constant <value_int = 3> ()
  sixteen      = Constant <value_int = 16> ()
  sixty_four   = Constant <value_int = 64> ()
  column       = Constant <value_ints = [1]> ()
  by_sample    = Constant <value_ints = [0, -1]> ()
  number       = Constant <value_int: int = @number> ()
  purpose      = Constant <value_int = {PURPOSE << 24}> ()
  rounds       = Constant <value_int = 10> ()
  go           = Cast <to = 9> (one)
  m0_high      = Constant <value_int = {0xD251}> ()
  m0_low       = Constant <value_int = {0x1F53}> ()
  m1_high      = Constant <value_int = {0xCD9E}> ()
  m1_low       = Constant <value_int = {0x8D57}> ()
  weyl0        = Constant <value_int = {0x9E3779B9}> ()
  weyl1        = Constant <value_int = {0xBB67AE85}> ()

  x_shape      = Shape (x)
  flat         = Reshape (x, by_sample)
  flat_shape   = Shape (flat)
  Ns, Es       = Split <num_outputs = 2> (flat_shape)
  N            = Squeeze (Ns)
  E            = Squeeze (Es)
  key0, key1, first = Split <num_outputs = 3> (draws)
  element      = Range (zero, E, one)
  group        = Div (element, sixty_four)
  in_group     = Mod (element, sixty_four)
  which        = Div (in_group, sixteen)
  place        = Mod (in_group, sixteen)
  block        = Mul (group, sixteen)
  counter      = Add (block, place)
  row          = Range (zero, N, one)
  later        = Add (row, first)
  sample       = Mod (later, words)
  samples      = Unsqueeze (sample, column)
  top          = Add (purpose, number)
  start0       = Expand (counter, flat_shape)
  start1       = Mul (start0, zero)
  start2       = Add (start1, top)
  start3       = Expand (samples, flat_shape)

  a, b, c, d, keyed0, keyed1 = Loop (rounds, go, start0, start1, start2, start3, key0, key1) <
    body = philox (int64 i, bool on, int64[n, e] c0, int64[n, e] c1, int64[n, e] c2,
                   int64[n, e] c3, int64[1] k0, int64[1] k1)
        => (bool on2, int64[n, e] d0, int64[n, e] d1, int64[n, e] d2, int64[n, e] d3,
            int64[1] j0, int64[1] j1) {{
      on2      = Identity (on)
      p0_low   = Mul (c0, m0_low)
      p0_high  = Mul (c0, m0_high)
      carry0   = Div (p0_low, half)
      upper0   = Add (p0_high, carry0)
      high0    = Div (upper0, half)
      middle0  = Mod (upper0, half)
      shifted0 = Mul (middle0, half)
      lower0   = Mod (p0_low, half)
      p1_low   = Mul (c2, m1_low)
      p1_high  = Mul (c2, m1_high)
      carry1   = Div (p1_low, half)
      upper1   = Add (p1_high, carry1)
      high1    = Div (upper1, half)
      middle1  = Mod (upper1, half)
      shifted1 = Mul (middle1, half)
      lower1   = Mod (p1_low, half)
      mixed0   = BitwiseXor (high1, c1)
      d0       = BitwiseXor (mixed0, k0)
      d1       = Add (shifted1, lower1)
      mixed2   = BitwiseXor (high0, c3)
      d2       = BitwiseXor (mixed2, k1)
      d3       = Add (shifted0, lower0)
      sum0     = Add (k0, weyl0)
      j0       = Mod (sum0, words)
      sum1     = Add (k1, weyl1)
      j1       = Mod (sum1, words)
    }}
  >
  is_a         = Less (which, one)
  is_b         = Less (which, two)
  is_c         = Less (which, three)
  c_or_d       = Where (is_c, c, d)
  b_to_d       = Where (is_b, b, c_or_d)
  word         = Where (is_a, a, b_to_d)

  float_ratio  = Constant <value_float: float = @ratio> ()
  ratio        = Cast <to = 11> (float_ratio)
  words_double = Cast <to = 11> (words)
  share        = Mul (ratio, words_double)
  floor        = Floor (share)
  bound        = Cast <to = 7> (floor)
  kept         = GreaterOrEqual (word, bound)
  none         = Constant <value_float = 0.0> ()
  none_x       = CastLike (none, x)
  unit         = Constant <value_float = 1.0> ()
  unit_x       = CastLike (unit, x)
  unit_double  = Cast <to = 11> (unit)
  stays        = Sub (unit_double, ratio)
  double_scale = Div (unit_double, stays)
  scale        = CastLike (double_scale, x)
  flat_drawn   = Where (kept, scale, none_x)
  drawn        = Reshape (flat_drawn, x_shape)
  on           = Greater (training, none_x)
  mask         = Where (on, drawn, unit_x)
  y            = Mul (x, mask)
}}
"""


def drop(attributes: Attributes, inputs: Sequence[Shape]) -> list[Shape]:
    """X [N, ...], [], [3] -> y and mask, both as x."""
    x, training, draws = inputs
    check_rank("x", x, 1)
    if training:
        raise ValueError(f"training must be one number, found rank {len(training)}")
    if len(draws) != 1:
        raise ValueError(f"draws must be [3], found rank {len(draws)}")
    agree("draws must be [3]", draws[0], 3)
    return [list(x), list(x)]


def bound_of(ratio: float) -> int:
    """Words below this are dropped, of 2^32; ratio: a float32."""
    return int(np.floor(float(np.float32(ratio)) * 2.0**32))


def scale_of(ratio: float) -> np.float32:
    """What stays is multiplied by this; ratio: a float32."""
    return np.float32(1.0 / (1.0 - float(np.float32(ratio))))


def _interval(node: ir.Node, inputs: list[Interval]) -> Interval:
    (low, high), scale = inputs[0], float(scale_of(node.attributes.get_float("ratio", 0.5)))
    return min(low * scale, 0.0), max(high * scale, 0.0)


def _work(n: Node) -> Operations:
    """A comparison of the random word and a product; drawing the word is not counted."""
    return Operations(adds=1, multiplies=1) * n.input()


RATIO = Attribute(
    "ratio",
    "FLOAT",
    Allowed("a number from 0 to 0.999999", lambda v: 0.0 <= v <= 0.999999),
    doc="the share that is dropped",
)
NUMBER = whole("number", 0, MOST - 1, doc="which dropout of the program it is: draws of its own")

DROP = OpSpec(
    name="Drop",
    doc="Dropout: where training is 1, an element of x becomes 0 with the probability ratio, and "
    "is divided by 1 - ratio elsewhere; where it is 0, y is x. draws says which: the two words of "
    "the seed, and the number of the first sample. mask is what x is multiplied by.",
    inputs=("x", "training", "draws"),
    outputs=("y", "mask"),
    own=(RATIO, NUMBER),
    body=_BODY,
    shapes=drop,
    integers=("draws",),
    work=_work,
    interval=_interval,
    exact=True,
)
