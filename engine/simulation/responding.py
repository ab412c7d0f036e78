"""What the sender of an event is answered."""

from collections.abc import Mapping
from typing import Any

from engine.pipeline.expression import ExpressionError
from engine.pipeline.spec import Respond
from engine.simulation.world import BASE_URL, RUN_ID

PROBLEM = {"content-type": "application/problem+json"}


def respond(
    rule: Respond | None,
    scope: Mapping[str, Any],
    *,
    outcome: str,
    error: Mapping[str, Any] | None,
    answered_at: float,
) -> dict[str, Any]:
    """Status, headers and body. answered_at: seconds until the run, or the step of `after`, was done."""
    run = {"run_id": str(RUN_ID), "status_url": f"{BASE_URL}/api/v1/runs/{RUN_ID}"}
    if rule is None:
        return {"status": 202, "headers": {}, "body": run}
    if rule.mode == "sync" and answered_at > rule.timeout:
        return {"status": 202, "headers": {"location": run["status_url"]}, "body": run}
    try:
        if rule.mode == "async":
            return _render(rule, scope, 202, run)
        if outcome == "succeeded" or rule.body is not None or rule.status is not None:
            status, default = (200, scope.get("outputs")) if outcome == "succeeded" else (500, _problem(error))
            return _render(rule, scope, status, default)
    except ExpressionError as failure:
        body = {"status": 500, "title": "the answer cannot be evaluated", "detail": str(failure)}
        return {"status": 500, "headers": PROBLEM, "body": body}
    return {"status": 500, "headers": PROBLEM, "body": _problem(error)}


def _render(rule: Respond, scope: Mapping[str, Any], status: int, body: Any) -> dict[str, Any]:
    chosen: Any = rule.status
    if chosen is not None and not isinstance(chosen, int):
        chosen = chosen.render(scope)
    headers = {name: template.render(scope) for name, template in rule.headers.items()}
    failed = scope.get("run", {}).get("outcome") not in (None, "succeeded")
    if rule.body is not None and not (failed and _is_outputs(rule)):
        body = rule.body.render(scope)
    elif failed and rule.mode == "sync":
        headers = {**PROBLEM, **headers}
    return {"status": status if chosen is None else chosen, "headers": headers, "body": body}


def _is_outputs(rule: Respond) -> bool:
    """Whether the body is just the outputs, which a failed run does not have."""
    return rule.body is not None and str(rule.body.value).replace(" ", "") == "${{outputs}}"


def _problem(error: Mapping[str, Any] | None) -> dict[str, Any]:
    known = error or {}
    return {"status": 500, "title": "the run failed", "type": known.get("type"), "detail": known.get("message")}
