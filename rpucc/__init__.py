"""rpucc: a compiler and a runtime for training neural networks on RPU arrays.

    compile, check              an ONNX model and a target -> a Program, or what would become of it
    CompileOptions              how: all of their options as one object
    from_torch, from_keras      a network of PyTorch or Keras -> an ONNX model
    dense                       a fully connected one, from NumPy arrays
    prune                       a network with its smallest weights set to 0
    Pass, after, before         passes of your own among the compiler's
    Program, Plan, Target       what was compiled, how it lies on the arrays, for which arrays
    load_dataset, Dataset       training and test samples, from files, by name or from arrays
    balanced_weights            weights of classes that make up for how often each is there
    Machine, Trainer            a program on simulated arrays, and what trains and evaluates it
    save_checkpoint, load_checkpoint
    Array                       a matrix on devices by itself: programmed, read and pulsed
    Device                      the base of device models of your own

What cannot be done raises an RpuccError, a line a problem; a wrong argument is an ArgumentError,
which is a TypeError and a ValueError too. Importing this package loads nothing heavy; the names
load their modules on first use. docs/python.md has examples.
"""

from __future__ import annotations

import os.path
import sys
from typing import TYPE_CHECKING

from rpucc import portable

__version__ = "0.1.0"

# In a checkout the sub-packages lie beside this folder, not in it (pyproject's package-dir maps
# them when installed): let `import rpucc.passes` find them when Python runs from the checkout.
_checkout = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
if os.path.isfile(os.path.join(_checkout, "pyproject.toml")):
    __path__.append(_checkout)

if portable.asked():  # before NumPy and BLAS are loaded, which read their environment then
    portable.hold()

_LAZY = {
    "compile": ("rpucc.compiler.compile", "compile_model"),
    "check": ("rpucc.compiler.check", "check_model"),
    "CompileOptions": ("rpucc.compiler.options", "CompileOptions"),
    "from_torch": ("rpucc.frameworks.torch_export", "from_torch"),
    "from_keras": ("rpucc.frameworks.keras_export", "from_keras"),
    "dense": ("rpucc.models.dense", "dense"),
    "prune": ("rpucc.pruning", "prune"),
    "Pass": ("rpucc.passes.base", "RpuPass"),
    "after": ("rpucc.passes.insertion", "after"),
    "before": ("rpucc.passes.insertion", "before"),
    "Program": ("rpucc.program", "Program"),
    "Plan": ("rpucc.plan.plan", "Plan"),
    "Target": ("rpucc.target.target", "Target"),
    "Machine": ("rpucc.runtime.machine", "Machine"),
    "Trainer": ("rpucc.runtime.trainer", "Trainer"),
    "ProgressBar": ("rpucc.terminal", "ProgressBar"),
    "compare": ("rpucc.runs.compared", "compare"),
    "ablate": ("rpucc.runs.ablate", "ablate"),
    "Ablation": ("rpucc.experiments.ablation", "Ablation"),
    "EpochMetrics": ("rpucc.runtime.metrics", "EpochMetrics"),
    "Export": ("rpucc.origins.export", "Export"),
    "Evaluation": ("rpucc.runtime.metrics", "Evaluation"),
    "Progress": ("rpucc.runtime.metrics", "Progress"),
    "StepMetrics": ("rpucc.runtime.metrics", "StepMetrics"),
    "LayerStats": ("rpucc.runtime.layer_stats", "LayerStats"),
    "RunInfo": ("rpucc.runtime.metrics", "RunInfo"),
    "Recalibration": ("rpucc.runtime.recalibration", "Recalibration"),
    "CSVLogger": ("rpucc.runtime.loggers.csv_file", "CSVLogger"),
    "TensorBoardLogger": ("rpucc.runtime.loggers.tensorboard", "TensorBoardLogger"),
    "Dataset": ("rpucc.runtime.data", "Dataset"),
    "load_dataset": ("rpucc.runtime.data", "load_dataset"),
    "balanced_weights": ("rpucc.runtime.data.balanced", "balanced_weights"),
    "load_checkpoint": ("rpucc.runtime.checkpoint", "load_checkpoint"),
    "save_checkpoint": ("rpucc.runtime.checkpoint", "save_checkpoint"),
    "Array": ("rpucc.runtime.standalone", "StandaloneArray"),
    "Device": ("rpucc.runtime.devices", "Device"),
    "verdict": ("rpucc.runtime.verdict", "verdict"),
    "by_layer": ("rpucc.runtime.by_layer", "by_layer"),
    "ByLayer": ("rpucc.runtime.layer_effects", "ByLayer"),
    "write_report": ("rpucc.runs.gather", "write_report"),
    "RpuccError": ("rpucc.errors", "RpuccError"),
    "ArgumentError": ("rpucc.errors", "ArgumentError"),
    "CheckpointError": ("rpucc.errors", "CheckpointError"),
    "DataError": ("rpucc.errors", "DataError"),
    "DataWarning": ("rpucc.errors", "DataWarning"),
    "InfeasibleError": ("rpucc.errors", "InfeasibleError"),
    "ModelError": ("rpucc.errors", "ModelError"),
    "OutputError": ("rpucc.errors", "OutputError"),
    "PassError": ("rpucc.errors", "PassError"),
    "TargetError": ("rpucc.errors", "TargetError"),
    "UnsupportedError": ("rpucc.errors", "UnsupportedError"),
    "UsageError": ("rpucc.errors", "UsageError"),
    "VerificationError": ("rpucc.errors", "VerificationError"),
    "VersionError": ("rpucc.errors", "VersionError"),
}
"""Public name -> the module and the attribute that it is. None may be the name of a module of this
package: importing that would put it in the name's place."""

