"""Values with expressions in them."""

from typing import Any

import pytest

from engine.pipeline.expression import ExpressionError, compile_template
from engine.pipeline.expression.errors import Complaint

SCOPE = {"event": {"body": {"n": 5, "text": "hi", "list": [1, {"a": None}], "nothing": None, "yes": True, "f": 2.50}}}


@pytest.mark.parametrize(
    ("value", "rendered"),
    [
        ("${{ event.body.n }}", 5),
        ("  ${{ event.body.list }}\n", [1, {"a": None}]),
        ("${{ event.body.nothing }}", None),
        ("n=${{ event.body.n }}", "n=5"),
        ("${{ event.body.text }}${{ event.body.yes }}", "hitrue"),
        ("${{ event.body.f }}!", "2.5!"),
        ("${{ '}}' }}", "}}"),
        ("${{ 'a' ~ \"}} ${{\" }}", "a}} ${{"),
        ("$${{ event.body.n }}", "${{ event.body.n }}"),
        ("$${{ x }} ${{ event.body.n }}", "${{ x }} 5"),
        ("costs $5 {{ x }}", "costs $5 {{ x }}"),
        ({"a": ["${{ event.body.n }}", {"b": "x${{ event.body.n }}"}], "c": 1}, {"a": [5, {"b": "x5"}], "c": 1}),
        ([], []), (None, None), (1.5, 1.5), ("", ""),
    ],
)  # fmt: skip
def test_rendering(value: Any, rendered: Any) -> None:
    """A whole expression keeps its type, anything else is text."""
    result = compile_template(value).render(SCOPE)
    assert result == rendered
    assert type(result) is type(rendered)


@pytest.mark.parametrize(
    ("text", "message", "help"),
    [
        ("a ${{ event.body.nothing }}", "null cannot be put into text", "add `?? ''`"),
        ("a ${{ event.body.list }}", "a list cannot be put into text", "use `| to_json` or `| join(', ')`"),
        ("a ${{ event.body }}", "an object cannot be put into text", "use `| to_json` or `| join(', ')`"),
    ],
)
def test_what_is_no_text_cannot_be_joined(text: str, message: str, help: str) -> None:
    """The error says how to make a text of it."""
    with pytest.raises(ExpressionError) as caught:
        compile_template(text).render(SCOPE)
    assert (caught.value.message, caught.value.help) == (message, help)


def test_an_error_has_the_path_and_the_place_in_the_text() -> None:
    """At check time and at run time."""
    with pytest.raises(ExpressionError) as caught:
        compile_template({"a": ["x", "y ${{ 1 + }}"]})
    assert caught.value.path == ("a", 1)
    template = compile_template({"a": ["x", "y ${{ event.bdy }}"]})
    with pytest.raises(ExpressionError) as caught:
        template.render(SCOPE)
    assert caught.value.path == ("a", 1)
    assert caught.value.offset == (6, 15)


def test_all_errors_are_told_if_somebody_listens() -> None:
    """The checker wants every one."""
    errors: list[ExpressionError] = []
    compile_template({"a": "${{ 1 + }} ${{ x | nope }}", "b": "${{ (", "c": "fine"}, report=errors.append)
    assert [(error.path, error.offset) for error in errors] == [(("a",), (7, 8)), (("a",), (19, 23)), (("b",), (0, 3))]


def test_literal_templates_cost_nothing() -> None:
    """The value itself comes back."""
    value = {"a": [1, 2]}
    template = compile_template(value)
    assert template.literal
    assert template.render({}) is value
    assert not compile_template("${{ 1 }}").literal


def test_templates_know_what_they_use() -> None:
    """Roots, secrets, volatility."""
    template = compile_template(
        {"a": "${{ event.x }}", "b": ["${{ secrets.A }}-${{ secrets.B }}"], "c": "${{ now() }}"}
    )
    assert template.roots == {"event"}
    assert template.secrets == {"A", "B"}
    assert template.volatile
    assert not compile_template("${{ event.x }}").volatile


def files(path: str) -> str:
    known = {
        "prompts/a.md": "Be kind. ${{ not.evaluated }}",
        "mail.html.j2": "{% for x in xs %}<b>{{ x.name }}</b>{% endfor %}",
        "plain.j2": "{{ a.b.c }}",
        "broken.j2": "{% if %}",
        "heavy.j2": "{% for i in range(10000) %}{% for j in range(10000) %}x{% endfor %}{% endfor %}",
    }
    if path not in known:
        raise Complaint(f"there is no file `{path}`", code="E211")
    return known[path]


def test_file_is_text_and_not_evaluated() -> None:
    """It is read when the expression is compiled."""
    assert compile_template("${{ file('prompts/a.md') }}", files=files).render({}) == "Be kind. ${{ not.evaluated }}"


@pytest.mark.parametrize("source", ["file(event.x)", "file('a' ~ 'b')", "file()", "file('gone.md')", "file('a', 'b')"])
def test_a_file_is_named_literally_and_exists(source: str) -> None:
    """Otherwise its content could not be part of the version."""
    with pytest.raises(ExpressionError) as caught:
        compile_template("${{ " + source + " }}", files=files)
    assert caught.value.code in ("E202", "E211")


def test_a_jinja_file_gets_the_given_values_only() -> None:
    """HTML files are escaped."""
    template = compile_template("${{ template('mail.html.j2', xs=event.xs) }}", files=files)
    assert template.render({"event": {"xs": [{"name": "<i>"}, {"name": "b"}]}}) == "<b>&lt;i&gt;</b><b>b</b>"


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("template('mail.html.j2')", "mail.html.j2 uses `xs`, which is not given"),
        ("template('broken.j2')", "broken.j2:1: "),
        ("template('gone.j2')", "there is no file `gone.j2`"),
    ],
)
def test_a_jinja_file_is_checked_when_it_is_compiled(source: str, message: str) -> None:
    """Syntax and names."""
    with pytest.raises(ExpressionError) as caught:
        compile_template("${{ " + source + " }}", files=files)
    assert message in caught.value.message


def test_a_jinja_file_is_strict_bounded_and_cannot_change_data() -> None:
    """Missing values are errors, endless work is stopped."""
    data = {"a": {"b": {}}, "xs": [1]}
    for source in ("template('plain.j2', a=event.a)", "template('heavy.j2')"):
        with pytest.raises(ExpressionError) as caught:
            compile_template("${{ " + source + " }}", files=files).render({"event": data})
        assert caught.value.code == "E227"

    def sneaky(path: str) -> str:
        return "{{ xs.append(2) }}{{ a.clear() }}"

    with pytest.raises(ExpressionError):
        compile_template("${{ template('s.j2', xs=event.xs, a=event.a) }}", files=sneaky).render({"event": data})
    assert data == {"a": {"b": {}}, "xs": [1]}
