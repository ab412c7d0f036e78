"""The structure of pipelines as text, SVG and Mermaid."""

import re
import xml.etree.ElementTree as ET
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from engine.pipeline.check import check_files
from engine.pipeline.expression import compile_template, parse_condition
from engine.pipeline.graph.mermaid import render_mermaid
from engine.pipeline.graph.svg import STYLE, render_svg
from engine.pipeline.graph.text import render_text
from engine.pipeline.graph.tree import Graph, every_block, make_graph, short_duration
from engine.pipeline.spec import Case, Pipeline
from tests.language.catalog import FILES, make_catalog
from tests.unit.pipeline.graph_samples import HOSTILE, LONG, everything, pipeline, step, trigger

APP_CSS = Path(__file__).parents[3] / "engine" / "web" / "dashboard" / "static" / "app.css"
TEXT = """\
sample
Does everything.
⚡ github.webhook  github · if event.body.x == 1
⚡ schedule  0 * * * *
· 2 at a time
│
├─ ● first  http.request
│    timeout 20s
│    cached for 1h30m
│    has a fallback output
├─ ● charge  http.request
│  │ up to 5 attempts
│  │ 5 per 1s for each inputs.tenant, more are refused
│  ├─ on error:
│  │  └─ ● rescue  emit
│  └─ undo:
│     └─ ● http.request
├─ ⫴ both  2 branches at the same time
│  ├─ left:
│  │  └─ ● l  value
│  └─ right:
│     ├─ ● r1  value
│     └─ ▸ r2  pipeline:other
├─ ◆ switch  the first that holds
│  ├─ if steps.first.output > 1
│  │  └─ ● big  value
│  └─ else
│     └─ ● stop
├─ ▣ each
│  │ if inputs.items | length > 0
│  │ for each order in inputs.items, 3 at a time, goes on after an error
│  └─ ● poll  value
│       repeats every 30s until result.ok, at most 5 times
├─ ◷ ask  asks: Pay {inputs.n}?
│  │ for at most 3d, then fails
│  └─ notify:
│     └─ ● notify.slack
├─ ◷ paid  waits for stripe invoice.paid
│    if incoming.id == 1
├─ ◷ pause  waits 1h30m
├─ on error, after the run has failed
│  └─ ● notify.slack
└─ finally, in any case
   └─ ● store.put
→ label, paged
"""


def hostile() -> Pipeline:
    """Every text is an attack; some have no end."""
    return pipeline(
        step("a", HOSTILE, name=HOSTILE),
        step("wide", shape="parallel", branches={f"{HOSTILE}{number}": (step(f"b{number}"),) for number in range(50)}),
        step("long", shape="switch", cases=(Case(parse_condition(LONG), (step("c"),)),)),
        name=HOSTILE,
        description=HOSTILE * 50,
        triggers=(trigger("webhook", path=HOSTILE * 9),),
        outputs={HOSTILE: compile_template(1)},
    )


def numbers(svg: str, tag: str, *names: str) -> list[tuple[float, ...]]:
    found = [node for node in ET.fromstring(svg).iter() if node.tag.endswith(f"}}{tag}")]
    return [tuple(float(node.attrib[name]) for name in names) for node in found]


def test_the_text_shows_every_shape() -> None:
    """Steps, branches, cases, loops, waits, and what stands beside them, in the order of the file."""
    assert render_text(make_graph(everything())) == TEXT


def test_no_line_of_the_text_is_too_long_or_moves_the_cursor() -> None:
    """Long texts are cut, control characters replaced."""
    text = render_text(make_graph(hostile()), width=60)
    assert max(map(len, text.splitlines())) == 60
    assert "\x1b" not in text


@pytest.mark.parametrize("sample", [everything, hostile], ids=lambda sample: sample.__name__)
@pytest.mark.parametrize("standalone", [True, False])
def test_the_picture_is_well_formed_and_stays_in_its_frame(sample: Callable[[], Pipeline], standalone: bool) -> None:
    """XML without script, with a name; every rectangle lies within the view box."""
    svg = render_svg(make_graph(sample()), standalone=standalone)
    root = ET.fromstring(svg)
    assert "<script" not in svg
    assert root.attrib["aria-label"].startswith("Structure of the pipeline sample: ")
    width, height = (float(part) for part in root.attrib["viewBox"].split()[2:])
    for x, y, across, down in numbers(svg, "rect", "x", "y", "width", "height"):
        assert 0 <= x <= x + across <= width + 0.01
        assert 0 <= y <= y + down <= height + 0.01
    assert ("<style>" in svg) == standalone


