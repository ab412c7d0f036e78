"""What the pages of approvals share: a question ready to be shown, and an answer ready to be decided."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from msgspec import Struct

from engine.errors import Conflict
from engine.flow.approval_decision import InvalidAnswers, decide_approval, refuse_closed
from engine.flow.approval_rules import read_form
from engine.runtime import Runtime
from engine.store.approvals import ApprovalRow
from engine.web.api.approvals import Approval, approval_model
from engine.web.dashboard.form import Field, make_fields, read_fields

COMMENT = "comment"


class Question(Struct, frozen=True, kw_only=True):
    """An approval as a page shows it. over: why nobody can decide any more, as a sentence; empty: somebody can."""

    approval: Approval
    fields: list[Field]
    over: str
    comment: str = ""
    comment_wrong: str = ""


class Answered(Struct, frozen=True):
    """What became of an answer. row None: it does not fit, see the question."""

    row: ApprovalRow | None
    question: Question | None = None


def make_question(
    row: ApprovalRow, *, typed: Mapping[str, str] | None = None, wrong: Mapping[str, str] | None = None
) -> Question:
    """The question with its form. typed: what was entered before. wrong: messages by field."""
    over = ""
    try:
        refuse_closed(row)
    except Conflict as error:
        over = str(error)
    return Question(
        approval=approval_model(row),
        fields=make_fields(read_form(row.form), typed=typed, wrong=wrong),
        over=over,
        comment=(typed or {}).get(COMMENT, ""),
        comment_wrong=(wrong or {}).get(COMMENT, ""),
    )


async def answer(
    runtime: Runtime, row: ApprovalRow, sent: Mapping[str, Any] | None, *, approved: bool, person: str | None, via: str
) -> Answered:
    """Decide with what a form has sent. Raises what decide_approval does, but for answers that do not fit."""
    typed = {name: value for name, value in (sent or {}).items() if isinstance(value, str)}
    values, wrong = read_fields(read_form(row.form), typed)
    if wrong and approved:
        return Answered(None, make_question(row, typed=typed, wrong=wrong))
    try:
        decided = await decide_approval(
            runtime,
            row.id,
            approved=approved,
            person=person,
            via=via,
            form=values,
            comment=typed.get(COMMENT, ""),
        )
    except InvalidAnswers as error:
        return Answered(
            None, make_question(row, typed=typed, wrong={item["name"]: item["message"] for item in error.problems})
        )
    return Answered(decided)


async def open_questions(runtime: Runtime, run_id: UUID) -> list[Question]:
    """What this run waits for people to decide."""
    return [make_question(row) for row in await runtime.store.approvals_of_run(run_id) if row.state == "open"]
