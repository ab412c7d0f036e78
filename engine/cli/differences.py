"""What dry runs found, for people."""

from dataclasses import dataclass, field
from typing import Any

from engine.cli.output import BOLD, CYAN, FAINT, GREEN, RED, YELLOW, clean, compact, paint, paint_status, say

MARKS = {"new": ("+", GREEN), "gone": ("-", RED), "changed": ("~", YELLOW)}
WORDS = {"new": "would run", "gone": "would not run any more", "changed": "differs"}
WIDTH = 160  # characters of a value
MOST = 10  # errors and differences that are told


@dataclass
class Totals:
    """What the pages of a replay of many add up to."""

    events: int = 0
    runs: int = 0
    unmatched: int = 0
    errors: int = 0
    same: int = 0
    differ: int = 0
    first_errors: list[dict[str, Any]] = field(default_factory=list)
    differences: list[dict[str, Any]] = field(default_factory=list)

    def add(self, page: dict[str, Any]) -> None:
        """One page of the API."""
        for item in page["items"]:
            self.events += 1
            self.runs += len(item["runs"])
            self.errors += bool(item["error"])
            self.unmatched += bool(item["reason"])
            if item["error"] and len(self.first_errors) < MOST:
                self.first_errors.append({"event_id": item["event_id"], "error": item["error"]})
        self.same += page["same"]
        self.differ += page["differ"]
        self.differences += page["differences"][: MOST - len(self.differences)]

    def plain(self) -> dict[str, Any]:
        """For JSON."""
        return dict(vars(self))


def tell_totals(totals: Totals, *, dry: bool) -> None:
    """Counts, the first errors and the first differences."""
    parts = [f"{totals.events:,} events"]
    parts += [f"{totals.same:,} same", f"{totals.differ:,} differ"] if dry else [f"{totals.runs:,} runs started"]
    parts += [f"{totals.unmatched:,} without a run"] if totals.unmatched else []
    parts += [f"{totals.errors:,} errors"] if totals.errors else []
    say(", ".join(parts))
    for item in totals.first_errors:
        say(f"  {paint('error', RED)} {clean(item['event_id'])}: {clean(item['error'])}")
    for difference in totals.differences:
        say()
        tell_difference(difference)
    if totals.differ > len(totals.differences):
        say(f"\n{totals.differ - len(totals.differences):,} more differ")


def tell_difference(found: dict[str, Any]) -> None:
    """One old run and what would become of it."""
    versions = " → ".join(str(name)[:10] for name in (found["old_version"], found["version"]) if name)
    old = f"compared with run {found['old_run']}" if found["old_run"] else "the event had started no run of it"
    say(f"{paint(clean(found['pipeline']), BOLD)} {clean(versions)}  {paint(clean(old), FAINT)}")
    if found["version"] is None:
        say(f"  {paint('-', RED)} it would not run: {clean(found['reason'])}")
        return
    if found["same"]:
        say(f"  {paint('the same', GREEN)}: {found['after']}, {found['unchanged']} steps")
        return
    if found["before"] != found["after"]:
        before = paint_status(found["before"]) if found["before"] else "no run"
        say(f"  outcome {before} → {paint_status(found['after'])}")
    _changes(found["changes"], found["more"], "  ")
    for step in found["steps"]:
        mark, color = MARKS[step["what"]]
        status = f", {step['before']} → {step['after']}" if step["what"] == "changed" else ""
        status = status if step["before"] != step["after"] else ""
        head = f"  {paint(mark, color)} {paint(clean(step['step']), CYAN)} ({clean(step['uses'])})"
        say(f"{head} {WORDS[step['what']]}{clean(status)}")
        if step["note"]:
            say(f"      {paint(clean(step['note']), FAINT)}")
        _changes(step["changes"], step["more"], "      ")
    if found["more_steps"]:
        say(f"  {found['more_steps']} more steps differ")
    say(paint(f"  {found['unchanged']} steps are the same", FAINT))
    for text in found["notes"]:
        say(f"  {paint('note', YELLOW)}: {clean(text)}")


def _changes(changes: list[dict[str, Any]], more: int, indent: str) -> None:
    for change in changes:
        name = clean(change["path"])
        if change["only"] != "after":
            say(f"{indent}{paint('-', RED)} {name}: {compact(change['before'], WIDTH)}")
        if change["only"] != "before":
            say(f"{indent}{paint('+', GREEN)} {name}: {compact(change['after'], WIDTH)}")
    if more:
        say(f"{indent}{more} more values differ")
