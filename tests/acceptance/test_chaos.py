"""Real processes die at random, one after the other, while deliveries come in: API, worker, Valkey, PostgreSQL.

`CHAOS_KILLS` says how many; `make chaos` asks for more. In tests/chaos/ the same happens at every single statement.
"""

import asyncio
import os
import random
import signal
from uuid import uuid4

import httpx
import pytest

from tests.acceptance.conftest import Installation
from tests.acceptance.processes import Process

KILLS = int(os.environ.get("CHAOS_KILLS", "8"))
VICTIMS = ("api", "worker", "worker", "Valkey", "PostgreSQL")
BETWEEN = 0.7  # seconds of deliveries between two kills
SENDERS = 4
pytestmark = pytest.mark.timeout(120 + 20 * KILLS)


class Sender:
    """Somebody's webhooks: each delivery is sent until it is acknowledged, with the same id."""

    def __init__(self, installation: Installation) -> None:
        self.installation = installation
        self.acknowledged: dict[str, str] = {}  # delivery -> run
        self.stopping = asyncio.Event()
        self.number = 0

    async def send(self) -> None:
        while not self.stopping.is_set():
            self.number += 1
            number, delivery = self.number, uuid4().hex
            while delivery not in self.acknowledged:
                try:
                    answer = await self.installation.post(number, delivery)
                except httpx.TransportError:
                    await asyncio.sleep(0.05)  # as a sender does, though sooner
                    continue
                if answer.is_success and answer.json()["runs"]:
                    self.acknowledged[delivery] = answer.json()["runs"][0]["id"]
                else:
                    assert answer.status_code == 503, answer.text
                    await asyncio.sleep(0.05)


async def kill(installation: Installation, victim: str, crew: dict[str, Process]) -> None:
    """SIGKILL, then whoever supervises it starts it again."""
    if victim in crew:
        await crew[victim].kill()
        crew[victim] = await (installation.api() if victim == "api" else installation.worker())
        return
    os.kill(installation.databases.pids[victim], signal.SIGKILL)
    async with asyncio.timeout(40):
        while victim not in installation.databases.revive():
            await asyncio.sleep(0.05)  # until the process is reaped


async def finished(installation: Installation) -> set[str]:
    """Keys of the effects that are recorded as done."""
    rows = await installation.query("select run_id, step from attempt where status = 'succeeded' and step <> 'take'")
    return {f"{row['run_id']}/{row['step']}" for row in rows}


async def test_random_kills_under_load(installation: Installation) -> None:
    """No acknowledged event is lost, no finished step is repeated, every run succeeds."""
    chance = random.Random(int(os.environ.get("CHAOS_SEED", "0")))
    crew = {"api": await installation.api(), "worker": await installation.worker()}
    installation.downstream.delay = 0.01
    sender = Sender(installation)
    sending = [asyncio.create_task(sender.send()) for _ in range(SENDERS)]
    repeats = 0
    for _ in range(KILLS):
        await asyncio.sleep(BETWEEN)  # deliveries come in
        done = await finished(installation)
        before = {key: installation.downstream.effects[key] for key in done}
        await kill(installation, chance.choice(VICTIMS), crew)
        after = {key: installation.downstream.effects[key] for key in done}
        assert after == before, "a finished step was repeated"
        repeats = sum(count - 1 for count in installation.downstream.effects.values())
    sender.stopping.set()
    await asyncio.gather(*sending)
    runs = set(sender.acknowledged.values())
    assert len(runs) == len(sender.acknowledged), "two deliveries share a run"
    await installation.all_succeeded(len(runs), seconds=60.0)
    wanted = {f"{run}/{step}" for run in runs for step in ("first", "second")}
    assert wanted == set(installation.downstream.effects)
    total = sum(count - 1 for count in installation.downstream.effects.values())
    assert total <= 100 * KILLS, f"{total} effects were repeated, {repeats} of them before the last kill"
