"""One suite over every step type that is installed: what each owes its users."""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml

from engine.cache import connect_cache
from engine.plugin import StepError
from engine.plugin.host import load_catalog
from engine.plugin.reference import example_of, step_reference
from engine.testing import MemoryDocuments, check_step_type, run_step
from engine.testing.step import make_config

CATALOG = load_catalog().catalog
STEPS = sorted(CATALOG.steps)
DOCS = Path(__file__).parents[2] / "docs"
KEY = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"

# Steps that wait for somebody, and a `with` (and more) that makes them wait. {url}, {port}: a server that is silent.
WAITING: dict[str, Any] = {
    "http.request": {"url": "{url}"},
    "ai.complete": {"prompt": "x", "base_url": "{url}", "model": "m"},
    "notify.slack": {"webhook_url": "{url}", "text": "x"},
    "notify.webhook": {"url": "{url}", "payload": {}, "secret": KEY},
    "notify.email": {"to": "a@b.example", "from": "a@b.example", "subject": "x", "text": "x"},
    "cache.get": {"key": "k"},
    "cache.set": {"key": "k", "value": 1, "ttl": "1m"},
    "cache.delete": {"keys": "k"},
    "store.get": {"collection": "c", "key": "k"},
    "store.put": {"collection": "c", "key": "k", "value": 1},
    "store.query": {"collection": "c"},
    "store.delete": {"collection": "c", "key": "k"},
}
NOT_WAITING = {"value", "stop", "fail", "emit", "pipeline.start"}


@dataclass
class Silence:
    """A server that accepts and never says a word."""

    port: int = 0
    arrived: asyncio.Event = field(default_factory=asyncio.Event)
    left: asyncio.Event = field(default_factory=asyncio.Event)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Read until the client goes."""
        self.arrived.set()
        try:
            while await reader.read(65536):
                pass
        except ConnectionError:
            pass
        self.left.set()
        writer.close()


class SilentDocuments(MemoryDocuments):
    """A database that does not answer."""

    def __init__(self, silence: Silence) -> None:
        super().__init__()
        for name in ("get", "put", "query", "delete"):
            setattr(self, name, self._wait(silence))

    @staticmethod
    def _wait(silence: Silence) -> Callable[..., Any]:
        async def wait(*_args: Any, **_kwargs: Any) -> None:
            silence.arrived.set()
            try:
                await asyncio.Event().wait()
            finally:
                silence.left.set()

        return wait


@pytest.fixture
async def silence() -> AsyncIterator[Silence]:
    """The silent server."""
    silent = Silence()
    server = await asyncio.start_server(silent.serve, "127.0.0.1", 0)
    silent.port = server.sockets[0].getsockname()[1]
    async with server:
        yield silent


async def wait_for_nothing(uses: str, silence: Silence, **rest: Any) -> Any:
    """One attempt of a step whose other side is silent."""
    with_ = {
        name: value.format(url=f"http://127.0.0.1:{silence.port}", port=silence.port)
        if isinstance(value, str)
        else value
        for name, value in WAITING[uses].items()
    }
    cache = connect_cache(f"redis://127.0.0.1:{silence.port}/0")
    options = {"smtp.url": f"smtp://127.0.0.1:{silence.port}"}
    try:
        return await run_step(uses, with_, cache=cache, documents=SilentDocuments(silence), options=options, **rest)
    finally:
        await cache.close()


def test_every_step_is_in_one_of_the_lists() -> None:
    """A new step type says how it can be made to wait, or that it never does."""
    ours = {name for name, step in CATALOG.steps.items() if step.plugin == "hookwright"}
    assert WAITING.keys() | NOT_WAITING == ours


@pytest.mark.parametrize("name", STEPS)
def test_a_step_type_keeps_its_promises(name: str) -> None:
    """Docstrings, descriptions, schemas, strictness, masked secrets."""
    assert check_step_type(CATALOG.steps[name]) == []


@pytest.mark.parametrize("name", STEPS)
def test_the_example_is_true(name: str) -> None:
    """The example in the reference names this step, and its `with` is accepted."""
    step = CATALOG.steps[name]
    example = yaml.safe_load(example_of(step.config) or "")
    assert example["uses"] == name
    assert example.keys() <= {"id", "if", "uses", "with"}
    make_config(step, plain(example.get("with")))


def plain(value: Any) -> Any:
    """The example's values with something in the place of expressions."""
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [plain(item) for item in value]
    if isinstance(value, str) and value.startswith("${{ secrets."):
        return KEY
    return value


@pytest.mark.parametrize("name", sorted(set(STEPS) - {"value"}))
def test_an_unknown_field_is_refused_by_name(name: str) -> None:
    """A misspelt field is never ignored."""
    example = yaml.safe_load(example_of(CATALOG.steps[name].config) or "")
    with pytest.raises(msgspec.ValidationError, match="unknown field `colour`"):
        make_config(CATALOG.steps[name], {**plain(example["with"]), "colour": "red"})


@pytest.mark.parametrize("name", sorted(WAITING))
async def test_cancelling_ends_the_wait_and_lets_go(name: str, silence: Silence) -> None:
    """A cancelled step ends at once and leaves no connection behind."""
    task = asyncio.create_task(wait_for_nothing(name, silence))
    await asyncio.wait_for(silence.arrived.wait(), 5)
    task.cancel()
    done, _ = await asyncio.wait([task], timeout=5)
    assert done
    assert task.cancelled()
    await asyncio.wait_for(silence.left.wait(), 5)


@pytest.mark.parametrize("name", sorted(WAITING))
async def test_the_time_limit_is_kept(name: str, silence: Silence) -> None:
    """An attempt ends when its time is over, as a time-out."""
    attempt = asyncio.create_task(wait_for_nothing(name, silence, timeout=0.2))
    await asyncio.wait([attempt], timeout=5)
    error = attempt.exception()
    if isinstance(error, StepError):
        assert (error.type, error.retryable) == ("timeout", True)
    else:
        assert isinstance(error, TimeoutError)
    await asyncio.wait_for(silence.left.wait(), 5)


def test_the_reference_is_current() -> None:
    """docs/steps.md says what the code says."""
    expected = step_reference(CATALOG)
    assert (DOCS / "steps.md").read_text() == expected, "run: python -m engine.plugin.reference > docs/steps.md"
