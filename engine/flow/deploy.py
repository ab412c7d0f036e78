"""Put pipelines in force: from files where the API runs, from the database where workers run."""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import msgspec

from engine.errors import HookwrightError, NotFound, Unavailable
from engine.flow.origin import NOWHERE, Origin, read_origins
from engine.flow.support import unsupported
from engine.pipeline.check import Problem, Report, check_files, format_problem, load_version
from engine.pipeline.deployment import Deployment, deploy
from engine.pipeline.spec import Pipeline
from engine.runtime import Runtime
from engine.store import PipelineRow, QueueSettings

POLL = 1.0  # seconds between looks at the files, and at what others have deployed
FILES = "files"  # who has deployed what was found in the folder
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
    return Report(pipelines=good, problems=report.problems, groups=report.groups, queues=report.queues)


def pipeline_files(folder: Path) -> Iterable[Path]:
    """Every pipeline file below the folder."""
    return (path for pattern in ("**/*.yaml", "**/*.yml") for path in folder.glob(pattern))


async def deploy_files(runtime: Runtime) -> list[Problem]:
    """Put the files in force. A broken file keeps its last good version. Returns everything that is wrong.

    A pipeline that was rolled back stays so until its file says something else.
    """
    report = await asyncio.to_thread(read_files, runtime)
    broken = {problem.file for problem in report.problems if problem.severity == "error"}
    rows = await runtime.store.list_pipelines()
    rolled = {row.id: row for row in rows if row.rolled_back_from is not None}
    names = {pipeline.id for pipeline in report.pipelines}
    pipelines = [
        await load_pipeline(runtime, row.version)
        if (row := rolled.get(pipeline.id)) is not None and row.rolled_back_from == pipeline.version
        else pipeline
        for pipeline in report.pipelines
    ]
    kept = [row for row in rows if row.file in broken and row.id not in names]
    pipelines += [await load_pipeline(runtime, row.version) for row in kept]
    origins = await asyncio.to_thread(read_origins, runtime, report.pipelines)
    back = {
        pipeline.id: str(row.rolled_back_from)
        for pipeline in pipelines
        if (row := rolled.get(pipeline.id)) is not None and row.version == pipeline.version
    }
    queues = {name: QueueSettings(*rule) for name, rule in report.queues.items()}
    await runtime.store.set_queues(queues)
    runtime.deployments.queues, runtime.deployments.groups = queues, report.groups
    runtime.deployments.file_problems = list(report.problems)
    await put_in_force(runtime, pipelines, kind="files", by=FILES, origins=origins, rolled_back=back)
    problems, runtime.deployments.groups = runtime.deployments.problems, report.groups
    for problem in problems:
        runtime.log.warning("pipeline.problem", file=problem.file, line=problem.line, problem=problem.message)
    runtime.log.info("pipelines.deployed", pipelines=len(pipelines), problems=len(problems))
    return problems


async def deploy_stored(runtime: Runtime) -> None:
    """Put in force what the database says is deployed."""
    revision = await runtime.store.deployment_revision()
    pipelines = []
    for row in await runtime.store.list_pipelines():
        try:
            pipelines.append(await load_pipeline(runtime, row.version))
        except Unavailable:
            raise
        except HookwrightError as error:
            runtime.log.warning("pipeline.unloadable", pipeline=row.id, error=str(error))
    runtime.deployments.queues = await runtime.store.list_queues()
    _use(runtime, bind_all(runtime, pipelines), revision)


async def put_in_force(
    runtime: Runtime,
    pipelines: Sequence[Pipeline],
    *,
    kind: str,
    by: str,
    origins: Mapping[str, Origin] | None = None,
    rolled_back: Mapping[str, str] | None = None,
    expected: str | None = None,
) -> bool:
    """Store these versions and make them the deployed set, here and everywhere, in one go.

    kind: files, deploy or rollback. origins: where versions come from, by version. rolled_back: by id, the version of
    the file that is not in force. False: the set was not of the expected revision any more, nothing has changed.
    """
    deployment = bind_all(runtime, pipelines)
    origins, texts = origins or {}, _texts([*runtime.deployments.file_problems, *deployment.problems])
    for pipeline in pipelines:
        commit, author = origins.get(pipeline.version, NOWHERE)
        await runtime.store.upsert_version(pipeline.version, pipeline.id, pipeline.source, commit=commit, author=author)
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
            rolled_back_from=(rolled_back or {}).get(pipeline.id),
        )
        for pipeline in pipelines
    ]
    revision = await runtime.store.set_pipelines(rows, kind=kind, by=by, origins=origins, expected=expected)
    if revision is None:
        return False
    _use(runtime, deployment, revision)
    return True


def bind_all(runtime: Runtime, pipelines: Sequence[Pipeline]) -> Deployment:
    """The pipelines with their triggers bound to paths and secrets; `problems` are those that could not be."""
    return deploy(pipelines, runtime.catalog, secrets=runtime.secrets.get, env=runtime.environment)


async def watch(runtime: Runtime) -> None:
    """Keep up with files that change and with what other processes deploy, until cancelled.

    Polls: that works on every file system and mount.
    """
    seen = fingerprint(runtime)
    while True:
        await asyncio.sleep(POLL)
        fresh = runtime.secrets.refresh()
        try:
            now = fingerprint(runtime)
            if runtime.settings.deploy == "files" and now != seen:
                await deploy_files(runtime)
            elif fresh or now != seen or await runtime.store.deployment_revision() != runtime.deployments.revision:
                await deploy_stored(runtime)
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


def _use(runtime: Runtime, deployment: Deployment, revision: str) -> None:
    deployments = runtime.deployments
    deployments.current, deployments.loaded, deployments.revision = deployment, True, revision
    deployments.problems = [*deployments.file_problems, *deployment.problems]


def _texts(problems: Sequence[Problem]) -> dict[str, str]:
    """What is wrong, by file."""
    texts: dict[str, str] = {}
    for problem in problems:
        texts[problem.file] = (texts.get(problem.file, "") + "\n\n" + format_problem(problem)).strip()
    return texts
