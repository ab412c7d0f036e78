"""hookwright api, worker, migrate: the parts, each against DATABASE_URL and REDIS_URL."""

import os
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from engine.cli.exits import OK
from engine.cli.output import Json, note, print_json, say
from engine.errors import ConfigurationError, Unavailable
from engine.settings import Settings, load_settings

AGAIN = 1.0  # seconds between attempts to reach a database that is away at the start
Hidden = Parameter(show=False)
JsonLog = Annotated[bool, Parameter(name="--json", negative="", show_default=False, help="Log in JSON.")]


def api(
    *,
    host: str | None = None,
    port: int | None = None,
    pipelines: Path | None = None,
    grace: float | None = None,
    json: JsonLog = False,
    fd: Annotated[int | None, Hidden] = None,
    announce: Annotated[int | None, Hidden] = None,
    parent: Annotated[int | None, Hidden] = None,
) -> int:
    """Run one API process: receives webhooks, serves the API and the dashboard, loads and watches the pipelines.

    Needs DATABASE_URL and REDIS_URL, and `hookwright migrate` to have run. Run as many as you like.

    Example: `DATABASE_URL=postgresql://… REDIS_URL=redis://… hookwright api --host 0.0.0.0`

    Parameters
    ----------
    host
        Address to listen on. Default: HOOKWRIGHT_HOST, else 127.0.0.1.
    port
        Port to listen on. Default: HOOKWRIGHT_PORT, else 8000.
    pipelines
        Directory with pipeline files. Default: HOOKWRIGHT_PIPELINES, else `pipelines`.
    grace
        Seconds that open requests get after SIGTERM. Default: HOOKWRIGHT_GRACE, else 20.
    """
    log_format = "json" if json else None
    settings = _start("api", parent, host=host, port=port, pipelines=pipelines, grace=grace, log_format=log_format)
    from engine.cli.server import serve

    return serve(settings, fd, announce)


def worker(
    *,
    concurrency: int | None = None,
    grace: float | None = None,
    queues: str | None = None,
    json: JsonLog = False,
    parent: Annotated[int | None, Hidden] = None,
) -> int:
    """Run one worker process: executes runs. SIGTERM drains it, a second one cuts that short.

    Needs DATABASE_URL and REDIS_URL. Run as many as you like, on any machines.

    Examples: `hookwright worker --concurrency 200`, `hookwright worker --queues ai,default`

    Parameters
    ----------
    concurrency
        Runs at the same time. Default: HOOKWRIGHT_CONCURRENCY, else 100.
    grace
        Seconds that steps under way get after SIGTERM. Default: HOOKWRIGHT_GRACE, else 20.
    queues
        Queues whose steps it carries out, separated by commas. Default: HOOKWRIGHT_QUEUES, else all.
    """
    log_format = "json" if json else None
    settings = _start("worker", parent, concurrency=concurrency, grace=grace, queues=queues, log_format=log_format)
    import asyncio

    import uvloop

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_work(settings))
    return OK


def migrate(*, wait: float = 0.0, json: Json = False) -> int:
    """Bring the tables of DATABASE_URL up to date. Safe to repeat and to run from several machines at once.

    `hookwright up` does it by itself.

    Example: `DATABASE_URL=postgresql://… hookwright migrate --wait 30`

    Parameters
    ----------
    wait
        Seconds to wait for a database that cannot be reached yet.
    """
    settings = load_settings()
    if settings.database_url is None:
        raise ConfigurationError("set DATABASE_URL; `hookwright up` migrates its own database by itself")
    import asyncio

    asyncio.run(_migrate(settings.database_url, wait))
    if json:
        print_json({"migrated": True})
    else:
        say("The tables are up to date.")
    return OK


async def _migrate(database_url: str, patience: float) -> None:
    import asyncio
    import time

    from engine import store

    end = time.monotonic() + patience
    told = False
    while True:
        try:
            return await store.migrate(database_url)
        except Unavailable as error:
            if time.monotonic() >= end:
                raise
            if not told:
                note(f"Waiting: {error}")
                told = True
            await asyncio.sleep(AGAIN)


async def _work(settings: Settings) -> None:
    """Run the worker; while a database is away at the start, say so and try again."""
    import asyncio
    import signal

    import structlog

    from engine.watchdog import Watchdog
    from engine.worker import run_worker

    if settings.blocked:
        Watchdog(settings.blocked).start()
    while True:
        try:
            return await run_worker(settings)
        except Unavailable as error:
            structlog.get_logger("worker").warning("start.delayed", error=str(error))
            for number in (signal.SIGINT, signal.SIGTERM):  # the worker's handlers would swallow them now
                asyncio.get_running_loop().remove_signal_handler(number)
            await asyncio.sleep(AGAIN)


def _start(process: str, parent: int | None, **overrides: object) -> Settings:
    """Settings for a long-running process, with its log lines set up. ConfigurationError if a database is not named."""
    if parent is not None:
        from engine.cli.children import follow_parent

        follow_parent(parent)
    settings = load_settings(os.environ, **overrides)
    missing = [
        name
        for name, value in (("DATABASE_URL", settings.database_url), ("REDIS_URL", settings.redis_url))
        if value is None
    ]
    if missing:
        raise ConfigurationError(
            f"`hookwright {process}` needs {' and '.join(missing)}: set them, "
            "or start everything with `hookwright up`, which brings its own databases"
        )
    from engine.logs import configure_logs
    from engine.secrets import Secrets

    secrets = Secrets(settings.secrets_file or settings.data_dir / "secrets.env")
    configure_logs(level=settings.log_level, format=settings.log_format, redact=secrets.redact_text, process=process)
    return settings
