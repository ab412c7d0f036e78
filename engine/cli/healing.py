"""What `hookwright doctor` says about runs, and what `--heal` does about it."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime

import msgspec

from engine.cli.checkup import Finding
from engine.cli.client import ClientFile
from engine.core.duration import format_duration
from engine.errors import HookwrightError
from engine.settings import Settings

LATE = 10.0  # seconds within which the engine mends everything by itself


async def examine_runs(settings: Settings, left: ClientFile, *, mend: bool) -> AsyncIterator[Finding]:
    """Defects that are older than upkeep lets them get; with `mend` they are mended and looked for again."""
    database_url, redis_url = settings.database_url or left.database_url, settings.redis_url or left.redis_url
    if not database_url or not redis_url:
        yield Finding("runs", "skipped", "no databases; `hookwright up` brings its own and is not running")
        return
    from engine.flow.heal import WORDS, heal
    from engine.runtime import open_runtime

    settings = msgspec.structs.replace(settings, database_url=database_url, redis_url=redis_url)
    try:
        async with open_runtime(settings) as runtime:
            before = {found.kind: found for found in await runtime.store.find_defects(LATE)}
            if mend:
                await heal(runtime)
            after = {found.kind: found for found in await runtime.store.find_defects(LATE)}
    except HookwrightError as error:
        yield Finding("runs", "wrong", str(error), "mend what is said above first")
        return
    for kind, found in before.items():
        left_over = after[kind].number if kind in after else 0
        since = ""
        if found.since is not None:
            since = f", the oldest since {format_duration((datetime.now(UTC) - found.since).total_seconds())}"
        detail = f"{found.number} {WORDS.get(kind, kind)}{since}: {', '.join(found.examples)}"
        if not mend:
            advice = "`hookwright doctor --heal` mends it; a running worker does so by itself within 10 s"
            yield Finding(kind.replace("_", " "), "wrong", detail, advice)
        elif left_over:
            advice = "the log of the workers says why"
            yield Finding(kind.replace("_", " "), "wrong", f"{detail}; {left_over} are left", advice)
        else:
            yield Finding(kind.replace("_", " "), "ok", f"mended: {detail}")
    if not before:
        yield Finding("runs", "ok", "nothing is stuck")
