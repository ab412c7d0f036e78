"""The deployed set, schedules, keys and documents."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from engine.store import InvalidData, PipelineRow, Store

NOW = datetime(2030, 1, 1, 12, 0, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


async def test_versions_are_kept_once(store: Store) -> None:
    """The same hash again changes nothing; bytes come back as they were."""
    await store.upsert_version("h1", "triage", b"\x00source")
    await store.upsert_version("h1", "triage", b"other")
    assert await store.get_version("h1") == b"\x00source"


async def test_deployed_set_is_replaced_as_a_whole(store: Store) -> None:
    """What is not in the new set is gone; the revision tells."""
    first = [
        PipelineRow(id="b", version="v1", name="B", triggers=b'[{"id": "t"}]', problem="line 3"),
        PipelineRow(id="a", version="v1", name="A", enabled=False, file="a.yaml", description="d"),
    ]
    empty = await store.deployment_revision()
    await store.set_pipelines(first)
    assert await store.list_pipelines() == [first[1], first[0]]
    before = await store.deployment_revision()
    await store.set_pipelines(first)
    assert await store.deployment_revision() == before != empty
    second = [PipelineRow(id="a", version="v2", name="A")]
    await store.set_pipelines(second)
    assert await store.list_pipelines() == second
    assert await store.deployment_revision() != before
    await store.set_pipelines([])
    assert await store.list_pipelines() == []


async def test_schedules_follow_the_deployment(store: Store) -> None:
    """A schedule that stays keeps its time, a changed one gets the new one, a vanished one goes."""
    await store.sync_schedules([("a", "t", "* * * * *", NOW), ("b", "t", "0 * * * *", NOW)])
    await store.sync_schedules([("a", "t", "* * * * *", NOW + MINUTE), ("b", "t", "5 * * * *", NOW + MINUTE)])
    assert await store.due_schedules(NOW) == [("a", "t", "* * * * *", NOW)]
    assert [row.pipeline for row in await store.due_schedules(NOW + MINUTE)] == ["a", "b"]
    await store.sync_schedules([])
    assert await store.due_schedules(NOW + MINUTE) == []


async def test_schedule_is_advanced_once(store: Store) -> None:
    """Of several schedulers one moves it on."""
    await store.sync_schedules([("a", "t", "* * * * *", NOW)])
    moves = [store.advance_schedule("a", "t", expected=NOW, next_at=NOW + MINUTE) for _ in range(5)]
    assert sorted(await asyncio.gather(*moves)) == [False] * 4 + [True]
    assert await store.due_schedules(NOW) == []
    assert [row.next_at for row in await store.due_schedules(NOW + MINUTE)] == [NOW + MINUTE]


async def test_api_key_is_found_by_its_token_only(store: Store) -> None:
    """The table holds no token; a revoked one is unknown."""
    token = await store.create_api_key("ci", "token", None)
    key = await store.find_api_key(token)
    assert key is not None
    assert (key.name, key.kind, key.expires_at) == ("ci", "token", None)
    assert await store.find_api_key(token + "x") is None
    assert await store.find_api_key("\0\ud800") is None
    rows = await store._database.fetch("select api_key::text as text from api_key")
    assert token not in rows[0]["text"]
    assert [row.id for row in await store.list_api_keys()] == [key.id]
    assert await store.revoke_api_key(token)
    assert not await store.revoke_api_key(token)
    assert await store.find_api_key(token) is None


async def test_api_key_is_revoked_by_its_id(store: Store) -> None:
    """People do not keep tokens."""
    token = await store.create_api_key("ci", "token", None)
    [key] = await store.list_api_keys()
    assert await store.revoke_api_key(str(key.id))
    assert await store.find_api_key(token) is None


async def test_expired_key_is_unknown(store: Store) -> None:
    """And pruned in time."""
    token = await store.create_api_key("old", "session", datetime.now(UTC) - MINUTE)
    assert await store.find_api_key(token) is None
    assert await store.list_api_keys() == []
    assert await store.prune_kv() == 1


async def test_login_code_works_once(store: Store) -> None:
    """Of two browsers at once one gets in; another kind of key does not."""
    code = await store.create_api_key("login", "login", datetime.now(UTC) + MINUTE)
    assert not await store.redeem_api_key(code, "token")
    assert sorted(await asyncio.gather(*[store.redeem_api_key(code, "login") for _ in range(3)])) == [
        False,
        False,
        True,
    ]


@pytest.mark.parametrize("value", [None, 1.5, "text", [1, {"a": None}], {"ä": "☃", "n": 12345678901234567890}])
async def test_document_comes_back_as_it_was(store: Store, value: Any) -> None:
    """Anything JSON can hold."""
    await store.documents.put("c", "k", value)
    assert await store.documents.get("c", "k") == (True, value)
    await store.documents.put("c", "k", "newer")
    assert await store.documents.get("c", "k") == (True, "newer")
    assert await store.documents.get("other", "k") == (False, None)
    assert await store.documents.delete("c", "k")
    assert not await store.documents.delete("c", "k")


async def test_document_expires(store: Store) -> None:
    """It is not there any more, whether pruned yet or not."""
    await store.documents.put("c", "old", 1, ttl=-1.0)
    await store.documents.put("c", "new", 2, ttl=60.0)
    assert await store.documents.get("c", "old") == (False, None)
    rows = await store.documents.query("c", {}, prefix="", limit=10, newest_first=False)
    assert [row["key"] for row in rows] == ["new"]
    assert await store.prune_kv() == 1
    await store.documents.put("c", "old", 1, ttl=-1.0)
    assert not await store.documents.delete("c", "old")
    assert await store.prune_kv() == 0


async def test_documents_are_found_by_content_and_prefix(store: Store) -> None:
    """In the order of keys, or the newest first."""
    for number in range(5):
        await store.documents.put("c", f"issue-{number}", {"even": number % 2 == 0, "deep": {"n": [number]}})
    await store.documents.put("c", "other_1%", {"even": True})

    async def keys(where: dict[str, Any], **options: Any) -> list[str]:
        values = {"prefix": "", "limit": 100, "newest_first": False, **options}
        return [row["key"] for row in await store.documents.query("c", where, **values)]

    assert await keys({}, prefix="issue-") == [f"issue-{number}" for number in range(5)]
    assert await keys({}, prefix="other_1%") == ["other_1%"]
    assert await keys({}, prefix="%") == []
    assert await keys({"even": True}, prefix="issue-") == ["issue-0", "issue-2", "issue-4"]
    assert await keys({"deep": {"n": [3]}}) == ["issue-3"]
    assert await keys({}, newest_first=True, limit=2) == ["other_1%", "issue-4"]
    assert await keys({"x": "\0"}) == []


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("k", {"a": [1, {"b": "x\0y"}]}, r"value\.a\[1\]\.b contains the character NUL"),
        ("k", {"a\0": 1}, "a key of value contains the character NUL"),
        ("k\0", 1, "the key contains the character NUL"),
        ("k" * 501, 1, "the key is longer than 500 characters"),
    ],
)
async def test_document_that_cannot_be_held_is_explained(store: Store, key: str, value: Any, message: str) -> None:
    """The message names the place."""
    with pytest.raises(InvalidData, match=message):
        await store.documents.put("c", key, value)


async def test_text_that_looks_like_an_escaped_nul_is_kept(store: Store) -> None:
    """A backslash followed by u0000 is six harmless characters."""
    await store.documents.put("c", "k", "\\u0000")
    assert await store.documents.get("c", "k") == (True, "\\u0000")
