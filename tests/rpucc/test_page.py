"""The page of `inspect --html`: what is on it, that names cannot run, how a browser takes it."""

from __future__ import annotations

import json
import re
from collections import Counter
from html.parser import HTMLParser
from pathlib import Path

import pytest

from rpucc.compiler.compile import compile_model
from rpucc.models import build
from rpucc.program import Program
from rpucc.report.definitions import DEFINITIONS
from rpucc.report.drawings.drawing_model import Scene
from rpucc.report.html import page
from rpucc.report.html.page import CONTENTS
from rpucc.report.html.parts import breakable
from rpucc.target.target import Target

from .browser import Browser, find_browser

HOSTILE = '</script></title><img src=x onerror="document.title=666"><b>&amp;\'"'


class Elements(HTMLParser):
    """Counts elements and gathers ids, links and the text of scripts."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: Counter[str] = Counter()
        self.ids: list[str] = []
        self.links: list[str] = []
        self.attributes: Counter[str] = Counter()
        self.scripts: list[str] = []
        self._in_script = False
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags[tag] += 1
        self._in_script = tag == "script"
        for name, value in attrs:
            self.attributes[name] += 1
            if name == "id":
                self.ids.append(value or "")
            if name in ("href", "src"):
                self.links.append(value or "")

    def handle_data(self, data: str) -> None:
        if self._in_script:
            self.scripts.append(data)

    def handle_endtag(self, tag: str) -> None:
        self._in_script = False


@pytest.fixture(scope="module")
def lenet() -> Program:
    return compile_model("lenet", "rpu-managed", verify=False)


@pytest.fixture(scope="module")
def lenet_page(lenet: Program) -> str:
    return page(Scene(lenet))


@pytest.fixture(scope="module")
def hostile() -> Program:
    model = build("mlp")
    for node in model.graph.node:
        node.name = f"{node.name}{HOSTILE}"
    model.graph.name = HOSTILE
    return compile_model(model, "rpu-managed", verify=False)


def test_the_page_has_every_section_and_layer(lenet_page: str) -> None:
    found = Elements(lenet_page)
    assert {anchor for anchor, _ in CONTENTS} <= set(found.ids)
    assert {f"layer-{i}" for i in range(4)} <= set(found.ids)
    assert {f"def-{each.key}" for each in DEFINITIONS} <= set(found.ids)
    assert len(found.ids) == len(set(found.ids))
    for name in ("conv1", "conv2", "fc1", "fc2"):
        assert lenet_page.count(f">{name}<") >= 4  # network, table, arrays, charts
    assert "bottleneck" in lenet_page
    assert "5.76 µs" in lenet_page


def test_links_lead_to_places_on_the_page(lenet_page: str) -> None:
    found = Elements(lenet_page)
    assert {link for link in found.links if link != "data:,"}
    for link in found.links:
        assert link == "data:," or link.removeprefix("#") in found.ids


def test_nothing_comes_from_elsewhere(lenet_page: str) -> None:
    assert "http:" not in lenet_page
    assert "https:" not in lenet_page
    found = Elements(lenet_page)
    assert not {"iframe", "img", "object", "embed"} & set(found.tags)
    assert found.attributes["style"] == 0  # the policy allows the one style sheet alone


def test_the_data_list_every_array(lenet: Program, lenet_page: str) -> None:
    data = json.loads(Elements(lenet_page).scripts[0])
    assert data["layers"] == ["conv1", "conv2", "fc1", "fc2"]
    arrays = [(p["kind"], on[0]) for p in data["pictures"] for on in p["on"]]
    expected = [(kind, i) for kind, n in lenet.plan.arrays.items() for i in range(n)]
    assert sorted(arrays) == sorted(expected)
    assert data["cuts"][1] == [[0, 32], [0, 401]]


def test_hostile_names_are_text(hostile: Program) -> None:
    assert any("onerror" in layer.name for layer in hostile.plan.layers)
    found = Elements(page(Scene(hostile)))
    plain = Elements(page(Scene(compile_model("mlp", "rpu-managed", verify=False))))
    for tags in (found.tags, plain.tags):
        del tags["wbr"]  # where a name may break
    assert found.tags == plain.tags
    assert found.attributes["onerror"] == 0
    assert json.loads(found.scripts[0])["layers"] == [la.name for la in hostile.plan.layers]


def facts(text: str) -> dict[str, str]:
    """The facts of the first screen: label to the number."""
    head = text[: text.index("</header>")]
    found = re.findall(r"<dt><a [^>]*>([^<]*)</a></dt><dd>(.*?)<small>", head)
    return {label: number.replace("<wbr>", "") for label, number in found}


def test_the_first_screen_says_how_fast_and_what_energy(lenet: Program, lenet_page: str) -> None:
    found = facts(lenet_page)
    run = lenet.cost.inference
    assert found["images a second"] == "173,611"
    assert found["energy"] == f"{run.energy.total * 1e9:.0f} nJ"
    assert found["efficiency"] == f"{lenet.plan.tops_per_watt:.2f} TOPS/W"
    assert found["training"] == "77,042"
    assert found["bottleneck"] == "conv1"
    digital = compile_model("mlp", "ideal", overrides=["layer.*.analog=false"], verify=False)
    found = facts(page(Scene(digital)))
    assert "images a second" not in found
    assert "TOPS/W" in found["efficiency"]


def test_names_break_between_words_only() -> None:
    assert breakable("layer1.0.conv2") == "layer1.<wbr>0.<wbr>conv2"
    assert breakable("/a/b_c--d:e") == "/<wbr>a/<wbr>b_<wbr>c--<wbr>d:<wbr>e"
    assert breakable("conv") == "conv"
    assert breakable("<b>.\x07") == "&lt;b&gt;.<wbr>?"


def test_an_inference_program_shows_no_training() -> None:
    text = page(Scene(compile_model("mlp", "ideal", training=False, verify=False)))
    assert "One training image" not in text
    assert "with training" not in text


def test_scaled_and_clipped_weights_have_a_column_each_where_there_are_any(lenet_page: str) -> None:
    """Of the layers that have none the cell is empty."""
    keys = ["layer.fc1.mapping.weight_scaling=0.3", "layer.conv1.device.w_max=0.1"]
    off = ["layer.conv1.mapping.weight_scaling=off"]
    found = page(Scene(compile_model("lenet", overrides=[*keys, *off], verify=False)))
    for heading in (">scale<", ">clipped<"):
        assert found.count(heading) == lenet_page.count(heading) + 1, heading


def test_a_network_without_arrays_has_a_page() -> None:
    target = Target.from_toml(
        'name = "none"\n[[array]]\nname = "a"\nrows = 8\ncols = 8\nt_read = 1e-8\n'
        '[device]\nmodel = "ideal"\n[[layer]]\nmatch = "*"\nanalog = false\n'
    )
    text = page(Scene(compile_model("mlp", target, training=False, verify=False)))
    assert "all layers are digital" in text


def test_thousands_of_arrays_stay_small() -> None:
    target = Target.load("ideal", overrides=["array.0.rows=8", "array.0.cols=8"])
    kinds = target.model_copy(update={"arrays": target.arrays[:1]})
    program = compile_model("lenet", kinds, training=False, verify=False)
    count = sum(program.plan.arrays.values())
    assert count > 1_000
    assert len(page(Scene(program))) < 60_000 + 120 * count


# ---------------------------------------------------------------- in a browser


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Browser:
    return find_browser(tmp_path_factory.mktemp("profile"))


@pytest.mark.parametrize("which", ["lenet", "hostile"])
def test_a_browser_takes_it(
    which: str, browser: Browser, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    program: Program = request.getfixturevalue(which)
    path = tmp_path / "plan.html"
    path.write_text(page(Scene(program)), encoding="utf-8")
    visit = browser.visit(path)
    assert visit.console == []
    assert "<title>666" not in visit.dom
    found = Elements(visit.dom)
    assert found.tags["img"] == 0
    layers = program.plan.layers
    assert visit.dom.count('class="node"') == len(layers)
    assert visit.dom.count('class="floor"') == len(layers)
    assert {f"layer-{i}" for i in range(len(layers))} <= set(found.ids)
    assert found.attributes["data-tip"] > Elements(path.read_text()).attributes["data-tip"]
    assert browser.width_in(path, 390) == (390, 390)


@pytest.fixture(scope="module")
def wide() -> Program:
    """Every column that the table of layers can have, and long names."""
    overrides = ["mapping.devices_per_weight=2", "layer.block*.mapping.replicas=2"]
    return compile_model("mobilenet-v2-cifar", "rpu-managed", overrides=overrides, verify=False)


def test_nothing_is_cut_on_a_desktop_nor_the_network_on_a_phone(
    browser: Browser, wide: Program, tmp_path: Path
) -> None:
    path = tmp_path / "plan.html"
    path.write_text(page(Scene(wide)), encoding="utf-8")
    assert ">copies<" in path.read_text()
    assert ">devices<" in path.read_text()
    assert browser.cut_in(path, 1400) == []
    cut = browser.cut_in(path, 390)
    assert "Layers" in cut  # a frame that scrolls
    assert "" not in cut  # the network and the arrays


@pytest.mark.parametrize("which", ["lenet", "wide"])
def test_the_first_printed_page_is_not_empty(
    which: str, browser: Browser, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    program: Program = request.getfixturevalue(which)
    path = tmp_path / "plan.html"
    path.write_text(page(Scene(program)), encoding="utf-8")
    first = browser.first_printed_page(path)
    assert "images a second" in first
    assert "Network" in first
    assert program.plan.layers[0].name in first


SEARCH = """
const find = document.getElementById("find");
find.value = "Conv 2";
find.dispatchEvent(new Event("input"));
"""


def test_search_leaves_the_layers_that_match(
    browser: Browser, lenet_page: str, tmp_path: Path
) -> None:
    path = tmp_path / "plan.html"
    path.write_text(lenet_page, encoding="utf-8")
    visit = browser.visit_with(path, SEARCH)
    assert visit.console == []
    assert ">1 of 4</output>" in visit.dom
    rows = re.findall(r'<tr id="layer-(\d)"([^>]*)>', visit.dom)
    assert [i for i, attributes in rows if "dim" not in attributes] == ["1"]
    assert len(re.findall(r'<figure [^>]*class="dim"', visit.dom)) == 3


HOVER = """
const svg = document.querySelectorAll("svg.floor")[1];
const box = svg.getBoundingClientRect();
svg.dispatchEvent(new PointerEvent("pointermove",
  {bubbles: true, clientX: box.left + 3, clientY: box.top + 3}));
