"""The step contract against the graph: every name is there, once, and fits what it is for.

Not for its form, which reading it checks (`rpucc/step_contract.py`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import onnx_ir as ir

from rpucc.losses import LABELS
from rpucc.program_check.values import MOST_AXES, TYPES
from rpucc.step_contract import METRICS, STEP, Metric, StepContract

FIXED_BATCH = "rpucc.fixed_batch"

_FLOAT = (ir.DataType.FLOAT,)
_STATES = (ir.DataType.FLOAT, ir.DataType.INT64)
_DRAWS = (ir.DataType.INT64,)
_LABELS = (ir.DataType.FLOAT, ir.DataType.INT64)


def step_problems(model: ir.Model) -> Iterator[str]:
    """Yield what is wrong with the contract in a model's metadata, one line each."""
    step = StepContract.of(model)
    inputs = {str(value.name): value for value in model.graph.inputs}
    made = {str(v.name): v for node in model.graph for v in node.outputs if v.name}
    yield from (f"metadata {STEP}: {problem}" for problem in _name_problems(step, inputs, made))
    yield from (f"metadata {STEP}: {problem}" for problem in _state_problems(step, model, made))


def _name_problems(
    step: StepContract, inputs: Mapping[str, ir.Value], made: Mapping[str, ir.Value]
) -> Iterator[str]:
    """Values that are there, of the types and axes that their part asks for."""
    labels = () if step.labels is None else (step.labels,)
    mode = () if step.mode is None else (step.mode,)
    draws = () if step.draws is None else (step.draws,)
    for key, names, types, axes in (
        ("inputs", step.inputs, _FLOAT, (1, MOST_AXES)),
        ("labels", labels, _LABELS, (1, MOST_AXES)),
        ("rates", step.rates, _FLOAT, (0, 0)),
        ("mode", mode, _FLOAT, (0, 0)),
        ("draws", draws, _DRAWS, (1, 1)),
    ):
        for name in names:
            yield from _value_problems(key, name, inputs, "input of the graph", types, axes)
    yield from _draws_problems(step, inputs)
    yield from _value_problems("output", step.output, made, "result of a node", TYPES, (0, 16))
    for metric in step.metrics:
        yield from _metric_problems(metric, made)
    yield from _gradient_problems(step, inputs, made)
    given = [name for name in step.gradients.values() if name in inputs]
    named = [*step.inputs, *labels, *step.rates, *mode, *draws, *given]
    if sorted(named) != sorted(inputs):
        found, wanted = ", ".join(sorted(inputs)), ", ".join(sorted(named))
        also = [*(["mode"] if mode else []), *(["draws"] if draws else [])]
        *first, last = ("inputs", "labels", "rates", *also)
        kinds = f"{', '.join(first)} and {last}"
        yield f"the graph has the inputs {found}; {kinds} are {wanted}"
    metrics = tuple(metric.name for metric in step.metrics)
    for key, parts in (("metrics", metrics), ("state", step.computed)):
        twice = next((name for name in parts if parts.count(name) > 1), None)
        if twice is not None:
            yield f"{key}: {twice[:60]!r} is there twice"
    if bool(step.state) != bool(step.rates):
        yield "rates and state: a step has a rate where it changes something, and only there"


def _gradient_problems(
    step: StepContract, inputs: Mapping[str, ir.Value], made: Mapping[str, ir.Value]
) -> Iterator[str]:
    """A gradient is a float of the shape of what it is of.

    Where there are no labels it comes from outside; else, as those of inputs, a node makes it.
    """
    if (step.gradients or step.input_gradients) and not step.state:
        yield "gradients: a step that changes nothing has none"
    of_inputs = {name: inputs[name] for name in step.inputs if name in inputs}
    outside = inputs, "input of the graph"
    inside = made, "result of a node"
    for key, pairs, of, (found, kind) in (
        ("gradients", step.gradients, made, outside if step.labels is None else inside),
        ("input_gradients", step.input_gradients, of_inputs, inside),
    ):
        for name, gradient in pairs.items():
            at, value = of.get(name), found.get(gradient)
            if at is None:
                yield f"{key}: {name[:60]!r} is no value that has a gradient"
            elif value is None:
                yield f"{key}: {gradient[:60]!r}, the gradient of {name!r}, is no {kind}"
            elif value.dtype != ir.DataType.FLOAT or value.shape != at.shape:
                yield f"{key}: {gradient!r} is no FLOAT of the shape of {name!r}, {at.shape}"


