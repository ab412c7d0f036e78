"""Pipelines: from YAML to checked and compiled objects, and what of them is in force."""
