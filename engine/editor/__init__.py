"""For editors: JSON Schemas of the files, and a language server. Both read the grammar and the installed plugins."""
