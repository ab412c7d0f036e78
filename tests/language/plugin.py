"""Step and trigger types that the example pipelines use and Hookwright does not bring: declarations without work.

Through `register_steps` they can be installed beside the real ones; `catalog.py` adds what replaces a real one.
"""

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct, field

from engine.plugin import Duration, SecretText, StepConfig, StepContext, hookimpl
from plugins.ai.complete import result_of
from plugins.notify.slack import SlackConfig
from plugins.store import QueryConfig as StoreQueryConfig

Code = Annotated[str, Meta(extra={"template": "literal"})]


class IssueUpdateConfig(StepConfig, frozen=True):
    """Change an issue on GitHub."""

    repo: Annotated[str, Meta(description="`owner/name`.", examples=["acme/shop"])]
    number: Annotated[int, Meta(ge=1, description="Number of the issue.")]
    add_labels: Annotated[list[str], Meta(description="Labels to add.")] = field(default_factory=list)
    remove_labels: Annotated[list[str], Meta(description="Labels to remove.")] = field(default_factory=list)
    title: Annotated[str | None, Meta(description="New title.")] = None
    state: Annotated[Literal["open", "closed"] | None, Meta(description="New state.")] = None
    token: Annotated[SecretText | None, Meta(description="Token of the app.")] = None


class Issue(Struct, frozen=True):
    """The issue as it is now."""

    number: Annotated[int, Meta(description="Its number.")]
    html_url: Annotated[str, Meta(description="Its page.")]
    labels: Annotated[list[str], Meta(description="Its labels.")]


class SqlQueryConfig(StepConfig, frozen=True):
    """Run one SQL statement."""

    connection: Annotated[str, Meta(description="Connection of project.yaml.")]
    query: Annotated[Code, Meta(description="The statement; bind values with :name.")]
    params: Annotated[dict[str, Any], Meta(description="Values for :name in the statement.")] = field(
        default_factory=dict
    )
    limit: Annotated[int, Meta(ge=1, le=10000, description="At most so many rows.")] = 1000


class Rows(Struct, frozen=True):
    """What the statement returned."""

    rows: Annotated[list[dict[str, Any]], Meta(description="The rows.")]
    count: Annotated[int, Meta(description="How many.")]


class SqlInsertConfig(StepConfig, frozen=True):
    """Insert rows into a table."""

    connection: Annotated[str, Meta(description="Connection of project.yaml.")]
    table: Annotated[str, Meta(description="Name of the table.")]
    rows: Annotated[list[dict[str, Any]], Meta(description="One map for each row.")]
    on_conflict: Annotated[Literal["fail", "ignore", "replace"], Meta(description="If a row is there already.")] = (
        "fail"
    )


class Inserted(Struct, frozen=True):
    """What was inserted."""

    inserted: Annotated[int, Meta(description="How many rows.")]


class Tool(StepConfig, frozen=True):
    """A step type or pipeline that an agent may use."""

    uses: Annotated[str, Meta(description="The step type, or `pipeline:ID`.")]
    name: Annotated[str | None, Meta(description="Name for the model.")] = None
    description: Annotated[str | None, Meta(description="What it is for.")] = None
    with_: Annotated[dict[str, Any], Meta(description="Fields that are bound.")] = field(
        default_factory=dict, name="with"
    )
    expose: Annotated[list[str], Meta(description="Fields that the model fills in.")] = field(default_factory=list)


class AgentConfig(StepConfig, frozen=True):
    """Let a model work with tools until it has an answer."""

    model: Annotated[str, Meta(description="Name of the model.")]
    instructions: Annotated[str, Meta(description="What it shall do.")]
    input: Annotated[Any, Meta(description="Data to work on.")] = None
    tools: Annotated[list[Tool], Meta(description="What it may use.")] = field(default_factory=list)
    schema: Annotated[dict[str, Any] | None, Meta(description="JSON Schema of the answer.")] = None
    max_turns: Annotated[int, Meta(ge=1, le=100, description="At most so many answers of the model.")] = 10
    max_cost_usd: Annotated[float, Meta(ge=0, description="Stop when this is spent.")] | None = None


class AgentUsage(Struct, frozen=True):
    """Tokens and money."""

    total_tokens: Annotated[int, Meta(description="Tokens of all turns.")]
    cost_usd: Annotated[float, Meta(description="What they cost.")]


class AgentAnswer(Struct, frozen=True):
    """The agent's answer."""

    text: Annotated[str, Meta(description="The answer as it came.")]
    json: Annotated[Any, Meta(description="The answer as data that fits `schema`.")]
    turns: Annotated[int, Meta(description="How many turns it took.")]
    usage: Annotated[AgentUsage, Meta(description="Tokens and money.")]


class EmbedConfig(StepConfig, frozen=True):
    """Turn texts into vectors."""

    model: Annotated[str, Meta(description="Name of the model.")]
    texts: Annotated[list[str], Meta(description="The texts.")]


