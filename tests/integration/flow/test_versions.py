"""Deploying on command, rolling back, and runs that keep their version through all of it."""

import asyncio
import subprocess
from pathlib import Path
from typing import Any

import msgspec
import pytest

from engine.errors import BadRequest, Conflict, NotFound
from engine.flow.deploy import deploy_files, deploy_stored, watch
from engine.flow.deploy_sources import CannotDeploy, Offer, deploy_sources
from engine.flow.rollback import rollback
from engine.pipeline.check import check_text
from engine.runtime import open_runtime
from engine.store import RunFilter
from tests.integration.flow.conftest import House, Probe

ONE = "id: one\nsteps: [{id: a, uses: test.effect, with: FIRST}]\n"
LOCKED = """
id: bad
triggers: [{uses: webhook, with: {path: x, auth: {bearer: "${{ secrets.NOT_SET }}"}}}]
steps: [{uses: test.effect}]
"""
TWO = "id: two\nsteps: [{id: a, uses: test.effect, with: second}]\n"


def offers(house: House, *texts: str) -> list[Offer]:
    """Texts as `hookwright deploy` sends them."""
    found = []
    for number, text in enumerate(texts):
        report = check_text(text, house.runtime.catalog, file=f"pipelines/{number}.yaml", callees=[])
        assert [item for item in report.problems if item.severity == "error"] == []
        found.append(Offer(report.pipelines[0].source, "c0ffee", "Ada <ada@example.com>"))
    return found


def broken(text: str) -> Offer:
    """A source that does not pass the check."""
    return Offer(msgspec.json.encode({"file": "pipelines/bad.yaml", "yaml": text, "files": {}, "env": []}))


async def in_force(house: House) -> dict[str, str]:
    """The deployed set: what the first step is given."""
    await deploy_stored(house.runtime)
    found = house.runtime.deployments.current.pipelines
    return {name: found[name].steps[0].with_.value for name in sorted(found)}


async def kinds(house: House, pipeline: str = "one") -> list[tuple[str, bool, bool]]:
    """The history, newest first: kind, whether there is a version, whether there was one."""
    rows, _ = await house.runtime.store.list_deployed(pipeline)
    return [(row.kind, row.version is not None, row.previous is not None) for row in rows]


async def test_a_deployment_replaces_the_whole_set(house: House) -> None:
    """New ones come, changed ones change, others are removed; who and from where is kept."""
    done = await deploy_sources(house.runtime, offers(house, ONE, TWO), by="ci")
    assert [(item.pipeline, item.previous) for item in done.changes] == [("one", None), ("two", None)]
    assert await in_force(house) == {"one": "FIRST", "two": "second"}
    again = await deploy_sources(house.runtime, offers(house, ONE, TWO), by="ci")
    assert (again.changes, again.unchanged) == ([], 2)
    done = await deploy_sources(house.runtime, offers(house, ONE.replace("FIRST", "1")), by="ci")
    assert [(item.pipeline, item.version is None) for item in done.changes] == [("one", False), ("two", True)]
    assert await in_force(house) == {"one": 1}
    rows, _ = await house.runtime.store.list_deployed("one")
    assert [(row.kind, row.by, row.commit, row.author) for row in rows] == [
        ("deploy", "ci", "c0ffee", "Ada <ada@example.com>")
    ] * 2
    assert rows[0].previous == rows[1].version
    assert await kinds(house, "two") == [("deploy", False, True), ("deploy", True, False)]


@pytest.mark.parametrize(
    ("bad", "code"),
    [
        ("id: bad\nsteps: [{uses: test.effect, wiht: 1}]\n", "E101"),
        ("id: bad\nsteps: [{uses: test.nothing}]\n", "E114"),
        (LOCKED, "E306"),
        (ONE.replace("FIRST", "other"), "E402"),
        ("id: [", "E0"),
    ],
)
async def test_one_error_changes_nothing(house: House, bad: str, code: str) -> None:
    """Whatever is wrong, in the text, with plugins, with secrets: what was in force stays, all of it."""
    await deploy_sources(house.runtime, offers(house, ONE))
    before = await house.runtime.store.deployment_revision()
    good = offers(house, ONE.replace("FIRST", "changed"), TWO)
    with pytest.raises(CannotDeploy) as caught:
        await deploy_sources(house.runtime, [*good, broken(bad)])
    assert any(code in item["message"] for item in caught.value.problems)
    assert all(item["name"].startswith("pipelines/bad.yaml:") for item in caught.value.problems)
    assert await house.runtime.store.deployment_revision() == before
    assert await in_force(house) == {"one": "FIRST"}


