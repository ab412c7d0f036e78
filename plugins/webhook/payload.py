"""What senders put into their payloads: field names and kinds, for the checker and the editor.

The tables in payloads/ are compact: `"string?"` may be null, `"@user"` is a definition, `["integer"]` a list and
`["integer", "?"]` one that may be null, `{"*": kind}` a map with any keys, `{"?": true, ...}` an object that may be
null. Senders add fields when they like, so every object is open.
"""

import functools
from pathlib import Path
from typing import Any

import msgspec

FOLDER = Path(__file__).with_name("payloads")
DEPTH = 12  # definitions within definitions; beyond, anything goes
Schema = dict[str, Any]


@functools.cache
def github_payload(event_type: str) -> Schema | None:
    """The JSON Schema of the payload of `issues.opened`, or of all actions of `issues`; None if it is unknown."""
    table = _table("github")
    events = table["events"]
    names = [event_type] if event_type in events else [name for name in events if name.startswith(f"{event_type}.")]
    if not names:
        return None
    return functools.reduce(_either, (_expand(events[name], table["defs"], DEPTH) for name in names))


@functools.cache
def stripe_payload(event_type: str) -> Schema | None:
    """The JSON Schema of a Stripe event such as `invoice.paid`; None if its object is unknown."""
    table = _table("stripe")
    kind, _, _ = event_type.rpartition(".")
    if kind not in table["objects"]:
        return None
    data = {"object": f"@{table['objects'][kind]}", "previous_attributes": "object"}
    return _expand({**table["event"], "data": data}, table["defs"], DEPTH)


def slack_payload(event_type: str) -> Schema | None:
    """The JSON Schema of a delivery of Slack's Events API: https://docs.slack.dev/apis/events-api/"""
    table = _table("slack")
    return _expand(table["event"], table["defs"], DEPTH)


def _either(one: Schema, other: Schema) -> Schema:
    """What fits either: the fields of both; of two kinds, anything."""
    if one == other:
        return one
    if "properties" not in one or "properties" not in other:
        return {}
    fields, more = one["properties"], other["properties"]
    both = {name: _either(fields[name], more[name]) for name in fields if name in more}
    return {"type": one["type"], "properties": {**fields, **more, **both}}


@functools.cache
def _table(name: str) -> dict[str, Any]:
    return dict(msgspec.json.decode((FOLDER / f"{name}.json").read_bytes()))


def _expand(kind: Any, definitions: dict[str, Any], depth: int) -> Schema:
    """A kind of the tables as JSON Schema."""
    if isinstance(kind, list):
        items = _expand(kind[0], definitions, depth)
        return {"type": ["array", "null"] if kind[1:] else "array", "items": items}
    if isinstance(kind, dict):
        if "*" in kind:
            return {"type": "object"}
        fields = {name: _expand(field, definitions, depth) for name, field in kind.items() if name != "?"}
        return {"type": ["object", "null"] if "?" in kind else "object", "properties": fields}
    name, nullable = kind.removesuffix("?"), kind.endswith("?")
    if name.startswith("@"):
        if not depth:
            return {}
        found = _expand(definitions[name[1:]], definitions, depth - 1)
        return {**found, "type": ["object", "null"]} if nullable and found.get("type") == "object" else found
    if name == "any":
        return {}
    return {"type": [name, "null"] if nullable else name}
