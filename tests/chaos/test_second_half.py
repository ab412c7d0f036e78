"""The other half of a thousand random schedules of deaths: two files, so that two workers share them."""

import pytest

from engine.runtime import Runtime
from tests.chaos.schedules import CHUNKS, run_schedules


@pytest.mark.timeout(0)
@pytest.mark.parametrize("chunk", range(CHUNKS // 2, CHUNKS))
async def test_random_deaths(base: Runtime, database_url: str, chunk: int) -> None:
    """No acknowledged event is lost, no finished step repeated, every run ends once and its end is told once."""
    await run_schedules(base, database_url, chunk)
