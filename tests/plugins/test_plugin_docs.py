"""docs/plugins.md tells the truth: its code runs."""

import re
import types
from pathlib import Path

from engine.plugin import hooks
from engine.testing import check_step_type, load_catalog, run_step

PAGE = (Path(__file__).parents[2] / "docs" / "plugins.md").read_text()
BLOCKS = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)


async def test_the_first_example_works() -> None:
    """The plugin on the page registers, greets, and keeps all promises."""
    plugin = types.ModuleType("hookwright_greetings")
    exec(BLOCKS[0], plugin.__dict__)
    step = load_catalog(extra=[plugin]).catalog.steps["greetings.greet"]
    assert check_step_type(step) == []
    assert (await run_step("greetings.greet", {"name": "Ann"}, plugins=[plugin])).output == {"text": "Hello Ann"}


def test_every_block_is_python() -> None:
    """Nothing on the page is misspelt Python."""
    for block in BLOCKS:
        compile(block, "plugins.md", "exec")


def test_every_hook_is_on_the_page() -> None:
    """A new hook needs a word about it."""
    names = [name for name, value in vars(hooks).items() if hasattr(value, "hookwright_spec")]
    assert len(names) == 7
    assert [name for name in names if name not in PAGE] == []
