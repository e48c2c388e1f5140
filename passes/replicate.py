"""Give layers copies that share out their reads, to balance the pipeline.

Not for what copies cost (rpucc/plan/plan.py) nor where they lie (rpucc/placement).
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import onnx_ir as ir

from rpucc.errors import TargetError
from rpucc.feedback import ruled_as
from rpucc.layers import REPLICAS, AnalogLayer, analog_layers, reads_per_sample
from rpucc.passes.base import RpuPass
from rpucc.placement import place
from rpucc.placement.budget import shortages
from rpucc.placement.program import grids_of

if TYPE_CHECKING:
    from rpucc.placement.grids import GridSpec
    from rpucc.target.target import ArrayKind, Target


@dataclass(frozen=True)
class Replicate(RpuPass):
    """Decide how many copies of each layer there are.

    Requires: tiled Reads. Leaves behind: metadata `rpucc.replicas` on the Reads of layers with more
    than one copy. n copies take the reads of a sample side by side, so the layer's stage takes
    1/n of the time. All copies get every update and so hold the same weights: what the network
    computes does not change, and the graph stays as it is. No matrix has more copies than reads;
    otherwise there are as many of a feedback matrix as of its layer.

    `mapping.replicas = "auto"` gives the slowest stage one more copy for as long as the arrays
    (`count` of their kind) suffice and that stage is one that may have them.

        before: Read(x [N, 3025, 363], W)
        after:  Read(x [N, 3025, 363], W) rpucc.replicas = 4
    """

    target: Target

    name: ClassVar[str] = "replicate"

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Annotate; "auto" without a budget of arrays raises TargetError."""
        layers = analog_layers(model)
        wishes = [self.target.for_layer(layer.name).mapping.replicas for layer in layers]
        # Copies that learn on their own are in the graph already (unroll).
        wishes = [1 if la.learners > 1 else w for la, w in zip(layers, wishes, strict=True)]
        reads = [_reads(layer) for layer in layers]
        # A copy without a read would only take arrays: a dense layer has one read a sample.
        fixed = [
            min(wish, max(count, 1)) if isinstance(wish, int) else 1
            for wish, count in zip(wishes, reads, strict=True)
        ]
        copies = fixed
        if "auto" in wishes:
            self._check_budget()
            forward = [i for i, layer in enumerate(layers) if not layer.is_feedback]
            names = [layers[i].name for i in forward]
            stages = [names.index(ruled_as(layer.name)) for layer in layers]
            found = balance(
                grids_of(model, self.target),
                [reads[i] for i in forward],
                [fixed[i] for i in forward],
                [wishes[i] == "auto" for i in forward],
                self.target,
                stages,
            )
            # Fewer errors may go back than vectors forward: none to the input of the network.
            copies = [min(found[s], max(n, 1)) for s, n in zip(stages, reads, strict=True)]
        for layer, count in zip(layers, copies, strict=True):
            for node in layer.shared if count > 1 else ():
                node.metadata_props[REPLICAS] = str(count)
        return ir.passes.PassResult(model, modified=any(count > 1 for count in copies))

    def _check_budget(self) -> None:
        if not any(kind.count for kind in self.target.arrays):
            raise TargetError(
                f'target {self.target.name}: mapping.replicas = "auto" needs a budget: set count, '
                "the number of arrays there are, of at least one [[array]]"
            )


def balance(
    grids: Sequence[GridSpec],
    reads: Sequence[int],
    copies: Sequence[int],
    may_grow: Sequence[bool],
    target: Target,
    stages: Sequence[int] | None = None,
) -> list[int]:
    """Return the copies of each stage that make the slowest one fastest within the budget.

    The time of a pipeline is its slowest stage's, so only a further copy of that one helps; where
    it cannot have one, nothing else can make the pipeline faster. `copies` are those to begin with.
    stages: of each grid, whose copies it has too; by default each is a stage. Those come first.
    """
    stages = range(len(grids)) if stages is None else stages
    kinds = {kind.name: kind for kind in target.arrays}
    t_reads = [kinds[grid.kind].t_read for grid in grids[: len(copies)]]
    steps = list(_steps(reads, copies, may_grow, t_reads))

    def after(count: int) -> list[int]:
        found = list(copies)
        for i, more in steps[:count]:
            found[i] = more
        return found

    def too_many(count: int) -> bool:
        found = after(count)
        each = [found[stage] for stage in stages]
        return not _fits(grids, each, target.arrays, share=target.placement.share)

    # Copies only ever take more arrays, so few of the steps need to be placed to find the last.
    return after(bisect_left(range(1, len(steps) + 1), True, key=too_many))


def _steps(
    reads: Sequence[int], copies: Sequence[int], may_grow: Sequence[bool], t_reads: Sequence[float]
) -> Iterator[tuple[int, int]]:
    """Yield (layer, its copies) step by step: each time the slowest stage gets more of them."""
    found = list(copies)

    def seconds(i: int) -> float:
        return -(-reads[i] // found[i]) * t_reads[i]

    while found:
        slowest = max(range(len(found)), key=seconds)
        more = next_useful(reads[slowest], found[slowest])
        if not may_grow[slowest] or more is None:
            return
        found[slowest] = more
        yield slowest, more


def next_useful(reads: int, copies: int) -> int | None:
    """Return the fewest copies, more than now, that leave each with fewer reads.

    >>> next_useful(10, 1), next_useful(10, 5), next_useful(10, 10)
    (2, 10, None)
    """
    each = -(-reads // copies)
    return math.ceil(reads / (each - 1)) if each > 1 else None


def _fits(
    grids: Sequence[GridSpec], copies: Sequence[int], kinds: Sequence[ArrayKind], *, share: bool
) -> bool:
    chosen = [grid.with_replicas(n) for grid, n in zip(grids, copies, strict=True)]
    return not shortages(place(chosen, kinds, share=share).arrays, kinds)


def _reads(layer: AnalogLayer) -> int:
    try:
        return sum(reads_per_sample(node) for node in layer.shared)
    except ValueError:
        return 0  # schedule refuses it, and says why
