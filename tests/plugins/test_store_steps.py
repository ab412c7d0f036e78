"""store.put, store.get, store.query, store.delete on a real PostgreSQL, and on the test kit's stand-in."""

from typing import Any

import msgspec
import pytest

from engine.plugin import Documents
from engine.testing import MemoryDocuments, run_step


@pytest.fixture(params=["postgres", "memory"])
def documents(request: pytest.FixtureRequest) -> Documents:
    """Both implementations: they must behave alike."""
    if request.param == "memory":
        return MemoryDocuments()
    documents: Documents = request.getfixturevalue("store").documents
    return documents


async def output(documents: Documents, uses: str, **with_: Any) -> Any:
    """The step's output on the collection `things`."""
    return (await run_step(uses, {"collection": "things", **with_}, documents=documents)).output


async def test_a_document_is_put_read_replaced_and_deleted(documents: Documents) -> None:
    """One document's whole life."""
    value = {"label": "bug", "n": [1, 2.5, None], "t": "ü"}
    assert await output(documents, "store.get", key="k", default=0) == {"found": False, "value": 0}
    put = await output(documents, "store.put", key="k", value=value)
    assert put == {"collection": "things", "key": "k", "expires_in": None}
    assert await output(documents, "store.get", key="k") == {"found": True, "value": value}
    await output(documents, "store.put", key="k", value=None)
    assert await output(documents, "store.get", key="k", default=0) == {"found": True, "value": None}
    assert await output(documents, "store.delete", key="k") == {"deleted": True}
    assert await output(documents, "store.delete", key="k") == {"deleted": False}


async def test_queries_find_by_content_and_prefix(documents: Documents) -> None:
    """where is containment, prefix is about keys, order and limit do what they say."""
    for key, value in (
        ("a-1", {"s": "open", "tags": ["x", "y"]}),
        ("a-2", {"s": "done", "tags": []}),
        ("b-1", {"s": "open", "deep": {"er": 1, "more": 2}}),
    ):
        await output(documents, "store.put", key=key, value=value)

    async def keys(**with_: Any) -> list[str]:
        found = await output(documents, "store.query", **with_)
        assert found["count"] == len(found["documents"])
        return [document["key"] for document in found["documents"]]

    assert await keys() == ["a-1", "a-2", "b-1"]
    assert await keys(where={"s": "open"}) == ["a-1", "b-1"]
    assert await keys(where={"tags": ["y"]}) == ["a-1"]
    assert await keys(where={"deep": {"er": 1}}) == ["b-1"]
    assert await keys(where={"s": "lost"}) == []
    assert await keys(prefix="a-") == ["a-1", "a-2"]
    assert await keys(prefix="a%") == []
    assert await keys(order="newest") == ["b-1", "a-2", "a-1"]
    assert await keys(limit=1) == ["a-1"]
    found = await output(documents, "store.query", prefix="a-1")
    assert found["documents"][0]["value"] == {"s": "open", "tags": ["x", "y"]}
    assert found["documents"][0]["updated_at"].endswith(("Z", "+00:00"))


async def test_collections_do_not_see_each_other(documents: Documents) -> None:
    """The same key in another collection is another document."""
    await output(documents, "store.put", key="k", value=1)
    other = await run_step("store.get", {"collection": "other", "key": "k"}, documents=documents)
    assert other.output == {"found": False, "value": None}


async def test_an_expired_document_is_gone(documents: Documents) -> None:
    """ttl is said in the answer; what has expired is neither read, found nor deleted."""
    put = await output(documents, "store.put", key="k", value=1, ttl="1h")
    assert put["expires_in"] == 3600.0
    assert (await output(documents, "store.get", key="k"))["found"]
    await documents.put("things", "old", 1, ttl=-1)
    assert not (await output(documents, "store.get", key="old"))["found"]
    assert (await output(documents, "store.query"))["count"] == 1


@pytest.mark.parametrize(
    ("uses", "with_", "message"),
    [
        ("store.get", {"collection": "a b", "key": "k"}, "collection"),
        ("store.get", {"collection": "", "key": "k"}, "collection"),
        ("store.get", {"collection": "c", "key": ""}, "key"),
        ("store.get", {"collection": "c", "key": "a\x00b"}, "key"),
        ("store.put", {"collection": "c", "key": "k"}, "missing required field `value`"),
        ("store.put", {"collection": "c", "key": "k", "value": 1, "ttl": "5"}, "not a duration"),
        ("store.query", {"collection": "c", "limit": 1001}, "<= 1000"),
        ("store.query", {"collection": "c", "limit": 0}, ">= 1"),
        ("store.query", {"collection": "c", "order": "random"}, "enum"),
        ("store.query", {"collection": "c", "where": "x"}, "Expected `object`"),
    ],
)
async def test_wrong_config_is_named(uses: str, with_: dict[str, Any], message: str) -> None:
    """What is wrong in `with` is said before the database is asked."""
    with pytest.raises(msgspec.ValidationError, match=message):
        await run_step(uses, with_)
