"""Judging what a provider sent: error replies, and answers that must fit a schema."""

import re
from typing import Any

import httpx
import msgspec

from engine.plugin import Fail, Retry, StepError, raise_for_status, retry_after

FENCED = re.compile(r"\A\s*```[a-z]*\s*\n(.*?)\n?\s*```\s*\Z", re.DOTALL)
KEPT = 2000  # characters of an answer that go into `error.data`


def answer_error(response: httpx.Response) -> StepError:
    """The error for a reply that is not a success."""
    status = response.status_code
    message = f"{response.request.url.host} answered {status}: {_reason(response)}"
    data = {"status": status, "body": response.text[:KEPT]}
    if status in (401, 403):
        return Fail(f"{message}. Check the API key (HOOKWRIGHT_AI_API_KEY or `api_key`)", type="auth", data=data)
    if status == 429 and "insufficient_quota" in response.text:
        return Fail(message, type="auth", data=data)  # waiting does not fill an account
    if status == 429:
        return Retry(message, type="rate_limited", after=retry_after(response.headers), data=data)
    try:
        raise_for_status(response)
    except StepError as error:
        error.message = message
        return error


def check_schema(schema: dict[str, Any]) -> None:
    """Fail `invalid_input` if this is not a JSON Schema."""
    import jsonschema

    try:
        _validator(schema).check_schema(schema)
    except jsonschema.SchemaError as error:
        where = "/".join(map(str, error.absolute_path))
        raise Fail(
            f"`schema` is not a JSON Schema: {error.message} (at {where or 'the top'})", type="invalid_input"
        ) from None


def parse_answer(text: str, schema: dict[str, Any]) -> Any:
    """The answer's JSON, if it fits the schema; Retry `invalid_answer` if not: a model may do better the next time."""
    import referencing

    fenced = FENCED.match(text)
    try:
        value = msgspec.json.decode(fenced[1] if fenced else text)
    except (msgspec.DecodeError, RecursionError) as error:
        raise Retry(f"the answer is not JSON: {error}", type="invalid_answer", data={"text": text[:KEPT]}) from None
    validator = _validator(schema)(schema, registry=referencing.Registry())  # an empty one: nothing is fetched
    try:
        problem = next(iter(validator.iter_errors(value)), None)
    except referencing.exceptions.Unresolvable as error:
        raise Fail(f"`schema` refers to something outside itself: {error}", type="invalid_input") from None
    if problem is not None:
        where = "/".join(map(str, problem.absolute_path)) or "the top"
        raise Retry(
            f"the answer does not fit the schema: {problem.message[:500]} (at {where})",
            type="invalid_answer",
            data={"text": text[:KEPT]},
        )
    return value


def is_strict(schema: Any) -> bool:
    """Whether OpenAI's strict mode takes the schema: every object closed, every property required."""
    if isinstance(schema, list):
        return all(is_strict(item) for item in schema)
    if not isinstance(schema, dict):
        return True
    if schema.get("type") == "object" or "properties" in schema:
        names = set(schema.get("properties", {}))
        if schema.get("additionalProperties") is not False or set(schema.get("required", ())) != names:
            return False
    return all(is_strict(item) for key, item in schema.items() if key not in ("enum", "const", "examples", "default"))


def _validator(schema: dict[str, Any]) -> Any:
    import jsonschema

    return jsonschema.validators.validator_for(schema, default=jsonschema.Draft202012Validator)


def _reason(response: httpx.Response) -> str:
    """The provider's own words, wherever it puts them."""
    try:
        body = msgspec.json.decode(response.content)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return " ".join(response.text.split())[:300] or response.reason_phrase
    error = body.get("error", body) if isinstance(body, dict) else body
    if isinstance(error, dict):
        error = error.get("message") or error.get("detail") or error
    return str(error)[:500]
