"""A small client for language servers on standard input and output."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

PATIENCE = 60.0  # seconds for one answer of a server that has just been started


class Refused(Exception):
    """The server answered with an error."""


class LanguageClient:
    """Talks to one server process."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.answers: dict[int, asyncio.Future[Any]] = {}
        self.notes: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self.diagnostics: dict[str, list[Any]] = {}
        self.changed = asyncio.Condition()
        self.number = 0
        self.initialized: Any = None  # what the server said about itself
        self.ended = False  # whether the test has shut it down
        self.reading = asyncio.create_task(self._read())

    async def request(self, method: str, **params: Any) -> Any:
        """The result; Refused if it is an error."""
        self.number += 1
        answer = self.answers[self.number] = asyncio.get_running_loop().create_future()
        self._write({"id": self.number, "method": method, "params": params})
        return await asyncio.wait_for(answer, PATIENCE)

    def notify(self, method: str, **params: Any) -> None:
        self._write({"method": method, "params": params})

    def open(self, path: Path, text: str, *, version: int = 1) -> str:
        """Open a document; its URI."""
        uri = path.as_uri()
        document = {"uri": uri, "languageId": "yaml", "version": version, "text": text}
        self.notify("textDocument/didOpen", textDocument=document)
        return uri

    def change(self, uri: str, text: str, version: int) -> None:
        document = {"uri": uri, "version": version}
        self.notify("textDocument/didChange", textDocument=document, contentChanges=[{"text": text}])

    async def ask(self, what: str, uri: str, line: int, character: int, **more: Any) -> Any:
        """textDocument/WHAT at a position; both count from 0."""
        position = {"line": line, "character": character}
        return await self.request(f"textDocument/{what}", textDocument={"uri": uri}, position=position, **more)

    async def problems(self, uri: str, when: Any) -> list[Any]:
        """The diagnostics of a document, once they satisfy the condition."""
        async with self.changed:
            found = self.changed.wait_for(lambda: uri in self.diagnostics and when(self.diagnostics[uri]))
            await asyncio.wait_for(found, PATIENCE)
        return self.diagnostics[uri]

    def _write(self, message: dict[str, Any]) -> None:
        body = json.dumps({"jsonrpc": "2.0", **message}).encode()
        assert self.process.stdin is not None
        self.process.stdin.write(b"Content-Length: %d\r\n\r\n" % len(body) + body)

    async def _read(self) -> None:
        assert self.process.stdout is not None
        with contextlib.suppress(asyncio.IncompleteReadError):
            while True:
                head = await self.process.stdout.readuntil(b"\r\n\r\n")
                length = next(int(line[15:]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-le"))
                await self._take(json.loads(await self.process.stdout.readexactly(length)))
        for answer in self.answers.values():
            if not answer.done():
                answer.set_exception(Refused("the server has ended"))

    async def _take(self, message: dict[str, Any]) -> None:
        if "method" in message and "id" in message:  # the server asks: configuration, progress, registrations
            items = message.get("params", {}).get("items") if message["method"] == "workspace/configuration" else None
            self._write({"id": message["id"], "result": [None] * len(items) if items else None})
        elif "method" in message:
            if message["method"] == "textDocument/publishDiagnostics":
                async with self.changed:
                    self.diagnostics[message["params"]["uri"]] = message["params"]["diagnostics"]
                    self.changed.notify_all()
            self.notes.put_nowait(message)
        elif (answer := self.answers.pop(message["id"], None)) is not None and not answer.done():
            if "error" in message:
                answer.set_exception(Refused(message["error"]["message"]))
            else:
                answer.set_result(message.get("result"))


@contextlib.asynccontextmanager
async def start_server(command: Sequence[str], root: Path, **settings: Any) -> AsyncIterator[LanguageClient]:
    """A server with its workspace at root, initialized; shut down politely at the end."""
    process = await asyncio.create_subprocess_exec(
        *command, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL
    )
    client = LanguageClient(process)
    try:
        capabilities = {
            "textDocument": {
                "completion": {"completionItem": {"documentationFormat": ["markdown"], "snippetSupport": True}},
                "hover": {"contentFormat": ["markdown"]},
                "documentSymbol": {"hierarchicalDocumentSymbolSupport": True},
                "publishDiagnostics": {"relatedInformation": True, "codeDescriptionSupport": True},
            },
            "workspace": {"workspaceFolders": True},
        }
        folders = [{"uri": root.as_uri(), "name": root.name}]
        client.initialized = await client.request(
            "initialize",
            processId=None,
            rootUri=root.as_uri(),
            capabilities=capabilities,
            workspaceFolders=folders,
            initializationOptions=settings,
        )
        client.notify("initialized")
        yield client
        if not client.ended:
            await client.request("shutdown")
            client.notify("exit")
        await asyncio.wait_for(process.wait(), PATIENCE)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
        if process.stdin is not None:
            process.stdin.close()
        await client.reading
