"""Triggers that receive deliveries, and the signature schemes of the usual senders."""

from typing import Any

from engine.plugin import hookimpl
from plugins.webhook import generic, github, gitlab, schemes, shopify, slack, standard, stripe


@hookimpl
def register_triggers(register: Any) -> None:
    """`webhook` and the presets."""
    for provider in (generic, github, stripe, slack, shopify, gitlab, standard):
        provider.register_all(register)


@hookimpl
def register_schemes(register: Any) -> None:
    """hmac, standard, bearer, basic, token."""
    schemes.register_all(register)
