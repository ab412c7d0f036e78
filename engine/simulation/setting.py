"""What a test is carried out in."""

from base64 import b64encode
from collections.abc import Mapping
from datetime import datetime
from hashlib import sha256
from typing import Any

import msgspec

from engine.core.catalog import Catalog
from engine.pipeline.spec import Pipeline


class Setting(msgspec.Struct, frozen=True):
    """What a test is carried out in."""

    pipeline: Pipeline
    catalog: Catalog
    data: Mapping[str, Any]
    env: Mapping[str, str]
    now: datetime

    def secret(self, name: str) -> str:
        """A secret's value: the test's own, or a dummy, which would do as a Standard Webhooks key as well."""
        own = (self.data.get("secrets") or {}).get(name)
        return str(own) if own is not None else f"whsec_{b64encode(sha256(name.encode()).digest()).decode()}"
