"""What an approval asks, who may answer, and which answers fit. Pure: production and simulation share it."""

from collections.abc import Collection, Mapping
from typing import Any

import msgspec

from engine.pipeline.expression import ExpressionError, Template
from engine.pipeline.expression.secret import to_stored
from engine.pipeline.inputs import make_validator
from engine.pipeline.spec import Approval, Input

GROUP = "group:"  # before the name of a group of project.yaml
LONGEST_PROMPT = 4000  # characters that are kept

Groups = Mapping[str, Collection[str]]


class Question(msgspec.Struct, frozen=True):
    """An approval, rendered. approvers None: whoever has a link."""

    prompt: str
    approvers: list[str] | None
    exclude: list[str]


def render_question(approval: Approval, scope: Mapping[str, Any]) -> Question:
    """What is asked, and whom. ExpressionError if it cannot be evaluated, or if nobody could decide."""
    prompt = approval.prompt.render(scope)
    if not isinstance(prompt, str):
        prompt = msgspec.json.encode(to_stored(prompt)).decode()
    approvers = _people(approval.approvers, scope, "approvers")
    if approvers is not None and not approvers:
        raise ExpressionError("approvers: the list is empty, so nobody could decide")
    return Question(prompt[:LONGEST_PROMPT], approvers, _people(approval.exclude, scope, "exclude") or [])


def _people(template: Template | None, scope: Mapping[str, Any], name: str) -> list[str] | None:
    if template is None:
        return None
    value = template.render(scope)
    if not isinstance(value, list):
        raise ExpressionError(f"{name}: must be a list of names")
    for number, item in enumerate(value, 1):
        if not isinstance(item, str) or not item.strip():
            raise ExpressionError(f"{name}: entry {number} must be a name")
    return value


def find_refusal(
    approvers: Collection[str] | None, exclude: Collection[str], person: str, groups: Groups | None
) -> str | None:
    """Why this person may not decide; None: they may. Case does not count. groups None: any group may have anybody."""
    if _is_among(person, exclude, groups or {}):
        return "excluded"
    if approvers is None or _is_among(person, approvers, groups or {}):
        return None
    if groups is None and any(name.startswith(GROUP) for name in approvers):
        return None
    return "not among the approvers"


def needs_name(approvers: Collection[str] | None, exclude: Collection[str]) -> bool:
    """Whether it matters who decides: only somebody who is known can be told from those who may not."""
    return approvers is not None or bool(exclude)


def _is_among(person: str, names: Collection[str], groups: Groups) -> bool:
    folded = person.strip().casefold()
    for name in names:
        members = groups.get(name.removeprefix(GROUP), ()) if name.startswith(GROUP) else (name,)
        if any(member.strip().casefold() == folded for member in members):
            return True
    return False


# The form


def write_form(form: Mapping[str, Input]) -> bytes:
    """The declared fields as JSON, for read_form."""
    fields = {
        name: {"schema": item.schema, "required": item.required, "default": item.default} for name, item in form.items()
    }
    return msgspec.json.encode(fields)


def read_form(data: bytes) -> dict[str, Input]:
    """The fields that were written, ready to check answers."""
    return {
        name: Input(item["schema"], item["required"], item["default"], make_validator(item["schema"]))
        for name, item in msgspec.json.decode(data).items()
    }


def fill_form(
    form: Mapping[str, Input], given: Mapping[str, Any], *, approved: bool
) -> tuple[dict[str, Any], list[dict[str, str]]]:
    """The answers with defaults filled in, and what is wrong with them. Who rejects need not fill in anything."""
    known = ", ".join(form) or "none"
    problems = [
        {"name": name, "message": f"there is no field `{name}`; the form has: {known}"}
        for name in given
        if name not in form
    ]
    answers = {}
    for name, item in form.items():
        answers[name] = given.get(name, item.default)
        if name not in given:
            if item.required and approved:
                problems.append({"name": name, "message": "is required"})
        elif item.validator is not None:
            problems += [{"name": name, "message": message} for message in item.validator(given[name])]
    return answers, problems
