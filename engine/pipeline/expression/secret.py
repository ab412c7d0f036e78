"""Tainted text: secrets travel through expressions by name and are revealed at the last moment."""

import base64
import hashlib
import hmac
from collections.abc import Callable, Iterable
from typing import Any

import msgspec

MARK = "$secret"  # {"$secret": NAME} in stored values
PLAIN = "$plain"  # {"$plain": {...}}: an object from outside that only looks like one of ours


class SecretName(msgspec.Struct, frozen=True):
    """One secret, by name."""

    name: str


class Encoded(msgspec.Struct, frozen=True):
    """Parts that are encoded in base64 once they are revealed."""

    parts: tuple["Part", ...]


class Signed(msgspec.Struct, frozen=True):
    """The HMAC of parts under a key, in hexadecimal, made once they are revealed."""

    parts: tuple["Part", ...]
    key: tuple["Part", ...]
    algorithm: str  # one of ALGORITHMS


Part = str | SecretName | Encoded | Signed
ALGORITHMS = ("sha256", "sha1", "sha512")


class Secret:
    """Text that contains secrets. It is not a `str`, prints as ``Secret(***)`` and cannot be compared with values."""

    __slots__ = ("parts",)

    def __init__(self, parts: Iterable[Part]) -> None:
        self.parts: tuple[Part, ...] = tuple(parts)

    def __repr__(self) -> str:
        return "Secret(***)"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other.parts == self.parts

    def __hash__(self) -> int:
        return hash(self.parts)

    @property
    def names(self) -> frozenset[str]:
        """The secrets in it."""
        return frozenset(_names(self.parts))

    def encoded(self) -> "Secret":
        """The same, as base64."""
        return Secret((Encoded(self.parts),))

    @classmethod
    def signed(cls, text: "str | Secret", key: "str | Secret", algorithm: str) -> "Secret":
        """The HMAC of the text under the key; at least one of them is a secret."""
        return cls((Signed(_parts(text), _parts(key), algorithm),))

    def reveal(self, lookup: Callable[[str], str]) -> str:
        """The text, with the values that lookup returns."""
        return _reveal(self.parts, lookup)

    def stored(self) -> dict[str, Any]:
        """What is stored in its place: ``{"$secret": NAME}`` or ``{"$secret": [parts]}``."""
        if len(self.parts) == 1 and isinstance(self.parts[0], SecretName):
            return {MARK: self.parts[0].name}
        return {MARK: _stored(self.parts)}


def sign(text: str, key: str, algorithm: str) -> str:
    """The HMAC (RFC 2104) in hexadecimal; text and key as UTF-8."""
    return hmac.new(key.encode(), text.encode(), getattr(hashlib, algorithm)).hexdigest()


def join(pieces: Iterable["str | Secret"]) -> "str | Secret":
    """The pieces as one text, tainted if one of them is."""
    parts: list[Part] = []
    tainted = False
    for piece in pieces:
        if isinstance(piece, Secret):
            tainted = True
            parts.extend(piece.parts)
        elif parts and isinstance(parts[-1], str):
            parts[-1] += piece
        else:
            parts.append(piece)
    if tainted:
        return Secret(part for part in parts if part != "")
    return "".join(part for part in parts if isinstance(part, str))


def reveal(value: Any, lookup: Callable[[str], str]) -> Any:
    """A copy of the value in which every secret is its text. Values without secrets are returned as they are."""
    if isinstance(value, Secret):
        return value.reveal(lookup)
    if not has_secret(value):
        return value
    return _rebuild(value, lambda leaf: leaf.reveal(lookup) if isinstance(leaf, Secret) else leaf, None)


def to_stored(value: Any) -> Any:
    """The value as JSON-plain data; secrets become references. Reverse: from_stored.

    An object from outside that spells ``{"$secret": ...}`` is wrapped, so that it never becomes a secret.
    """
    if not _needs_storing(value):
        return value
    return _rebuild(value, lambda leaf: leaf.stored() if isinstance(leaf, Secret) else leaf, _wrap)


