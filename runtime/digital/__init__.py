"""Standard ONNX operators: NumPy and Numba for those CNNs spend time in, onnxruntime for the rest.

Native builders are rows of the table NATIVE, one small function each; an operator without a row
(or with a case its row declines) runs as a one-op onnxruntime session (`session.py`), so every
operator that ONNX has works.
"""

from __future__ import annotations

from rpucc.runtime.digital.elementwise import ELEMENTWISE
from rpucc.runtime.digital.pooling import POOLING
from rpucc.runtime.digital.shape import SHAPE
from rpucc.runtime.digital.softmax import SOFTMAX

NATIVE = {**ELEMENTWISE, **POOLING, **SHAPE, **SOFTMAX}

__all__ = ["NATIVE"]
