"""The exception tree.

HookwrightError
├── ConfigurationError     settings, files or secrets the operator must mend
├── PipelineError          one or more problems in pipeline files, each with file, line and column
├── ExpressionError        an expression that cannot be parsed or evaluated
├── RefusedDelivery        a delivery that is not accepted (bad signature, too large, unknown path)
│   ├── BadSignature
│   ├── BadRequest
│   ├── TooLarge
│   ├── TooSlow
│   └── WrongMethod
├── NotFound               no such run, event, pipeline
├── NotAllowed             this person may not do that
├── Conflict               the thing exists but is in a state that does not allow this
│   └── TooLate            it did until its time was over
└── Unavailable            PostgreSQL or Redis cannot be reached right now
"""


class HookwrightError(Exception):
    """Hookwright could not do this."""

    def __str__(self) -> str:
        return super().__str__() or (type(self).__doc__ or "").strip().splitlines()[0]


class ConfigurationError(HookwrightError):
    """The set-up is incomplete or wrong."""


class BadValue(ValueError):
    """A value that a type's own check refuses; the checker shows the help and marks the part that is wrong.

    span: offsets of that part in the value, if it is a text.
    """

    def __init__(self, message: str, help: str = "", *, span: tuple[int, int] | None = None, text: str = "") -> None:
        super().__init__(text or (f"{message}: {help}" if help else message))
        self.message = message
        self.help = help
        self.span = span


class RefusedDelivery(HookwrightError):
    """The delivery is not accepted."""


class BadSignature(RefusedDelivery):
    """The signature does not match."""

    def __init__(self, message: str = "", *, challenge: str = "Signature") -> None:
        super().__init__(message)
        self.challenge = challenge  # becomes the WWW-Authenticate header


class BadRequest(RefusedDelivery):
    """The request is malformed."""


class TooLarge(RefusedDelivery):
    """The body is larger than allowed."""


class TooSlow(RefusedDelivery):
    """The body did not arrive in time."""


class WrongMethod(RefusedDelivery):
    """This HTTP method is not accepted here."""

    def __init__(self, message: str = "", *, allowed: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.allowed = allowed  # becomes the Allow header


class NotFound(HookwrightError):
    """There is no such thing."""


class Conflict(HookwrightError):
    """The state of this thing does not allow that."""


class TooLate(Conflict):
    """The time for this is over."""


class NotAllowed(HookwrightError):
    """This person may not do that."""


class Unavailable(HookwrightError):
    """A database cannot be reached right now."""

    def __init__(self, message: str = "", *, retry_after: int = 2) -> None:
        super().__init__(message)
        self.retry_after = retry_after  # seconds; becomes the Retry-After header
