"""What one step of a program is: what goes in, what it changes and what it measures.

Whatever makes a step of a model writes this down (`passes/learning/`; the importer, where there is
inference alone), in one entry of the model's metadata. The runtime, the checks and the reports read
it, and know no names of inputs, losses or rates of their own. Not for how a step is computed: that
is the graph.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from rpucc.errors import ModelError
from rpucc.losses import LABELS, NONE

if TYPE_CHECKING:
    import onnx_ir as ir

STEP = "rpucc.step"
"""Model metadata: the contract, as JSON."""

Average = Literal["samples", "labels"]

LOSSES: dict[str, Average] = dict.fromkeys(LABELS, "samples")
"""What a graph may compute as the loss, and what it is a mean over."""

SCORES: dict[str, Average] = dict.fromkeys(("classes", "bits", "labels"), "labels")
"""How an output is compared with labels: its largest entry names the class; each of its entries is
on the side of a half that the label says; or as the labels are made for."""

METRICS: dict[str, dict[str, Average]] = {"loss": LOSSES, "error": SCORES}
"""Name of a metric, as reports call it, to its rules and how each is averaged."""


@dataclass(frozen=True)
class Metric:
    """A number that a step is measured by."""

    name: str
    """Of METRICS."""
    output: str
    """The value of the graph that it scores, [N, ...]."""
    rule: str
    """How it scores it: one of the rules of its name."""
    average: Average
    """Over an epoch: the mean over its samples of what the graph computes for a step, itself a mean
    over the step's samples; or the share of all labels that the output misses."""
    value: str | None = None
    """The scalar of the graph that holds it after a step; None where the runtime compares."""
    weight: str | None = None
    """The scalar of the graph that says how much a step's value counts in the mean, as the weights
    of its labels do; None where its samples are counted."""


@dataclass(frozen=True)
class StepContract:
    """What a program takes, gives, changes and measures in one run of its graph.

    All names are those of values of the graph.
    """

    inputs: tuple[str, ...]
    """Graph inputs that get the samples, [N, ...], in the order of the graph."""
    output: str
    """The network's answer: of several outputs the one that is scored and comes first."""
    labels: str | None = None
    """The graph input that gets labels or targets; None where a step needs none."""
    rates: tuple[str, ...] = ()
    """Graph inputs, scalars, that get the learning rate of the epoch."""
    state: Mapping[str, str] = field(default_factory=dict)
    """Each initializer that a step changes -> the graph output that is its next value: analog
    weights, digital parameters. Empty for inference."""
    metrics: tuple[Metric, ...] = ()
    mode: str | None = None
    """The graph input, a scalar, that is 1 in a step of training and 0 in an evaluation; None where
    the forward cycle of both is the same."""
    gradients: Mapping[str, str] = field(default_factory=dict)
    """Each value of the network at which a loss's gradient goes in -> that gradient: a graph input
    where the program has no loss. Not written down where they follow from the loss (`entries`)."""
    input_gradients: Mapping[str, str] = field(default_factory=dict)
    """Each data input whose gradient a step can compute -> the graph output that is it."""
    draws: str | None = None
    """The graph input, int64 [3], that says which random numbers the forward cycle of a step of
    training draws: the two words of the seed, and the number of its first sample of all that were
    trained on. None where it draws none; what arrays draw is addressed by the runtime."""

    @classmethod
    def inference(cls, model: ir.Model) -> StepContract:
        """The contract of a graph that only computes outputs: nothing changes."""
        output = str(model.graph.outputs[0].name)
        inputs = tuple(str(value.name) for value in model.graph.inputs)
        return cls(inputs, output, metrics=(Metric("error", output, "labels", SCORES["labels"]),))

    @classmethod
    def of(cls, model: ir.Model) -> StepContract:
        """The contract that a model carries; raises ModelError where it has none, or no sound one.

        Whether the graph keeps it is another matter (`rpucc/program_check/step.py`).
        """
        found = cls.find(model)
        if found is None:
            raise ModelError(f"model {model.graph.name!r}: is no program, its metadata lack {STEP}")
        return found

    @classmethod
    def find(cls, model: ir.Model) -> StepContract | None:
        """The same of a model that may have none yet: None."""
        text = model.metadata_props.get(STEP)
        if text is None:
            return None
        try:
            return cls.from_json(text)
        except ValueError as error:
            raise ModelError(f"metadata {STEP}: {error}") from error

    @classmethod
    def from_json(cls, text: str) -> StepContract:
        """Read what `to_json` wrote; ValueError, one line, for anything else."""
        try:
            data = json.loads(text, object_pairs_hook=_no_key_twice)
        except RecursionError as error:
            raise ValueError("is no valid JSON") from error
        except json.JSONDecodeError as error:
            raise ValueError("is no valid JSON") from error
        present = {key: _STEP_MAY_HAVE[key] for key in _STEP_MAY_HAVE if key in _keys(data)}
        _check(data, _STEP_KEYS | present, "it")
        metrics = []
        for i, entry in enumerate(data.pop("metrics")):
            weighted = isinstance(entry, dict) and "weight" in entry
            keys = _METRIC_KEYS | _WEIGHT_KEY if weighted else _METRIC_KEYS
            _check(entry, keys, f"metrics[{i}]")
            metrics.append(Metric(**entry))
        inputs, rates = tuple(data.pop("inputs")), tuple(data.pop("rates"))
        return cls(inputs=inputs, rates=rates, metrics=tuple(metrics), **data)

    def to_json(self) -> str:
        """Everything as JSON."""
        data = asdict(self)
        for metric in data["metrics"]:
            if metric["weight"] is None:
                del metric["weight"]  # most have none, and earlier versions knew none
        for key in _STEP_MAY_HAVE:
            if not data[key]:
                del data[key]  # the same
        return json.dumps(data)

    def write(self, model: ir.Model) -> None:
        """Put the contract into a model's metadata, in the place of an earlier one."""
        model.metadata_props[STEP] = self.to_json()

    def metric(self, name: str) -> Metric | None:
        """The metric of a name; None where a step has none."""
        return next((each for each in self.metrics if each.name == name), None)

    @property
    def loss(self) -> str:
        """The rule of the loss, "none" where there is none."""
        metric = self.metric("loss")
        return NONE if metric is None else metric.rule

    @property
    def scored(self) -> str:
        """The value that labels are about: what the error is counted of, else the loss."""
        metric = self.metric("error") or self.metric("loss")
        return self.output if metric is None else metric.output

    @property
    def measured(self) -> tuple[str, ...]:
        """The values that the metrics are read from: scored outputs, and scalars of the graph."""
        values = (v for each in self.metrics for v in (each.output, each.value, each.weight))
        return tuple(dict.fromkeys(value for value in values if value is not None))

    @property
    def entries(self) -> Mapping[str, str]:
        """Where gradients go in: `gradients`, else what follows from the loss; empty for inference.

        A gradient is called as the value that it is of: only losses that break this rule say more.
        """
        loss = self.metric("loss")
        if self.gradients or loss is None or not self.state:
            return self.gradients
        return {loss.output: f"{loss.output}.grad"}

    @property
    def outside(self) -> bool:
        """Whether the gradients come from a loop of one's own, as there is no loss."""
        return bool(self.gradients) and self.labels is None

    @property
    def computed(self) -> tuple[str, ...]:
        """What a step computes besides the network's outputs: metrics, next values, gradients."""
        values = (v for each in self.metrics for v in (each.value, each.weight))
        scalars = (value for value in values if value is not None)
        return (*scalars, *self.state.values(), *self.input_gradients.values())


