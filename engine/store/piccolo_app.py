"""Names the tables and where their migrations are: in a checkout on top, in an installed wheel beside this file."""

from pathlib import Path

from piccolo.conf.apps import AppConfig, table_finder

HERE = Path(__file__).resolve().parent
INSTALLED = HERE / "_migrations"
MIGRATIONS = INSTALLED if INSTALLED.is_dir() else HERE.parents[1] / "migrations"

APP_CONFIG = AppConfig(
    app_name="engine",
    migrations_folder_path=MIGRATIONS,
    table_classes=table_finder(modules=["engine.store.tables"], exclude_imported=True),
)
