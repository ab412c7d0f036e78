"""The signature schemes of this process by name: how a trigger finds those that other plugins brought.

The plugin host adds each scheme as it is registered; `webhook` triggers resolve their `auth:` here.
"""

import difflib
from collections.abc import Mapping
from typing import Any

import msgspec

from engine.core.catalog import Scheme

MOST = 1000  # resolved auths kept; a deployment has a few dozen

_schemes: dict[str, Scheme] = {}
_resolved: dict[bytes, tuple[Scheme, Any]] = {}


def add_scheme(scheme: Scheme) -> None:
    """Make a scheme known. Loading the plugins again replaces what was known by that name."""
    _schemes[scheme.name] = scheme
    _resolved.clear()


def scheme_names() -> list[str]:
    """What may stand in `auth:`."""
    return sorted(_schemes)


def resolve_auth(auth: Mapping[str, Any]) -> tuple[Scheme, Any]:
    """The scheme and its validated config of `{scheme: config}`. ValueError says what is wrong with it."""
    key = msgspec.json.encode(auth)
    found = _resolved.get(key)
    if found is None:
        if len(_resolved) >= MOST:
            _resolved.clear()
        found = _resolved[key] = _resolve(auth)
    return found


def _resolve(auth: Mapping[str, Any]) -> tuple[Scheme, Any]:
    if len(auth) != 1:
        raise ValueError(f"`auth` names one scheme: {', '.join(scheme_names())}; or the word none")
    ((name, raw),) = auth.items()
    scheme = _schemes.get(name)
    if scheme is None:
        near = difflib.get_close_matches(name, _schemes, 1)
        hint = f"did you mean `{near[0]}`?" if near else f"there are {', '.join(scheme_names())}"
        raise ValueError(f"there is no signature scheme `{name}`: {hint}")
    try:
        return scheme, msgspec.convert(scheme.settings(raw), scheme.config)
    except msgspec.ValidationError as error:
        raise ValueError(f"`auth.{name}`: {error}") from None
