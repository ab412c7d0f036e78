"""The language server: speaks the protocol and hands each question to the module that knows the answer."""

import asyncio
import functools
import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from lsprotocol import types
from pygls.lsp.server import LanguageServer
from pygls.uris import from_fs_path, to_fs_path

from engine import __version__
from engine.core.catalog import Catalog
from engine.editor.completion import complete
from engine.editor.definition import find_definition
from engine.editor.hover import find_hover
from engine.editor.items import Item
from engine.editor.repository import CheckTests, Repository, find_root, make_knowledge
from engine.editor.symbols import Symbol, outline
from engine.editor.text import Text
from engine.editor.tree import parse
from engine.pipeline.codes.registry import CODES, page_of
from engine.pipeline.formatting import format_text
from engine.pipeline.loader import YamlError
from engine.pipeline.marks import Marks
from engine.pipeline.report import Problem

NAME = "hookwright"
PAUSE = 0.2  # seconds without typing before everything is checked again
SEVERITY = {"error": types.DiagnosticSeverity.Error, "warning": types.DiagnosticSeverity.Warning}
ITEM_KINDS = {
    "key": types.CompletionItemKind.Property,
    "word": types.CompletionItemKind.EnumMember,
    "type": types.CompletionItemKind.Module,
    "name": types.CompletionItemKind.Variable,
    "field": types.CompletionItemKind.Field,
    "filter": types.CompletionItemKind.Function,
    "function": types.CompletionItemKind.Function,
}
SYMBOL_KINDS = {
    "part": types.SymbolKind.Namespace,
    "step": types.SymbolKind.Function,
    "group": types.SymbolKind.Module,
    "field": types.SymbolKind.Field,
    "test": types.SymbolKind.Method,
}
TRIGGERS = [".", "{", " ", "|", "'", ":", "-"]  # characters after which suggestions are asked for

log = logging.getLogger(__name__)
Answer = TypeVar("Answer")


class Server(LanguageServer):
    """One editor's server. Repositories are found from the documents that are open."""

    def __init__(self, catalog: Catalog, check_tests: CheckTests | None = None) -> None:
        super().__init__(NAME, __version__, types.TextDocumentSyncKind.Full)
        self.catalog = catalog
        self.check_tests = check_tests
        self.knowledge = make_knowledge(catalog)
        self.open: dict[Path, str] = {}
        self.uris: dict[Path, str] = {}  # as the editor writes them
        self.repositories: dict[Path, Repository] = {}
        self.problems: dict[Path, list[Problem]] = {}
        self.waiting: dict[Path, asyncio.Task[None]] = {}  # checks that are due, by root
        self.running = asyncio.Lock()

    @property
    def encoding(self) -> str:
        """The units of columns that were agreed on."""
        found = self.workspace.position_encoding
        return str(getattr(found, "value", found) or "utf-16")

    def text(self, source: str) -> Text:
        """A source with its positions."""
        return Text(source, self.encoding)

    def repository(self, path: Path) -> Repository:
        """The repository of a file."""
        folders = [Path(name) for uri in self.workspace.folders if (name := to_fs_path(uri)) is not None]
        root = find_root(path, folders)
        if root not in self.repositories:
            self.repositories[root] = self._repository(root, self.open)
        return self.repositories[root]

    def _repository(self, root: Path, open: Mapping[Path, str]) -> Repository:
        return Repository(root, self.catalog, open, self.knowledge, self.check_tests)

    def document(self, uri: str) -> tuple[Path, str] | None:
        """Path and text of an open document."""
        path = path_of(uri)
        return (path, self.open[path]) if path is not None and path in self.open else None

    def changed(self, uri: str, source: str | None) -> None:
        """Note a document's new text, or that it was closed, and check its repository in a moment."""
        path = path_of(uri)
        if path is None:
            return
        if source is None:
            self.open.pop(path, None)
        else:
            self.open[path] = source
            self.uris[path] = uri
        self.check_soon(self.repository(path))

    def check_soon(self, repository: Repository) -> None:
        """Check once nothing has been typed for a moment."""
        if (due := self.waiting.pop(repository.root, None)) is not None:
            due.cancel()
        self.waiting[repository.root] = asyncio.get_running_loop().create_task(self._check(repository))

    async def _check(self, repository: Repository) -> None:
        await asyncio.sleep(PAUSE)
        async with self.running:
            texts = dict(self.open)
            snapshot = self._repository(repository.root, texts)
            try:
                found = await asyncio.to_thread(snapshot.check)
            except Exception:
                log.exception("the check failed")
                return
        for path, problems in found.items():
            if self.open.get(path) == texts.get(path):  # else a newer check is due
                self._publish(path, problems, texts.get(path))

    def _publish(self, path: Path, problems: list[Problem], source: str | None) -> None:
        """Tell the editor what is wrong in a file; files without problems only if they had some before."""
        if not problems and path not in self.open and not self.problems.get(path):
            return
        self.problems[path] = problems
        if source is None:
            try:
                source = path.read_bytes().decode("utf-8", "replace")
            except OSError:
                source = ""
        text, marks = self.text(source), Marks(source, {})
        diagnostics = [
            types.Diagnostic(
                range=_range(text, *_span(marks, problem)),
                message=problem.message + (f"\nhelp: {problem.help}" if problem.help else ""),
                severity=SEVERITY[problem.severity],
                code=problem.code,
                source=NAME,
                data={"help": problem.help, "explain": f"hookwright explain {problem.code}"},
            )
            for problem in problems
        ]
        uri = self.uris.get(path) or from_fs_path(str(path)) or ""
        self.text_document_publish_diagnostics(types.PublishDiagnosticsParams(uri=uri, diagnostics=diagnostics))


