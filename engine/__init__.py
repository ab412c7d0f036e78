"""Hookwright: receive webhooks, record them durably, run pipelines."""

__version__ = "0.1.0"
