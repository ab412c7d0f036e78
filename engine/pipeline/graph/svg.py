"""The structure of a pipeline as SVG: no script, nothing from elsewhere, readable by day and by night."""

from collections.abc import Callable, Sequence

from engine.pipeline.graph.layout import (
    Box,
    Words,
    escape,
    in_frame,
    in_sequence,
    make_card,
    make_pill,
    place,
    shorten,
    side_by_side,
    size,
    text,
    with_aside,
    with_heading,
    wrap,
)
from engine.pipeline.graph.tree import Block, Graph, Section, every_block

MARGIN = 20
HEADING = 62
BRANCH = 30  # characters of a line above a branch
LINES = 6  # of it
FRAMES = {"handler": "on error", "undo": "undo", "notify": "notify"}

Link = Callable[[Block], str]

STYLE = """
:root { color-scheme: light dark; --page: #f6f7f8; --card: #fff; --frame: #fff; --line: #8b95a1; --edge: #c5ccd4;
  --text: #1b2027; --muted: #58626f; --blue: #3b78dd; --violet: #7d58c9; --amber: #b97a0a; --teal: #14808a;
  --red: #d4483c; --green: #2f9e63; }
@media (prefers-color-scheme: dark) { :root { --page: #121519; --card: #1a1e24; --frame: #171b20; --line: #76818e;
  --edge: #414b57; --text: #e4e8ed; --muted: #9ba6b4; --blue: #6b9ff0; --violet: #ab8df0; --amber: #e0a63a;
  --teal: #4bb8c2; --red: #ee7a70; --green: #52bd82; } }
text { font-family: system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", "DejaVu Sans", sans-serif; }
.page { fill: var(--page); }
.heading { font-size: 18px; font-weight: 650; fill: var(--text); }
.title { font-size: 13px; font-weight: 600; fill: var(--text); }
.detail { font-size: 12px; fill: var(--muted); }
.note, .branch { font-size: 11.5px; fill: var(--muted); }
.branch { font-weight: 600; fill: var(--text); }
.card, .pill { fill: var(--card); stroke: var(--edge); stroke-width: 1.2; }
.frame { fill: var(--frame); fill-opacity: .6; stroke: var(--edge); stroke-width: 1.2; }
.frame.handler { stroke: var(--red); stroke-dasharray: 5 4; }
.frame.undo { stroke: var(--amber); stroke-dasharray: 5 4; }
.frame.notify { stroke: var(--blue); stroke-dasharray: 5 4; }
.frame.loop { stroke: var(--violet); } .frame.parallel { stroke: var(--blue); } .frame.switch { stroke: var(--teal); }
.card.call { stroke: var(--violet); } .card.wait { stroke: var(--amber); } .card.fail { stroke: var(--red); }
.pill.start { stroke: var(--green); stroke-width: 1.6; } .pill.end { stroke: var(--muted); stroke-width: 1.6; }
.line { fill: none; stroke: var(--line); stroke-width: 1.4; } .head { fill: var(--line); }
.dash { fill: none; stroke: var(--red); stroke-width: 1.3; stroke-dasharray: 4 4; }
.dash.undo { stroke: var(--amber); } .dash.notify { stroke: var(--blue); }
.icon { fill: none; stroke: var(--muted); stroke-width: 1.8; stroke-linecap: round; stroke-linejoin: round; }
.icon.action { stroke: var(--blue); } .icon.call { stroke: var(--violet); fill: var(--violet); }
.icon.wait { stroke: var(--amber); } .icon.loop { stroke: var(--violet); } .icon.parallel { stroke: var(--blue); }
.icon.switch { stroke: var(--teal); } .icon.fail, .icon.handler { stroke: var(--red); }
.icon.stop { stroke: var(--green); } .icon.undo { stroke: var(--amber); } .icon.notify { stroke: var(--blue); }
.icon.always { stroke: var(--green); }
"""