__all__ = [
    "Ablation",
    "ArgumentError",
    "Array",
    "ByLayer",
    "CSVLogger",
    "CheckpointError",
    "CompileOptions",
    "DataError",
    "DataWarning",
    "Dataset",
    "Device",
    "EpochMetrics",
    "Evaluation",
    "Export",
    "InfeasibleError",
    "LayerStats",
    "Machine",
    "ModelError",
    "OutputError",
    "Pass",
    "PassError",
    "Plan",
    "Program",
    "Progress",
    "ProgressBar",
    "Recalibration",
    "RpuccError",
    "RunInfo",
    "StepMetrics",
    "Target",
    "TargetError",
    "TensorBoardLogger",
    "Trainer",
    "UnsupportedError",
    "UsageError",
    "VerificationError",
    "VersionError",
    "ablate",
    "after",
    "balanced_weights",
    "before",
    "by_layer",
    "check",
    "compare",
    "compile",
    "dense",
    "from_keras",
    "from_torch",
    "load_checkpoint",
    "load_dataset",
    "prune",
    "save_checkpoint",
    "verdict",
    "write_report",
]

if TYPE_CHECKING:
    from rpucc.compiler.check import check_model as check
    from rpucc.compiler.compile import compile_model as compile
    from rpucc.compiler.options import CompileOptions
    from rpucc.errors import (
        ArgumentError,
        CheckpointError,
        DataError,
        DataWarning,
        InfeasibleError,
        ModelError,
        OutputError,
        PassError,
        RpuccError,
        TargetError,
        UnsupportedError,
        UsageError,
        VerificationError,
        VersionError,
    )
    from rpucc.experiments.ablation import Ablation
    from rpucc.frameworks.keras_export import from_keras
    from rpucc.frameworks.torch_export import from_torch
    from rpucc.models.dense import dense
    from rpucc.origins.export import Export
    from rpucc.passes.base import RpuPass as Pass
    from rpucc.passes.insertion import after, before
    from rpucc.plan.plan import Plan
    from rpucc.program import Program
    from rpucc.pruning import prune
    from rpucc.runs.ablate import ablate
    from rpucc.runs.compared import compare
    from rpucc.runs.gather import write_report
    from rpucc.runtime.by_layer import by_layer
    from rpucc.runtime.checkpoint import load_checkpoint, save_checkpoint
    from rpucc.runtime.data import Dataset, load_dataset
    from rpucc.runtime.data.balanced import balanced_weights
    from rpucc.runtime.devices import Device
    from rpucc.runtime.layer_effects import ByLayer
    from rpucc.runtime.layer_stats import LayerStats
    from rpucc.runtime.loggers.csv_file import CSVLogger
    from rpucc.runtime.loggers.tensorboard import TensorBoardLogger
    from rpucc.runtime.machine import Machine
    from rpucc.runtime.metrics import EpochMetrics, Evaluation, Progress, RunInfo, StepMetrics
    from rpucc.runtime.recalibration import Recalibration
    from rpucc.runtime.standalone import StandaloneArray as Array
    from rpucc.runtime.trainer import Trainer
    from rpucc.runtime.verdict import verdict
    from rpucc.target.target import Target
    from rpucc.terminal import ProgressBar


def __getattr__(name: str) -> object:
    """Load a public name on first use (PEP 562), so that `import rpucc` stays fast."""
    if name in _LAZY:
        from importlib import import_module

        module, attribute = _LAZY[name]
        return getattr(import_module(module), attribute)
    if name == "torch":  # a module that needs PyTorch, which rpucc does without
        from importlib import import_module

        return import_module("rpucc.torch")
    # `name` and `obj` let Python add its "Did you mean".
    raise AttributeError(
        f"module 'rpucc' has no attribute {name!r}", name=name, obj=sys.modules[__name__]
    )


def __dir__() -> list[str]:
    """List the public names: what completion offers and `help` describes."""
    return [*__all__, "__version__"]
