"""Secrets travel by name and show themselves to nobody."""

from typing import Any

import msgspec
import pytest

from engine.pipeline.expression import (
    ExpressionError,
    Secret,
    compile_template,
    from_stored,
    parse_expression,
    reveal,
    to_stored,
)

VALUES = {"TOKEN": "t0ken", "USER": "mia"}


def lookup(name: str) -> str:
    return VALUES[name]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("${{ secrets.TOKEN }}", "t0ken"),
        ("Bearer ${{ secrets.TOKEN }}", "Bearer t0ken"),
        ("${{ 'Bearer ' ~ secrets.TOKEN ~ event.x }}", "Bearer t0ken1"),
        ("${{ (secrets.USER ~ ':' ~ secrets.TOKEN) | b64encode }}", "bWlhOnQwa2Vu"),
        ("Basic ${{ (secrets.USER ~ ':') | b64encode }}!", "Basic bWlhOg==!"),
        ("${{ 'text' | hmac(secrets.TOKEN) }}", "e7c86dbe10c1a1dfdd0983ad3e710a4f416ba1c3e1391d8249e7dfb05a1ba241"),
        ("v1=${{ secrets.USER | hmac('key', 'sha1') }}", "v1=8654d1a26ae527704c226c514f337d6779643160"),
        ("${{ secrets.TOKEN if event.x == 1 else secrets.USER }}", "t0ken"),
        ("${{ secrets.TOKEN ?? '' }}", "t0ken"),
        ("${{ [secrets.TOKEN, 'a'] }}", ["t0ken", "a"]),
        ("${{ object(a=secrets.TOKEN) }}", {"a": "t0ken"}),
        ({"a": ["${{ secrets.TOKEN }}"], "b": "${{ event }}"}, {"a": ["t0ken"], "b": {"x": 1}}),
    ],
)
def test_secrets_can_be_passed_on(value: Any, text: Any) -> None:
    """Joined, encoded, in lists and objects; stored and restored as references."""
    rendered = compile_template(value).render({"event": {"x": 1}})
    assert reveal(rendered, lookup) == text
    stored = to_stored(rendered)
    assert "t0ken" not in msgspec.json.encode(stored).decode()
    restored = from_stored(msgspec.json.decode(msgspec.json.encode(stored)))
    assert restored == rendered
    assert reveal(restored, lookup) == text
    assert "TOKEN" not in repr(rendered)


@pytest.mark.parametrize(
    "source",
    [
        "secrets.TOKEN == 'x'",
        "[secrets.TOKEN] == ['x']",
        "'x' in [secrets.TOKEN]",
        "secrets.TOKEN < 'x'",
        "secrets.TOKEN | upper",
        "secrets.TOKEN | length",
        "(secrets.TOKEN ~ '') | sha256",
        "[secrets.TOKEN] | join(',')",
        "object(a=secrets.TOKEN) | to_json",
        "[secrets.TOKEN] | map(s => s | upper)",
        "[secrets.TOKEN] | unique",
        "secrets.TOKEN + 'x'",
        "secrets.TOKEN * 2",
        "'a' | replace('a', secrets.TOKEN)",
        "'x' | contains(secrets.TOKEN)",
        "not secrets.TOKEN",
        "1 if secrets.TOKEN else 2",
        "secrets.TOKEN | demo",
        "[secrets.TOKEN] | demo",
        "-secrets.TOKEN",
        "[object(k=secrets.TOKEN)] | group_by('k')",
        "[object(k=secrets.TOKEN)] | sort_by('k')",
        "secrets.TOKEN | date",
        "secrets.TOKEN | string",
        "[secrets.TOKEN, 'a'] | max",
        "object(a=secrets.TOKEN) | urlencode",
        "[secrets.TOKEN][0] | upper",
    ],
)
def test_secrets_cannot_be_looked_into(source: str) -> None:
    """No comparison, no filter, no text: an error that does not even know the value."""
    with pytest.raises(ExpressionError):
        parse_expression(source, filters={"demo": str}).evaluate({"s": 1})


def test_what_looks_like_a_reference_in_a_payload_stays_data() -> None:
    """A sender cannot ask for a secret by spelling how we store one."""
    body = {"a": {"$secret": "TOKEN"}, "b": {"$plain": {"$secret": ["x"]}}, "c": [{"$secret": {"name": "TOKEN"}}]}
    rendered = compile_template({"body": "${{ event.body }}", "t": "${{ secrets.USER }}"}).render(
        {"event": {"body": body}}
    )
    stored = to_stored(rendered)
    restored = from_stored(stored)
    assert restored == rendered
    assert reveal(restored, lookup) == {"body": body, "t": "mia"}


def test_values_without_secrets_are_not_copied() -> None:
    """The usual case costs one look."""
    value = {"a": [1, {"b": "x"}]}
    assert reveal(value, lookup) is value
    assert to_stored(value) is value


def test_a_secret_is_not_a_text() -> None:
    """So that nothing takes it for one by accident."""
    secret = compile_template("${{ secrets.TOKEN }}").render({})
    assert isinstance(secret, Secret)
    assert not isinstance(secret, str)
    assert repr(secret) == str(secret) == "Secret(***)"
    assert secret.names == {"TOKEN"}
    with pytest.raises(TypeError):
        msgspec.json.encode(secret)


def test_a_missing_secret_is_the_lookups_affair() -> None:
    """Whatever it raises comes through."""
    with pytest.raises(KeyError):
        reveal(compile_template(["${{ secrets.GONE }}"]).render({}), lookup)


def test_deep_values_can_be_stored() -> None:
    """No recursion: payloads may be nested deeper than Python's stack."""
    deep: Any = "${{ x }}"
    for _ in range(50_000):
        deep = [deep]
    value = {"deep": deep, "secret": compile_template("${{ secrets.TOKEN }}").render({})}
    copy = from_stored(to_stored(value))
    assert reveal(copy, lookup)["secret"] == "t0ken"
    for tree in (value["deep"], copy["deep"]):
        node = tree
        while isinstance(node, list):
            node = node.pop()
