"""The checks of a pipeline, one module for each part of the language."""
