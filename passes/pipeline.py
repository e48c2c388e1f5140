"""The pipeline: which passes run, in which order, and what happens between them.

The one place that lists the passes. Not for what a pass does: each has a file of its own.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import onnx_ir as ir

from rpucc.opset import add_functions
from rpucc.passes.assign_update import AssignUpdate, Granularity, coarse
from rpucc.passes.base import RpuPass
from rpucc.passes.callbacks import IMPORT, Callback, PassEvent
from rpucc.passes.draw_dropouts import DrawDropouts
from rpucc.passes.equalise import Equalise
from rpucc.passes.fold_batchnorm import FoldBatchNorm
from rpucc.passes.frontend.rules import Problems
from rpucc.passes.insertion import Insertion, check_place, with_insertions
from rpucc.passes.learning.backprop import Differentiate
from rpucc.passes.learning.feedback_alignment import Draw, undrawn
from rpucc.passes.learning.objective import Wanted
from rpucc.passes.manage_bounds import ManageBounds
from rpucc.passes.manage_noise import ManageNoise
from rpucc.passes.mask_weights import MaskWeights
from rpucc.passes.normalise_products import NormaliseProducts
from rpucc.passes.place import Place
from rpucc.passes.replicate import Replicate
from rpucc.passes.scale_weights import ScaleWeights
from rpucc.passes.schedule import Schedule
from rpucc.passes.select_analog import SelectAnalog
from rpucc.passes.tile import Tile
from rpucc.passes.unroll import Unroll
from rpucc.passes.weight_scales import WeightBounds, unbounded

if TYPE_CHECKING:
    from rpucc.target.target import Target


@dataclass(frozen=True)
class Options:
    """What a pipeline is built from."""

    target: Target
    training: bool = True
    wanted: Wanted = field(default_factory=Wanted)
    """The loss, of training."""
    bounds: WeightBounds = unbounded
    """What the devices of a layer can hold: only their models know."""
    granularity: Granularity = coarse
    """What their pulses do on average: so do these."""
    draw: Draw = undrawn
    """Draws the random matrices of feedback alignment."""
    problems: Problems = field(default_factory=Problems)
    """Raises the first problem; `rpucc check` collects them all."""
    own: Sequence[Insertion] = ()
    """Passes of a user's own, which run among the others."""


@dataclass(frozen=True)
class PassRow:
    """One row of the table of passes."""

    cls: type[RpuPass]
    make: Callable[[Options], RpuPass]
    training_only: bool = False

    @property
    def name(self) -> str:
        """The pass's name on the command line and in dumps."""
        return self.cls.name

    @property
    def summary(self) -> str:
        """One line for `rpucc passes`."""
        return self.cls.summary()


PASSES: tuple[PassRow, ...] = (
    PassRow(DrawDropouts, lambda o: DrawDropouts(o.target, o.training, problems=o.problems)),
    PassRow(NormaliseProducts, lambda o: NormaliseProducts()),
    PassRow(FoldBatchNorm, lambda o: FoldBatchNorm(o.target, training=o.training)),
    PassRow(SelectAnalog, lambda o: SelectAnalog(o.target)),
    PassRow(Equalise, lambda o: Equalise(o.target, bounds=o.bounds)),
    PassRow(Unroll, lambda o: Unroll(o.target, training=o.training, bounds=o.bounds)),
    PassRow(ScaleWeights, lambda o: ScaleWeights(o.target, bounds=o.bounds)),
    PassRow(
        Differentiate,
        lambda o: Differentiate(o.target, o.wanted, o.draw, o.bounds, problems=o.problems),
        training_only=True,
    ),
    PassRow(Tile, lambda o: Tile(o.target)),
    PassRow(MaskWeights, lambda o: MaskWeights(o.target)),
    PassRow(Replicate, lambda o: Replicate(o.target)),
    PassRow(ManageNoise, lambda o: ManageNoise(o.target)),
    PassRow(ManageBounds, lambda o: ManageBounds(o.target)),
    PassRow(AssignUpdate, lambda o: AssignUpdate(o.target, o.granularity), training_only=True),
    PassRow(Place, lambda o: Place(o.target)),
    PassRow(Schedule, lambda o: Schedule()),
)
"""Every pass, in order; the importer (`rpucc.passes.importer`) comes before them."""


def build_pipeline(options: Options) -> list[RpuPass]:
    """Make the passes of a compilation: all of PASSES, without the training ones in inference.

    The user's own are among them, where they are to run.
    """
    ours = [row.make(options) for row in PASSES if options.training or not row.training_only]
    return with_insertions(ours, options.own)


def check_insertions(own: Sequence[Insertion], *, training: bool) -> None:
    """Raise ArgumentError for a pass of a user's own that has no place, or a name that is taken."""
    running = [row.name for row in PASSES if training or not row.training_only]
    for each in own:
        check_place(each, running, [row.name for row in PASSES])


def run_pipeline(
    model: ir.Model,
    passes: Sequence[RpuPass],
    callbacks: Sequence[Callback] = (),
    *,
    import_seconds: float = 0.0,
) -> ir.Model:
    """Run `passes` on `model` in place, calling every callback before the first and after each.

    After each pass the model holds the function bodies of exactly the rpu ops that it uses.
    Errors of passes and callbacks pass through unchanged: they name the node or the pass.
    """
    _notify(callbacks, PassEvent(0, IMPORT, model, import_seconds, modified=True))
    for index, each in enumerate(passes, start=1):
        start = time.perf_counter()
        each.requires(model)
        result = each.call(model)
        each.ensures(model)
        add_functions(model)
        seconds = time.perf_counter() - start
        _notify(callbacks, PassEvent(index, each.name, model, seconds, result.modified))
    return model


def _notify(callbacks: Sequence[Callback], event: PassEvent) -> None:
    for callback in callbacks:
        callback(event)
