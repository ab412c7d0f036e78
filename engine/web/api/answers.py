"""The error answers that operations have in common, for the schema."""

from litestar.openapi.datastructures import ResponseSpec

from engine.web.problems import MEDIA_TYPE, Problem


def _problem(description: str) -> ResponseSpec:
    return ResponseSpec(Problem, description=description, generate_examples=False, media_type=MEDIA_TYPE)


COMMON = {
    400: _problem("A parameter or the body is not what it should be; `errors` names it."),
    401: _problem("No token, or one that is unknown or has expired."),
    503: _problem("PostgreSQL or Redis cannot be reached right now; `Retry-After` says when to try again."),
}
ONE = COMMON | {404: _problem("There is no such thing.")}
PERSONS = ONE | {
    403: _problem("Who asks may not do that."),
    409: _problem("Somebody did it before, or the run has ended; `detail` says who and when."),
    410: _problem("Its time is over."),
}
STATE = ONE | {409: _problem("Its state does not allow that.")}
