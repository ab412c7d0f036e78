"""Where a version comes from: commit and author, if its file is in a git repository and git is there."""

import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from engine.pipeline.spec import Pipeline
from engine.runtime import Runtime

PATIENCE = 5.0  # seconds for one git command
MODIFIED = "+changes"  # after a commit: the file is not as it is there


class Origin(NamedTuple):
    """A commit, with `+changes` if the file differs from it, and who has last written the file."""

    commit: str | None
    author: str | None


NOWHERE = Origin(None, None)


def read_origins(runtime: Runtime, pipelines: Sequence[Pipeline]) -> dict[str, Origin]:
    """By version, for those that this process has not met yet. Asks git, so it is not for the event loop."""
    new = [pipeline for pipeline in pipelines if pipeline.version not in runtime.deployments.versions]
    return origins_of(runtime.settings.pipelines.resolve().parent, new)


def origins_of(root: Path, pipelines: Sequence[Pipeline]) -> dict[str, Origin]:
    """By version. root: what the files' names are relative to."""
    if not pipelines or (head := _git(root, "rev-parse", "HEAD")) is None:
        return {}
    changed = _git(root, "status", "--porcelain", "--", *sorted({pipeline.file for pipeline in pipelines}))
    touched = changed is None or bool(changed)
    found = {}
    for pipeline in pipelines:
        own = _git(root, "status", "--porcelain", "--", pipeline.file) if touched else ""
        author = _git(root, "log", "-1", "--format=%an <%ae>", "--", pipeline.file)
        found[pipeline.version] = Origin(head + (MODIFIED if own else ""), author or None)
    return found


def _git(root: Path, *arguments: str) -> str | None:
    """What git says; None: there is no git, no repository, or it takes too long."""
    command = ["git", "-C", str(root), "--no-optional-locks", *arguments]
    try:
        done = subprocess.run(command, capture_output=True, timeout=PATIENCE, check=False, stdin=subprocess.DEVNULL)  # noqa: S603
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.decode(errors="replace").strip() if done.returncode == 0 else None
