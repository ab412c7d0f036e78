"""A receiver for tests: real PostgreSQL and Valkey, pipelines that listen, and ways to post to them."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx

from engine.core.event import Event
from engine.core.run import Decision
from engine.flow.deploy import deploy_files
from engine.runtime import Runtime, open_runtime
from engine.settings import Settings
from engine.store import EventFilter

SECRETS = {
    "HOOKWRIGHT_SECRET_GITHUB": "github-secret-1",
    "HOOKWRIGHT_SECRET_SLACK": "slack-secret-1",
    "HOOKWRIGHT_SECRET_TOKEN": "partner-token-1",
    "HOOKWRIGHT_SECRET_STANDARD": "whsec_c2VjcmV0c2VjcmV0c2VjcmV0",
}
STEPS = "steps: [{uses: value, with: {value: 1}}]\n"
PIPELINES = {
    "triage": """
id: triage
labels: {repository: "${{ event.body.repository.full_name }}"}
inputs: {number: integer}
triggers:
  - uses: github.webhook
    with: {secret: "${{ secrets.GITHUB }}", events: [issues.opened]}
    if: event.body.sender.type != 'Bot'
    inputs: {number: "${{ event.body.issue.number }}"}
""",
    "pulls": """
id: pulls
triggers:
  - uses: github.webhook
    with: {secret: "${{ secrets.GITHUB }}", events: [pull_request]}
""",
    "broken": """
id: broken
triggers:
  - uses: github.webhook
    with: {secret: "${{ secrets.GITHUB }}"}
    if: event.body.no.such.field == 1
""",
    "off": """
id: off
enabled: false
triggers:
  - uses: github.webhook
    with: {secret: "${{ secrets.GITHUB }}"}
""",
    "chat": """
id: chat
triggers:
  - uses: slack.webhook
    with: {secret: "${{ secrets.SLACK }}"}
""",
    "open": """
id: open
inputs: {any: {default: null}}
triggers:
  - uses: webhook
    with: {path: "open/{tenant}", auth: none, delivery_id: {header: X-Id}, methods: [POST, PUT], max_body: 20KB}
    inputs: {any: "${{ event.body ?? null }}"}
""",
    "partner": """
id: partner
triggers:
  - uses: webhook
    with: {path: partner, auth: {token: {header: X-Partner, secret: "${{ secrets.TOKEN }}"}}}
""",
    "inbox": """
id: inbox
triggers:
  - uses: webhook
    with: {path: inbox, auth: {standard: {secret: "${{ secrets.STANDARD }}"}}}
""",
}


class Site:
    """A runtime with its pipelines, and what came of deliveries."""

    def __init__(self, runtime: Runtime) -> None:
        self.runtime = runtime

    def sign(self, path: str, event_type: str = "", body: bytes | None = None) -> tuple[dict[str, str], bytes]:
        """Headers and body of a delivery that this site accepts."""
        found = self.runtime.deployments.current.find(path)
        assert found is not None, self.runtime.deployments.problems
        binding = found[0].bindings[0]
        rules = binding.type.webhook
        assert rules is not None
        sample = rules.sample(event_type) if rules.sample is not None and event_type else None
        headers, content = sample or ({"content-type": "application/json"}, b"{}")
        content = body if body is not None else content
        return headers | rules.sign(content, headers, binding.config, time.time()), content

    async def events(self) -> list[Event]:
        """Everything that is stored, newest first."""
        rows, _ = await self.runtime.store.list_events(EventFilter(limit=200))
        found = [await self.runtime.store.get_event(row.id) for row in rows]
        return [event for event in found if event is not None]

    async def event(self, answer: httpx.Response) -> Event:
        """The stored event of an answer."""
        event = await self.runtime.store.get_event(UUID(answer.json()["event_id"]))
        assert event is not None
        return event

    async def decisions(self, answer: httpx.Response) -> dict[str, Decision]:
        """The decisions about it by pipeline."""
        found = await self.runtime.store.list_decisions(UUID(answer.json()["event_id"]))
        return {decision.pipeline: decision for decision in found}


@asynccontextmanager
async def open_site(folder: Path, database_url: str, redis_url: str) -> AsyncIterator[Site]:
    """The site, without a worker."""
    pipelines = folder / "pipelines"
    pipelines.mkdir()
    for name, text in PIPELINES.items():
        (pipelines / f"{name}.yaml").write_text(text + STEPS)
    settings = Settings(database_url=database_url, redis_url=redis_url, pipelines=pipelines, data_dir=folder)
    async with open_runtime(settings, SECRETS) as runtime:
        problems = await deploy_files(runtime)
        assert [problem for problem in problems if problem.severity == "error"] == []
        yield Site(runtime)


async def converse(port: int, *parts: bytes, half_close: bool = False) -> bytes:
    """Write raw bytes to a server and read what it says until it pauses or closes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        for part in parts:
            writer.write(part)
            await writer.drain()
        if half_close:
            writer.write_eof()
        async with asyncio.timeout(10):
            return await read_answer(reader)
    finally:
        writer.close()


async def read_answer(reader: asyncio.StreamReader) -> bytes:
    """One answer, with as much body as its Content-Length says; nothing if the server hung up."""
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError as error:
        return error.partial
    length = next(
        (line.split(b":")[1] for line in head.lower().split(b"\r\n") if line.startswith(b"content-length")), b"0"
    )
    return head + await reader.readexactly(int(length))


def problem_of(raw: bytes) -> tuple[int, dict[str, Any]]:
    """Status and problem of a raw answer."""
    head, _, body = raw.partition(b"\r\n\r\n")
    return int(head.split(b" ")[1]), json.loads(body)
