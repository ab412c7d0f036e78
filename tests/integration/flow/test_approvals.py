"""A run asks people, waits without a worker, and goes on with what they decided. Silence never consents."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from engine.errors import BadRequest, Conflict, NotAllowed, TooLate
from engine.flow.approval_decision import SOMEBODY, InvalidAnswers, Unnamed, decide_approval
from engine.flow.approval_links import make_links
from engine.flow.cancel import cancel_run
from engine.flow.execution import Hold
from engine.flow.resume_run import resume_run
from engine.flow.retry_run import retry_run
from engine.store.approvals import ApprovalRow
from tests.integration.flow.conftest import House, decode
from tests.integration.flow.test_resume import die, until_gate

PAY = """
    id: test
    inputs: {amount: integer, asker: {type: string, default: nobody}}
    steps:
      - {id: before, uses: test.effect}
      - id: ask
        wait:
          approval:
            prompt: Pay ${{ inputs.amount }}?
            form:
              note: {type: string, default: none}
              sum: {type: integer, minimum: 1}
            notify:
              - {id: tell, uses: test.effect, with: "${{ approval }}"}
          timeout: 3d
          on_reject: continue
      - {id: after, uses: test.effect}
    outputs: {got: "${{ steps.ask.output }}"}
"""
PLAIN = """
    id: test
    inputs: {asker: {type: string, default: nobody}}
    steps:
      - id: ask
        wait: {approval: {prompt: Go on?%s}, timeout: 3d%s}
      - {id: after, uses: test.effect}
    outputs: {got: "${{ steps.ask.output }}"}
