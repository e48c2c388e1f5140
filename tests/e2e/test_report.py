"""A training as a page, and trainings side by side, from the command line."""

from __future__ import annotations

import json
import re
import shlex
from collections import Counter
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from onnx import helper

import rpucc
from rpucc.cli.train import train
from rpucc.errors import CheckpointError
from rpucc.models.network import Network
from rpucc.runs.layer_record import read_layer_records
from rpucc.runs.record import Record
from rpucc.runs.repeat import NO_OPTION

from ..rpucc.browser import find_browser

HOSTILE = '</style></script><img src=x onerror="document.title=666">'
SECTIONS = (
    "training", "layers-over-time", "weights", "asymmetry", "answers", "configuration", "network",
    "layers", "policies", "terms",
)  # fmt: skip


class Elements(HTMLParser):
    """Counts elements, and gathers ids and links."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: Counter[str] = Counter()
        self.attributes: Counter[str] = Counter()
        self.ids: list[str] = []
        self.links: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags[tag] += 1
        for name, value in attrs:
            self.attributes[name] += 1
            if name == "id":
                self.ids.append(value or "")
            if name in ("href", "src"):
                self.links.append(value or "")


@pytest.fixture
def run(cli, tiny_model, tiny_data) -> Path:
    """A run of three epochs."""
    how = ("--data", tiny_data, "--epochs", 3, "--batch-size", 10, "--lr", 0.005)
    outcome = cli("train", tiny_model, *how, "-o", "run")
    assert outcome.code == 0, outcome.stderr
    return Path("run")


def figures(cli, run: object, *options: object) -> dict:
    outcome = cli("report", run, "--json", *options)
    assert outcome.code == 0, outcome.stderr
    return json.loads(outcome.stdout)


def layers(run: object) -> bytes:
    return Path(str(run), "layers.jsonl").read_bytes()


def test_the_page_has_every_part_and_nothing_from_elsewhere(cli, run):
    outcome = cli("report", run)
    assert outcome.code == 0, outcome.stderr
    assert outcome.stderr.splitlines()[-1] == "wrote run/report.html"
    text = Path("run/report.html").read_text(encoding="utf-8")
    found = Elements(text)
    assert [anchor for anchor in found.ids if anchor in SECTIONS] == list(SECTIONS)
    assert len(found.ids) == len(set(found.ids))
    assert all(link == "data:," or link.removeprefix("#") in found.ids for link in found.links)
    assert "http:" not in text
    assert "https:" not in text
    assert found.attributes["style"] == 0  # the policy allows the one style sheet alone
    assert cli("eval", run).stdout.split("error")[1].split()[0] in text
    assert "Loss while it trains" in text  # of metrics.jsonl
    for layer in ("hidden", "classes"):
        assert text.count(f">{layer}<") >= 6  # legend, table, histogram, asymmetry, plan
    assert "The samples are no images" in text


def test_the_figures_are_those_of_the_run(cli, run):
    found = figures(cli, run)
    tested = json.loads(cli("eval", run, "--json").stdout)
    matrix = np.array(found["answers"]["matrix"])
    assert matrix.sum() == 66
    assert 1 - np.trace(matrix) / 66 == pytest.approx(tested["error"])
    recorded = found["recorded"]
    assert [each["epoch"] for each in recorded] == [0, 1, 2, 3]
    for epoch, record in zip(found["epochs"], recorded[1:], strict=True):
        assert sum(each["reads"] for each in record["layers"]) == epoch["reads"]
        pulses = sum(each["pulses"] for each in record["layers"])
        assert pulses / (8 * 13 + 3 * 9) == pytest.approx(epoch["pulses_per_weight"])
    for layer, last in zip(found["layers"], recorded[-1]["layers"], strict=True):
        (now,), (plane,) = layer["planes"], last["planes"]
        assert now["weights"] == plane["weights"]  # the checkpoint is that of the last epoch
        assert now["start"]["weights"] == recorded[0]["layers"][0]["planes"][0]["weights"] or (
            layer["layer"] == "classes"
        )
        assert sum(now["weights"]["counts"]) == layer["weights"]
    assert found["missing"] == []


def test_the_command_repeats_the_run(cli, run, tiny_model, tiny_data):
    """Whatever options there were: with spaces in names, with settings, with a range."""
    assert [*shlex.split(figures(cli, run)["command"])][:2] == ["rpucc", "train"]
    how = ["--set", "update.bl=4", "--set", "device.dw_min=0.002", "--input-range", -0.5, 1]
    how += ["--class-weights", "1,2,0.5", "--label-smoothing", 0.1, "--freeze", "hid*"]
    how += ["--augment", "noise:0.05", "--augment", "noise:0.01"]
    how += ["--validation", 0.2, "--patience", 2, "--keep", "best", "--mean", 0.1, "--std", 0.9]
    how += ["--batch-size", 3, "--lr", 0.07, "--lr-schedule", "step:1:0.5", "--seed", 5]
    made = cli("train", tiny_model, "--data", tiny_data, *how, "--epochs", 2, "-o", "my run")
    assert made.code == 0, made.stderr
    words = shlex.split(figures(cli, "my run")["command"])
    again = cli(*words[1:])
    assert again.code == 0, again.stderr
    assert Path("my run-again/metrics.csv").read_bytes() == Path("my run/metrics.csv").read_bytes()
    assert layers("my run-again") == layers("my run")
    assert cli("train", "--from", "run", "--lr", 0.01, "-o", "finer").code == 0
    again = cli(*shlex.split(figures(cli, "finer")["command"])[1:])
    assert again.code == 0, again.stderr
    assert layers("finer-again") == layers("finer")


def test_every_recorded_argument_is_an_option_of_train():
    flags = {flag for parameter in train.params for flag in parameter.opts}
    for name in Record.model_fields:
        assert name in NO_OPTION or f"--{name.replace('_', '-')}" in flags, name


# ---------------------------------------------------------------- the record


@pytest.mark.parametrize("steps", [40, 61, 100])
def test_a_resumed_run_has_the_same_record(cli, tiny_model, tiny_data, interrupted, steps):
    """Interrupted in the first epoch, between epochs and in the second, of 60 steps each."""
    how = (tiny_model, "--data", tiny_data, "--epochs", 3, "--batch-size", 10, "--lr", 0.2)
    assert cli("train", *how, "-o", "whole").code == 0
    with interrupted(steps):
        assert cli("train", *how, "-o", "parts").code == 130
    assert cli("train", "parts", "--resume").code == 0
    assert layers("parts") == layers("whole")


@pytest.mark.parametrize("epoch", [1, 2])
def test_what_is_ahead_of_the_checkpoint_is_left_out(
    cli, tiny_model, tiny_data, monkeypatch, epoch
):
    """As after a kill between the record of an epoch and its checkpoint."""
    from rpucc.runtime import training

    how = (tiny_model, "--data", tiny_data, "--epochs", 3, "--batch-size", 10, "--lr", 0.2)
    assert cli("train", *how, "-o", "whole").code == 0
    written = training.write_checkpoint

    def killed(found, program, path):
        if found.counters.epoch == epoch:
            raise SystemExit(9)
        written(found, program, path)

    with monkeypatch.context() as patch:
        patch.setattr(training, "write_checkpoint", killed)
        assert cli("train", *how, "-o", "parts").code == 9
    assert layers("parts").count(b'"epoch"') == epoch + 1
    with Path("parts/layers.jsonl").open("ab") as stream:
        stream.write(layers("whole").splitlines()[-1][:300])  # killed in the middle of a line
    assert figures(cli, "parts")["missing"] == []
    assert cli("train", "parts", "--resume").code == 0
    assert layers("parts") == layers("whole")


def test_a_run_without_a_record_has_a_page_and_goes_on(cli, run):
    Path("run/layers.jsonl").unlink()
    found = figures(cli, run)
    (line,) = found["missing"]
    assert line.startswith("layers.jsonl is not there")
    assert found["layers"][0]["planes"][0]["start"] is not None  # the program has those weights
    page = cli("report", run, "-o", "page.html")
    assert page.code == 0
    text = Path("page.html").read_text(encoding="utf-8")
    assert "layers.jsonl is not there" in text
    assert 'id="layers-over-time"' not in text
    assert cli("train", run, "--resume", "--epochs", 5).code == 0
    assert [each.epoch for each in read_layer_records(Path("run/layers.jsonl"))] == [4, 5]
    assert "lacks 4 epochs" in figures(cli, run)["missing"][0]


DAMAGES = {
    "cut": lambda text: text[: len(text) // 2] + "\n",
    "other format": lambda text: text.replace("rpucc-layers-1", "rpucc-layers-9"),
    "a text": lambda text: text.replace('"epoch":2', '"epoch":"two"'),
    "twice": lambda text: text.replace('"epoch":2', '"epoch":1'),
    "negative": lambda text: text.replace('"pulses":', '"pulses":-'),
    "NaN": lambda text: text.replace('"step":', '"step":NaN,"_":'),
    "no counts": lambda text: re.sub(r'"counts":\[[^]]*\]', '"counts":[]', text),
    "no JSON": lambda text: text + "{\n",
    "empty line": lambda text: text + "\n",
    "deep": lambda text: text + "[" * 100_000 + "\n",
}


def test_a_damaged_record_is_said_in_one_line(cli, run):
    place = Path("run/layers.jsonl")
    whole = place.read_text()
    for damage, damaged in DAMAGES.items():
        place.write_text(damaged(whole))
        with pytest.raises(
            CheckpointError, match=r"^run/layers.jsonl, line \d+: is damaged: "
        ) as why:
            read_layer_records(place)
        assert "\n" not in str(why.value), damage
    outcome = cli("report", run, "-o", "page.html")
    assert outcome.code == 0, outcome.stderr
    (said,) = [line for line in outcome.stderr.splitlines() if "layers.jsonl" in line]
    assert "is damaged" in said
    refused = cli("train", run, "--resume", "--epochs", 4)
    assert refused.code == 1
    assert refused.stderr.splitlines()[-1].startswith("Error: run/layers.jsonl, line ")
    place.unlink()
    assert cli("train", run, "--resume", "--epochs", 4).code == 0


def test_a_new_training_clears_the_record(cli, run, tiny_model, tiny_data):
    how = ("--data", tiny_data, "--epochs", 1, "-o", "run", "--force")
    assert cli("train", tiny_model, *how).code == 0
    assert [each.epoch for each in read_layer_records(Path("run/layers.jsonl"))] == [0, 1]


# ---------------------------------------------------------------- what may be missing


def test_without_the_data_there_are_no_answers(cli, run, tiny_data):
    moved = Path(tiny_data).rename("elsewhere.npz")
    found = figures(cli, run)
    assert found["answers"] is None
    assert found["missing"][0].startswith("no answers: ")
    assert figures(cli, run, "--data", moved)["answers"]["samples"] == 66


def test_a_checkpoint_alone_has_a_page(cli, run, tiny_data):
    Path("run/run.json").unlink()
    found = figures(cli, "run/checkpoint.safetensors")
    assert found["command"] == ""
    assert found["missing"] == ["no run.json beside the checkpoint names the data: --data does"]
    outcome = cli("report", run, "--data", tiny_data, "-o", "page.html")
    assert outcome.code == 0, outcome.stderr


def test_a_checkpoint_that_was_kept_is_shown_as_it_stood(cli, tiny_model, tiny_data):
    how = ("--data", tiny_data, "--epochs", 3, "--batch-size", 10, "--keep", "every:1", "-o", "run")
    assert cli("train", tiny_model, *how).code == 0
    found = figures(cli, "run", "--checkpoint", 2)
    assert (found["run"], len(found["epochs"])) == ("run", 2)
    assert [each["epoch"] for each in found["recorded"]] == [0, 1, 2]
    (now,), recorded = found["layers"][0]["planes"], found["recorded"][-1]["layers"][0]
    assert now["weights"] == recorded["planes"][0]["weights"]
    assert cli("report", "run", "--checkpoint", 2).code == 0
    assert Path("run/report.html").is_file()


def test_no_run_is_refused_before_anything_is_written(cli, files, tiny_data):
    before = files()
    for wrong in ("nothing", tiny_data, "."):
        outcome = cli("report", wrong)
        assert outcome.code == 1
        assert len(outcome.stderr.splitlines()) == 1
    assert files() == before


def test_the_page_never_replaces_what_is_read(cli, run, files):
    before = files()
    outcome = cli("report", "run/checkpoint.safetensors", "-o", "run/checkpoint.safetensors")
    assert outcome.code == 1
    assert files() == before


# ---------------------------------------------------------------- other kinds of networks


def test_classes_go_by_their_names(cli, make_model):
    """Labels that are words in a table: escaped as all that comes from files is."""
    rng = np.random.default_rng(0)
    words = ("<cat>", "dog", "newt")
    rows = [f"{rng.random():.3f},{rng.random():.3f},{rng.choice(words)}" for _ in range(200)]
    Path("zoo.csv").write_text("a,b,label\n" + "\n".join(rows) + "\n")
    nodes = [helper.make_node("Gemm", ["x", "w"], ["y"], "fc")]
    model = make_model("zoo.onnx", nodes, ["N", 2], w=rng.normal(0, 0.2, (2, 3)))
    made = cli("train", model, "--data", "zoo.csv", "-o", "run")
    assert made.code == 0, made.stderr
    assert figures(cli, "run")["answers"]["class_names"] == list(words)
    assert cli("report", "run").code == 0
    text = Path("run/report.html").read_text(encoding="utf-8")
    assert "0 &lt;cat&gt;, 1 dog, 2 newt" in text
    assert '<th scope="row">newt</th>' in text
    assert "<cat>" not in text


def pixel_network(classes: int) -> object:
    net = Network("pixels", seed=1)
    x = net.relu("relu", net.conv("conv1", "x", (1, 4), 3, bias=True))
    x = net.conv("conv2", x, (4, classes), 3, bias=True)
    return net.finish(x, (1, 10, 10), (classes, 10, 10))


@pytest.fixture
def pixel_data(workplace) -> Path:
    rng = np.random.default_rng(0)
    y = rng.integers(0, 2, (60, 10, 10)).astype(np.uint8)
    x = (y * 90 + rng.integers(0, 160, y.shape)).astype(np.uint8)[:, None]
    np.savez("pixels.npz", x=x, y=y)
    np.savez("numbers.npz", x=x, y=y[:, None] / 2.0)
    return workplace / "pixels.npz"


def save(model: object, name: str) -> str:
    Path(name).write_bytes(model.SerializeToString())  # type: ignore[attr-defined]
    return name


def test_classes_of_pixels_show_labels_beside_answers(cli, pixel_data):
    model = save(pixel_network(2), "pixels.onnx")
    assert cli("train", model, "--data", pixel_data, "-t", "ideal", "-o", "run").code == 0
    found = figures(cli, "run")["answers"]
    assert (found["kind"], found["pixels"]) == ("classes", True)
    assert cli("report", "run").code == 0
    text = Path("run/report.html").read_text(encoding="utf-8")
    assert "mean IoU" in text
    elements = Elements(text)
    assert elements.tags["img"] == 3 * len(found["worst"]) > 0  # sample, label, answer
    assert all(link[:22] == "data:image/png;base64," for link in elements.links if len(link) > 99)


def test_numbers_are_drawn_against_targets(cli, pixel_data):
    model = save(pixel_network(1), "numbers.onnx")
    how = ("--data", "numbers.npz", "--loss", "mse", "-t", "ideal", "-o", "run")
    assert cli("train", model, *how).code == 0
    found = figures(cli, "run")["answers"]
    assert found["kind"] == "numbers"
    assert found["rmse"] > 0
    assert cli("report", "run").code == 0
    text = Path("run/report.html").read_text(encoding="utf-8")
    assert "There are no classes" in text
    assert text.count("<circle") > 400


def test_hostile_names_are_text(cli, make_model, tiny_data):
    rng = np.random.default_rng(0)
    nodes = [helper.make_node("Gemm", ["x", "w"], ["y"], f"first{HOSTILE}")]
    model = make_model("tiny.onnx", nodes, ["N", 12], w=rng.normal(0, 0.2, (12, 3)))
    data = Path(tiny_data).rename("<b>&data'.npz")
    folder = "<img src=x>run"
    assert cli("train", model, "--data", data, "--epochs", 2, "-o", folder).code == 0
    assert cli("report", folder, "-o", "page.html").code == 0
    assert cli("compare", folder, folder, "-o", "two.html").code == 0
    for page in ("page.html", "two.html"):
        found = Elements(Path(page).read_text(encoding="utf-8"))
        assert found.tags["img"] == found.tags["b"] * 0
        assert found.attributes["onerror"] == 0
        assert found.tags["style"] == found.tags["script"] == 1


def test_python_writes_the_same_page(cli, run):
    assert cli("report", run, "-o", "page.html").code == 0
    rpucc.write_report("run", "python.html")
    assert Path("python.html").read_bytes() == Path("page.html").read_bytes()


# ---------------------------------------------------------------- side by side


@pytest.fixture
def other(cli, run, tiny_model, tiny_data) -> Path:
    """The same with another seed, rate and device."""
    how = ("--data", tiny_data, "--epochs", 2, "--lr", 0.1, "--seed", 4, "-o", "other")
    assert cli("train", tiny_model, *how, "--set", "device.dw_min=0.002").code == 0
    return Path("other")


def test_differences_come_first(cli, run, other):
    outcome = cli("compare", run, other, "--json")
    assert outcome.code == 0, outcome.stderr
    found = json.loads(outcome.stdout)
    keys = {(each["about"], each["key"]): each["values"] for each in found["differences"]}
    assert keys[("training", "lr")] == {"run": "0.005", "other": "0.1"}
    assert keys[("training", "seed")] == {"run": "0", "other": "4"}
    assert keys[("training", "epochs")] == {"run": "3", "other": "2"}
    assert keys[("target", "device.dw_min")] == {"run": "0.001", "other": "0.002"}
    assert not [key for about, key in keys if about == "made with"]
    assert [len(each["epochs"]) for each in found["runs"]] == [3, 2]
    shown = cli("compare", run, other)
    assert shown.code == 0
    assert shown.stdout.index("device.dw_min") < shown.stdout.index("results")
    assert cli("compare", run, other, "-o", "page.html").code == 0
    text = Path("page.html").read_text(encoding="utf-8")
    assert text.index('id="differences"') < text.index('id="results"') < text.index('id="curves"')
    assert text.count("<polyline") >= 2 * 4  # each run's losses and errors


def test_runs_of_one_name_are_told_apart_and_equal_ones_differ_in_nothing(cli, run):
    outcome = cli("compare", "run", "./run/checkpoint.safetensors", "--json")
    found = json.loads(outcome.stdout)
    assert found["differences"] == []
    assert [each["run"] for each in found["runs"]] == ["run", "run/checkpoint.safetensors"]
    assert "no differences" in cli("compare", "run", "./run").stdout


def test_one_run_or_none_is_refused(cli, run, tiny_data):
    assert cli("compare", run).code == 2
    assert cli("compare").code == 2
    assert cli("compare", run, tiny_data).code == 1
    assert cli("compare", run, "nothing").code == 1


# ---------------------------------------------------------------- layer by layer


def test_a_page_layer_by_layer(cli, run):
    outcome = cli("report", run, "--by-layer", "-o", "page.html")
    assert outcome.code == 0, outcome.stderr
    text = Path("page.html").read_text(encoding="utf-8")
    found = Elements(text)
    shown = [anchor for anchor in found.ids if anchor in (*SECTIONS, "by-layer")]
    assert shown == [*SECTIONS[:5], "by-layer", *SECTIONS[5:]]
    part = text[text.index('id="by-layer"') :]
    part = part[: part.index("</section>")]
    measured = json.loads(cli("eval", run, "--by-layer", "--json").stdout)
    for each in measured["layers"]:
        alone = f"{100 * each['alone']['error']:.2f} %"
        assert f"{each['layer']}, this layer alone on the target: {alone}" in part
        assert f"{each['snr']:.1f} dB" in part
    assert f"all ideal: {100 * measured['ideal']['error']:.2f} %" in part
    assert part.count("<rect") == 2 * len(measured["layers"])
    as_data = figures(cli, run, "--by-layer")["by_layer"]
    assert as_data == {key: measured[key] for key in as_data}
    assert figures(cli, run)["by_layer"] is None
    rpucc.write_report(run, "python.html", by_layer=True)
    assert Path("python.html").read_text() == text


def test_fewer_samples_layer_by_layer(cli, run):
    assert figures(cli, run, "--by-layer", "--samples", 5)["by_layer"]["samples"] == 5
    cli("report", run, "--by-layer", "--samples", 5, "-o", "page.html")
    assert "The first 5 of 66 test samples" in Path("page.html").read_text()
    refused = cli("report", run, "--samples", 5)
    assert refused.stderr == "Error: --samples: no effect on report without --by-layer\n"
    assert refused.code == 2
    Path("tiny.npz").unlink()
    lost = figures(cli, run, "--by-layer")
    assert lost["by_layer"] is None
    assert any("no answers" in line for line in lost["missing"])


# ---------------------------------------------------------------- in a browser


def test_a_browser_takes_both_pages(cli, run, other, tmp_path_factory):
    browser = find_browser(tmp_path_factory.mktemp("profile"))
    assert cli("report", run, "--by-layer", "-o", "page.html").code == 0
    assert cli("compare", run, other, "-o", "two.html").code == 0
    for name in ("page.html", "two.html"):
        page = Path(name).resolve()
        visit = browser.visit(page)
        assert visit.console == []
        assert Elements(visit.dom).attributes["data-tip"] > 10  # of the marks
        assert browser.width_in(page, 390) == (390, 390)
        assert browser.cut_in(page, 1400) == []
    assert "Training" in browser.first_printed_page(Path("page.html").resolve())
