"""Example pipelines that use the whole language, their tests, and wrong files."""
