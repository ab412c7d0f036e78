"""The memory that a process may use."""

import subprocess
import sys
import textwrap

import pytest

from engine.memory import give_back, used_memory


def test_what_is_in_use_is_known() -> None:
    """Some megabytes at least."""
    give_back()
    assert used_memory() > 10_000_000


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux counts what programs ask for")
def test_beyond_the_limit_there_is_a_memory_error_and_life_goes_on() -> None:
    """One that asks for too much is told so, others still get some."""
    code = """
        from engine.memory import limit_memory
        assert limit_memory(200)
        try:
            bytearray(300_000_000)
        except MemoryError:
            print("refused", len(bytearray(20_000_000)))
    """
    command = [sys.executable, "-c", textwrap.dedent(code)]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=30, check=True)
    assert ended.stdout == "refused 20000000\n"
