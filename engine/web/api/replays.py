"""Replays: what can be asked for, and what it came to."""

from typing import Annotated
from uuid import UUID

from msgspec import Meta, Struct, field

from engine.flow.replay import Replayed as Outcome
from engine.flow.replay import Wanted
from engine.web.api.models import Decision, decision_model
from engine.web.parameters import NO_NUL

Name = Annotated[str, Meta(max_length=200, pattern=NO_NUL)]


class Replay(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What to start again, and how. Empty: every pipeline that matches, as it is now."""

    pipeline: Annotated[Name | None, Meta(description="Only this pipeline.")] = None
    version: Annotated[
        Name | None, Meta(description="A stored version: its hash, or the beginning of it. null: what is in force.")
    ] = None
    from_step: Annotated[
        Name | None,
        Meta(description="Begin at this step; what came before it is taken over from the run that is repeated."),
    ] = field(default=None, name="from")
    reuse_keys: Annotated[bool, Meta(description="Steps get the idempotency keys of the run that is repeated.")] = False
    run: Annotated[UUID | None, Meta(description="The run to repeat. null: the event's newest, for each pipeline.")] = (
        None
    )


class StartedRun(Struct, frozen=True):
    """A run that was started."""

    id: UUID
    pipeline: str
    status_url: str


class Replayed(Struct, frozen=True):
    """The runs a replay started, and what each trigger said this time."""

    event_id: UUID | None
    runs: list[StartedRun]
    decisions: list[Decision]


def read_wanted(data: Replay | None) -> Wanted:
    """The request as the use case takes it."""
    if data is None:
        return Wanted()
    return Wanted(
        pipeline=data.pipeline,
        version=data.version,
        run=data.run,
        from_step=data.from_step,
        reuse_keys=data.reuse_keys,
    )


def replayed_model(event_id: UUID | None, outcome: Outcome) -> Replayed:
    """What was started, as the API shows it."""
    runs = [StartedRun(run_id, pipeline, f"/api/v1/runs/{run_id}") for run_id, pipeline in outcome.runs]
    return Replayed(event_id, runs, [decision_model(item) for item in outcome.decisions])
