"""Files become what is in force; what is broken changes nothing."""

from tests.integration.flow.conftest import House

GOOD = """
    id: test
    steps: [{id: one, uses: test.effect, with: first}]
"""
BROKEN = """
    id: test
    steps: [{id: one, uses: test.effect, wiht: first}]
"""


async def test_a_broken_file_keeps_its_last_good_version(house: House) -> None:
    """The problem is reported with its place, and runs go on with what was good."""
    assert await house.deploy(GOOD) == []
    version = house.runtime.deployments.current.pipelines["test"].version
    problems = await house.deploy(BROKEN)
    assert [(problem.code, problem.line) for problem in problems] == [("E101", 3)]
    assert house.runtime.deployments.current.pipelines["test"].version == version
    assert (await house.finish()).status == "succeeded"
    rows = await house.runtime.store.list_pipelines()
    assert "wiht" in (rows[0].problem or "")


async def test_a_broken_file_does_not_stop_the_others(house: House) -> None:
    """The good one is in force, the broken one has never been."""
    await house.deploy(BROKEN, name="broken")
    await house.deploy(GOOD.replace("id: test", "id: good"), name="good")
    assert list(house.runtime.deployments.current.pipelines) == ["good"]
    assert [problem.file for problem in house.runtime.deployments.problems] == ["pipelines/broken.yaml"]


async def test_a_run_keeps_the_version_it_started_with(house: House) -> None:
    """A deployment between start and execution does not change a run."""
    await house.deploy(GOOD)
    run_id = await house.start()
    await house.deploy(GOOD.replace("first", "second"))
    house.runtime.deployments.versions.clear()
    await house.turn(run_id)
    assert [call[1] for call in house.probe.calls] == ["first"]


async def test_a_removed_file_ends_its_pipeline(house: House) -> None:
    """Nothing starts it any more."""
    await house.deploy(GOOD)
    (house.folder / "test.yaml").unlink()
    await house.deploy(GOOD.replace("id: test", "id: other"), name="other")
    assert list(house.runtime.deployments.current.pipelines) == ["other"]


WAITING = """
id: test
name: second
steps:
  - {id: one, uses: test.effect, with: second}
  - parallel:
      a: [{uses: test.effect, sensitive: true}]
      b: [{uses: test.idempotent, sensitive: [a]}]
"""


async def test_what_cannot_be_executed_yet_is_not_deployed(house: House) -> None:
    """Every place is named, in one go, and the last good version stays in force."""
    assert await house.deploy(GOOD) == []
    problems = await house.deploy(WAITING)
    assert [(problem.code, problem.line) for problem in problems] == [("E120", 7), ("E120", 8)]
    assert "`sensitive` is not executed by this version yet" in problems[0].message
    assert problems[0].source_line.strip().startswith("a: [{uses:")
    await house.finish()
    assert [call[1] for call in house.probe.calls] == ["first"]
    rows = await house.runtime.store.list_pipelines()
    assert "E120" in (rows[0].problem or "")


async def test_a_caller_of_what_cannot_be_executed_is_not_deployed_either(house: House) -> None:
    """The problem stands at the call and says where the reason is."""
    await house.deploy("id: callee\nsteps:\n  - {uses: test.effect, sensitive: true}\n", name="callee")
    problems = await house.deploy('id: test\nsteps:\n  - steps: [{uses: "pipeline:callee"}]\n')
    found = [problem for problem in problems if problem.file == "pipelines/test.yaml"]
    assert [(problem.code, problem.line) for problem in found] == [("E120", 3)]
    assert "in the called pipeline `callee` (pipelines/callee.yaml:3)" in found[0].message
    assert house.runtime.deployments.current.pipelines == {}


async def test_a_run_keeps_the_callee_it_started_with(house: House) -> None:
    """Also in a process that has only the database to learn from."""
    callee = "id: callee\nsteps: [{id: act, uses: test.effect, with: first}]\n"
    await house.deploy(callee, name="callee")
    await house.deploy('id: test\nsteps: [{id: call, uses: "pipeline:callee"}]\n')
    run_id = await house.start()
    await house.deploy(callee.replace("first", "second"), name="callee")
    house.runtime.deployments.versions.clear()
    await house.turn(run_id)
    assert [call[:2] for call in house.probe.calls] == [("call/act", "first")]
