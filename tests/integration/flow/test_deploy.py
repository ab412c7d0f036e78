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