def create_server(catalog: Catalog, *, check_tests: CheckTests | None = None) -> Server:
    """A server with all its features. check_tests: what is wrong with a test file; None: they are not checked."""
    server = Server(catalog, check_tests)
    server.feature(types.TEXT_DOCUMENT_DID_OPEN)(did_open)
    server.feature(types.TEXT_DOCUMENT_DID_CHANGE)(did_change)
    server.feature(types.TEXT_DOCUMENT_DID_CLOSE)(did_close)
    server.feature(types.TEXT_DOCUMENT_DID_SAVE)(did_save)
    server.feature(types.WORKSPACE_DID_CHANGE_WATCHED_FILES)(did_change_files)
    options = types.CompletionOptions(trigger_characters=TRIGGERS)
    server.feature(types.TEXT_DOCUMENT_COMPLETION, options)(completion)
    server.feature(types.TEXT_DOCUMENT_HOVER)(hover)
    server.feature(types.TEXT_DOCUMENT_DEFINITION)(definition)
    server.feature(types.TEXT_DOCUMENT_DOCUMENT_SYMBOL)(document_symbol)
    server.feature(types.TEXT_DOCUMENT_FORMATTING)(formatting)
    return server


def path_of(uri: str) -> Path | None:
    """The file of a URI; None for documents that are none, such as those that were never saved."""
    name = to_fs_path(uri) if uri.startswith("file:") else None
    return Path(name) if name else None


def did_open(server: Server, params: types.DidOpenTextDocumentParams) -> None:
    server.changed(params.text_document.uri, params.text_document.text)


def did_change(server: Server, params: types.DidChangeTextDocumentParams) -> None:
    document = server.workspace.get_text_document(params.text_document.uri)
    server.changed(params.text_document.uri, document.source)


def did_close(server: Server, params: types.DidCloseTextDocumentParams) -> None:
    server.changed(params.text_document.uri, None)


def did_save(server: Server, params: types.DidSaveTextDocumentParams) -> None:
    if (path := path_of(params.text_document.uri)) is not None:
        server.check_soon(server.repository(path))


def did_change_files(server: Server, params: types.DidChangeWatchedFilesParams) -> None:
    for change in params.changes:
        if (path := path_of(change.uri)) is not None:
            server.check_soon(server.repository(path))


def careful(answer: Callable[[Server, Any], Answer]) -> Callable[[Server, Any], Answer | None]:
    """A half-typed document must not end the server or bother anybody: what goes wrong is logged."""

    @functools.wraps(answer)
    def carefully(server: Server, params: Any) -> Answer | None:
        try:
            return answer(server, params)
        except Exception:
            log.exception("%s failed", answer.__name__)
            return None

    return carefully


Pointed = types.CompletionParams | types.HoverParams | types.DefinitionParams  # requests about a position