def from_stored(value: Any) -> Any:
    """The value as it was before to_stored."""
    root: list[Any] = [None]
    work: list[tuple[Any, Any, Any]] = [(value, root, 0)]
    while work:
        item, target, key = work.pop()
        if isinstance(item, dict):
            if len(item) == 1 and MARK in item:
                target[key] = _from_mark(item[MARK])
                continue
            if len(item) == 1 and PLAIN in item and isinstance(item[PLAIN], dict):
                item = item[PLAIN]
            target[key] = _fill({}, item, work)
        elif isinstance(item, list | tuple):
            target[key] = _fill([None] * len(item), item, work)
        else:
            target[key] = item
    return root[0]


def has_secret(value: Any) -> bool:
    """Whether a secret is anywhere in the value."""
    work = [value]
    while work:
        item = work.pop()
        if isinstance(item, Secret):
            return True
        if isinstance(item, dict):
            work.extend(item.values())
        elif isinstance(item, list | tuple):
            work.extend(item)
    return False


def _needs_storing(value: Any) -> bool:
    work = [value]
    while work:
        item = work.pop()
        if isinstance(item, Secret):
            return True
        if isinstance(item, dict):
            if len(item) == 1 and (MARK in item or PLAIN in item):
                return True
            work.extend(item.values())
        elif isinstance(item, list | tuple):
            work.extend(item)
    return False


def _rebuild(
    value: Any, leaf: Callable[[Any], Any], wrap: Callable[[dict[str, Any], dict[str, Any]], Any] | None
) -> Any:
    """Copy a tree without recursion; payloads may be nested deeper than Python's stack."""
    root: list[Any] = [None]
    work: list[tuple[Any, Any, Any]] = [(value, root, 0)]
    while work:
        item, target, key = work.pop()
        if isinstance(item, dict):
            copy = _fill({}, item, work)
            target[key] = wrap(item, copy) if wrap else copy
        elif isinstance(item, list | tuple):
            target[key] = _fill([None] * len(item), item, work)
        else:
            target[key] = leaf(item)
    return root[0]


def _fill(copy: Any, item: Any, work: list[tuple[Any, Any, Any]]) -> Any:
    if isinstance(item, dict):
        for key in item:
            copy[key] = None  # keeps the order; the values follow
        work.extend((child, copy, key) for key, child in item.items())
    else:
        work.extend((child, copy, index) for index, child in enumerate(item))
    return copy


def _wrap(item: dict[str, Any], copy: dict[str, Any]) -> dict[str, Any]:
    if len(item) == 1 and (MARK in item or PLAIN in item):
        return {PLAIN: copy}
    return copy


def _parts(text: "str | Secret") -> tuple[Part, ...]:
    return text.parts if isinstance(text, Secret) else (text,)


def _names(parts: Iterable[Part]) -> Iterable[str]:
    for part in parts:
        if isinstance(part, SecretName):
            yield part.name
        elif isinstance(part, Encoded):
            yield from _names(part.parts)
        elif isinstance(part, Signed):
            yield from _names((*part.parts, *part.key))


def _reveal(parts: Iterable[Part], lookup: Callable[[str], str]) -> str:
    texts: list[str] = []
    for part in parts:
        if isinstance(part, str):
            texts.append(part)
        elif isinstance(part, SecretName):
            texts.append(lookup(part.name))
        elif isinstance(part, Signed):
            texts.append(sign(_reveal(part.parts, lookup), _reveal(part.key, lookup), part.algorithm))
        else:
            texts.append(base64.b64encode(_reveal(part.parts, lookup).encode()).decode())
    return "".join(texts)


def _stored(parts: Iterable[Part]) -> list[Any]:
    stored: list[Any] = []
    for part in parts:
        if isinstance(part, str):
            stored.append(part)
        elif isinstance(part, SecretName):
            stored.append({"name": part.name})
        elif isinstance(part, Signed):
            stored.append({"hmac": _stored(part.parts), "key": _stored(part.key), "algorithm": part.algorithm})
        else:
            stored.append({"b64encode": _stored(part.parts)})
    return stored


def _from_mark(mark: Any) -> Secret:
    if isinstance(mark, str):
        return Secret((SecretName(mark),))
    return Secret(_from_parts(mark))


def _from_parts(parts: Iterable[Any]) -> Iterable[Part]:
    for part in parts:
        if isinstance(part, str):
            yield part
        elif "name" in part:
            yield SecretName(part["name"])
        elif "hmac" in part:
            yield Signed(tuple(_from_parts(part["hmac"])), tuple(_from_parts(part["key"])), part["algorithm"])
        else:
            yield Encoded(tuple(_from_parts(part["b64encode"])))