"""


def test_an_array_tells_what_lies_on_it(browser: Browser, lenet_page: str, tmp_path: Path) -> None:
    path = tmp_path / "plan.html"
    path.write_text(lenet_page, encoding="utf-8")
    visit = browser.visit_with(path, HOVER)
    assert visit.console == []
    tip = re.search(r'<div id="tip"[^>]*>([^<]*)</div>', visit.dom)
    assert tip is not None
    assert tip[1] == "array small 1\nconv2: rows 0…31, columns 0…400"
    assert "hidden" not in tip[0]


COPIES = """
const svg = document.querySelectorAll("svg.floor")[1];
const picture = JSON.parse(document.getElementById("data").textContent).pictures[1];
const box = svg.getBoundingClientRect();
const scale = box.width / svg.viewBox.baseVal.width;
const [right, down] = [2 * picture.steps[1][0] + 1.5 * picture.steps[0][0],
  1.5 * picture.steps[0][1]];
svg.dispatchEvent(new PointerEvent("pointermove",
  {bubbles: true, clientX: box.left + right * scale, clientY: box.top + down * scale}));
document.body.dataset.found = document.getElementById("tip").textContent;
svg.focus();
const [right4, down2] = [Array(4).fill("ArrowRight"), Array(2).fill("ArrowDown")];
for (const key of [...right4, ...down2])
  svg.dispatchEvent(new KeyboardEvent("keydown", {key, bubbles: true}));
document.body.dataset.walked = document.getElementById("tip").textContent;
"""


def test_copies_side_by_side_tell_what_lies_on_them(browser: Browser, tmp_path: Path) -> None:
    kinds = ["array.0.rows=16", "array.0.cols=120", "layer.conv2.mapping.replicas=3"]
    target = Target.load("ideal", [*kinds, "mapping.array=small"])
    program = compile_model("lenet", target, training=False, verify=False)
    path = tmp_path / "plan.html"
    path.write_text(page(Scene(program)), encoding="utf-8")
    visit = browser.visit_with(path, COPIES)
    assert visit.console == []
    # 32 × 401 on 2 × 4 arrays, the third copy: second row block, second segment
    assert re.search(
        r'data-found="array small \d+\nconv2, copy 2: rows 16…31, columns 10', visit.dom
    )
    # four to the right, one down: the first array of the second copy's second row
    assert re.search(
        r'data-walked="array small \d+\nconv2, copy 1: rows 16…31, columns 0', visit.dom
    )
