"""Measures Hookwright and, in the same run, the floors it stands on. `python -m tests.benchmarks --help`."""
