"""hookwright graph: the structure of a pipeline as text or picture."""

from pathlib import Path
from typing import Any, Literal

from engine.cli.exits import FAILED, OK, WrongUsage
from engine.cli.output import Json, in_color, note, print_json, say


def graph(
    pipeline: str,
    /,
    *,
    format: Literal["text", "svg", "mermaid"] = "text",
    out: Path | None = None,
    json: Json = False,
) -> int:
    """Show what a pipeline does: steps, conditions, loops, branches, waits, what happens on errors.

    Nothing is started, no database is needed. Exit code 1 if the pipeline has errors.

    Examples: `hookwright graph github-triage`, `hookwright graph pipelines/inbox.yaml --format svg --out inbox.svg`

    Parameters
    ----------
    pipeline
        The pipeline's `id`, or its file.
    format
        text; svg, a picture that stands for itself, light and dark; or mermaid.
    out
        Write it to this file instead of standard output.
    """
    from engine.pipeline.graph.tree import make_graph

    found = _find(pipeline)
    if found is None:
        return FAILED
    made = make_graph(found)
    if json:
        print_json(made)
        return OK
    if format == "svg":
        from engine.pipeline.graph.svg import render_svg

        text = render_svg(made)
    elif format == "mermaid":
        from engine.pipeline.graph.mermaid import render_mermaid

        text = render_mermaid(made)
    else:
        from engine.pipeline.graph.text import render_text

        text = render_text(made)
    if out is None:
        say(text.rstrip("\n"))
        return OK
    try:
        out.write_text(text, encoding="utf-8")
    except OSError as error:
        raise WrongUsage(f"--out {out}: {error.strerror}") from None
    note(f"{out}: {len(text.encode())} bytes")
    return OK


def _find(wanted: str) -> Any:
    """The checked pipeline; None if it has errors, which are told."""
    from engine.cli.check import read_files
    from engine.pipeline.report import format_problem
    from engine.settings import load_settings

    folder = load_settings().pipelines
    file = Path(wanted)
    given = [file] if file.is_file() else []
    if not given and not folder.is_dir():
        raise WrongUsage(f"there is no file {wanted}, and no directory {folder} to look for that pipeline in")
    report = read_files([*given, *([folder] if folder.is_dir() else [])])
    for pipeline in report.pipelines:
        if _is(file, pipeline.file) if given else pipeline.id == wanted:
            return pipeline
    broken = [problem for problem in report.problems if problem.severity == "error"]
    told = [problem for problem in broken if not given or _is(file, str(problem.file))]
    if not told:
        from engine.pipeline.expression.errors import did_you_mean

        known = [pipeline.id for pipeline in report.pipelines]
        hint = did_you_mean(wanted, known, f"there are: {', '.join(known) or 'none'}")
        raise WrongUsage(f"there is no pipeline or file {wanted}: {hint}")
    for problem in told:
        say(format_problem(problem, color=in_color()) + "\n")
    return None


def _is(file: Path, name: str) -> bool:
    """Whether a name in a report, relative to the repository, is this file."""
    path = file.resolve()
    return path == Path(name).resolve() or path.as_posix().endswith("/" + name.lstrip("./"))
