"""The attempts of a run as the store keeps them, in memory: for simulations and tests."""

from engine.core.run import AttemptStatus, RunStatus
from engine.store import AttemptRow, CheckpointRecord, RunUpdate, StoredAttempt


class Ledger:
    """What the records of a run add up to."""

    def __init__(self) -> None:
        self.rows: dict[tuple[str, int], StoredAttempt] = {}
        self.run = RunUpdate(status=RunStatus.RUNNING)

    def add(self, record: CheckpointRecord) -> None:
        """Write a record, with the store's rules: a row replaces its running mark and keeps what that alone knew."""
        for row in record.attempts:
            self._put(row)
        if (update := record.run) is not None:
            old = self.run
            self.run = RunUpdate(
                status=update.status,
                vars=update.vars or old.vars,
                outputs=update.outputs or old.outputs,
                error=update.error or old.error,
                due_at=update.due_at,
                waiting_for=update.waiting_for,
                message=update.message or old.message,
            )

    def attempts(self) -> list[StoredAttempt]:
        """Every attempt, in the order in which they were first written."""
        return list(self.rows.values())

    def interrupt(self) -> None:
        """What a rescue does: the running attempts of a dead worker are interrupted."""
        for key, row in self.rows.items():
            if row.status == AttemptStatus.RUNNING:
                self.rows[key] = _stored(row, status=AttemptStatus.INTERRUPTED)

    def _put(self, row: AttemptRow) -> None:
        before = self.rows.get((row.step, row.number))
        if before is None:
            self.rows[row.step, row.number] = _stored(row)
        elif before.status == AttemptStatus.RUNNING or row.status != AttemptStatus.RUNNING:
            kept = {"input": row.input or before.input, "started_at": row.started_at or before.started_at}
            self.rows[row.step, row.number] = _stored(row, **kept)


def _stored(row: AttemptRow, **changes: object) -> StoredAttempt:
    values = {name: getattr(row, name) for name in AttemptRow.__struct_fields__}
    return StoredAttempt(**{**values, **changes})
