"""Realistic deliveries, read from samples/ when they are asked for."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

SAMPLES = Path(__file__).with_name("samples")


def load_sample(provider: str, name: str) -> bytes:
    """The body as its file has it."""
    return (SAMPLES / provider / name).read_bytes()


def refresh(body: bytes, change: Callable[[dict[str, Any]], None]) -> bytes:
    """The same JSON object after a change."""
    content = msgspec.json.decode(body, type=dict[str, Any])
    change(content)
    return msgspec.json.encode(content)
