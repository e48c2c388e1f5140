"""The loss and its gradient as one instruction."""

from __future__ import annotations

import numpy as np

from rpucc.runtime.builder import Builder, Instruction
from rpucc.runtime.chains import Head
from rpucc.runtime.digital.softmax import wrong_label
from rpucc.runtime.fits import require
from rpucc.runtime.kernels.softmax import cross_entropy_head


def build_head(builder: Builder, head: Head) -> Instruction:
    """Loss and gradient; a label that is no class raises DataError."""
    logits, labels = (builder.array(v) for v in head.loss.inputs)
    fits = logits.ndim == 2 and labels.shape == logits.shape[:1] and labels.dtype == np.int64
    require(head.loss, fits, f"its labels {list(labels.shape)} do not fit {list(logits.shape)}")
    loss = builder.new(head.loss.outputs[0], ())
    out = builder.new(head.nodes[-1].outputs[0], logits.shape)
    divisor = np.float32(builder.array(head.nodes[-1].inputs[1]))

    def run() -> None:
        bad = cross_entropy_head(logits, labels, divisor, loss, out)
        if bad >= 0:
            raise wrong_label(head.loss, labels[bad], logits.shape[1])

    return run