"""


async def asked(house: House, run_id: UUID) -> ApprovalRow:
    """The only question of this run."""
    (row,) = await house.runtime.store.approvals_of_run(run_id)
    return row


async def begin(house: House, text: str = PAY, **inputs: Any) -> tuple[UUID, ApprovalRow]:
    """A run that waits for an answer."""
    assert await house.deploy(text) == []
    run_id = await house.start(**inputs)
    assert await house.turn(run_id)
    return run_id, await asked(house, run_id)


async def decide(house: House, row: ApprovalRow, approved: bool = True, **more: Any) -> ApprovalRow:
    return await decide_approval(house.runtime, row.id, **({"approved": approved, "person": None, "via": "api"} | more))


async def test_a_run_asks_and_goes_on_with_the_answer(house: House) -> None:
    """Nobody holds it meanwhile; the output says who, when and what they filled in; it is in the audit."""
    run_id, row = await begin(house, amount=7)
    run = await house.run(run_id)
    assert (run.status, run.worker, run.due_at) == ("waiting", None, row.expires_at)
    assert run.waiting_for == "an approval: Pay 7?; asked: whoever has the link"
    assert timedelta(days=2, hours=23) < row.expires_at - datetime.now(UTC) <= timedelta(days=3)
    assert not await house.turn(run_id), "it is not due"
    row = await decide(house, row, person="ann", form={"sum": 7})
    assert (row.state, row.decided_by, row.via) == ("approved", "ann", "api")
    assert await house.turn(run_id), "the decision has made it due"
    run = await house.run(run_id)
    at = row.decided_at.isoformat().replace("+00:00", "Z")  # type: ignore[union-attr]
    assert decode(run.outputs) == {"got": {"approved": True, "by": "ann", "at": at, "form": {"note": "none", "sum": 7}}}
    assert [house.probe.count(step) for step in ("before", "tell", "after")] == [1, 1, 1]
    (entry,) = (await house.runtime.store.list_audit(_of(run_id)))[0]
    assert (entry.by, entry.action, entry.target) == ("ann", "approval.approve", "test")


def _of(run_id: UUID) -> Any:
    from engine.store import AuditFilter

    return AuditFilter(run_id=run_id)


async def test_notices_get_the_links(house: House) -> None:
    """`url`, `approve_url`, `reject_url`; the signatures differ."""
    _, row = await begin(house, amount=1)
    links = next(call[1] for call in house.probe.calls if call[0] == "tell")
    base = f"{house.runtime.settings.url}/approvals/{row.id}"
    assert links["url"] == base
    assert links["approve_url"].startswith(f"{base}/approve?until=")
    assert links["reject_url"].startswith(f"{base}/reject?until=")
    assert links["approve_url"].rpartition("=")[2] != links["reject_url"].rpartition("=")[2]


async def test_a_rejection_fails_the_step_unless_it_is_to_go_on(house: House) -> None:
    """Its error says who rejected."""
    run_id, row = await begin(house, PLAIN % ("", ""))
    await decide(house, row, approved=False, person="ann")
    await house.turn(run_id)
    run = await house.run(run_id)
    assert (run.status, decode(run.error)["type"], decode(run.error)["message"]) == (
        "failed", "rejected", "rejected by ann",
    )  # fmt: skip
    assert house.probe.count("after") == 0
    run_id, row = await begin(house, amount=1)
    await decide(house, row, approved=False)
    await house.turn(run_id)
    got = decode((await house.run(run_id)).outputs)["got"]
    assert (got["approved"], got["by"], got["form"]) == (False, SOMEBODY, {"note": "none", "sum": None})


async def over(house: House, run_id: UUID, row: ApprovalRow) -> None:
    """Its time is over."""
    await house.runtime.store._database.fetch(
        "update approval set expires_at = now() - interval '1 second' where id = $1", row.id
    )
    await house.runtime.store._database.fetch("update run set due_at = now() where id = $1", run_id)


async def test_silence_is_no_consent(house: House) -> None:
    """After the timeout the step fails, and nobody can decide any more."""
    run_id, row = await begin(house, (PLAIN % ("", "")).replace("3d", "300ms"))
    async with asyncio.timeout(10):
        while not await house.turn(run_id):
            await asyncio.sleep(0.01)  # until it is due
    run = await house.run(run_id)
    assert (run.status, decode(run.error)["type"]) == ("failed", "timeout")
    assert decode(run.error)["message"] == "nothing came within 300 ms"
    assert house.probe.count("after") == 0
    assert (await asked(house, run_id)).state == "timed_out"
    with pytest.raises(TooLate, match="The time to decide was over at"):
        await decide(house, row)


async def test_nobody_decides_after_the_time_although_the_run_has_not_looked_yet(house: House) -> None:
    """What counts is the time of the decision."""
    run_id, row = await begin(house, PLAIN % ("", ""))
    await over(house, run_id, row)
    with pytest.raises(TooLate, match="Silence is no consent"):
        await decide(house, row)


async def test_a_tolerated_timeout_goes_on_unapproved(house: House) -> None:
    """`approved` is false, nobody is named."""
    run_id, row = await begin(house, PLAIN % ("", ", on_timeout: continue"))
    await over(house, run_id, row)
    await house.turn(run_id)
    assert decode((await house.run(run_id)).outputs)["got"] == {
        "approved": False, "by": None, "at": None, "form": {}, "timed_out": True, "event": None,
    }  # fmt: skip


async def test_of_many_at_once_one_decides(house: House) -> None:
    """The others are told who was faster; the run goes on with that one, and was woken once."""
    run_id, row = await begin(house, PLAIN % ("", ", on_reject: continue"))
    results = await asyncio.gather(
        *(decide(house, row, approved=number % 2 == 0, person=f"p{number}") for number in range(10)),
        return_exceptions=True,
    )
    won = [result for result in results if isinstance(result, ApprovalRow)]
    lost = [result for result in results if isinstance(result, Conflict)]
    assert (len(won), len(lost)) == (1, 9)
    assert {str(error).partition(" at ")[0] for error in lost} == {
        f"This was {won[0].state} already: by {won[0].decided_by}"
    }
    await house.turn(run_id)
    assert decode((await house.run(run_id)).outputs)["got"]["by"] == won[0].decided_by
    assert len((await house.runtime.store.list_audit(_of(run_id)))[0]) == 1


@pytest.mark.parametrize(
    ("people", "person", "refused"),
    [
        (", approvers: [ann, 'group:finance']", "ann", ""),
        (", approvers: [ann, 'group:finance']", "Grace@Example.com", ""),  # a member of the group; case does not count
        (", approvers: [ann, 'group:finance']", "eve", "eve may not decide this: not among the approvers"),
        (", approvers: ['group:nobody']", "ann", "`groups:` of project.yaml does not have: group:nobody"),
        (
            ", approvers: [ann, 'group:finance'], exclude: ['${{ inputs.asker }}']",
            "Ann",
            "Ann may not decide this: excluded",
        ),
        (", exclude: ['${{ inputs.asker }}']", "eve", ""),
        (", exclude: ['group:finance']", "grace@example.com", "excluded"),
    ],
)
async def test_who_may_decide(house: House, people: str, person: str, refused: str) -> None:
    """Approvers by name or group, never who is excluded; and nobody who is not known."""
    (house.folder.parent / "project.yaml").write_text("groups: {finance: [grace@example.com]}\n")
    _, row = await begin(house, PLAIN % (people, ""), asker="ann")
    with pytest.raises(Unnamed):
        await decide(house, row)
    if refused:
        with pytest.raises(NotAllowed, match=refused):
            await decide(house, row, person=person)
        assert (await house.runtime.store.get_approval(row.id)).state == "open"  # type: ignore[union-attr]
    else:
        assert (await decide(house, row, person=person)).decided_by == person


@pytest.mark.parametrize(
    ("form", "messages"),
    [
        ({}, ["sum: is required"]),
        ({"sum": "7"}, ["sum: '7' is not of type 'integer'"]),
        ({"sum": 0, "note": 1}, ["note: 1 is not of type 'string'", "sum: 0 is less than the minimum of 1"]),
        ({"sum": 1, "x": 1}, ["x: there is no field `x`; the form has: note, sum"]),
    ],
)
async def test_answers_have_to_fit(house: House, form: dict[str, Any], messages: list[str]) -> None:
    """Every problem is named, and nothing is decided."""
    _, row = await begin(house, amount=1)
    with pytest.raises(InvalidAnswers) as caught:
        await decide(house, row, form=form)
    assert [f"{item['name']}: {item['message']}" for item in caught.value.problems] == messages
    assert (await house.runtime.store.get_approval(row.id)).state == "open"  # type: ignore[union-attr]


async def test_nobody_decides_for_a_run_that_was_cancelled(house: House) -> None:
    """The answer says so; the question is closed."""
    run_id, row = await begin(house, PLAIN % ("", ""))
    await cancel_run(house.runtime, run_id)
    with pytest.raises(Conflict, match="The run was cancelled"):
        await decide(house, row)
    await house.turn(run_id)
    assert (await house.run(run_id)).status == "cancelled"
    with pytest.raises(Conflict, match=r"The run has ended \(cancelled\)"):
        await decide(house, row)
    assert (await house.runtime.store.list_approvals())[0] == []
    await house.runtime.store.close_unawaited(UUID(int=0))
    assert (await asked(house, run_id)).closed == "run_ended"


async def test_open_questions_stay_open_when_others_are_closed(house: House) -> None:
    """The sweep only closes what no run waits for."""
    run_id, row = await begin(house, PLAIN % ("", ""))
    await house.runtime.store.close_unawaited(UUID(int=0))
    assert (await asked(house, run_id)) == row
    assert [item.id for item in (await house.runtime.store.list_approvals())[0]] == [row.id]


GATED = """
    id: test
    steps:
      - id: ask
        wait:
          approval:
            prompt: "${{ uuid() }}"
            notify:
              - {id: first, uses: test.effect, with: "${{ approval.approve_url }}"}
              - {id: gate, uses: test.gate, with: "${{ approval.approve_url }}"}
          timeout: 1h
    outputs: {got: "${{ steps.ask.output.by }}"}
