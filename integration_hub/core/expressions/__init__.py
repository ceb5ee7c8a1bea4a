"""The one expression language: formulas of mappings, filters of syncs, conditions of rules, branches of workflows.

`parse` reads text, `condition` rows of a form; both give an `Expression`. Nothing of this touches Polars before `to_polars`.
"""

from .conditions import OPERATORS, Operator, condition
from .errors import ExpressionError
from .functions import FUNCTIONS, Function
from .language import Expression, parse, parse_condition

__all__ = ["FUNCTIONS", "OPERATORS", "Expression", "ExpressionError", "Function", "Operator", "condition", "parse", "parse_condition"]
