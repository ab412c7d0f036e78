"""Expressions: ``${{ }}`` in values, bare in conditions. Values are data; nothing is ever parsed a second time."""

from engine.pipeline.expression.errors import ExpressionError
from engine.pipeline.expression.expression import Expression, parse_condition, parse_expression
from engine.pipeline.expression.secret import Secret, from_stored, reveal, to_stored
from engine.pipeline.expression.template import Template, compile_template

__all__ = [
    "Expression",
    "ExpressionError",
    "Secret",
    "Template",
    "compile_template",
    "from_stored",
    "parse_condition",
    "parse_expression",
    "reveal",
    "to_stored",
]
