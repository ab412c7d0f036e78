"""Floor: SAQ as it comes, jobs that do nothing, one process. Arguments: Redis URL, count."""

import asyncio
import json
import logging
import sys
import time
from typing import Any

import redis.asyncio
from saq import Worker
from saq.queue.redis import RedisQueue

AT_ONCE = 100  # enqueued together

seen: list[float] = []


async def nothing(_context: Any) -> None:
    seen.append(time.perf_counter())


async def main() -> None:
    url, count = sys.argv[1], int(sys.argv[2])
    logging.getLogger("saq").setLevel(logging.ERROR)
    queue = RedisQueue(redis.asyncio.from_url(url), name="bench-floor")
    await queue.connect()
    for _ in range(count // AT_ONCE):
        await asyncio.gather(*(queue.enqueue("nothing") for _ in range(AT_ONCE)))
    worker: Any = Worker(queue, functions=[nothing])
    worker.SIGNALS = []
    working = asyncio.create_task(worker.start())
    while len(seen) < count:
        await asyncio.sleep(0.01)
    await worker.stop()
    await working
    await queue.disconnect()
    print(json.dumps({"per_second": (count - 1) / (seen[-1] - seen[0])}))


if __name__ == "__main__":
    asyncio.run(main())
