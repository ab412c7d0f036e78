"""Pipelines built by hand, in every shape."""

from typing import Any

from engine.core.retry import RetryPolicy
from engine.pipeline.expression import compile_template, parse_condition
from engine.pipeline.spec import (
    Approval,
    Cache,
    Case,
    ForEach,
    Limit,
    OnError,
    Pipeline,
    Position,
    Repeat,
    Retry,
    Step,
    Trigger,
    Wait,
    WaitEvent,
)

HOSTILE = "\"><script>alert(1)</script>&'\x1b[31m"
LONG = "steps.agent.output.resolved and " * 20 + "true"


def step(id: str | None = None, uses: str = "value", **values: Any) -> Step:
    """One step; `condition` is text."""
    if "condition" in values:
        values["condition"] = parse_condition(values["condition"])
    values.setdefault("shape", "action")
    nothing = compile_template(None)
    return Step(
        key=id or f"steps[{uses}]",
        id=id,
        name=values.pop("name", id or ""),
        uses=uses if values["shape"] in ("action", "call") else "",
        with_=nothing,
        position=Position(values.pop("line", 7), 1),
        **values,
    )


def trigger(uses: str, condition: str | None = None, **config: Any) -> Trigger:
    return Trigger(
        id=uses,
        uses=uses,
        with_=compile_template(config),
        condition=parse_condition(condition) if condition else None,
        inputs={},
        position=Position(2, 3),
    )


def pipeline(*steps: Step, **values: Any) -> Pipeline:
    given: dict[str, Any] = {
        "id": "sample",
        "version": "",
        "name": "sample",
        "description": "",
        "enabled": True,
        "labels": {},
        "triggers": (),
        "inputs": {},
        "vars": {},
        "steps": steps,
        "on_error": (),
        "finally_": (),
        "outputs": {},
        "timeout": 30 * 86400.0,
        "file": "pipelines/sample.yaml",
        "source": b"",
    }
    return Pipeline(**(given | values))


def everything() -> Pipeline:
    """One pipeline with all shapes and all that can stand beside them."""
    text = compile_template
    return pipeline(
        step("first", "http.request", on_error=OnError("output", text(1)), cache=Cache(90 * 60.0), timeout=20.0),
        step(
            "charge",
            "http.request",
            retry=Retry(RetryPolicy(attempts=5)),
            on_error=OnError("steps", steps=(step("rescue", "emit"),)),
            compensate=(step(None, "http.request"),),
            rate_limit=Limit(limit=5, period=1.0, key=text("${{ inputs.tenant }}"), on_limit="drop"),
        ),
        step(
            "both",
            shape="parallel",
            branches={"left": (step("l"),), "right": (step("r1"), step("r2", "pipeline:other", shape="call"))},
        ),
        step(
            None,
            shape="switch",
            cases=(
                Case(parse_condition("steps.first.output > 1"), (step("big"),)),
                Case(None, (step(None, "stop", line=20),)),
            ),
        ),
        step(
            "each",
            shape="group",
            condition="inputs.items | length > 0",
            for_each=ForEach(text("${{ inputs.items }}"), "order", concurrency=3, on_item_error="continue"),
            steps=(step("poll", repeat=Repeat(parse_condition("result.ok"), 30.0, max=5)),),
        ),
        step(
            "ask",
            shape="wait",
            wait=Wait(
                approval=Approval(text("Pay ${{ inputs.n }}?"), notify=(step(None, "notify.slack"),)),
                timeout=text("3d"),
            ),
        ),
        step(
            "paid",
            shape="wait",
            wait=Wait(events=(WaitEvent("stripe", "invoice.paid", parse_condition("incoming.id == 1")),)),
        ),
        step("pause", shape="wait", wait=Wait(for_=text("1h30m"))),
        triggers=(trigger("github.webhook", "event.body.x == 1", path="github"), trigger("schedule", cron="0 * * * *")),
        concurrency=Limit(limit=2),
        on_error=(step(None, "notify.slack"),),
        finally_=(step(None, "store.put"),),
        outputs={"label": text(1), "paged": text(2)},
        description="Does everything.",
    )