def render_svg(graph: Graph, *, standalone: bool = True, link: Link | None = None) -> str:
    """The picture. standalone: a file with its own colours and heading; otherwise part of a page that has the styles.

    link: where a step leads to when it is clicked.
    """
    body = _whole(graph, link)
    count = sum(1 for _ in every_block(graph))
    label = f"Structure of the pipeline {graph.id}: {count} step{'' if count == 1 else 's'}"
    top = HEADING if standalone else 2
    margin = MARGIN if standalone else 2
    heading = graph.id + (f" · {graph.name}" if graph.name else "")
    width = max(body.width, 10.5 * min(len(heading), 60) if standalone else 0) + 2 * margin
    height = body.height + top + margin
    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" class="graph" viewBox="0 0 {width:g} {height:g}" '
        f'{size(width, height)} role="{"group" if link else "img"}" aria-label="{escape(label)}">'
    ]
    if standalone:
        out.append(f"<title>{escape(heading)}</title>")
        out.append(f"<desc>{escape(graph.description)}</desc>" if graph.description else "")
        out.append(f"<style>{STYLE}</style>")
        out.append(f'<rect class="page" {place(0, 0)} {size(width, height)}/>')
        out.append(text("heading", margin, 36, shorten(heading, 60)))
    body.draw(out, margin + max(0.0, (width - 2 * margin - body.width) / 2), top)
    out.append("</svg>\n")
    return "".join(out)


def _whole(graph: Graph, link: Link | None) -> Box:
    """Triggers, steps, the end, and what comes after it."""
    parts: list[Box] = []
    if graph.starts:
        pills = [
            make_pill(Words(start.title, notes=start.notes, tooltip="\n".join((start.title, *start.notes))), "start")
            for start in graph.starts
        ]
    else:
        pills = [make_pill(Words("by hand", notes=("by the API, or by another pipeline",)), "start")]
    parts.append(pills[0] if len(pills) == 1 else side_by_side(pills, joined_only=True))
    if graph.notes:
        parts.append(make_pill(Words("limits", notes=graph.notes, tooltip="\n".join(graph.notes)), "limits"))
    parts += [_block(block, link) for block in graph.blocks]
    outputs = ", ".join(graph.outputs)
    end = make_pill(Words("outputs" if outputs else "end", notes=(outputs,) if outputs else (), tooltip=outputs), "end")
    if graph.on_error:
        words = Words("on error", "after the run has failed")
        end = with_aside(end, [("handler", in_frame(words, "handler", _sequence(graph.on_error, link)))])
    parts.append(end)
    if graph.finally_:
        words = Words("finally", "in any case")
        parts.append(in_frame(words, "always", _sequence(graph.finally_, link)))
    return in_sequence(parts)


def _sequence(blocks: Sequence[Block], link: Link | None) -> Box:
    return in_sequence([_block(block, link) for block in blocks])


def _block(block: Block, link: Link | None) -> Box:
    target = link(block) if link else ""
    tooltip = "\n".join(part for part in (block.name, block.title, block.detail, *block.notes) if part)
    notes = ((f"“{block.name}”",) if block.name else ()) + block.notes
    words = Words(block.title, block.detail, notes, tooltip)
    inner = block.inner
    if not inner:
        box = make_card(words, block.uses if block.uses in ("stop", "fail") else block.shape, link=target)
    elif block.shape == "group":
        loops = any(note.startswith("for each ") for note in block.notes)
        box = in_frame(
            words, "loop" if loops else "group", _sequence(inner[0].blocks, link), link=target, arrive="arrow"
        )
    else:
        headings = [wrap(item.title, BRANCH, LINES) for item in inner]
        rows = max(map(len, headings))
        branches = [
            with_heading(lines, _sequence(item.blocks, link), rows=rows, tooltip=item.title)
            for lines, item in zip(headings, inner, strict=True)
        ]
        box = in_frame(words, block.shape, side_by_side(branches), link=target, arrive="line")
    return with_aside(box, [(item.role, _aside(item, link)) for item in block.aside])


def _aside(section: Section, link: Link | None) -> Box:
    words = Words(FRAMES.get(section.role, section.title))
    return in_frame(words, section.role, _sequence(section.blocks, link))
