"""hookwright doctor: what is wrong with this set-up, and what to do about it."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

from engine.cli.exits import FAILED, OK
from engine.cli.output import BOLD, COLORS, FAINT, Json, clean, paint, print_json, say

if TYPE_CHECKING:
    from engine.cli.checkup import Finding

Check = Literal["python", "settings", "postgresql", "redis", "runs", "pipelines", "port"]


def doctor(
    *,
    data_dir: Path | None = None,
    pipelines: Path | None = None,
    only: Annotated[list[Check] | None, Parameter(negative="")] = None,
    verbose: Annotated[bool, Parameter(name=["--verbose", "-v"], negative="")] = False,
    heal: Annotated[bool, Parameter(negative="")] = False,
    json: Json = False,
) -> int:
    """Look at everything Hookwright needs, and say what to do about what is wrong.

    Runs that hang in spite of everything (their worker is gone, their ring was lost, their time is over, a slot is
    held by nobody) are found too. Workers mend them by themselves within 10 s; `--heal` does it at once.

    Exit code 1 if something is wrong; warnings do not count.

    Example: `hookwright doctor --json`

    Parameters
    ----------
    data_dir
        Data directory. Default: HOOKWRIGHT_DATA_DIR, else `.hookwright`.
    pipelines
        Directory with pipeline files. Default: HOOKWRIGHT_PIPELINES, else `pipelines`.
    only
        Only these checks; repeat it.
    verbose
        Show also what is fine about each check.
    heal
        Mend what is stuck: orphaned runs, lost rings, overdue timers, slots that nobody holds.
    """
    import asyncio

    from engine.cli.checkup import ALL, examine

    async def collect() -> "list[Finding]":
        return [finding async for finding in examine(data_dir, pipelines, only or ALL, mend=heal)]

    findings = asyncio.run(collect())
    wrong = any(finding.state == "wrong" for finding in findings)
    if json:
        print_json(
            {
                "ok": not wrong,
                "checks": [
                    {"name": item.name, "state": item.state, "detail": item.detail, "do": item.advice}
                    for item in findings
                ],
            }
        )
        return FAILED if wrong else OK
    width = max(len(item.name) for item in findings)
    for item in findings:
        state = paint(item.state.ljust(7), COLORS.get(item.state, ""))
        say(f"{state}  {item.name.ljust(width)}  {clean(item.detail)}")
        if item.advice and (item.state != "ok" or verbose):
            say(f"{'':9}{'':{width}}  {paint('do:', BOLD)} {clean(item.advice)}")
    say()
    say("Something is wrong." if wrong else paint("Everything needed is there.", FAINT))
    return FAILED if wrong else OK