# ---------------------------------------------------------------- reading


def _no_key_twice(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    keys = [key for key, _ in pairs]
    twice = next((key for key in keys if keys.count(key) > 1), None)
    if twice is not None:
        raise ValueError(f"holds {twice[:60]!r} twice")
    return dict(pairs)


def _is_name(data: Any) -> bool:
    return isinstance(data, str) and data != ""


def _are_names(data: Any) -> bool:
    return isinstance(data, list) and all(map(_is_name, data))


def _is_state(data: Any) -> bool:
    return isinstance(data, dict) and all(map(_is_name, (*data, *data.values())))


_NAME = (_is_name, "a name")
_NAME_OR_NONE = (lambda data: data is None or _is_name(data), "a name or null")
_NAMES = (_are_names, "a list of names")

_STEP_KEYS = {
    "inputs": _NAMES,
    "output": _NAME,
    "labels": _NAME_OR_NONE,
    "rates": _NAMES,
    "state": (_is_state, "names of initializers with the names of their next values"),
    "metrics": (lambda data: isinstance(data, list), "a list of metrics"),
}
_STEP_MAY_HAVE = {
    "mode": _NAME,
    "draws": _NAME,
    "gradients": (_is_state, "names of values with the names of their gradients"),
    "input_gradients": (_is_state, "names of inputs with the names of their gradients"),
}
_METRIC_KEYS = {
    "name": _NAME,
    "output": _NAME,
    "rule": _NAME,
    "average": _NAME,
    "value": _NAME_OR_NONE,
}
_WEIGHT_KEY = {"weight": _NAME}


def _keys(data: Any) -> Mapping[str, Any]:
    """The keys of an object; none of anything else."""
    return data if isinstance(data, dict) else {}


def _check(data: Any, keys: Mapping[str, tuple[Any, str]], where: str) -> None:
    """Raise ValueError unless `data` is an object of exactly these keys, each as its test says."""
    if not isinstance(data, dict) or set(data) != set(keys):
        raise ValueError(f"{where} needs the keys {', '.join(keys)}")
    for key, (test, what) in keys.items():
        if not test(data[key]):
            raise ValueError(f"{key} needs {what}, found {json.dumps(data[key])[:60]}")
