"""What `hookwright up` provides while you develop: an AI stand-in, and values for secrets nobody has set."""

import base64
import os
import re
import secrets as random
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from engine.cli.exits import OK
from engine.cli.output import Json, note, print_json_line
from engine.settings import load_options, load_secrets

NAME = re.compile(r"\bsecrets\.([A-Za-z_][A-Za-z0-9_]*)")
SHARED = re.compile(r"(?:^|_)(?:SECRET|SIGNING_KEY)(?:_|$)")  # a value both sides agree on, so we may invent it
HEAD = "# Made by `hookwright up` for development. NAME=value; set your own, and keep this file out of git.\n"


def dev_ai(
    *,
    host: str = "127.0.0.1",
    port: int = 8090,
    json: Json = False,
    fd: Annotated[int | None, Parameter(show=False)] = None,
    parent: Annotated[int | None, Parameter(show=False)] = None,
) -> int:
    """Run the stand-in for an AI provider: OpenAI-compatible, local, free, and without any intelligence.

    For development and tests. `hookwright up` starts it when no AI base URL and no key is configured.

    Example: `hookwright dev-ai --port 8090`, then `HOOKWRIGHT_AI_BASE_URL=http://127.0.0.1:8090/v1 hookwright worker`

    Parameters
    ----------
    host
        Address to listen on.
    port
        Port to listen on.
    """
    if parent is not None:
        from engine.cli.children import follow_parent

        follow_parent(parent)
    import asyncio
    import socket

    from engine.cli.listening import listen
    from engine.dev_ai import serve

    listener = socket.socket(fileno=fd) if fd is not None else listen(host, port)
    if fd is None:
        base_url = f"http://{host}:{listener.getsockname()[1]}/v1"
        if json:
            print_json_line({"base_url": base_url, "stand_in": True})
        else:
            note(f"AI stand-in (for development, not a model): {base_url}")
    asyncio.run(serve(listener))
    return OK


def needs_ai_stand_in(environment: dict[str, str]) -> bool:
    """Whether neither a base URL nor a key of an AI provider is configured."""
    options = load_options(environment)
    return not (options.get("ai.base_url") or options.get("ai.api_key"))


def missing_secrets(pipelines: Path, environment: dict[str, str], file: Path) -> tuple[list[str], list[str]]:
    """Names that pipelines use and nobody has set: those we may invent, and those only their owner knows.

    May be invented: whatever a trigger uses (the sender is told the same value), and names that say SECRET or
    SIGNING_KEY. Files that cannot be read count for nothing here; `check` reports them.
    """
    known = load_secrets(environment, file)
    inventable: dict[str, None] = {}
    foreign: dict[str, None] = {}
    for path in sorted([*pipelines.glob("**/*.yaml"), *pipelines.glob("**/*.yml")]):
        for name, in_trigger in _used_names(path):
            if name in known:
                continue
            (inventable if in_trigger or SHARED.search(name) else foreign)[name] = None
    return list(inventable), [name for name in foreign if name not in inventable]


def invent_secrets(names: Iterable[str], file: Path) -> None:
    """Append a random value for each name; only the owner may read the file."""
    new = not file.exists()
    with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "a") as out:
        out.write(HEAD if new else "")
        for name in names:
            # the form Standard Webhooks asks for; to every other scheme it is an opaque text
            out.write(f"{name}=whsec_{base64.b64encode(random.token_bytes(24)).decode()}\n")
    file.chmod(0o600)


def _used_names(path: Path) -> Iterator[tuple[str, bool]]:
    from engine.pipeline.loader import YamlError, load_yaml

    try:
        data, _ = load_yaml(path.read_bytes(), str(path))
    except (OSError, YamlError):
        return
    if isinstance(data, dict):
        for key, value in data.items():
            for text in _texts(value):
                for name in NAME.findall(text):
                    yield name, key == "triggers"


def _texts(value: Any) -> Iterator[str]:
    """Every text in a tree."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for item in value.values():
            yield from _texts(item)
    elif isinstance(value, list):
        for item in value:
            yield from _texts(item)
