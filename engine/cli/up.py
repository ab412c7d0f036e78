"""hookwright up: everything on this machine, from one command."""

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from engine.cli.children import follow_parent
from engine.cli.exits import WrongUsage
from engine.cli.output import BOLD, CYAN, FAINT, note, paint, print_json_line, say
from engine.settings import load_settings

if TYPE_CHECKING:
    from engine.cli.installation import Installation


def up(
    *,
    data_dir: Path | None = None,
    host: str | None = None,
    port: int | None = None,
    workers: int = 1,
    pipelines: Path | None = None,
    grace: float | None = None,
    ai: Annotated[bool, Parameter(name="--dev-ai", negative="--no-dev-ai")] = True,
    json: Annotated[bool, Parameter(negative="", show_default=False)] = False,
    with_parent: Annotated[bool, Parameter(name="--with-parent", negative="", show=False)] = False,
) -> int:
    """Start everything on this machine and stay; Ctrl-C stops it.

    Brings its own PostgreSQL and Valkey unless DATABASE_URL and REDIS_URL are set, migrates, starts the API and the
    workers, loads the pipelines and watches them. What it makes up for development (secrets, an API token, a stand-in
    for the AI provider) is kept in the data directory and said.

    Examples: `hookwright up`, `hookwright up --port 9000 --workers 2 --pipelines automations`

    Parameters
    ----------
    data_dir
        Where databases, secrets and the token are kept. Default: HOOKWRIGHT_DATA_DIR, else `.hookwright`.
    host
        Address to listen on. Default: HOOKWRIGHT_HOST, else 127.0.0.1.
    port
        Port to listen on; 0 takes any free one. Default: HOOKWRIGHT_PORT, else 8000.
    workers
        Worker processes.
    pipelines
        Directory with pipeline files. Default: HOOKWRIGHT_PIPELINES, else `pipelines`.
    grace
        Seconds that work under way gets when it is to stop. Default: HOOKWRIGHT_GRACE, else 20.
    ai
        Start the stand-in for an AI provider when no base URL and no key is configured.
    json
        Print one line of JSON on standard output once it is ready; progress goes to standard error.
    """
    began = time.monotonic()
    if with_parent:
        import signal

        follow_parent(None, signal.SIGTERM)
    settings = load_settings(os.environ, data_dir=data_dir, host=host, port=port, pipelines=pipelines, grace=grace)
    if not 1 <= workers <= 64:
        raise WrongUsage("--workers: between 1 and 64")
    from engine.cli.installation import Installation

    with Installation(settings, workers=workers, ai=ai, say=_step(began, note if json else say)) as installation:
        if not installation.start():
            return installation.stop()
        if json:
            print_json_line(installation.describe())
        else:
            _greet(installation, time.monotonic() - began)
        return installation.run()


def _step(began: float, write: Callable[[str], None]) -> Callable[[str], None]:
    """Says what is done and how long it has taken since the start."""

    def tell(text: str) -> None:
        write(f"{paint(f'{time.monotonic() - began:6.2f} s', FAINT)}  {text}")

    return tell


def _greet(installation: "Installation", seconds: float) -> None:
    url = installation.url
    rows = [
        ("Dashboard", f"{url}/login?code={installation.sign_in}", "signs you in, once"),
        ("API docs", f"{url}/schema", ""),
        ("Webhooks", f"{url}/hooks/<path>", ""),
        ("API token", f"in {installation.settings.data_dir / 'client.json'}", "the other commands find it there"),
    ]
    if installation.stand_in:
        rows.append(("AI", f"{installation.stand_in}", "a stand-in for development, not a model"))
    say()
    say(f"  {paint('Hookwright is ready', BOLD)} {paint(f'({seconds:.1f} s)', FAINT)}")
    say()
    for name, value, remark in rows:
        say(f"  {name:<11}{paint(value, CYAN)}{paint(f'   {remark}', FAINT) if remark else ''}")
    say()
    say(f"  {paint('Ctrl-C stops everything.', FAINT)}")
    say()
    lines = installation.example()
    if lines:
        say("  Try it, in another terminal:")
        for line in lines:
            say(f"    {line}")
        say()
