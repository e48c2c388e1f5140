"""Opening onnxruntime sessions: the one place, quiet and without telemetry.

Not for what is run or how its errors are told: the callers know which node or pass it is about.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import onnxruntime


def open_session(model: bytes, options: onnxruntime.SessionOptions) -> onnxruntime.InferenceSession:
    """Open a serialised model on the CPU; raises what onnxruntime raises.

    Errors come as exceptions and are not written to standard error as well. onnxruntime sends
    nothing to anybody: wheels for Linux have no telemetry, those for Windows do.
    """
    import onnxruntime

    onnxruntime.disable_telemetry_events()
    options.log_severity_level = 4
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
