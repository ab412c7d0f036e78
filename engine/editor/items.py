"""What the modules of the editor hand to the server."""

import msgspec


class Item(msgspec.Struct, frozen=True):
    """One suggestion: `insert` replaces the range from start to end of the document.

    kind: key | word | type | name | filter | function | field
    """

    label: str
    kind: str
    insert: str
    start: int
    end: int
    detail: str = ""
    documentation: str = ""
    first: bool = False  # sorts before the others
