"""What every number of a plan means: one table for the page's glossary and for docs/plan.md.

Not for the numbers themselves: those are `rpucc.plan.plan`'s.
"""

from __future__ import annotations

from typing import NamedTuple


class Definition(NamedTuple):
    """One term."""

    key: str
    """Links a heading to the glossary."""
    term: str
    text: str


DEFINITIONS: tuple[Definition, ...] = (
    Definition("layer", "layer", "A weight matrix of the model, by the name of its node."),
    Definition("op", "op", "Conv, or Gemm for any dense layer."),
    Definition(
        "matrix",
        "matrix R × C",
        "Rows are outputs, columns are inputs. A kernel of C_in channels and K taps has C_in · K "
        "columns; one more is the bias, where the bias is on the array. A grouped convolution has "
        "one matrix a group: 96 of 1 × 10.",
    ),
    Definition(
        "array",
        "array",
        "The kind of array that holds the layer, from the target's [[array]]; digital where the "
        "layer is on none.",
    ),
    Definition(
        "grid",
        "grid",
        "Row blocks × column segments that the matrix is cut into. Partial sums of the segments "
        "are added digitally.",
    ),
    Definition(
        "tiles",
        "tiles",
        "Blocks of the matrix, row blocks · column segments, of all groups, copies and planes of "
        "cells; each lies on an array.",
    ),
    Definition("arrays", "arrays", "Physical arrays that hold tiles of the layer."),
    Definition(
        "used",
        "used",
        "Crosspoints that hold a weight, by the crosspoints of the arrays used.",
    ),
    Definition(
        "copies",
        "copies",
        "Replicas of the layer, on arrays of their own, that share out its reads.",
    ),
    Definition(
        "devices-per-weight",
        "devices a weight",
        "Devices, in rows of their own, whose mean is a weight.",
    ),
    Definition(
        "cell",
        "cell",
        "What a weight is made of (docs/cells.md): plain is one device; other cells have several "
        "planes of devices, each on arrays of its own.",
    ),
    Definition(
        "scale",
        "scale",
        "What the layer's outputs are multiplied by digitally; the weights on the devices are "
        "smaller by it. Smallest to largest of the outputs; none where the weights fit "
        "(mapping.weight_scaling).",
    ),
    Definition(
        "clipped",
        "clipped",
        "Weights beyond the mean bounds of the devices, by the weights of the layer: programming "
        "cuts them. Each device's own bounds differ, so that a machine clips some more.",
    ),
    Definition(
        "fixed",
        "fixed",
        "Weights that the layer's mask keeps what they are (update.mask), by the weights of the "
        "layer: no pulse reaches them, and those that are 0 need no device.",
    ),
    Definition(
        "left-out",
        "left out",
        "Tiles of nothing but fixed zeros. They are not placed, not read and not updated: so many "
        "arrays fewer, and so many reads of a tile fewer a sample in each cycle.",
    ),
    Definition(
        "weights",
        "weights",
        "R · C of all groups; copies, planes and several devices a weight do not count again. "
        "Digital ones are of layers, biases, norms, tables and the like; of those that are in no "
        "layer most are not trained.",
    ),
    Definition(
        "reads-forward",
        "reads, forward",
        "Vectors that go through the whole grid for one sample: the output positions P of a "
        "convolution, 1 for a dense layer.",
    ),
    Definition(
        "reads-backward",
        "reads, backward",
        "Transposed reads for one sample. None for a first layer: no error leaves it.",
    ),
    Definition("updates", "updates", "Vector pairs that the update cycle takes for one sample."),
    Definition(
        "macs",
        "multiply-accumulates",
        "R · C · reads of all groups, for the forward cycle of one sample; the bias column counts.",
    ),
    Definition(
        "forward-time",
        "forward time",
        "Forward reads of one sample, shared out among copies, × t_read of the kind of array, "
        "expected re-reads included. "
        "All arrays of a grid read at once. Digital work and transfers are not in it.",
    ),
    Definition(
        "backward-time", "backward time", "Transposed reads of one sample × t_read of the kind."
    ),
    Definition(
        "update-time",
        "update time",
        "Updates of one sample × BL pulse slots × t_pulse of the kind. Where a fast array is "
        "transferred to a slow one, the reads and pulses of that too.",
    ),
    Definition(
        "training-time",
        "training time",
        "Forward, backward and update time of one sample, one after the other.",
    ),
    Definition(
        "bottleneck",
        "bottleneck",
        "The layers with the longest forward time: no pipeline of the layers can take images "
        "faster. Where one is named, the first.",
    ),
    Definition(
        "pipeline-time",
        "time a sample in the pipeline",
        "The bottleneck's forward time: every layer works on another image, and one image is "
        "done each time.",
    ),
    Definition(
        "latency",
        "time of one sample alone",
        "The longest path through the forward network; each layer starts when its input is whole.",
    ),
    Definition(
        "images-per-second",
        "images a second",
        "Inference: one image every time of the bottleneck. Training one by one: each image after "
        "the one before, as plain SGD does. Training pipelined: every layer works on another "
        "image, so that updates are delayed. Below it the energy of an image and the mean power.",
    ),
    Definition(
        "energy",
        "energy",
        "Joules of a sample in crosspoints, converters, pulses and bytes that move, by the "
        "target's [cost] table; digital operations count for the whole network only.",
    ),
    Definition(
        "tops-per-watt",
        "TOPS/W",
        "Tera-operations a second and watt, forward: two operations a multiply-accumulate (a "
        "multiplication and an addition; the bias column counts), by the energy of an image. A "
        "layer's own, in --csv, leaves out digital operations.",
    ),
    Definition(
        "conversions",
        "DAC, ADC",
        "Conversions of a sample in all cycles, re-reads too: inputs of a read times row blocks, "
        "outputs times column segments. None where the target has no converter.",
    ),
    Definition(
        "moved",
        "moved",
        "Bytes of a sample that come to the layer in all cycles, and its partial sums where there "
        "are several segments; in the bits of the converter that takes or gives a value, in "
        "cost.value_bits where there is none.",
    ),
    Definition(
        "rereads",
        "re-reads",
        "Reads that bound management is expected to repeat: cost.expected_rereads a read.",
    ),
    Definition(
        "digital-operations",
        "digital operations",
        "Additions, multiplications and functions of a sample outside the arrays, from the shapes "
        "of the graph, all cycles.",
    ),
    Definition(
        "NM",
        "NM, noise management",
        "Each vector is divided by its largest magnitude before a read and the result is "
        "multiplied by it, so that small signals stand above the read noise; shown are the cycles "
        "that do it.",
    ),
    Definition(
        "BM",
        "BM, bound management",
        "A read whose result saturates is repeated with half the input; shown are the cycles that "
        "do it.",
    ),
    Definition(
        "update",
        "update policy",
        "BL and what manages it; exact where the update is the outer product in floating point, "
        "mean where devices move by what pulses do on average; lr × where a layer has a rate of "
        "its own, frozen where that is 0.",
    ),
    Definition("BL", "BL", "Pulse slots in a stochastic update."),
    Definition(
        "UM",
        "UM, update management",
        "Rows and columns fire with equal peak probability; the mean update is the same.",
    ),
    Definition(
        "UBLM",
        "UBLM, update BL management",
        "As few slots as the update needs, at most BL; shown as BL ≤.",
    ),
    Definition(
        "device",
        "device",
        "The model of the crosspoint devices and its parameters, after all layer rules.",
    ),
    Definition(
        "periphery",
        "periphery",
        "Read noise (standard deviation on every output), the bound at which outputs saturate, "
        "and the bits of the input (DAC) and output converters (ADC); 0 bits is no converter.",
    ),
)
"""Every term, in the order of a page."""

_BY_KEY = {definition.key: definition for definition in DEFINITIONS}


def definition(key: str) -> Definition:
    """Return the definition of a key; KeyError for an unknown one."""
    return _BY_KEY[key]


def as_markdown() -> str:
    """Return all definitions as a table for docs/plan.md."""
    rows = [f"| {each.term} | {each.text.replace('|', chr(92) + '|')} |" for each in DEFINITIONS]
    return "\n".join(["| term | meaning |", "| --- | --- |", *rows]) + "\n"
