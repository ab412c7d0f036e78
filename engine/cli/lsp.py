"""hookwright lsp: the language server for editors."""

import logging
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from engine.cli.exits import OK


def lsp(*, stdio: bool = True) -> int:
    """Run the language server on standard input and output: an editor starts it.

    It checks while you type, completes keys, fields and names in expressions, explains what is under the pointer and
    goes to definitions. `docs/editors.md` says how to set up VS Code, Neovim and Helix.

    Example: `hookwright lsp` as the server's command in the editor's settings

    Parameters
    ----------
    stdio
        Speak on standard input and output. There is no other way; editors like to say so.
    """
    out, sys.stdout = sys.stdout.buffer, sys.stderr  # nothing but the protocol may get there
    logging.basicConfig(stream=sys.stderr, level=logging.ERROR)
    from engine.editor.server import create_server
    from engine.plugin.host import load_catalog
    from engine.simulation.testfiles import load_tests

    catalog = load_catalog().catalog

    def check_tests(path: Path, text: str, pipelines: Sequence[Any], root: Path) -> list[Any]:
        known = {pipeline.id: pipeline for pipeline in pipelines}
        return list(load_tests(path, known, catalog, root=root, text=text).problems)

    create_server(catalog, check_tests=check_tests).start_io(stdout=out)
    return OK
