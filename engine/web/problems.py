"""Errors as they leave the house: application/problem+json (RFC 9457) for machines, a page for people."""

from http import HTTPStatus

import msgspec
from litestar import Response
from litestar.exceptions import HTTPException, ValidationException

from engine.errors import (
    BadRequest,
    BadSignature,
    ConfigurationError,
    Conflict,
    HookwrightError,
    NotAllowed,
    NotFound,
    RefusedDelivery,
    TooLarge,
    TooLate,
    TooSlow,
    Unavailable,
    WrongMethod,
)

MEDIA_TYPE = "application/problem+json"
TITLES = {413: "Body too large", 422: "Unprocessable content"}  # names that changed between Python versions


class Unauthenticated(HookwrightError):
    """Send an API token: `Authorization: Bearer hw_...`."""


class CrossSite(HookwrightError):
    """This request comes from another site's page."""


class WrongMediaType(HookwrightError):
    """The body must be application/json."""


class InvalidParameter(HookwrightError):
    """A parameter is not what it should be."""

    def __init__(self, name: str, message: str) -> None:
        super().__init__(f"{name}: {message}")
        self.problems = [{"name": name, "message": message}]


STATUS: dict[type[Exception], int] = {  # the first class in an error's MRO that stands here decides
    InvalidParameter: 400,
    BadRequest: 400,
    Unauthenticated: 401,
    BadSignature: 401,
    CrossSite: 403,
    NotAllowed: 403,
    NotFound: 404,
    TooLate: 410,
    Conflict: 409,
    TooLarge: 413,
    TooSlow: 408,
    WrongMethod: 405,
    WrongMediaType: 415,
    RefusedDelivery: 400,
    Unavailable: 503,
    ConfigurationError: 500,
    RecursionError: 400,  # JSON nested deeper than the decoder goes
    HookwrightError: 400,
}


class FieldProblem(msgspec.Struct, frozen=True):
    """What is wrong with one parameter, header or field."""

    name: str
    message: str


class Problem(msgspec.Struct, frozen=True, omit_defaults=True):
    """An error as RFC 9457 writes it. `errors` names the parameters that are wrong."""

    type: str = "about:blank"
    title: str = ""
    status: int = 500
    detail: str = ""
    instance: str = ""
    errors: list[FieldProblem] = []


def problem_for(error: Exception, *, instance: str = "") -> tuple[Problem, dict[str, str]]:
    """The problem and the headers that go with it. An error nobody expected tells nothing about itself."""
    if isinstance(error, HTTPException):
        return _litestar_problem(error, instance)
    for kind in type(error).__mro__:
        if kind in STATUS:
            return _own_problem(error, STATUS[kind], instance)
    return _problem(500, "Something went wrong on our side; the log has the details.", instance), {}


def problem_response(problem: Problem, headers: dict[str, str] | None = None) -> Response[bytes]:
    """The problem as a response."""
    return Response(
        msgspec.json.encode(problem), status_code=problem.status, headers=headers or {}, media_type=MEDIA_TYPE
    )


def _own_problem(error: Exception, status: int, instance: str) -> tuple[Problem, dict[str, str]]:
    headers: dict[str, str] = {}
    detail = str(error)
    if isinstance(error, RecursionError):
        detail = "The JSON is nested too deeply."
    if isinstance(error, Unavailable):
        headers["Retry-After"] = str(error.retry_after)
    if isinstance(error, WrongMethod):
        headers["Allow"] = ", ".join(error.allowed)
    if status == 401:
        headers["WWW-Authenticate"] = 'Bearer realm="hookwright"'
    errors = [
        FieldProblem(str(item.get("name", "")), str(item.get("message", "")))
        for item in getattr(error, "problems", ())
        if isinstance(item, dict)
    ]
    return _problem(status, detail, instance, errors), headers


def _litestar_problem(error: HTTPException, instance: str) -> tuple[Problem, dict[str, str]]:
    headers = dict(error.headers or {})
    errors: list[FieldProblem] = []
    detail = error.detail
    if isinstance(error, ValidationException):
        detail = "A parameter or field of the request is not what it should be."
        items = error.extra if isinstance(error.extra, list) else []
        errors = [
            FieldProblem(str(item.get("key", "")), str(item.get("message", "")))
            for item in items
            if isinstance(item, dict)
        ]
        if errors:
            detail = "; ".join(f"{item.name}: {item.message}" if item.name else item.message for item in errors)
    elif error.status_code == 404:
        detail = "There is nothing at this address."
    elif error.status_code >= 500:
        detail = "Something went wrong on our side; the log has the details."
    return _problem(error.status_code, detail, instance, errors), headers


def _problem(status: int, detail: str, instance: str, errors: list[FieldProblem] | None = None) -> Problem:
    title = TITLES.get(status) or HTTPStatus(status).phrase
    return Problem(title=title, status=status, detail=detail, instance=instance, errors=errors or [])
