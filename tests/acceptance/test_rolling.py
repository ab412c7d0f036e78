"""A rolling restart under load: every process is replaced, one after the other, while deliveries come in.

Senders do what senders do: an address that does not answer is tried again with the same delivery id, here at the other
API. What the downstream server counted is the truth: everything once.
"""

import asyncio
import itertools
import signal
import socket
import time

import httpx
import pytest

from tests.acceptance.conftest import Installation
from tests.acceptance.processes import Process, environment, free_port, ready

pytestmark = pytest.mark.timeout(240)
SENDERS = 8
LONG = 0.3  # seconds the downstream takes for an answer: drains have something to wait for


class Cluster:
    """Two APIs and two workers of an installation."""

    def __init__(self, installation: Installation) -> None:
        self.installation = installation
        self.urls: list[str] = []
        self.acknowledged: dict[str, str] = {}  # delivery -> run
        self.refused = 0  # requests that met a process on its way out
        self.stopped = asyncio.Event()

    async def api(self) -> tuple[Process, str]:
        port = free_port()
        made = self.installation
        env = environment(
            made.folder,
            database_url=made.databases.database_url,
            redis_url=made.databases.redis_url,
            port=port,
            **{name: value for name, value in made.env.items() if name.startswith("HOOKWRIGHT_SECRET")},
            DOWNSTREAM=made.downstream.url,
        )
        process = Process("api", "api", env=env)
        made.processes.append(process)
        await process.start(until="api.started")
        url = f"http://127.0.0.1:{port}"
        await ready(url)
        self.urls.append(url)
        return process, url

    async def send(self, numbers: itertools.count) -> None:
        """Deliver one after the other until told to stop; each is delivered until it is acknowledged."""
        while not self.stopped.is_set():
            n = next(numbers)
            delivery = f"delivery-{n}"
            while delivery not in self.acknowledged:
                self.installation.client.base_url = httpx.URL(self.urls[n % len(self.urls)])
                try:
                    response = await self.installation.post(n, delivery)
                except httpx.TransportError:
                    self.refused += 1
                    await asyncio.sleep(0.02)
                    continue
                assert response.status_code in (200, 202, 503), response.text
                if response.status_code != 503:
                    self.acknowledged[delivery] = response.json()["runs"][0]["id"]
            await asyncio.sleep(0.01)


def refuses(port: int) -> bool:
    """Whether nobody listens there any more."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) != 0


async def replace(process: Process) -> float:
    """SIGTERM, and wait until it has ended by itself; the seconds that took."""
    began = time.monotonic()
    process.signal(signal.SIGTERM)
    assert await process.ended() == 0
    return time.monotonic() - began


async def test_a_rolling_restart_loses_and_repeats_nothing(installation: Installation) -> None:
    """Both APIs and both workers are replaced; every acknowledged delivery has its effects, each exactly once."""
    cluster = Cluster(installation)
    apis = [await cluster.api(), await cluster.api()]
    workers = [await installation.worker(), await installation.worker()]
    installation.downstream.delay = LONG
    numbers = itertools.count()
    async with asyncio.TaskGroup() as senders:
        for _ in range(SENDERS):
            senders.create_task(cluster.send(numbers))
        await installation.downstream.until(lambda seen: len(seen.effects) >= 50)
        for worker in workers:
            await installation.worker()
            assert await replace(worker) < 20, "steps that take a moment are waited for, no more"
        for process, url in apis:
            await cluster.api()
            cluster.urls.remove(url)  # the load balancer has heard of it; what is under way is answered
            assert await replace(process) < 20
        seen = len(installation.downstream.effects)
        await installation.downstream.until(lambda now: len(now.effects) > seen + 50)
        cluster.stopped.set()
    runs = set(cluster.acknowledged.values())
    assert len(runs) == len(cluster.acknowledged) > 100, "each delivery has a run of its own"
    await installation.all_succeeded(len(runs))
    wanted = {f"{run}/{step}" for run in runs for step in ("first", "second")}
    assert set(installation.downstream.effects) == wanted
    assert set(installation.downstream.effects.values()) == {1}
    rows = await installation.query("select status, count(*) as n from attempt group by status")
    assert {row["status"] for row in rows} == {"succeeded"}, "nothing was interrupted: the grace was long enough"


async def test_what_outlasts_the_grace_is_given_back(installation: Installation) -> None:
    """The attempt does not count, the run goes on at another worker at once."""
    await installation.api()
    installation.env["HOOKWRIGHT_GRACE"] = "0.5"
    worker = await installation.worker()
    installation.downstream.delay = 60.0
    runs = await installation.post_many(5)
    await installation.downstream.until(lambda seen: len(seen.effects) == 5)
    assert await replace(worker) < 5
    rows = await installation.query("select status, error->>'type' as type from attempt where step = 'first'")
    assert [(row["status"], row["type"]) for row in rows] == [("interrupted", "given_back")] * 5
    installation.downstream.delay = 0.0
    await installation.worker()
    await installation.all_succeeded(len(runs))
    attempts = await installation.query("select number, status from attempt where step = 'first' order by number")
    assert {(row["number"], row["status"]) for row in attempts} == {(1, "interrupted"), (2, "succeeded")}


async def test_a_second_signal_does_not_wait_for_the_grace(installation: Installation) -> None:
    """What is under way is given back at once, cleanly."""
    await installation.api()
    worker = await installation.worker()
    installation.downstream.delay = 60.0
    await installation.post_many(3)
    await installation.downstream.until(lambda seen: len(seen.effects) == 3)
    worker.signal(signal.SIGTERM)
    await worker.line("worker.stopping")
    began = time.monotonic()
    worker.signal(signal.SIGTERM)
    assert await worker.ended() == 0
    assert time.monotonic() - began < 5
    rows = await installation.query("select status from run")
    assert [row["status"] for row in rows] == ["queued"] * 3


async def test_the_api_answers_what_is_under_way(installation: Installation) -> None:
    """A request that has begun is answered; a second signal would not wait for it."""
    api = await installation.api()
    async with httpx.AsyncClient(base_url=installation.url, timeout=10) as client:
        streamed = asyncio.Event()

        async def body():  # the head is sent, the rest comes after the signal
            yield b'{"action":'
            streamed.set()
            while not refuses(installation.port):
                await asyncio.sleep(0.01)  # polls a process that has no other signal
            yield b'"x"}'

        async def slow() -> int:
            return (await client.post("/hooks/github", content=body())).status_code

        answer = asyncio.create_task(slow())
        await streamed.wait()
        api.signal(signal.SIGTERM)
        assert await answer in (400, 401)
        assert await api.ended() == 0


async def test_a_worker_with_little_memory_works(installation: Installation) -> None:
    """The limit is for steps that need too much; the worker itself needs little."""
    await installation.api()
    installation.env["HOOKWRIGHT_MEMORY"] = "256"
    worker = await installation.worker()
    await installation.post_many(50)
    await installation.all_succeeded(50)
    assert await replace(worker) < 20
