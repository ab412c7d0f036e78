"""From the key of an attempt, such as `enrich[3]/company` or `page/alert`, back to the step it belongs to."""

import re
from collections.abc import Iterator
from itertools import pairwise

import msgspec

from engine.pipeline.spec import Pipeline
from engine.simulation.names import Place, called, walk

ITEM = re.compile(r"\[[^\[\]/]*\]")  # keys of items have neither brackets nor slashes: engine.flow.loops.key_text
FRAME = re.compile(r"(\[[^\[\]/]*\])?(#[0-9]+)?/")


class Found(msgspec.Struct, frozen=True):
    """One step at one place of a run."""

    pipeline: str  # id of the pipeline that has the step
    place: Place
    key: str  # the full one
    around: tuple["Found", ...] = ()  # the steps it stands in, outermost first: groups, loops, calls, branches
    item: bool = False  # one item of a loop: `label[2]`

    @property
    def own(self) -> bool:
        """Whether no called pipeline is between the run and the step."""
        return all(outer.pipeline == self.pipeline for outer in self.around)

    @property
    def name(self) -> str:
        """What people call it."""
        return self.place.name

    @property
    def path(self) -> str:
        """The same with the calls that lead to it: `page/alert`."""
        chain = (*self.around, self)
        calls = [outer.name for outer, inner in pairwise(chain) if outer.pipeline != inner.pipeline]
        return "/".join((*calls, self.name))


class Keys:
    """The steps of a pipeline and of those it calls."""

    def __init__(self, pipeline: Pipeline) -> None:
        self.root = pipeline.id
        self.pipelines = {found.id: found for found in called(pipeline)}
        self.places = {name: {place.step.key: place for place in walk(found)} for name, found in self.pipelines.items()}
        self._known: dict[str, Found | None] = {}

    def find(self, key: str) -> Found | None:
        """The step of a key; None: it is none of a step."""
        if key not in self._known:
            self._known[key] = next(self._read(self.root, key, "", ()), None)
        return self._known[key]

    def _read(self, pipeline: str, rest: str, prefix: str, around: tuple[Found, ...]) -> Iterator[Found]:
        places = self.places[pipeline]
        if (place := places.get(rest)) is not None:
            yield Found(pipeline, place, prefix + rest, self._inside(pipeline, place, prefix, around))
        for key, place in places.items():
            if not rest.startswith(key) or len(rest) == len(key):
                continue
            inner = place.step.pipeline if place.step.shape == "call" and place.step.pipeline else pipeline
            if inner not in self.places:
                continue
            outer = Found(pipeline, place, prefix + key, self._inside(pipeline, place, prefix, around))
            if ITEM.fullmatch(rest, len(key)):
                yield Found(pipeline, place, prefix + rest, (*outer.around, outer), item=True)
                continue
            for end in _ends(rest, len(key)):
                yield from self._read(inner, rest[end:], prefix + rest[:end], (*outer.around, outer))

    def _inside(self, pipeline: str, place: Place, prefix: str, around: tuple[Found, ...]) -> tuple[Found, ...]:
        """What is around it by its frames, and within the frame by the file."""
        known = {outer.key for outer in around}
        inner: list[Found] = []
        parent = place.parent
        while parent is not None:
            outer = self.places[pipeline][parent.key]
            shown = Found(pipeline, outer, prefix + parent.key)
            framed = any(other.pipeline == pipeline and other.place.step.key == parent.key for other in around)
            if framed or shown.key in known:
                break
            inner.append(shown)
            parent = outer.parent
        return (*around, *reversed(inner))


def _ends(text: str, start: int) -> Iterator[int]:
    """Where a frame's prefix may end: after `/`, `[ITEM]/`, `#2/` or `[ITEM]#2/`."""
    if (found := FRAME.match(text, start)) is not None:
        yield found.end()
