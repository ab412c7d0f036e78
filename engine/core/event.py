"""Deliveries as they arrive and events as they are kept."""

import email.message
import email.parser
import email.policy
from datetime import datetime
from typing import Any
from urllib.parse import parse_qsl
from uuid import UUID

import msgspec


class Delivery(msgspec.Struct, frozen=True):
    """One HTTP request as it arrived on /hooks/..., before anything is believed."""

    method: str
    path: str  # below /hooks/, without leading slash
    query: str  # raw, without "?"
    headers: dict[str, str]  # lower-case names; repeated headers joined with ", "
    body: bytes
    received_at: datetime
    path_params: dict[str, str] = {}

    def header(self, name: str) -> str:
        """The header's value, or an empty text if it was not sent. Name in lower case."""
        return self.headers.get(name, "")


class Event(msgspec.Struct, frozen=True):
    """The accepted fact: what is stored, once."""

    id: UUID
    source: str
    type: str
    received_at: datetime
    method: str = "POST"
    path: str = ""
    query: str = ""
    headers: dict[str, str] = {}
    path_params: dict[str, str] = {}
    body: bytes = b""
    delivery_id: str | None = None
    replay_of: UUID | None = None


def view(event: Event) -> dict[str, Any]:
    """The event as expressions see it: `id, source, type, time, headers, query, path_params, body`."""
    return {
        "id": str(event.id),
        "source": event.source,
        "type": event.type,
        "time": event.received_at.isoformat().replace("+00:00", "Z"),
        "headers": event.headers,
        "query": _pairs(parse_qsl(event.query, keep_blank_values=True)),
        "path_params": event.path_params,
        "body": parse_body(event.headers.get("content-type", ""), event.body),
    }


def parse_body(content_type: str, body: bytes) -> Any:
    """JSON or form fields if the content type says so and the body agrees; otherwise text. Never raises.

    Bytes that are not UTF-8 become U+FFFD in the text; the stored body keeps them.
    """
    kind = content_type.partition(";")[0].strip().lower()
    if kind == "application/json" or kind.endswith("+json") or kind == "":
        try:
            return msgspec.json.decode(body)
        except (ValueError, RecursionError):
            return body.decode("utf-8", "replace")
    if kind == "application/x-www-form-urlencoded":
        try:
            return _pairs(parse_qsl(body.decode(), keep_blank_values=True, strict_parsing=bool(body)))
        except ValueError:
            return body.decode("utf-8", "replace")
    if kind == "multipart/form-data":
        return _multipart(content_type, body)
    return body.decode("utf-8", "replace")


def _pairs(pairs: list[tuple[str, str]]) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    for name, value in pairs:
        if name not in fields:
            fields[name] = value
        elif isinstance(fields[name], list):
            fields[name].append(value)
        else:
            fields[name] = [fields[name], value]
    return fields


def _multipart(content_type: str, body: bytes) -> Any:
    raw = b"Content-Type: " + content_type.encode("latin-1", "replace") + b"\r\n\r\n" + body
    message = email.parser.BytesParser(policy=email.policy.HTTP).parsebytes(raw)
    if not message.is_multipart():
        return body.decode("utf-8", "replace")
    pairs: list[tuple[str, Any]] = []
    for part in message.iter_parts():
        name = part.get_param("name", header="content-disposition")
        if isinstance(name, str):
            pairs.append((name, _part(part)))
    return _pairs(pairs)


def _part(part: email.message.Message) -> Any:
    payload = part.get_payload(decode=True)
    data = payload if isinstance(payload, bytes) else b""
    filename = part.get_filename()
    if filename is None:
        return data.decode("utf-8", "replace")
    return {"filename": filename, "content_type": part.get_content_type(), "size": len(data)}
