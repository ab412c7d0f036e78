"""Whatever dies, no acknowledged event is lost, no finished step is repeated, and runs go on within 10 s.

Real processes, real kills; the truth is what the downstream server counted.
"""

import asyncio
import os
import signal

import pytest
import redis

from tests.acceptance.conftest import Installation

WITHIN = 10.0  # seconds, the promise
pytestmark = pytest.mark.timeout(180)


async def finished_keys(installation: Installation) -> set[str]:
    """Idempotency keys of the steps that are recorded as finished."""
    rows = await installation.query("select run_id, step from attempt where status = 'succeeded' and step <> 'take'")
    return {f"{row['run_id']}/{row['step']}" for row in rows}


async def check_effects(installation: Installation, runs: list[str]) -> None:
    """Both effects of every run happened."""
    wanted = {f"{run}/{step}" for run in runs for step in ("first", "second")}
    assert wanted <= set(installation.downstream.effects)


async def test_kill_9_of_the_worker(installation: Installation) -> None:
    """Another worker takes over: everything is done, and what was finished is not done again."""
    await installation.api()
    worker = await installation.worker()
    installation.downstream.delay = 0.05
    runs = await installation.post_many(150)
    await installation.downstream.until(lambda seen: len(seen.effects) >= 40)
    await worker.kill()
    finished = await finished_keys(installation)
    before = {key: installation.downstream.effects[key] for key in finished}
    assert finished, "the kill came before any step was recorded"
    running = len(await installation.query("select 1 from run where status = 'running'"))
    assert running, "the kill came when no run was under way"
    seen = sum(installation.downstream.effects.values())
    await installation.worker()
    await installation.downstream.until(lambda now: sum(now.effects.values()) > seen, seconds=WITHIN)
    await installation.all_succeeded(len(runs))
    await check_effects(installation, runs)
    assert {key: installation.downstream.effects[key] for key in finished} == before
    repeated = sum(count - 1 for count in installation.downstream.effects.values())
    assert repeated <= running, "only what was under way may be done twice"


async def test_kill_9_of_one_of_two_workers_is_taken_over_in_time(installation: Installation) -> None:
    """The runs of the dead one go on at the other within 10 s."""
    await installation.api()
    worker = await installation.worker()
    installation.downstream.delay = 60.0
    runs = await installation.post_many(10)
    await installation.downstream.until(lambda seen: len(seen.effects) == 10)
    await installation.worker()
    installation.downstream.delay = 0.0
    await worker.kill()
    await installation.downstream.until(lambda seen: len(seen.effects) == 20, seconds=WITHIN)
    await installation.all_succeeded(10)
    await check_effects(installation, runs)


async def test_kill_9_of_the_api_between_commit_and_ring(installation: Installation) -> None:
    """The events are committed and acknowledged, the bell never rang; a worker finds them within 10 s."""
    api = await installation.api()
    valkey = installation.databases.pids["Valkey"]
    await installation.worker()
    os.kill(valkey, signal.SIGSTOP)  # the ring hangs, the commit does not
    try:
        runs = await installation.post_many(20)
        assert len(await installation.query("select 1 from run where status = 'queued'")) == 20
        await api.kill()
    finally:
        os.kill(valkey, signal.SIGCONT)
    await installation.downstream.until(lambda seen: len(seen.effects) == 40, seconds=WITHIN)
    await installation.all_succeeded(20)
    await check_effects(installation, runs)
    assert set(installation.downstream.effects.values()) == {1}


async def test_flushall_loses_no_run(installation: Installation) -> None:
    """Redis forgets every bell while 100 runs are queued; they run within 10 s, each once."""
    await installation.api()
    runs = await installation.post_many(100)
    with redis.Redis.from_url(installation.databases.redis_url) as client:
        client.flushall()
    await installation.worker()
    await installation.downstream.until(lambda seen: len(seen.effects) > 0, seconds=WITHIN)
    await installation.all_succeeded(100)
    await check_effects(installation, runs)
    assert set(installation.downstream.effects.values()) == {1}


