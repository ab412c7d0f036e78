"""Chains of pipelines that wake each other, by `emit` or by ending: how long they are, and where they are cut."""

from engine.core.event import Event

SOURCE = "internal"  # of what `emit` steps emit
ENDED = "hookwright"  # source of `run.finished` events
DEPTH = "x-hookwright-depth"  # header of both: how many such events there are from the chain's beginning to this one
RUN = "x-hookwright-run"  # header of both: the run it comes from
MAX_DEPTH = 5  # a longer chain is cut: pipelines that wake each other do so without end


def next_depth(event: Event | None) -> int:
    """The depth of what a run started by this event says. Only our own events count: anybody can send headers."""
    if event is None or event.source not in (SOURCE, ENDED):
        return 1
    return int(event.headers.get(DEPTH, "0")) + 1
