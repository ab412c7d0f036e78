"""All built-in filters by name."""

from engine.pipeline.expression import filters_lists, filters_objects, filters_text, moments
from engine.pipeline.expression.signature import Builtin, table

FILTERS: dict[str, Builtin] = {
    **filters_text.FILTERS,
    **filters_lists.FILTERS,
    **filters_objects.FILTERS,
    **table(Builtin(moments.date)),
}
