"""The test kit for plugin developers: run one step with a real context, and check a step type's manners.

from engine.testing import run_step

async def test_greeting():
    result = await run_step("demo.greet", {"name": "Ann"}, plugins=[my_plugin])
    assert result.output == "Hello Ann"
"""

from engine.plugin.host import load_catalog
from engine.testing.conformance import check_step_type
from engine.testing.memory import MemoryCache, MemoryDocuments
from engine.testing.step import StepResult, run_step

__all__ = ["MemoryCache", "MemoryDocuments", "StepResult", "check_step_type", "load_catalog", "run_step"]