class Vectors(Struct, frozen=True):
    """One vector for each text."""

    vectors: Annotated[list[list[float]], Meta(description="The vectors, in the order of the texts.")]


class RerankConfig(StepConfig, frozen=True):
    """Sort documents by how well they answer a question."""

    model: Annotated[str, Meta(description="Name of the model.")]
    query: Annotated[str, Meta(description="The question.")]
    documents: Annotated[list[dict[str, Any]], Meta(description="The documents.")]
    top: Annotated[int, Meta(ge=1, description="How many to keep.")] = 10


class Ranked(Struct, frozen=True):
    """The best documents."""

    documents: Annotated[list[dict[str, Any]], Meta(description="The best first.")]


class VectorSearchConfig(StepConfig, frozen=True):
    """Find the nearest vectors of an index."""

    index: Annotated[str, Meta(description="Name of the index.")]
    vector: Annotated[list[float], Meta(description="Near to what.")]
    limit: Annotated[int, Meta(ge=1, le=1000, description="How many.")] = 10


class Hits(Struct, frozen=True):
    """What was found."""

    hits: Annotated[list[dict[str, Any]], Meta(description="The nearest first.")]


class VectorUpsertConfig(StepConfig, frozen=True):
    """Replace a document's vectors in an index."""

    index: Annotated[str, Meta(description="Name of the index.")]
    document: Annotated[str | int, Meta(description="Identity of the document.")]
    chunks: Annotated[list[str], Meta(description="Its parts.")]
    vectors: Annotated[list[list[float]], Meta(description="One for each part.")]


class Upserted(Struct, frozen=True):
    """What was written."""

    upserted: Annotated[int, Meta(description="How many vectors.")]


class ChunkConfig(StepConfig, frozen=True):
    """Cut a text into parts."""

    text: Annotated[str, Meta(description="The text.")]
    max_tokens: Annotated[int, Meta(ge=1, description="Longest part.")] = 400
    overlap: Annotated[int, Meta(ge=0, description="How much neighbours share.")] = 0


class Chunks(Struct, frozen=True):
    """The parts."""

    chunks: Annotated[list[str], Meta(description="In the order of the text.")]


class CountRunsConfig(StepConfig, frozen=True):
    """Count runs of a pipeline."""

    pipeline: Annotated[str, Meta(description="Its id.")]
    outcome: Annotated[Literal["succeeded", "failed", "cancelled"] | None, Meta(description="Only these.")] = None
    since: Annotated[Duration, Meta(description="Not older than this.")] = "1d"


class Count(Struct, frozen=True):
    """A number."""

    count: Annotated[int, Meta(description="How many.")]


class Button(StepConfig, frozen=True):
    """A button below a message."""

    label: Annotated[str, Meta(description="What stands on it.")]
    url: Annotated[str, Meta(description="Where it leads.")]


class SlackWithButtonsConfig(SlackConfig, frozen=True):
    """Post a message to Slack."""

    buttons: Annotated[list[Button], Meta(description="Buttons below the text.")] = field(default_factory=list)


class PrefixQueryConfig(StoreQueryConfig, frozen=True):
    """Find documents by their content."""


class Items(Struct, frozen=True):
    """Documents that were found."""

    items: Annotated[list[dict[str, Any]], Meta(description="The documents.")]


async def declared(config: Any, context: StepContext) -> Any:
    """What every step of this plugin does."""
    raise RuntimeError("this step type is only declared; a test gives a mock for it")


async def chunk(config: ChunkConfig, context: StepContext) -> Chunks:
    """Cut after so many words; pure, so a test needs no mock."""
    words = config.text.split()
    step = max(config.max_tokens - config.overlap, 1)
    return Chunks([" ".join(words[at : at + config.max_tokens]) for at in range(0, len(words), step)])


STEPS: dict[str, tuple[type[StepConfig], str, Any]] = {
    "github.issue.update": (IssueUpdateConfig, "effect", Issue),
    "sql.query": (SqlQueryConfig, "idempotent", Rows),
    "sql.insert": (SqlInsertConfig, "effect", Inserted),
    "ai.agent": (AgentConfig, "effect", AgentAnswer),
    "ai.embed": (EmbedConfig, "idempotent", Vectors),
    "ai.rerank": (RerankConfig, "idempotent", Ranked),
    "vector.search": (VectorSearchConfig, "idempotent", Hits),
    "vector.upsert": (VectorUpsertConfig, "idempotent", Upserted),
    "runs.count": (CountRunsConfig, "idempotent", Count),
}
REPLACED: dict[str, tuple[type[msgspec.Struct], Any]] = {  # real types that the examples use with more fields
    "notify.slack": (SlackWithButtonsConfig, None),
    "store.query": (PrefixQueryConfig, Items),
}


@hookimpl
def register_steps(register: Any) -> None:
    for name, (config, effect, result) in STEPS.items():
        follows = result_of if name == "ai.agent" else None
        register(name, declared, config=config, effect=effect, result=result, result_of=follows)
    register("text.chunk", chunk, config=ChunkConfig, effect="pure", result=Chunks)