def place_of(server: Server, params: Pointed) -> tuple[Path, str, Text, int] | None:
    """File, source, its text and the offset in it; None if the document is none of ours."""
    found = server.document(params.text_document.uri)
    if found is None:
        return None
    path, source = found
    text = server.text(source)
    return path, source, text, text.offset(params.position.line, params.position.character)


@careful
def completion(server: Server, params: types.CompletionParams) -> types.CompletionList | None:
    place = place_of(server, params)
    if place is None:
        return None
    path, source, text, offset = place
    items = complete(server.repository(path), path, source, offset)
    return types.CompletionList(is_incomplete=False, items=[_item(text, item, n) for n, item in enumerate(items)])


@careful
def hover(server: Server, params: types.HoverParams) -> types.Hover | None:
    place = place_of(server, params)
    if place is None:
        return None
    path, source, text, offset = place
    told = find_hover(server.repository(path), path, source, offset)
    parts = [told.text] if told is not None else []
    marks = Marks(source, {})
    for problem in server.problems.get(path, ()):
        start, end = _span(marks, problem)
        if start <= offset <= end and problem.code in CODES:
            parts.append(f"**{problem.code}** {page_of(CODES[problem.code])}")
    if not parts:
        return None
    contents = types.MarkupContent(kind=types.MarkupKind.Markdown, value="\n\n---\n\n".join(parts))
    return types.Hover(contents=contents, range=_range(text, told.start, told.end) if told is not None else None)


@careful
def definition(server: Server, params: types.DefinitionParams) -> types.Location | None:
    place = place_of(server, params)
    if place is None:
        return None
    path, source, _, offset = place
    target = find_definition(server.repository(path), path, source, offset)
    if target is None:
        return None
    uri = server.uris.get(target.path) or from_fs_path(str(target.path)) or ""
    return types.Location(uri=uri, range=_range(server.text(target.source), target.start, target.end))


@careful
def document_symbol(server: Server, params: types.DocumentSymbolParams) -> list[types.DocumentSymbol] | None:
    found = server.document(params.text_document.uri)
    if found is None or server.repository(found[0]).kind(found[0]) is None:
        return None
    tree = parse(found[1])
    text = server.text(found[1])
    return [_document_symbol(text, symbol) for symbol in outline(tree)] if tree is not None else None


@careful
def formatting(server: Server, params: types.DocumentFormattingParams) -> list[types.TextEdit] | None:
    found = server.document(params.text_document.uri)
    if found is None or server.repository(found[0]).kind(found[0]) is None:
        return None
    try:
        formatted = format_text(found[1]).text
    except YamlError:  # the problem is shown already
        return None
    if formatted == found[1]:
        return []
    return [types.TextEdit(range=_range(server.text(found[1]), 0, len(found[1])), new_text=formatted)]


def _span(marks: Marks, problem: Problem) -> tuple[int, int]:
    """Where a problem is: its line and column are the checker's, which counts from 1 and knows more ends of lines."""
    start = marks.starts[min(problem.line, len(marks.starts)) - 1] + problem.column - 1
    start += marks.source.startswith("\ufeff") and problem.line == 1
    return min(start, len(marks.source)), min(start + problem.length, len(marks.source))


def _range(text: Text, start: int, end: int) -> types.Range:
    return types.Range(types.Position(*text.position(start)), types.Position(*text.position(end)))


def _item(text: Text, item: Item, number: int) -> types.CompletionItem:
    documentation = types.MarkupContent(types.MarkupKind.Markdown, item.documentation) if item.documentation else None
    return types.CompletionItem(
        label=item.label,
        kind=ITEM_KINDS[item.kind],
        detail=item.detail or None,
        documentation=documentation,
        sort_text=f"{0 if item.first else 1}{number:05}",
        filter_text=item.label,
        text_edit=types.TextEdit(range=_range(text, item.start, item.end), new_text=item.insert),
    )


def _document_symbol(text: Text, symbol: Symbol) -> types.DocumentSymbol:
    return types.DocumentSymbol(
        name=symbol.name,
        detail=symbol.detail or None,
        kind=SYMBOL_KINDS[symbol.kind],
        range=_range(text, symbol.start, symbol.end),
        selection_range=_range(text, symbol.name_start, symbol.name_end),
        children=[_document_symbol(text, child) for child in symbol.children],
    )
