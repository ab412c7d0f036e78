"""Piccolo's configuration. The engine only compiles queries and runs migrations; the Store's own pool runs queries."""

from piccolo.conf.apps import AppRegistry

from engine.store.piccolo_engine import DB

__all__ = ["APP_REGISTRY", "DB"]

APP_REGISTRY = AppRegistry(apps=["engine.store.piccolo_app"])