async def test_only_some_are_deployed(house: House) -> None:
    """The others stay, and so do their rollbacks; a dry run changes nothing."""
    await deploy_sources(house.runtime, offers(house, ONE, TWO))
    changed = offers(house, ONE.replace("FIRST", "new"))
    done = await deploy_sources(house.runtime, changed, only=True, dry=True)
    assert [item.pipeline for item in done.changes] == ["one"]
    assert await in_force(house) == {"one": "FIRST", "two": "second"}
    await deploy_sources(house.runtime, changed, only=True)
    assert await in_force(house) == {"one": "new", "two": "second"}
    with pytest.raises(BadRequest, match="no pipeline"):
        await deploy_sources(house.runtime, [])
    with pytest.raises(BadRequest, match="hookwright deploy"):
        await deploy_sources(house.runtime, [Offer(b"[]")])


async def test_deployments_at_once_follow_one_another(house: House) -> None:
    """Each sees what the other has done: nobody's pipelines get lost."""
    texts = [ONE.replace("id: one", f"id: p{number}") for number in range(4)]
    await asyncio.gather(*(deploy_sources(house.runtime, offers(house, text), only=True) for text in texts))
    assert sorted(await in_force(house)) == ["p0", "p1", "p2", "p3"]
    for number in range(4):
        assert len(await kinds(house, f"p{number}")) == 1


async def test_a_rollback_lasts_until_the_file_changes(house: House, tmp_path: Path) -> None:
    """Neither another file nor a restart ends it; the page of the pipeline says what the file would be."""
    await house.deploy(ONE, name="one")
    first = house.runtime.deployments.current.pipelines["one"].version
    await house.deploy(ONE.replace("FIRST", "worse"), name="one")
    worse = house.runtime.deployments.current.pipelines["one"].version
    done = await rollback(house.runtime, "one", by="ada")
    assert (done.version, done.previous, done.rolled_back_from) == (first, worse, worse)
    assert house.runtime.deployments.current.pipelines["one"].version == first
    await house.deploy(TWO, name="two")
    house.runtime.deployments.versions.clear()
    await deploy_files(house.runtime)
    assert await in_force(house) == {"one": "FIRST", "two": "second"}
    rows = {row.id: row.rolled_back_from for row in await house.runtime.store.list_pipelines()}
    assert rows == {"one": worse, "two": None}
    await house.deploy(ONE.replace("FIRST", "mended"), name="one")
    assert await in_force(house) == {"one": "mended", "two": "second"}
    assert [kind for kind, _, _ in await kinds(house)] == ["files", "rollback", "files", "files"]
    assert {row.rolled_back_from for row in await house.runtime.store.list_pipelines()} == {None}


async def test_rolling_back_leads_further_back_or_to_any_version(house: House) -> None:
    """Twice is two versions back; `to` takes the beginning of a hash, and the file's own version ends it."""
    versions = []
    for word in ("FIRST", "b", "c"):
        await house.deploy(ONE.replace("FIRST", word), name="one")
        versions.append(house.runtime.deployments.current.pipelines["one"].version)
    assert (await rollback(house.runtime, "one")).version == versions[1]
    assert (await rollback(house.runtime, "one")).version == versions[0]
    with pytest.raises(NotFound, match="no earlier version"):
        await rollback(house.runtime, "one")
    with pytest.raises(Conflict, match="in force already"):
        await rollback(house.runtime, "one", versions[0][:10])
    done = await rollback(house.runtime, "one", versions[2][:10])
    assert (done.version, done.rolled_back_from) == (versions[2], None)
    await deploy_files(house.runtime)
    assert await in_force(house) == {"one": "c"}
    with pytest.raises(NotFound):
        await rollback(house.runtime, "nobody")


async def test_a_removed_pipeline_comes_back(house: House) -> None:
    """With its last version."""
    await deploy_sources(house.runtime, offers(house, ONE, TWO))
    await deploy_sources(house.runtime, offers(house, TWO))
    await rollback(house.runtime, "one")
    assert await in_force(house) == {"one": "FIRST", "two": "second"}


async def test_an_explicit_deployment_ends_a_rollback(house: House) -> None:
    """It is an order; the answer says so."""
    await deploy_sources(house.runtime, offers(house, ONE))
    await deploy_sources(house.runtime, offers(house, ONE.replace("FIRST", "b")))
    await rollback(house.runtime, "one")
    done = await deploy_sources(house.runtime, offers(house, ONE.replace("FIRST", "b")))
    assert [(item.pipeline, item.ends_rollback) for item in done.changes] == [("one", True)]
    assert await in_force(house) == {"one": "b"}