def _draws_problems(step: StepContract, inputs: Mapping[str, ir.Value]) -> Iterator[str]:
    """Three numbers name the draws, and only a step of training draws."""
    value = None if step.draws is None else inputs.get(step.draws)
    if value is None:
        return
    if value.shape is None or list(value.shape) != [3]:
        yield f"draws: {step.draws!r} is {value.shape}, not three numbers"
    if step.mode is None:
        yield f"draws: {step.draws!r} is for steps of training, and there is no mode"


def _value_problems(
    key: str,
    name: str,
    known: Mapping[str, ir.Value],
    kind: str,
    types: tuple[ir.DataType, ...],
    axes: tuple[int, int],
) -> Iterator[str]:
    value = known.get(name)
    if value is None:
        yield f"{key}: {name[:60]!r} is no {kind}"
        return
    rank = None if value.shape is None else len(value.shape)
    if value.dtype not in types or rank is None or not axes[0] <= rank <= axes[1]:
        wanted = " or ".join(each.name for each in types) if len(types) < 3 else "number"
        span = str(axes[0]) if axes[0] == axes[1] else f"{axes[0]} to {axes[1]}"
        yield f"{key}: {name!r} is no {wanted} of {span} axes"


def _metric_problems(metric: Metric, made: Mapping[str, ir.Value]) -> Iterator[str]:
    where = f"metrics: {metric.name[:60]!r}"
    rules = METRICS.get(metric.name)
    if rules is None:
        yield f"{where} is none of {', '.join(METRICS)}"
        return
    average = rules.get(metric.rule)
    if average is None:
        yield f"{where}: its rule is {metric.rule[:60]!r}, none of {', '.join(rules)}"
    elif metric.average != average:
        yield f"{where}: its average is over {metric.average[:60]!r}, not {average}"
    yield from _value_problems(
        f"{where}: output", metric.output, made, "result of a node", TYPES, (0, MOST_AXES)
    )
    if (metric.value is None) != (average == "labels"):
        yield f"{where}: a mean over samples has a value in the graph, a share of labels has none"
    for key, value in (("value", metric.value), ("weight", metric.weight)):
        if value is not None:
            yield from _value_problems(
                f"{where}: {key}", value, made, "result of a node", _FLOAT, (0, 0)
            )
    if metric.weight is not None and metric.value is None:
        yield f"{where}: has a weight, but no value in the graph that it is of"


def _state_problems(
    step: StepContract, model: ir.Model, made: Mapping[str, ir.Value]
) -> Iterator[str]:
    """A next value takes the old one's place: both are alike."""
    results = {str(value.name) for value in model.graph.outputs}
    for name, next_name in step.state.items():
        old = model.graph.initializers.get(name)
        new = made.get(next_name) if next_name in results else None
        if old is None or old.const_value is None:
            yield f"state: {name!r} is no initializer"
        elif new is None:
            yield (f"state: {next_name!r}, the next {name!r}, is no graph output that a node makes")
        elif new.shape is None or list(new.shape) != list(old.const_value.shape):
            yield f"state: {name!r} is {old.const_value.shape}, its next value is {new.shape}"
        elif new.dtype != old.const_value.dtype or new.dtype not in _STATES:
            yield f"state: {name!r} and its next value must be FLOAT, or INT64 if they count"


def fit_problems(model: ir.Model) -> Iterator[str]:
    """Yield where inputs, labels and outputs do not fit each other; needs a sound contract."""
    step = StepContract.of(model)
    inputs = {str(value.name): value for value in model.graph.inputs}
    made = {str(v.name): v for node in model.graph for v in node.outputs}
    fixed = model.metadata_props.get(FIXED_BATCH)
    expected = "N" if fixed is None else fixed
    for name in step.inputs:
        first = next(iter(inputs[name].shape or ()))
        text = str(first if isinstance(first, int) else first.value)
        if text != expected:
            yield (
                f"input {name!r} {inputs[name].shape}: its first axis is not the batch, {expected}"
            )
    loss = step.metric("loss")
    if step.labels is not None and loss is not None:
        yield from _label_problems(inputs[step.labels], made[loss.output], loss.rule)


def _label_problems(labels: ir.Value, output: ir.Value, rule: str) -> Iterator[str]:
    """Labels have the output's shape without its classes, targets have the output's."""
    found, shape = list(labels.shape or ()), list(output.shape or ())
    classes = LABELS[rule] == "classes"
    wanted = [*shape[:1], *shape[2:]] if classes else shape
    if output.dtype != ir.DataType.FLOAT or len(shape) < 2:
        yield f"output {output.name!r} {output.shape}: training needs one that is FLOAT"
    elif found != wanted or (labels.dtype == ir.DataType.INT64) != classes:
        yield f"input {labels.name!r} {labels.shape}: does not fit the output {output.shape}"
