"""The keys of the language, in one table."""
