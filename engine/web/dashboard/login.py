"""Signing in and out."""

from typing import Annotated, Any

from litestar import Response, get, post
from litestar.datastructures import State
from litestar.params import FromQuery, URLEncodedBody
from litestar.response import Redirect
from msgspec import Meta, Struct

from engine.web.auth import API, COOKIE, OF, Keys, refuse_cross_site, require_session, session_cookie, signed_in
from engine.web.dashboard.pages import PageRequest, page


class SignIn(Struct, frozen=True):
    """The sign-in form."""

    token: Annotated[str, Meta(max_length=1000)] = ""
    next: Annotated[str, Meta(max_length=2000)] = "/"


@get("/login", include_in_schema=False)
async def login_page(
    request: PageRequest, state: State, code: FromQuery[str] = "", next: FromQuery[str] = "/"
) -> Response[Any]:
    """The form; or, with the one-time code of the link that `hookwright up` prints, straight in."""
    keys: Keys = state.api_keys
    if code:
        if await keys.redeem(code):
            # not a redirect: followed from another site, such as a web terminal, it would arrive without the new cookie
            token = await keys.open_session("sign-in link")
            headers = {"Refresh": "0; url=/"}
            return page(
                "welcome.html", signed_in=False, headers=headers, cookies=[session_cookie(state.settings, token)]
            )
        return _form(next, "This link was used already or has expired. `hookwright up` prints a new one.", status=403)
    if await signed_in(request):
        return Redirect(own_path(next), status_code=303)
    return _form(next)


@post("/login", include_in_schema=False)
async def login(request: PageRequest, state: State, data: URLEncodedBody[SignIn]) -> Response[Any]:
    """Trade an API token for a session."""
    refuse_cross_site(request)
    keys: Keys = state.api_keys
    key = await keys.find(data.token.strip(), API)
    if key is None:
        return _form(data.next, "This token is unknown or has expired.", status=403)
    return await _welcome(state, f"{OF}{key.name}", own_path(data.next))


@post("/logout", include_in_schema=False, guards=[require_session])
async def logout(request: PageRequest, state: State) -> Response[Any]:
    """End the session, here and in PostgreSQL."""
    keys: Keys = state.api_keys
    await keys.revoke(request.cookies[COOKIE])
    return Redirect("/login", status_code=303, cookies=[session_cookie(state.settings, "")])


def own_path(target: str) -> str:
    """The target if it is a path on this server, else the overview: a link must not lead elsewhere."""
    plain = target.isascii() and target.isprintable() and "\\" not in target
    return target if plain and target.startswith("/") and not target.startswith("//") else "/"


async def _welcome(state: State, name: str, target: str) -> Response[Any]:
    token = await state.api_keys.open_session(name)
    return Redirect(target, status_code=303, cookies=[session_cookie(state.settings, token)])


def _form(next: str, wrong: str = "", *, status: int = 200) -> Response[Any]:
    return page("login.html", status=status, next=own_path(next), wrong=wrong, signed_in=False)


handlers = [login_page, login, logout]