async def test_flushall_in_full_flight(installation: Installation) -> None:
    """The same while the worker works."""
    await installation.api()
    await installation.worker()
    installation.downstream.delay = 0.02
    sending = asyncio.create_task(installation.post_many(300))
    await installation.downstream.until(lambda seen: len(seen.effects) >= 30)
    with redis.Redis.from_url(installation.databases.redis_url) as client:
        client.flushall()
    runs = await sending
    await installation.all_succeeded(300)
    await check_effects(installation, runs)
    assert set(installation.downstream.effects.values()) == {1}


async def test_redis_dies_and_comes_back(installation: Installation) -> None:
    """Deliveries are taken all the same; the runs go on when it is back."""
    await installation.api()
    await installation.worker()
    early = await installation.post_many(20)
    os.kill(installation.databases.pids["Valkey"], signal.SIGKILL)
    late = await installation.post_many(20, at_once=4)
    async with asyncio.timeout(20):
        while "Valkey" not in installation.databases.revive():
            await asyncio.sleep(0.05)  # until the process is reaped
    await installation.downstream.until(lambda seen: len(seen.effects) == 80, seconds=WITHIN)
    await installation.all_succeeded(40)
    await check_effects(installation, early + late)
    assert set(installation.downstream.effects.values()) == {1}


async def test_postgresql_dies_and_comes_back(installation: Installation) -> None:
    """503 with Retry-After meanwhile, no crash; afterwards everything that was acknowledged is done."""
    api = await installation.api()
    worker = await installation.worker()
    installation.downstream.delay = 0.02
    runs = await installation.post_many(60)
    os.kill(installation.databases.pids["PostgreSQL"], signal.SIGKILL)
    number = 1000
    while (last := await installation.post(number)).status_code == 202:  # its children may outlive it for a moment
        runs.append(last.json()["runs"][0]["id"])
        number += 1
    answers = [last, *[await installation.post(number + n) for n in range(1, 3)]]
    assert {answer.status_code for answer in answers} == {503}
    assert all(int(answer.headers["retry-after"]) >= 1 for answer in answers)
    assert answers[0].headers["content-type"] == "application/problem+json"
    assert (await installation.client.get("/healthz")).status_code == 200
    assert (await installation.client.get("/readyz")).status_code == 503
    async with asyncio.timeout(40):
        while "PostgreSQL" not in installation.databases.revive():
            await asyncio.sleep(0.05)  # until the process is reaped
    async with asyncio.timeout(30):
        while (again := await installation.post(9000)).status_code == 503:
            await asyncio.sleep(0.2)  # as its Retry-After asks for
    assert again.status_code == 202
    runs.append(again.json()["runs"][0]["id"])
    await installation.all_succeeded(len(await installation.query("select 1 from run")))
    await check_effects(installation, runs)
    assert api.lines
    assert worker.lines


async def test_sigterm_hands_runs_over_without_repeating_a_step(installation: Installation) -> None:
    """A worker that is asked to stop drains: the next one goes on, no effect happens twice."""
    await installation.api()
    worker = await installation.worker()
    installation.downstream.delay = 0.3
    runs = await installation.post_many(60)
    await installation.downstream.until(lambda seen: len(seen.effects) >= 20)
    worker.signal(signal.SIGTERM)
    assert await worker.ended() == 0
    installation.downstream.delay = 0.0
    await installation.worker()
    await installation.all_succeeded(60)
    await check_effects(installation, runs)
    assert set(installation.downstream.effects.values()) == {1}


async def test_a_duplicate_delivery_gets_the_first_answer(installation: Installation) -> None:
    """200 with the same event and runs, also while the first is being committed."""
    await installation.api()
    answers = await asyncio.gather(*(installation.post(1, delivery="same") for _ in range(10)))
    assert sorted(answer.status_code for answer in answers) == [200] * 9 + [202]
    assert len({answer.json()["event_id"] for answer in answers}) == 1
    assert len({answer.json()["runs"][0]["id"] for answer in answers}) == 1
    assert len(await installation.query("select 1 from event")) == 1
