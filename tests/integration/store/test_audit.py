"""What was done by hand is kept and found again."""

from datetime import UTC, datetime, timedelta

from engine.core.ids import uuid7
from engine.store import AuditFilter, NewAudit, Store


async def test_the_trail_is_read_newest_first_page_by_page(store: Store) -> None:
    """Each entry appears once, with who, when and what."""
    run = uuid7()
    for number in range(5):
        await store.insert_audit([NewAudit(by="ci", action="run.cancel", run_id=run, detail={"number": number})])
    seen, cursor = [], None
    while True:
        rows, cursor = await store.list_audit(AuditFilter(run_id=run, limit=2, cursor=cursor))
        seen += rows
        if cursor is None:
            break
    assert [row.detail for row in seen] == [b'{"number":%d}' % number for number in (4, 3, 2, 1, 0)]
    assert abs(seen[0].at - datetime.now(UTC)) < timedelta(seconds=60)


async def test_filters_all_hold(store: Store) -> None:
    """By run, event, action, name and time."""
    run, event = uuid7(), uuid7()
    await store.insert_audit(
        [
            NewAudit(by="ann", action="run.retry", run_id=run),
            NewAudit(by="bob\0", action="event.replay", target="shop", event_id=event),
        ]
    )

    async def found(**wanted: object) -> list[str]:
        rows, _ = await store.list_audit(AuditFilter(**wanted))  # type: ignore[arg-type]
        return [row.action for row in rows]

    later = datetime.now(UTC) + timedelta(minutes=1)
    assert await found(run_id=run) == ["run.retry"]
    assert await found(event_id=event) == ["event.replay"]
    assert await found(action="run.retry", by="ann", until=later) == ["run.retry"]
    assert await found(by="bob\0") == ["event.replay"]
    assert await found(since=later) == []