def test_cards_never_overlap() -> None:
    """Fifty branches side by side, handlers, loops: no two steps are drawn over each other."""
    for sample in (everything(), hostile()):
        svg = render_svg(make_graph(sample))
        cards = [
            tuple(float(node.attrib[name]) for name in ("x", "y", "width", "height"))
            for node in ET.fromstring(svg).iter()
            if node.attrib.get("class", "").startswith(("card", "pill"))
        ]
        for number, (x, y, width, height) in enumerate(cards):
            for left, top, across, down in cards[number + 1 :]:
                apart = x + width <= left or left + across <= x or y + height <= top or top + down <= y
                assert apart, (x, y, left, top)


def test_fifty_branches_stay_readable() -> None:
    """They are laid out in rows, not in one endless line."""
    (width,) = (float(part) for part in ET.fromstring(render_svg(make_graph(hostile()))).attrib["viewBox"].split()[2:3])
    assert width < 1300


def test_each_step_can_be_a_link() -> None:
    """The dashboard leads from a step to its line."""
    svg = render_svg(make_graph(everything()), standalone=False, link=lambda block: f"#L{block.line}&")
    links = {node.attrib["href"] for node in ET.fromstring(svg).iter() if "href" in node.attrib}
    assert links == {"#L7&", "#L20&"}


def test_every_class_has_a_style_in_both_places() -> None:
    """A picture in a page looks like the file: what is drawn is coloured by both style sheets."""
    sheet = APP_CSS.read_text()
    known = set(re.findall(r"\.([a-z]+)", STYLE)) - {"page", "heading"}
    for name in sorted(known):
        assert re.search(rf"\.graph [^{{]*\.{name}\b", sheet), f"app.css has no rule for .graph .{name}"
    for node in ET.fromstring(render_svg(make_graph(everything()))).iter():
        first = node.attrib.get("class", "graph").split()[0]
        assert first == "graph" or f".{first}" in STYLE, node.attrib


def test_mermaid_texts_are_quoted() -> None:
    """No text can end its quotes; every block is there."""
    text = render_mermaid(make_graph(hostile()))
    assert "<script" not in text
    assert all(line.count('"') in (0, 2) for line in text.splitlines())
    assert text.count("subgraph") == text.count("\n  end") + text.count("\n    end") + text.count("\n      end")


def test_mermaid_draws_every_block() -> None:
    """As a node or as a subgraph."""
    graph = make_graph(everything())
    text = render_mermaid(graph)
    for block in every_block(graph):
        assert f'"{block.title}' in text, block.title


def test_the_blocks_of_all_sections_are_found() -> None:
    """Handlers and compensations as well."""
    titles = [block.title for block in every_block(make_graph(everything()))]
    assert titles.count("notify.slack") == 2
    assert {"rescue", "r2", "big", "poll", "store.put"} <= set(titles)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.5, "500ms"),
        (20, "20s"),
        (5400, "1h30m"),
        (86400 * 30, "30d"),
        (604800 * 2, "2w"),
        (90061, "1d1h1m1s"),
    ],
)
def test_durations_are_written_as_authors_write_them(seconds: float, text: str) -> None:
    """The shortest way to write it in YAML."""
    assert short_duration(seconds) == text


def test_an_empty_pipeline_is_drawn() -> None:
    """A group without steps, a switch without cases: the checker says what is wrong, the picture does not break."""
    graph = make_graph(pipeline(step("g", shape="group"), step("s", shape="switch")))
    for render in renderers():
        assert "g" in render(graph)


def renderers() -> list[Callable[[Graph], Any]]:
    return [render_text, render_svg, render_mermaid]


def test_the_example_pipelines_are_drawn() -> None:
    """Each of them, read by the checker: every step is in every picture."""
    report = check_files(FILES, make_catalog(), root=FILES[0].parent.parent)
    assert len(report.pipelines) == len(FILES)
    for checked in report.pipelines:
        graph = make_graph(checked)
        text, svg, mermaid = render_text(graph), render_svg(graph), render_mermaid(graph)
        ET.fromstring(svg)
        for block in every_block(graph):
            assert all(block.title in picture for picture in (text, svg, mermaid)), (checked.id, block.title)