"""


async def test_a_crash_asks_nobody_twice(house: House) -> None:
    """The question, its links and what was sent stay; only what was under way is done again."""
    await house.deploy(GATED)
    run_id, hold = await house.start(), Hold()
    await die(house, await until_gate(house, run_id, hold), hold)
    before = await asked(house, run_id)
    house.probe.gate = None
    await house.turn(run_id)
    row = await asked(house, run_id)
    assert (row.id, row.prompt, row.expires_at) == (before.id, before.prompt, before.expires_at)
    assert [house.probe.count(step) for step in ("first", "gate")] == [1, 2]
    assert len({call[1] for call in house.probe.calls}) == 1, "all links are the same"


async def test_a_crash_after_the_notices_does_not_send_them_again(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the last notice and letting go of the run there is a commit."""
    await house.deploy(PAY)
    run_id, hold, stuck = await house.start(amount=1), Hold(), asyncio.Event()

    async def crash(*_: Any) -> None:
        stuck.set()
        await asyncio.Event().wait()

    with monkeypatch.context() as patched:
        patched.setattr("engine.flow.approval._read", crash)
        task = asyncio.create_task(house.turn(run_id, hold))
        async with asyncio.timeout(10):
            await stuck.wait()
        await die(house, task, hold)
    await house.turn(run_id)
    assert house.probe.count("tell") == 1
    await decide(house, await asked(house, run_id), form={"sum": 1})
    await house.turn(run_id)
    assert (await house.run(run_id)).status == "succeeded"


async def test_a_decision_while_notices_are_sent_counts(house: House) -> None:
    """The run is held, and goes on as soon as it looks."""
    await house.deploy(GATED)
    run_id, hold = await house.start(), Hold()
    task = await until_gate(house, run_id, hold)
    await decide(house, await asked(house, run_id), person="ann")
    house.probe.gate.set()  # type: ignore[union-attr]
    await task
    run = await house.run(run_id)
    assert (run.status, decode(run.outputs)) == ("succeeded", {"got": "ann"})


