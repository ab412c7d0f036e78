"""Put pipelines in force: from files where the API runs, from the database where workers run."""

import asyncio
from collections.abc import Iterable
from pathlib import Path

import msgspec

from engine.errors import HookwrightError, NotFound, Unavailable
from engine.flow.support import unsupported
from engine.pipeline.check import Problem, Report, check_files, format_problem, load_version
from engine.pipeline.deployment import Deployment, deploy
from engine.pipeline.spec import Pipeline
from engine.runtime import Runtime
from engine.store import PipelineRow

POLL = 1.0  # seconds between looks at the files
MAX_VERSIONS = 500  # compiled versions kept in memory


async def load_pipeline(runtime: Runtime, version: str) -> Pipeline:
    """The pipeline in exactly this version. NotFound if it was never deployed."""
    versions = runtime.deployments.versions
    if (known := versions.get(version)) is not None:
        return known
    source = await runtime.store.get_version(version)
    if source is None:
        raise NotFound(f"there is no pipeline version {version}")
    if len(versions) >= MAX_VERSIONS:
        versions.clear()
    # A release may count other things into the hash; a stored version keeps its name.
    pipeline = msgspec.structs.replace(load_version(source, runtime.catalog), version=version)
    versions[version] = pipeline
    return pipeline


def read_files(runtime: Runtime) -> Report:
    """Check every pipeline file, also for what cannot be executed yet. Touches no database."""
    folder = runtime.settings.pipelines
    if not folder.is_dir():
        return Report(pipelines=[], problems=[])
    root = folder.resolve().parent
    report = check_files(sorted(pipeline_files(folder)), runtime.catalog, root=root)
    good = []
    for pipeline in report.pipelines:
        if unsupported(pipeline):
            report.problems += unsupported(pipeline, _text(root / pipeline.file))
        else:
            good.append(pipeline)
    return Report(pipelines=good, problems=report.problems, groups=report.groups)


def pipeline_files(folder: Path) -> Iterable[Path]:
    """Every pipeline file below the folder."""
    return (path for pattern in ("**/*.yaml", "**/*.yml") for path in folder.glob(pattern))


async def deploy_files(runtime: Runtime) -> list[Problem]:
    """Put the files in force. A broken file keeps its last good version. Returns everything that is wrong."""
    report = await asyncio.to_thread(read_files, runtime)
    broken = {problem.file for problem in report.problems if problem.severity == "error"}
    pipelines = list(report.pipelines)
    names = {pipeline.id for pipeline in pipelines}
    kept = [row for row in await runtime.store.list_pipelines() if row.file in broken and row.id not in names]
    pipelines += [await load_pipeline(runtime, row.version) for row in kept]
    deployment = _deployment(runtime, pipelines)
    problems = [*report.problems, *deployment.problems]
    await _store(runtime, deployment, pipelines, problems)
    runtime.deployments.current, runtime.deployments.loaded = deployment, True
    runtime.deployments.problems, runtime.deployments.groups = problems, report.groups
    for problem in problems:
        runtime.log.warning("pipeline.problem", file=problem.file, line=problem.line, problem=problem.message)
    runtime.log.info("pipelines.deployed", pipelines=len(pipelines), problems=len(problems))
    return problems


async def deploy_stored(runtime: Runtime) -> None:
    """Put in force what the database says is deployed."""
    pipelines = []
    for row in await runtime.store.list_pipelines():
        try:
            pipelines.append(await load_pipeline(runtime, row.version))
        except Unavailable:
            raise
        except HookwrightError as error:
            runtime.log.warning("pipeline.unloadable", pipeline=row.id, error=str(error))
    runtime.deployments.current, runtime.deployments.loaded = _deployment(runtime, pipelines), True
    runtime.deployments.problems = list(runtime.deployments.current.problems)


async def watch_files(runtime: Runtime) -> None:
    """Deploy again whenever a file changes, until cancelled. Polls: that works on every file system and mount."""
    seen = fingerprint(runtime)
    while True:
        await asyncio.sleep(POLL)
        runtime.secrets.refresh()
        now = fingerprint(runtime)
        if now == seen:
            continue
        try:
            await deploy_files(runtime)
            seen = now
        except Unavailable as error:
            runtime.log.warning("pipelines.not_deployed", error=str(error))
        except Exception:  # the watcher must outlive whatever one file does to it
            runtime.log.exception("pipelines.not_deployed")
            seen = now


def fingerprint(runtime: Runtime) -> frozenset[tuple[str, int, int]]:
    """Names, times and sizes of all that the deployment was made of, secrets and files that pipelines read included."""
    folder = runtime.settings.pipelines
    root = folder.resolve().parent
    files = {*pipeline_files(folder), root / "project.yaml", root / "project.yml"}
    if runtime.secrets.file is not None:
        files.add(runtime.secrets.file)
    for pipeline in runtime.deployments.current.pipelines.values():
        files |= {root / name for name in pipeline.files}
    marks = set()
    for file in files:
        try:
            state = file.stat()
        except OSError:
            continue
        marks.add((str(file), state.st_mtime_ns, state.st_size))
    return frozenset(marks)


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):  # it has changed since it was checked
        return ""


def _deployment(runtime: Runtime, pipelines: list[Pipeline]) -> Deployment:
    return deploy(pipelines, runtime.catalog, secrets=runtime.secrets.get, env=runtime.environment)


async def _store(runtime: Runtime, deployment: Deployment, pipelines: list[Pipeline], problems: list[Problem]) -> None:
    texts: dict[str, str] = {}
    for problem in problems:
        texts[problem.file] = (texts.get(problem.file, "") + "\n\n" + format_problem(problem)).strip()
    for pipeline in pipelines:
        await runtime.store.upsert_version(pipeline.version, pipeline.id, pipeline.source)
        runtime.deployments.versions[pipeline.version] = pipeline
    rows = [
        PipelineRow(
            id=pipeline.id,
            version=pipeline.version,
            name=pipeline.name,
            description=pipeline.description,
            enabled=pipeline.enabled,
            file=pipeline.file,
            triggers=msgspec.json.encode([{"id": trigger.id, "uses": trigger.uses} for trigger in pipeline.triggers]),
            problem=texts.get(pipeline.file),
        )
        for pipeline in pipelines
    ]
    await runtime.store.set_pipelines(rows)
