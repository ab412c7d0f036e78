"""A pipeline's structure, drawn."""
