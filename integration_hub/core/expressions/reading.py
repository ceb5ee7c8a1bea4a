"""From a text to sqlglot's tree, within limits; what is in the tree is checked where it is built.

sqlglot knows hundreds of functions and rewrites many; here it is told of none, so that every call arrives as a name with arguments.
"""

from __future__ import annotations

import re
from typing import Any, ClassVar

from sqlglot import exp, parse_one
from sqlglot.dialects.postgres import Postgres
from sqlglot.errors import ParseError, TokenError
from sqlglot.parsers.postgres import PostgresParser

from connectors.base import _

from .errors import ExpressionError

MAX_LENGTH = 2_000
MAX_DEPTH = 32
MAX_NODES = 200


class _Parser(PostgresParser):
    FUNCTIONS: ClassVar[dict[str, Any]] = {}
    FUNCTION_PARSERS: ClassVar[dict[str, Any]] = {
        name: PostgresParser.FUNCTION_PARSERS[name] for name in ("CAST", "TRY_CAST", "EXTRACT", "TRIM", "SUBSTRING", "POSITION")
    }
    STATEMENT_PARSERS: ClassVar[dict[Any, Any]] = {}  # so that `comment`, `user` or `set` are names of fields


class _Tokenizer(Postgres.Tokenizer):
    COMMANDS: ClassVar[set[Any]] = set()


class HubSQL(Postgres):
    """PostgreSQL's grammar, with lists counted from 0 as JSON does."""

    INDEX_OFFSET = 0
    Parser = _Parser
    Tokenizer = _Tokenizer


def read_tree(text: str) -> exp.Expr:
    """The tree of a text within all limits; what is in it is not yet checked."""
    if not text.strip():
        raise ExpressionError(_("The expression is empty."), line=1, column=1)
    if len(text) > MAX_LENGTH:
        raise ExpressionError(_("The expression has {length} characters; {limit} are allowed."), length=len(text), limit=MAX_LENGTH)
    if "\0" in text or any("\ud800" <= sign <= "\udfff" for sign in text):
        raise ExpressionError(_("The expression contains characters that are no text."))
    _check_depth(text)
    try:
        tree = parse_one(text, dialect=HubSQL)
    except ParseError as error:
        raise _syntax_error(error) from None
    except TokenError:
        raise _token_error(text) from None
    except RecursionError:
        raise too_deep() from None
    except Exception:  # the parser's own faults on odd input
        raise ExpressionError(_("This cannot be read as an expression.")) from None
    return tree


def too_deep(line: int | None = None, column: int | None = None) -> ExpressionError:
    return ExpressionError(_("The expression is nested more than {limit} levels deep."), limit=MAX_DEPTH, line=line, column=column)


def _check_depth(text: str) -> None:
    depth = 0
    for found in re.finditer(r"'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\"|--[^\n]*|[(\[{)\]}]|\bcase\b|\bend\b", text, re.IGNORECASE):
        sign = found[0].lower()
        if sign in "([{" or sign == "case":
            depth += 1
            if depth > MAX_DEPTH:
                raise too_deep(*_line_and_column(text, found.start()))
        elif sign in ")]}" or sign == "end":
            depth -= 1


def _line_and_column(text: str, place: int) -> tuple[int, int]:
    return text.count("\n", 0, place) + 1, place - (text.rfind("\n", 0, place) + 1) + 1


def _syntax_error(error: ParseError) -> ExpressionError:
    first = error.errors[0] if error.errors else {}
    near = str(first.get("highlight") or "")
    line, column = first.get("line"), first.get("col")
    if isinstance(column, int):
        column = max(1, column - len(near) + 1)
    description = str(first.get("description") or "")
    if description.startswith("Expecting )"):
        return ExpressionError(_("A closing parenthesis is missing after “{near}”."), near=near, line=line, column=column)
    if description.startswith(("Required keyword", "Required argument")):
        return ExpressionError(_("Something is missing after “{near}”."), near=near, line=line, column=column)
    return ExpressionError(_("“{near}” is not expected here."), near=near, line=line, column=column)


def _token_error(text: str) -> ExpressionError:
    rest = re.sub(r"'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\"", lambda found: " " * len(found[0]), text)
    place = min((rest.find(sign) for sign in "'\"" if sign in rest), default=0)
    line, column = _line_and_column(text, place)
    return ExpressionError(_("A quotation mark is opened here but never closed."), line=line, column=column)


_SMALL = (exp.Identifier, exp.DataType, exp.Var, exp.JSONPath, exp.JSONPathPart, exp.DataTypeParam)


def check_size(tree: exp.Expr) -> None:
    count = 0
    waiting: list[tuple[exp.Expr, int]] = [(tree, 1)]
    while waiting:
        node, depth = waiting.pop()
        count += not isinstance(node, _SMALL)
        if count > MAX_NODES:
            raise ExpressionError(_("The expression has more than {limit} parts. Make several fields or steps of it."), limit=MAX_NODES)
        if depth > MAX_NODES:
            raise too_deep()
        waiting += [(child, depth + 1) for child in node.iter_expressions()]


def place_of(node: exp.Expr) -> tuple[int | None, int | None]:
    """Where a node stands in the text: sqlglot tells the end of names; the first name in a node is near enough."""
    for part in node.walk(bfs=False):
        if "line" in part.meta:
            return part.meta["line"], max(1, part.meta["col"] - (part.meta["end"] - part.meta["start"]))
    return None, None


def shown(node: exp.Expr) -> str:
    """A node as a person would recognise it."""
    try:
        return node.sql(dialect=HubSQL)[:60]
    except Exception:
        return type(node).__name__
