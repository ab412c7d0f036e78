"""What every page shares: the templates, the answer, the page for errors."""

import hashlib
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import jinja2
from litestar import Request, Response
from litestar.datastructures import Cookie, State
from litestar.response import Redirect

from engine import __version__
from engine.web.dashboard.filters import FILTERS
from engine.web.problems import Problem

HERE = Path(__file__).parent
STATIC = HERE / "static"
SAMPLE = "hookwright send github issues.opened"

PageRequest = Request[Any, Any, State]


@cache
def environment() -> jinja2.Environment:
    """The templates: everything is escaped, and a name that does not exist is an error."""
    made = jinja2.Environment(
        loader=jinja2.FileSystemLoader(HERE / "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    made.filters.update(FILTERS)
    made.globals.update(version=__version__, asset=asset)
    return made


@cache
def asset(name: str) -> str:
    """The address of a static file; it changes with the content, so browsers may keep it."""
    digest = hashlib.sha256((STATIC / name).read_bytes()).hexdigest()[:12]
    return f"/static/{name}?v={digest}"


def page(
    template: str,
    *,
    status: int = 200,
    headers: dict[str, str] | None = None,
    cookies: list[Cookie] | None = None,
    **values: Any,
) -> Response[str]:
    """A rendered page."""
    values.setdefault("signed_in", True)
    values.setdefault("page", "")
    html = environment().get_template(template).render(**values)
    return Response(html, status_code=status, headers=headers or {}, cookies=cookies or [], media_type="text/html")


def error_page(request: PageRequest, problem: Problem, headers: dict[str, str]) -> Response[Any]:
    """An error for people. Who is not signed in is sent to the sign-in page and comes back afterwards."""
    if problem.status == 401:
        return to_login(request)
    headers = {name: value for name, value in headers.items() if name.lower() != "content-type"}
    return page("error.html", status=problem.status, headers=headers, problem=problem, signed_in=False)


def to_login(request: PageRequest) -> Response[Any]:
    """Off to the sign-in page. htmx is told to load it whole, not into a part of the page."""
    query = request.scope["query_string"].decode("latin-1")
    here = request.scope["path"] + (f"?{query}" if query else "")
    target = "/login" if here == "/" or request.method != "GET" else f"/login?next={quote(here, safe='')}"
    if "hx-request" in request.headers:
        return Response("", status_code=401, headers={"HX-Redirect": "/login"}, media_type="text/html")
    return Redirect(target, status_code=303)


def link(address: str, /, **values: Any) -> str:
    """The address with the values that are set as its query."""
    query = urlencode({name: value for name, value in values.items() if value})
    return f"{address}?{query}" if query else address
