"""The clock of a simulated run, and what it sees of the world."""

import asyncio
from datetime import datetime, timedelta
from uuid import UUID

BASE_URL = "https://hookwright.test"
RUN_ID = UUID("00000000-0000-7000-8000-000000000001")


class Clock:
    """Virtual time: zero is the start of the run."""

    def __init__(self, start: datetime) -> None:
        self.start = start

    def seconds(self) -> float:
        """Since the start of the run."""
        return asyncio.get_running_loop().time()

    def now(self) -> datetime:
        """The time, with zone."""
        return self.start + timedelta(seconds=self.seconds())