async def test_a_decision_while_another_branch_works_counts(house: House) -> None:
    """The branch that waits looks every second."""
    await house.deploy("""
        id: test
        steps:
          - parallel:
              a: [{id: ask, wait: {approval: {prompt: Go on?}, timeout: 1h}}, {id: after, uses: test.effect}]
              b: [{id: gate, uses: test.gate}]
    """)
    run_id, hold = await house.start(), Hold()
    task = await until_gate(house, run_id, hold)
    async with asyncio.timeout(10):
        while not (rows := await house.runtime.store.approvals_of_run(run_id)):
            await asyncio.sleep(0.01)
        await decide(house, rows[0])
        while not house.probe.count("after"):
            await asyncio.sleep(0.01)
    house.probe.gate.set()  # type: ignore[union-attr]
    await task
    assert (await house.run(run_id)).status == "succeeded"


async def test_a_notice_that_fails_fails_the_step(house: House) -> None:
    """Nobody is left with a question that nobody waits for."""
    await house.deploy(PAY)
    house.probe.script["tell"] = [RuntimeError("down")]
    run_id = await house.start(amount=1)
    await house.turn(run_id)
    assert (await house.run(run_id)).status == "failed"
    assert (await asked(house, run_id)).closed == "run_ended"


@pytest.mark.parametrize(
    ("people", "message"),
    [
        (", approvers: '${{ [] }}'", "wait: approvers: the list is empty, so nobody could decide"),
        (", exclude: '${{ [inputs.asker, 1] }}'", "wait: exclude: entry 2 must be a name"),
    ],
)
async def test_a_question_that_makes_no_sense_fails_the_step(house: House, people: str, message: str) -> None:
    """As an error of the expression."""
    await house.deploy(PLAIN % (people, ""))
    run = await house.finish()
    assert (run.status, decode(run.error)["type"], decode(run.error)["message"]) == ("failed", "expression", message)


async def test_the_same_key_signs_for_everybody(house: House) -> None:
    """Processes that start at once agree on one."""
    from engine.store import connect

    url = house.runtime.settings.database_url
    assert url is not None
    stores = await asyncio.gather(*(connect(url) for _ in range(5)))
    keys = await asyncio.gather(*(store.signing_key("approval") for store in stores))
    assert len(set(keys)) == 1
    assert len(keys[0]) == 32
    await asyncio.gather(*(store.close() for store in stores))


async def test_a_retried_run_asks_anew(house: House) -> None:
    """What was rejected stays rejected; its links answer nothing any more, the new question has its own."""
    run_id, row = await begin(house, GATED.replace("timeout: 1h", "timeout: 2h"))
    old = await make_links(house.runtime, row)
    await decide(house, row, approved=False, person="ann")
    await house.turn(run_id)
    await retry_run(house.runtime, run_id, by="ann")
    await house.turn(run_id)
    new, before = await house.runtime.store.approvals_of_run(run_id)
    assert (new.state, before.state, before.id) == ("open", "rejected", row.id)
    assert (await make_links(house.runtime, new))["approve_url"] != old["approve_url"]
    assert [house.probe.count(step) for step in ("first", "gate")] == [2, 2]
    await decide(house, new, person="bob")
    await house.turn(run_id)
    run = await house.run(run_id)
    assert (run.status, decode(run.outputs)) == ("succeeded", {"got": "bob"})


async def test_nobody_gets_around_those_who_are_asked(house: House) -> None:
    """A waiting run can be made to ask again, which ends the old question, but not to take somebody's word for it."""
    run_id, row = await begin(house, PLAIN % (", approvers: [ann]", ""))
    for kind, value in (("output", {"approved": True, "by": "eve", "at": None, "form": {}}), ("skip", None)):
        with pytest.raises(BadRequest, match="step `ask` asks people: they decide"):
            await resume_run(house.runtime, run_id, by="eve", kind=kind, step="ask", value=value)
    await resume_run(house.runtime, run_id, by="eve", kind="retry", step="ask")
    with pytest.raises(Conflict, match="does not wait for this any more"):
        await decide(house, row, person="ann")
    await house.turn(run_id)
    new, before = await house.runtime.store.approvals_of_run(run_id)
    assert (new.state, before.closed) == ("open", "asked_again")
    assert [item.id for item in (await house.runtime.store.list_approvals())[0]] == [new.id]
