"""hookwright init: a new project."""

import os
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from engine.cli.exits import OK, WrongUsage
from engine.cli.output import BOLD, CYAN, FAINT, GREEN, Json, note, paint, print_json, say

EXAMPLE = Path(__file__).parent / "example"
FILES = {  # in the new project -> in EXAMPLE
    "project.yaml": "project.yaml",
    "pipelines/hello.yaml": "hello.yaml",
    "tests/hello.test.yaml": "hello.test.yaml",
    "events/hello.json": "hello.json",
    ".gitignore": "gitignore",
    ".vscode/settings.json": "settings.json",
    "README.md": "README.md",
}
KEPT = (".gitignore", ".vscode/settings.json", "README.md")  # a project that is there already may have its own
SCHEMAS = Path(".hookwright")
NEXT = (
    ("hookwright test", "runs the example's tests"),
    ("hookwright up", "starts everything on this machine"),
    ("hookwright send webhook --path hello --file events/hello.json", "in another terminal"),
)


def init(
    directory: Path = Path(), /, *, force: Annotated[bool, Parameter(negative="")] = False, json: Json = False
) -> int:
    """Make a new project: project.yaml, an example pipeline with its test and an event, settings for editors.

    Nothing that exists is overwritten: if one of the project's files is there, nothing is written at all. A README, a
    .gitignore and editor settings that exist are kept.

    Examples: `hookwright init`, `hookwright init automations`

    Parameters
    ----------
    directory
        Where. Made if it does not exist. Default: here.
    force
        Overwrite the example and project.yaml; README, .gitignore and editor settings are kept all the same.
    """
    if directory.exists() and not directory.is_dir():
        raise WrongUsage(f"{directory} is not a directory")
    there = [name for name in FILES if os.path.lexists(directory / name)]
    refused = [name for name in there if name not in KEPT]
    if refused and not force:
        raise WrongUsage(
            f"nothing was written, since these exist in {directory}: {', '.join(refused)}; --force overwrites them"
        )
    kept = [name for name in there if name in KEPT]
    try:
        written = [_write(directory, name) for name in FILES if name not in kept]
        schemas = _write_schemas(directory)
    except OSError as error:
        raise WrongUsage(f"{error.filename or directory}: {error.strerror}") from None
    steps = [*([f"cd {directory}"] if directory != Path() else []), *(command for command, _ in NEXT)]
    if json:
        print_json({"directory": str(directory), "written": written, "kept": kept, "schemas": schemas, "next": steps})
        return OK
    for name in written:
        say(f"  {paint('+', GREEN)} {name}")
    for name in kept:
        note(f"  = {name} was there and is kept" + (_forgotten(directory) if name == ".gitignore" else ""))
    say()
    say(paint("Next:", BOLD))
    if directory != Path():
        say(f"  {paint(f'cd {directory}', CYAN)}")
    width = max(len(command) for command, _ in NEXT)
    for command, remark in NEXT:
        say(f"  {paint(command.ljust(width), CYAN)}  {paint(remark, FAINT)}")
    return OK


def _write(directory: Path, name: str) -> str:
    path = directory / name
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.is_symlink():
        path.unlink()
    path.write_bytes((EXAMPLE / FILES[name]).read_bytes())
    return name


def _write_schemas(directory: Path) -> list[str]:
    """What editors read; they know the plugins that are installed now."""
    from engine.editor.schema import write_schemas
    from engine.plugin.host import load_catalog

    paths = write_schemas(directory / SCHEMAS, load_catalog().catalog)
    return [path.relative_to(directory).as_posix() for path in paths]


def _forgotten(directory: Path) -> str:
    """A hint if the data directory would be committed."""
    text = (directory / ".gitignore").read_text(errors="replace")
    lines = {line.strip().strip("/") for line in text.splitlines()}
    return "" if SCHEMAS.as_posix() in lines else f"; add `{SCHEMAS}/` to it: secrets are kept there"
