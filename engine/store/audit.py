"""What people and programs have done by hand: who, when, what."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

import msgspec

from engine.core.ids import uuid7
from engine.store.database import Database, first_id
from engine.store.ingest import clean
from engine.store.rows import AuditFilter, AuditRow, NewAudit

COLUMNS = "id, at, by, action, target, run_id, event_id, detail"
INSERT = """
insert into audit (id, at, by, action, target, run_id, event_id, detail)
select id, now(), by, action, target, run_id, event_id, detail
from unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::uuid[], $6::uuid[], $7::json[])
    as a (id, by, action, target, run_id, event_id, detail)
"""
PAGE_MOST = 500  # rows


class Audits:
    """The trail is written with what it tells of where that is one statement, else right after it."""

    _database: Database

    async def insert_audit(self, rows: Sequence[NewAudit]) -> None:
        """Write down what was done."""
        if rows:
            await self._database.fetch(INSERT, *audit_columns(rows))

    async def list_audit(self, wanted: AuditFilter) -> tuple[list[AuditRow], UUID | None]:
        """A page, newest first, and the cursor of the next one; None: this is the last."""
        conditions, arguments = ["true"], []

        def add(condition: str, value: Any) -> None:
            arguments.append(value)
            conditions.append(condition.format(f"${len(arguments)}"))

        for name in ("run_id", "event_id", "action", "by"):
            if (value := getattr(wanted, name)) is not None:
                add(f"{name} = {{}}", clean(value) if isinstance(value, str) else value)
        if wanted.since is not None:
            add("id >= {}", first_id(wanted.since))
        if wanted.until is not None:
            add("id < {}", first_id(wanted.until))
        if wanted.cursor is not None:
            add("id < {}", wanted.cursor)
        limit = max(1, min(wanted.limit, PAGE_MOST))
        statement = (
            f"select {COLUMNS} from audit where {' and '.join(conditions)} "  # noqa: S608 - constants; values are arguments
            f"order by id desc limit {limit + 1}"
        )
        rows = await self._database.fetch(statement, *arguments)
        found = [AuditRow(**dict(row)) for row in rows[:limit]]
        return found, found[-1].id if len(rows) > limit else None


def audit_columns(rows: Sequence[NewAudit]) -> list[list[Any]]:
    """The rows as the arguments of an insert: id, by, action, target, run_id, event_id, detail."""
    return [
        [uuid7() for _ in rows],
        [clean(row.by) for row in rows],
        [row.action for row in rows],
        [clean(row.target) for row in rows],
        [row.run_id for row in rows],
        [row.event_id for row in rows],
        [msgspec.json.encode(row.detail) for row in rows],
    ]
