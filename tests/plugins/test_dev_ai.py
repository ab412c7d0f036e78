"""The AI stand-in, served as in development, asked by the real step."""

import asyncio
import socket
from collections.abc import AsyncIterator
from typing import Any

import httpx
import jsonschema
import msgspec
import pytest
import uvicorn
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.dev_ai import create_dev_ai_app
from engine.dev_ai.answers import answer_schema
from engine.testing import run_step

ISSUES = [
    ("App crashes with a traceback when I click save", "bug"),
    ("Please add support for dark mode, it would be nice", "feature"),
    ("How do I configure the port?", "question"),
    ("Typo in the README", "documentation"),
]


@pytest.fixture
async def stand_in() -> AsyncIterator[str]:
    """Its base URL."""
    listener = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(create_dev_ai_app(), log_config=None, lifespan="off", ws="none")
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    yield f"http://127.0.0.1:{listener.getsockname()[1]}/v1"
    server.should_exit = True
    await serving


@pytest.mark.parametrize(("text", "label"), ISSUES)
async def test_it_classifies_by_keywords(stand_in: str, text: str, label: str) -> None:
    """The real step gets data that fits its schema, the same for the same question."""
    schema = {
        "type": "object",
        "properties": {
            "label": {"enum": ["bug", "feature", "question", "documentation"]},
            "summary": {"type": "string", "maxLength": 80},
            "confidence": {"type": "number", "minimum": 0, "maximum": 1},
        },
        "required": ["label", "summary", "confidence"],
        "additionalProperties": False,
    }
    with_ = {"prompt": "Which label fits?", "input": {"title": text}, "schema": schema, "model": "gpt-x"}
    options = {"ai.base_url": stand_in}
    first = await run_step("ai.complete", with_, options=options)
    again = await run_step("ai.complete", with_, options=options)
    assert first.output == again.output
    assert first.output["json"]["label"] == label
    assert first.output["json"]["summary"].startswith("[stand-in] ")
    assert first.output["model"] == "dev-ai/gpt-x"
    assert first.output["usage"]["total_tokens"] > 0


async def test_every_answer_is_labelled(stand_in: str) -> None:
    """Header, model and text say that this is no model."""
    async with httpx.AsyncClient(trust_env=False) as client:
        question = {"model": "m", "messages": [{"role": "user", "content": "What is the meaning of life?"}]}
        answers = [
            await client.post(f"{stand_in}/chat/completions", json=question),
            await client.post(f"{stand_in}/chat/completions", content=b"{"),
            await client.get(f"{stand_in}/models"),
            await client.get(f"{stand_in}/nothing"),
            await client.post(f"{stand_in}/embeddings", json={"input": "a"}),
        ]
    assert [answer.status_code for answer in answers] == [200, 400, 200, 404, 200]
    assert all(answer.headers["x-hookwright-dev-ai"] == "1" for answer in answers)
    text = answers[0].json()["choices"][0]["message"]["content"]
    assert "not a real model" in text
    assert "meaning of life" in text
    assert "not a real model" in answers[1].json()["error"]["message"]
    assert answers[4].json()["model"] == "dev-ai/embedding"


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("chat/completions", []),
        ("chat/completions", {}),
        ("chat/completions", {"messages": []}),
        ("chat/completions", {"messages": ["x"]}),
        ("chat/completions", {"messages": [{"role": "user", "content": "x"}], "stream": True}),
        ("embeddings", {"input": [1]}),
        ("embeddings", {"input": "a", "dimensions": 0}),
    ],
)
async def test_wrong_requests_get_an_error_in_openais_form(stand_in: str, path: str, body: Any) -> None:
    """400 with error.message, never a crash."""
    async with httpx.AsyncClient(trust_env=False) as client:
        answer = await client.post(f"{stand_in}/{path}", json=body)
    assert answer.status_code == 400
    assert answer.json()["error"]["message"]


async def test_embeddings_are_near_where_words_are_shared(stand_in: str) -> None:
    """Vectors have length one; texts that share words are nearer than texts that do not."""
    texts = ["the app crashes on save", "app crashes on start", "please send the invoice"]
    async with httpx.AsyncClient(trust_env=False) as client:
        answer = await client.post(f"{stand_in}/embeddings", json={"input": texts})
    first, second, third = (item["embedding"] for item in answer.json()["data"])

    def product(a: list[float], b: list[float]) -> float:
        return sum(x * y for x, y in zip(a, b, strict=True))

    assert product(first, first) == pytest.approx(1)
    assert product(first, second) > product(first, third)


NUMBERS = st.fixed_dictionaries(
    {"type": st.sampled_from(["integer", "number"])}, optional={"minimum": st.integers(0, 5)}
)
TEXTS = st.fixed_dictionaries({"type": st.just("string")}, optional={"maxLength": st.integers(5, 50)})
LEAVES = st.one_of(
    NUMBERS,
    TEXTS,
    st.just({"type": "boolean"}),
    st.fixed_dictionaries({"enum": st.lists(st.text(), min_size=1, max_size=4)}),
    st.just({"type": ["string", "null"]}),
    st.just({"const": 5}),
    st.just({"type": "null"}),
)


def objects(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Closed objects, and lists, of inner schemas."""
    lists = st.fixed_dictionaries({"type": st.just("array"), "items": inner}, optional={"minItems": st.integers(0, 3)})
    closed = st.dictionaries(st.sampled_from("abcd"), inner, max_size=3).map(
        lambda fields: {
            "type": "object",
            "properties": fields,
            "required": list(fields),
            "additionalProperties": False,
        }
    )
    return st.one_of(lists, closed, st.fixed_dictionaries({"anyOf": st.lists(inner, min_size=1, max_size=2)}))


@settings(max_examples=200, deadline=None)
@given(schema=st.recursive(LEAVES, objects, max_leaves=6), question=st.text())
def test_answers_fit_their_schema(schema: dict[str, Any], question: str) -> None:
    """Whatever ordinary schema is asked for, the answer satisfies it."""
    jsonschema.Draft202012Validator(schema).validate(
        msgspec.json.decode(msgspec.json.encode(answer_schema(schema, question)))
    )


def test_schemas_that_refer_to_themselves_end() -> None:
    """A tree of trees is cut off, not followed for ever."""
    schema = {
        "$defs": {
            "tree": {"type": "object", "properties": {"child": {"$ref": "#/$defs/tree"}, "n": {"type": "integer"}}}
        },
        "$ref": "#/$defs/tree",
    }
    assert answer_schema(schema, "x")["n"] == 0
