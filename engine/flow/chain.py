"""Chains of pipelines that wake each other, by `emit` or by ending: how long they are, and where they are cut."""

from engine.core.event import Event

SOURCE = "internal"  # of what `emit` steps emit
ENDED = "hookwright"  # source of `run.finished` events
DEPTH = "x-hookwright-depth"  # header of both: how many such events there are from the chain's beginning to this one
RUN = "x-hookwright-run"  # header of both: the run it comes from
MAX_DEPTH = 5  # a longer chain is cut: pipelines that wake each other do so without end


def next_depth(*events: Event | None) -> int:
    """The depth of what a run started by these events says. Only our own events count: anybody can send headers."""
    own = [event for event in events if event is not None and event.source in (SOURCE, ENDED)]
    return max((int(event.headers.get(DEPTH, "0")) for event in own), default=0) + 1
