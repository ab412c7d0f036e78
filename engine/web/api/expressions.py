"""Expressions: try one on a stored event."""

from typing import Annotated, Any
from uuid import UUID

from litestar import Router, post
from litestar.openapi.spec import Example
from litestar.params import Body
from msgspec import Meta, Struct

from engine.pipeline.evaluation import LONGEST, Evaluation
from engine.web.api.answers import ONE
from engine.web.evaluate import evaluate_on_event
from engine.web.parameters import WithRuntime


class Evaluate(Struct, frozen=True, forbid_unknown_fields=True):
    """An expression and what it is tried on."""

    expression: Annotated[
        str, Meta(description="Bare, or a text with `${{ }}` in it.", min_length=1, max_length=LONGEST)
    ]
    event_id: Annotated[UUID | None, Meta(description="The stored event that `event` is.")] = None
    inputs: Annotated[dict[str, Any], Meta(description="What `inputs` is.")] = {}


@post("/evaluate", summary="Evaluate an expression", status_code=200, responses=ONE)
async def evaluate(
    runtime: WithRuntime,
    data: Annotated[
        Evaluate,
        Body(
            examples=[
                Example(
                    summary="Who sent it",
                    value={
                        "expression": "event.body.sender.login | upper",
                        "event_id": "0199f2d0-7b1e-7c30-8a4e-2f6f1a2b3c4d",
                    },
                )
            ]
        ),
    ],
) -> Evaluation:
    """The value and what it is; or `error`, with the place in the expression. Nothing is stored, secrets are not there.

    An expression that cannot be evaluated is an answer and not an error of the request: its status is 200.
    """
    return await evaluate_on_event(runtime, data.expression, data.event_id, data.inputs)


router = Router("/expressions", route_handlers=[evaluate], tags=["Expressions"])
