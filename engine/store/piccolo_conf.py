"""Piccolo's configuration. The engine only compiles queries and runs migrations; the Store's own pool runs queries."""

import os

from piccolo.conf.apps import AppRegistry
from piccolo.engine.postgres import PostgresEngine


class QuietEngine(PostgresEngine):
    """Does not connect when it is made, as Piccolo's own does to look at the server's version."""

    async def check_version(self) -> None:
        """migrate() does."""

    async def prep_database(self) -> None:
        """No extensions are needed."""


DB = QuietEngine(config={"dsn": os.environ.get("DATABASE_URL", "")})
APP_REGISTRY = AppRegistry(apps=["engine.store.piccolo_app"])
