"""What all processes of the schedules share."""

import textwrap
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from engine.flow.deploy import deploy_files
from engine.runtime import Runtime, open_runtime
from engine.settings import Settings
from tests.chaos.ledger import Effects, Ledger
from tests.chaos.pipelines import PIPELINES


@pytest.fixture
async def base(tmp_path: Path, database_url: str, redis_url: str) -> AsyncIterator[Runtime]:
    """What all processes share: settings, the catalog, what is deployed."""
    folder = tmp_path / "pipelines"
    folder.mkdir()
    for name, text in PIPELINES.items():
        (folder / f"{name}.yaml").write_text(textwrap.dedent(text))
    settings = Settings(database_url=database_url, redis_url=redis_url, pipelines=folder, data_dir=tmp_path)
    plugin = Effects(Ledger(), 0, lambda place: None)
    async with open_runtime(settings, {}, extra_plugins=[plugin]) as runtime:
        problems = await deploy_files(runtime)
        assert [problem for problem in problems if problem.severity == "error"] == []
        yield runtime
