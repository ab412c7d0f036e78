"""hookwright token create, list, revoke: API tokens, straight in the database."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any

from cyclopts import App, Parameter

from engine.cli.client import read_client_file
from engine.cli.exits import FAILED, OK, WrongUsage
from engine.cli.output import FAINT, Json, ago, clean, note, paint, print_json, say, table
from engine.errors import ConfigurationError
from engine.settings import load_settings

KIND = "token"  # not sessions of browsers, nor sign-in links
DataDir = Annotated[Path | None, Parameter(help="Data directory of the running `hookwright up`.")]


def create(name: str, /, *, expires: str | None = None, data_dir: DataDir = None, json: Json = False) -> int:
    """Make an API token and print it. It is shown this once; only its hash is stored.

    Works on DATABASE_URL, or on the database of a running `hookwright up`.

    Example: `hookwright token create ci --expires 90d`

    Parameters
    ----------
    name
        For people: who or what uses it.
    expires
        Life as a duration such as 12h or 90d. Default: for ever.
    """
    from engine.core.duration import parse_duration

    try:
        end = datetime.now(UTC) + timedelta(seconds=parse_duration(expires)) if expires else None
    except (ValueError, OverflowError) as error:
        raise WrongUsage(f"--expires: {error}") from None
    token = _with_store(data_dir, lambda store: store.create_api_key(name, KIND, end))
    if json:
        print_json({"name": name, "token": token, "expires_at": end})
    else:
        say(token)
        note(paint("Keep it: it is not shown again. Use it as `Authorization: Bearer …` or HOOKWRIGHT_TOKEN.", FAINT))
    return OK


def list_tokens(*, data_dir: DataDir = None, json: Json = False) -> int:
    """List the API tokens: names and times, never the tokens.

    Example: `hookwright token list`
    """
    keys = _with_store(data_dir, lambda store: store.list_api_keys())
    rows = [
        {"id": str(key.id), "name": key.name, "created_at": _iso(key.created_at), "expires_at": _iso(key.expires_at)}
        for key in keys
        if key.kind == KIND
    ]
    if json:
        print_json({"items": rows})
    elif rows:
        table([[row["id"], row["name"], ago(row["created_at"]), row["expires_at"] or "never"] for row in rows],
              ["ID", "NAME", "AGE", "EXPIRES"])  # fmt: skip
    else:
        say("No tokens.")
    return OK


def revoke(token: str, /, *, data_dir: DataDir = None, json: Json = False) -> int:
    """Revoke an API token; it stops working within seconds. Exit code 1 if there is no such token.

    Example: `hookwright token revoke 0199f2d0-…`

    Parameters
    ----------
    token
        Its id from `hookwright token list`, or the token itself.
    """
    gone = bool(_with_store(data_dir, lambda store: store.revoke_api_key(token)))
    if json:
        print_json({"revoked": gone})
    else:
        say("Revoked." if gone else f"There is no token {clean(token)}.")
    return OK if gone else FAILED


def create_group() -> App:
    """`hookwright token ...`"""
    group = App(name="token", help="API tokens.")
    group.command(create)
    group.command(list_tokens, name="list")
    group.command(revoke)
    return group


def find_database_url(data_dir: Path | None) -> str:
    """DATABASE_URL, or that of a running `up`. ConfigurationError with what to do if there is neither."""
    settings = load_settings(data_dir=data_dir)
    url = settings.database_url or read_client_file(settings.data_dir).database_url
    if not url:
        raise ConfigurationError(
            f"no database: set DATABASE_URL, or start `hookwright up` (its data directory would be {settings.data_dir})"
        )
    return url


def _with_store(data_dir: Path | None, use: Callable[[Any], Awaitable[Any]]) -> Any:
    url = find_database_url(data_dir)

    async def work() -> Any:
        from engine.store import connect

        store = await connect(url, pool_size=1)
        try:
            return await use(store)
        finally:
            await store.close()

    return asyncio.run(work())


def _iso(moment: datetime | None) -> str | None:
    return moment.isoformat() if moment else None
