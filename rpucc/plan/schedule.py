"""When each layer works: one image through the graph, and images after one another.

Plain numbers only: steps with a length and what they wait for. Each step starts as soon as
everything before it is done. Not for finding the steps of a program: that is dependencies.py.

Two ways to run many images (Gokmen, Onen & Haensch 2017 assume the second for inference and
training alike: the layer with the most reads bounds the throughput):

* *serial*: an image starts when the one before is finished. Plain SGD with minibatch 1.
* *pipelined*: every layer works on another image; an image leaves per busy time of the slowest
  layer. In training the weights then change between the cycles of one image (delayed updates).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rpucc.cost.timing import Cycle


@dataclass(frozen=True)
class Step:
    """One cycle of one layer for one image, and the earlier steps (by index) that it waits for."""

    layer: str
    cycle: Cycle
    seconds: float
    after: tuple[int, ...] = ()


@dataclass(frozen=True)
class Stage:
    """A step in time; `start` in seconds from the start of the image."""

    layer: str
    cycle: Cycle
    start: float
    seconds: float

    @property
    def end(self) -> float:
        """When the stage is done."""
        return self.start + self.seconds


def timeline(steps: Sequence[Step]) -> tuple[Stage, ...]:
    """Return one image's stages, one a step and in the same order.

    Raises ValueError where a step waits for itself or a later one.

    >>> [stage.start for stage in timeline([Step("a", "forward", 2.0), Step("b", "forward", 1.0),
    ...     Step("c", "forward", 1.0, after=(0, 1))])]
    [0.0, 0.0, 2.0]
    """
    stages: list[Stage] = []
    for index, step in enumerate(steps):
        late = [i for i in step.after if not 0 <= i < index]
        if late:
            raise ValueError(f"step {index} waits for step {late[0]}, which is not before it")
        start = max((stages[i].end for i in step.after), default=0.0)
        stages.append(Stage(step.layer, step.cycle, start, step.seconds))
    return tuple(stages)


def finish(stages: Sequence[Stage], cycle: Cycle | None = None) -> float:
    """Return when the last stage (of a cycle) is done; 0 without stages."""
    return max((s.end for s in stages if cycle in (None, s.cycle)), default=0.0)


def busy(stages: Sequence[Stage], cycle: Cycle | None = None) -> dict[str, float]:
    """Return how long each layer's arrays work for one image, in all cycles or in one."""
    total: dict[str, float] = {}
    for stage in stages:
        if cycle in (None, stage.cycle):
            total[stage.layer] = total.get(stage.layer, 0.0) + stage.seconds
    return total


def critical_path(steps: Sequence[Step], cycle: Cycle) -> tuple[str, ...]:
    """Return the layers of the longest path through one cycle: no other bounds a single image.

    >>> critical_path([Step("a", "forward", 2.0), Step("b", "forward", 1.0),
    ...     Step("c", "forward", 1.0, after=(0, 1))], "forward")
    ('a', 'c')
    """
    ends: dict[int, float] = {}
    """When each step of the cycle is done, if nothing of another cycle is waited for."""
    slowest: dict[int, int | None] = {}
    for index, step in enumerate(steps):
        if step.cycle == cycle:
            before = max((i for i in step.after if i in ends), key=ends.__getitem__, default=None)
            slowest[index] = before
            ends[index] = step.seconds + (0.0 if before is None else ends[before])
    path: list[str] = []
    at = max(ends, key=ends.__getitem__, default=None)
    while at is not None:
        path.append(steps[at].layer)
        at = slowest[at]
    return tuple(reversed(path))
