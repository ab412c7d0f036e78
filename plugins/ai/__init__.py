"""Steps that ask a language model."""

from typing import Any

from engine.plugin import hookimpl
from plugins.ai.complete import CompleteConfig, Completion, complete, result_of


@hookimpl
def register_steps(register: Any) -> None:
    register(
        "ai.complete",
        complete,
        config=CompleteConfig,
        effect="idempotent",
        result=Completion,
        result_of=result_of,
        timeout=180.0,
    )