async def test_other_processes_follow(house: House, probe: Probe) -> None:
    """What one process deploys comes into force in the others within a second or two."""
    await house.deploy(ONE, name="one")
    async with open_runtime(house.runtime.settings, {}, extra_plugins=[probe]) as other:
        await deploy_files(other)
        watcher = asyncio.create_task(watch(other))
        await house.deploy(ONE.replace("FIRST", "b"), name="one")
        await rollback(house.runtime, "one")
        wanted = house.runtime.deployments.current.pipelines["one"].version
        async with asyncio.timeout(10):
            while other.deployments.revision != house.runtime.deployments.revision:
                await asyncio.sleep(0.05)
        assert other.deployments.current.pipelines["one"].version == wanted
        watcher.cancel()


CALLEE = "id: callee\nsteps: [{id: say, uses: test.effect, with: old callee}]\n"
CALLER = """
id: caller
steps:
  - {id: nap, wait: {for: 1h}}
  - {id: call, uses: "pipeline:callee"}
  - {id: end, uses: test.effect, with: old caller}
"""


@pytest.mark.parametrize("after", ["deploy", "rollback", "removal"])
async def test_a_waiting_run_keeps_its_text(house: House, after: str) -> None:
    """And that of the pipelines it calls, whatever is deployed, rolled back or removed meanwhile."""
    if after == "rollback":
        await house.deploy(CALLEE.replace("old", "older"), name="callee")
        await house.deploy(CALLER.replace("old", "older"), name="caller")
    await house.deploy(CALLEE, name="callee")
    await house.deploy(CALLER, name="caller")
    run_id = await house.start("caller")
    await house.turn(run_id)
    row = await house.run(run_id)
    assert row.status == "waiting"
    if after == "deploy":
        await house.deploy(CALLEE.replace("old", "new"), name="callee")
        await house.deploy(CALLER.replace("old", "new"), name="caller")
    elif after == "rollback":
        await rollback(house.runtime, "caller")
        await rollback(house.runtime, "callee")
    else:
        for name in ("callee", "caller"):
            (house.folder / f"{name}.yaml").unlink()
        await house.deploy(TWO, name="two")
        assert list(house.runtime.deployments.current.pipelines) == ["two"]
    house.runtime.deployments.versions.clear()
    await _skip_the_nap(house, run_id)
    assert await house.turn(run_id)
    assert [call[:2] for call in house.probe.calls] == [("call/say", "old callee"), ("end", "old caller")]
    done = await house.run(run_id)
    assert (done.status, done.version) == ("succeeded", row.version)


async def _skip_the_nap(house: House, run_id: Any) -> None:
    """Let the hour be over: the wait's end, and the run's due time."""
    import asyncpg

    connection = await asyncpg.connect(house.runtime.settings.database_url)
    over = '{"until": "2020-01-01T00:00:00Z"}'
    await connection.execute("update attempt set input = $2::json where run_id = $1 and step = 'nap'", run_id, over)
    await connection.execute("update run set due_at = now() where id = $1", run_id)
    await connection.close()


async def test_commit_and_author_come_from_git(house: House, tmp_path: Path) -> None:
    """Of the file; with a mark if it is not as it was committed. Without git there is nothing."""

    def git(*arguments: str) -> None:
        identity = ["-c", "user.name=Ada", "-c", "user.email=ada@example.com"]
        subprocess.run(["git", "-C", str(tmp_path), *identity, *arguments], check=True, capture_output=True)

    await house.deploy(TWO, name="two")
    git("init", "-q")
    (house.folder / "one.yaml").write_text(ONE)
    git("add", "-A")
    git("commit", "-qm", "first")
    await deploy_files(house.runtime)
    await house.deploy(ONE.replace("FIRST", "b"), name="one")
    rows, _ = await house.runtime.store.list_deployed("one")
    assert rows[1].author == "Ada <ada@example.com>"
    assert rows[0].commit == f"{rows[1].commit}+changes"
    assert len(rows[1].commit or "") == 40
    (version,) = await house.runtime.store.find_versions(str(rows[1].version))
    assert (version.commit, version.author) == (rows[1].commit, rows[1].author)
    rows, _ = await house.runtime.store.list_deployed("two")
    assert (rows[0].commit, rows[0].author) == (None, None)


async def test_starting_up_takes_every_good_file(house: House) -> None:
    """One bad file does not stop the others there: all or nothing is for a deployment on command."""
    (house.folder / "bad.yaml").write_text("id: bad\nsteps: [{uses: nothing}]\n")
    await house.deploy(ONE, name="one")
    assert await in_force(house) == {"one": "FIRST"}
    assert len(house.runtime.deployments.problems) == 1
    runs, _ = await house.runtime.store.list_runs(RunFilter())
    assert runs == []
