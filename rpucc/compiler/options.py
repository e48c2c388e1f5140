"""How a model is compiled: the options that `rpucc.compile`, `rpucc.check` and commands share.

One frozen dataclass. Its fields are the keyword arguments of the two functions, and where a field
has a Flag, an option of every command that compiles (`rpucc/cli/options.py` makes them). Imports
nothing heavy. Not for what an option does: that is `compiler/compile.py`; nor for the values that
one takes: `option_values.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from rpucc import arguments, losses
from rpucc.compiler.option_values import (
    SHAPE,
    SMOOTHING,
    by_channel,
    check_loss,
    class_weights_option,
    frozen,
    initial,
    input_range,
    insertions,
)

if TYPE_CHECKING:
    from rpucc.passes.callbacks import Callback
    from rpucc.passes.frontend.source import Source
    from rpucc.passes.insertion import Insertion
    from rpucc.target.target import Target, TargetSource

DEFAULT_TARGET = "rpu-managed"

ShapeOf = Callable[[tuple[int | None, ...]], Sequence[int] | None]
"""Fills the sizes of an input that a file leaves open."""
WeightsOf = Callable[[tuple[int, ...]], Sequence[float]]
"""Gives each class of an output [K, *space] its weight: `rpucc.balanced_weights(data)`."""


@dataclass(frozen=True)
class Flag:
    """How the command line writes an option."""

    names: str
    """As click takes them: "--set", "--verify/--no-verify"."""
    form: Literal[
        "switch",
        "text",
        "texts",
        "loss",
        "interval",
        "sizes",
        "weights",
        "share",
        "numbers",
        "init",
    ]
    help: str
    metavar: str | None = None
    recorded: bool = True
    """Whether it changes the program, so that run.json keeps it."""


def _on_command_line(*arguments: Any, **keywords: Any) -> dict[str, Flag]:
    """The metadata of a field that the command line writes too: the arguments of its Flag."""
    return {"flag": Flag(*arguments, **keywords)}


@dataclass(frozen=True, kw_only=True, repr=False)
class CompileOptions:
    """How a model is compiled; what its fields may be is checked where it is made.

    overrides: changes of the target, as `--set` takes them: ["update.bl=1", "device.dw_min=0.002"].
    plan: the path of a plan file (`rpucc inspect --write-plan`), edited or not, whose decisions are
        followed; `overrides` come after it.
    training: whether the program holds loss, backward and update cycles.
    loss: "cross-entropy", "binary-cross-entropy", "mse", "mae", "huber" (beyond an error of 1
        linear; "huber:0.1" beyond 0.1), "none" (gradients come from a loop of your own, through
        `Machine.backward`, of any number of outputs) or "auto" (cross-entropy; where the output has
        one class, binary cross-entropy behind a Sigmoid and mse otherwise); or a loss of your own
        as an ONNX model of (output, labels): a path that ends in .onnx, or what `model` may be. Of
        no effect without `training`, as the next three.
    class_weights: how much the labels of each class count in a cross-entropy, as PyTorch's
        CrossEntropyLoss(weight=...) has it: a number of 0 or more for each class; or a function
        that gets the output's shape (classes, *space) and returns them, such as
        `rpucc.balanced_weights(data)`.
    label_smoothing: the part, from 0 to below 1, of a label's weight that is spread over all
        classes, as PyTorch's CrossEntropyLoss(label_smoothing=...) has it.
    freeze: the layers that are not trained, by name or pattern: ["conv*"]. They get no updates, and
        no backward cycle where nothing below them is trained. The same as a rule of the target
        with `update.lr_scale = 0`.
    init: draws the weights of the file anew before anything else: "he", "glorot", "lecun" or
        "uniform" (as `rpucc models build` has them), and with another seed than 0 "he:3". Biases
        and means become 0, scales and variances 1; what keeps the numbers of the file is in the
        plan's notes.
    input_range: (low, high), what the input's elements lie between; uint8 data, 0 to 255, are
        mapped onto it. By default the model's metadata `rpucc.input_range`, else (0, 1).
    mean: subtracted from the data by the first node of the program, so that data go into it as they
        are: a number, or one for each channel (of a vector, for each element). `input_range` is
        then that of the data, (0, 1) by default, and the model's metadata do not count.
    std: what the data are divided by in the same way, after `mean`; above 0.
    input_gradients: whether the program can compute the gradients of its inputs, which
        `Machine.backward` returns then, with the reads that they need. `Trainer.fit` does without
        them, and computes the same. Of no effect without `training`.
    input_shape: [C, *space] of the only input, for a model that was exported with open sizes; or a
        function that gets the sizes that the file states, None for an open one, and returns all,
        or None to leave them. It is asked only where some are open.
    verify: run the model before and after every pass and compare all values; None does so for
        models that are cheap to run. VerificationError would be a bug in rpucc (or in a pass of
        your own). What onnxruntime does not run is compared in an equal form, or
        `Program.verification` says why not.
    passes: passes of your own, each with its place: [rpucc.after("tile", MyPass())]; see
        `rpucc.Pass`.
    callbacks: called after each pass (see `rpucc.passes.callbacks`), before the checks; a check
        that fails is repeated on other data, and then they see all passes again.

    Raises ArgumentError for a value that a field does not take.

    >>> options = CompileOptions(overrides=["update.bl=1"], input_range=(-1, 1))
    >>> options
    CompileOptions(overrides=('update.bl=1',), input_range=(-1.0, 1.0))
    >>> options.training
    True
    """

    overrides: Sequence[str] = field(
        default=(),
        metadata=_on_command_line(
            "--set",
            "texts",
            "Change one key of the target, as in --set update.bl=1; may be repeated.",
            "KEY=VALUE",
        ),
    )
    plan: str | Path | None = field(
        default=None,
        metadata=_on_command_line(
            "--plan",
            "text",
            "Follow the decisions in a plan file (rpucc inspect --write-plan), edited or not.",
            "FILE.toml",
        ),
    )
    training: bool = field(
        default=True,
        metadata=_on_command_line(
            "--training/--inference",
            "switch",
            "With loss, backward and update cycles, or without.  [default: with]",
        ),
    )
    loss: Source = field(
        default="auto",
        metadata=_on_command_line(
            "--loss",
            "loss",
            f"{', '.join(losses.LOSSES)}, huber:DELTA, or FILE.onnx, a loss of your own; auto: "
            "cross-entropy, of a single output binary-cross-entropy behind a Sigmoid, else mse; "
            "none: for a loop of your own in Python.",
            "LOSS",
        ),
    )
    class_weights: Sequence[float] | WeightsOf | str | None = field(
        default=None,
        metadata=_on_command_line(
            "--class-weights",
            "weights",
            "How much each class counts in a cross-entropy: balanced (inversely to how often it is "
            "in the training labels), numbers between commas, or a text file of numbers.",
            "WEIGHTS",
        ),
    )
    label_smoothing: float = field(
        default=0.0,
        metadata=_on_command_line(
            "--label-smoothing",
            "share",
            "The part of a label that a cross-entropy spreads over all classes, from 0 to below 1.",
            "SHARE",
        ),
    )
    freeze: Sequence[str] = field(
        default=(),
        metadata=_on_command_line(
            "--freeze",
            "texts",
            "Do not train these layers, by name or pattern, as in --freeze 'conv*'; may be "
            "repeated.",
            "LAYERS",
        ),
    )
    init: str | None = field(
        default=None,
        metadata=_on_command_line(
            "--init",
            "init",
            "Draw all weights of the model anew: he, glorot, lecun or uniform; he:3 with a seed of "
            "its own, else --seed's where there is one.",
            "NAME[:SEED]",
        ),
    )
    input_range: tuple[float, float] | None = field(
        default=None,
        metadata=_on_command_line(
            "--input-range",
            "interval",
            "The range of the model's input; stored pixels 0..255 map onto it.  [default: 0 1]",
            "LO HI",
        ),
    )
    mean: float | Sequence[float] | None = field(
        default=None,
        metadata=_on_command_line(
            "--mean",
            "numbers",
            "Subtract it from the input, in the program: a number, or one for each channel.",
            "M,M,…",
        ),
    )
    std: float | Sequence[float] | None = field(
        default=None,
        metadata=_on_command_line(
            "--std",
            "numbers",
            "Divide the input by it, in the program, after --mean.",
            "S,S,…",
        ),
    )
    input_gradients: bool = False
    input_shape: Sequence[int] | ShapeOf | None = field(
        default=None,
        metadata=_on_command_line(
            "--input-shape",
            "sizes",
            "The shape of the model's input without the batch, where the file leaves it open.",
            "C,H,W",
        ),
    )
    verify: bool | None = field(
        default=None,
        metadata=_on_command_line(
            "--verify/--no-verify",
            "switch",
            "Run the model before and after every pass and compare all values.  [default: where a "
            "program is made, for models that are cheap to run]",
            recorded=False,
        ),
    )
    passes: Sequence[Insertion] = ()
    callbacks: Sequence[Callback] = ()

    def __post_init__(self) -> None:
        from rpucc.target.overrides import OVERRIDES

        checked: dict[str, object] = {
            "overrides": arguments.strings("overrides", self.overrides, OVERRIDES),
            "plan": None if self.plan is None else arguments.path("plan", self.plan),
            "training": arguments.instance("training", self.training, bool, "True or False"),
            "input_gradients": arguments.instance(
                "input_gradients", self.input_gradients, bool, "True or False"
            ),
            "class_weights": class_weights_option(self.class_weights),
            "freeze": frozen(self.freeze),
            "init": None if self.init is None else initial("init", self.init),
            "input_range": input_range(self.input_range),
            "mean": by_channel("mean", self.mean),
            "std": by_channel("std", self.std, above=0.0),
            "passes": insertions(self.passes, training=self.training),
            "callbacks": arguments.functions("callbacks", self.callbacks),
        }
        check_loss(self.loss)
        smoothing = arguments.numbers("label_smoothing", [self.label_smoothing], SMOOTHING)[0]
        if not 0 <= smoothing < 1:
            raise arguments.wrong("label_smoothing", self.label_smoothing, SMOOTHING)
        if self.input_shape is not None and not callable(self.input_shape):
            checked["input_shape"] = arguments.integers("input_shape", self.input_shape, 1, SHAPE)
        if self.verify is not None:
            arguments.instance("verify", self.verify, bool, "True, False or None")
        for name, value in checked.items():
            object.__setattr__(self, name, value)  # a frozen dataclass has no other way

    def __repr__(self) -> str:
        values = ((each, getattr(self, each.name)) for each in fields(self))
        said = (f"{each.name}={value!r}" for each, value in values if value != each.default)
        return f"CompileOptions({', '.join(said)})"

    def applied_to(self, target: TargetSource) -> Target:
        """Return the target with the plan's decisions, then overrides and `freeze`; TargetError."""
        from rpucc.target.target import Target

        if self.plan is not None:
            target = Target.load(target).with_plan(self.plan)
        frozen = [f"layer.{pattern}.update.lr_scale=0" for pattern in self.freeze]
        return Target.load(target, [*self.overrides, *frozen])


FLAGS: dict[str, Flag] = {
    each.name: each.metadata["flag"] for each in fields(CompileOptions) if each.metadata
}
"""Field -> how the command line writes it; what only Python can say is left out."""

RECORDED = tuple(name for name, flag in FLAGS.items() if flag.recorded and name != "training")
"""Fields that change a training's program: each is a key of run.json."""
