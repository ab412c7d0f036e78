"""Piccolo's engine, apart from its configuration: importing `piccolo.conf.apps` costs a tenth of a second (black)."""

import os

from piccolo.engine.postgres import PostgresEngine


class QuietEngine(PostgresEngine):
    """Does not connect when it is made, as Piccolo's own does to look at the server's version."""

    async def check_version(self) -> None:
        """migrate() does."""

    async def prep_database(self) -> None:
        """No extensions are needed."""


DB = QuietEngine(config={"dsn": os.environ.get("DATABASE_URL", "")})
