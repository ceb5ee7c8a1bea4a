"""From the records of one entity to those of another, a page at a time.

A mapping is compiled once. A page then costs one pass that computes every target field, one that checks them, and counts of nulls; who is
rejected and why is found out afterwards, and only among the records of which a count says that there are some.

That works because a step hands null on as null: between two steps for which null means something, a value was lost if and only if more nulls
came out than went in. `Piece` is such a stretch of steps.

A step that follows a reference needs links, which are not here: its values are gathered from the whole page, asked for at once from `links`, which
the caller gives, and taken from the answer. It is a piece of its own.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from connectors.base import Entity, Field, FieldType, Page, Text, _, frame_type
from integration_hub.core.expressions.conversions import NOT_A_TYPE, conversion, convert, ends_of_calendar, json_string
from integration_hub.core.expressions.errors import ExpressionError, did_you_mean
from integration_hub.core.expressions.paths import find_path
from integration_hub.core.expressions.patterns import check_pattern
from integration_hub.core.expressions.sharing import let

from .definition import Definition, DefinitionError, FieldMapping, Problem, read_definition
from .match import match_keys
from .transforms.base import Operand

if TYPE_CHECKING:
    import polars as pl

T = FieldType
SHOWN = 200  # characters of a value in a reason
REJECTED = ("row", "field", "step", "transform", "value", "template", "values", "waits_for")

# (entity of the source, of the target or "" for the only one, keys of the first) → of those that are linked, the key there
Links = Callable[[str, str, Sequence[str]], Mapping[str, str]]


def no_links(entity: str, target: str, keys: Sequence[str]) -> Mapping[str, str]:
    """Nothing is linked."""
    return {}


@dataclass(slots=True)
class Mapped:
    """What a page became.

    `frame`: the target fields and `row` (place in the page) of every record that is not rejected. `send`: Boolean columns beside it for fields
    that not every record sends; None: all send all. `match`: the records' match keys, as `match.match_keys` gives them.
    `rejected`: row, field, step, transform, value, template, values (JSON); one row a record, its first failure. `field` is the target field
    and `step` counts its steps from 1, what is checked after them included; step 0: the source field could not be read. `waits_for`: the whole key
    whose link the record is to wait for; null: it is not to wait. `unlinked`: row, field, step and value of each reference in `frame` without a link,
    where null is the answer to that.
    """

    frame: pl.DataFrame
    send: pl.DataFrame | None
    rejected: pl.DataFrame
    match: dict[str, pl.Series]
    unlinked: list[tuple[int, str, int, str]]


@dataclass(frozen=True, slots=True)
class Following:
    """How a step follows a reference: `parameters` say to which entity, `build(value, linked)` takes the keys from what is linked."""

    parameters: Any
    build: Callable[[pl.Expr, Mapping[str, str]], pl.Expr]

    @property
    def parks(self) -> bool:
        return bool(self.parameters.missing == "park")

    def column(self, values: pl.Series, links: Links) -> pl.Series:
        """The values after the step; asks for each of them once."""
        import polars as pl

        keys = values.drop_nulls().unique(maintain_order=True).to_list()
        linked = links(self.parameters.entity, self.parameters.target, keys) if keys else {}
        return values.to_frame("#").select(self.build(pl.col("#"), linked).alias(values.name)).to_series()


@dataclass(frozen=True, slots=True)
class Op:
    """One thing done to a value. `step` 0: the value's origin. One that follows a reference is built as if nothing were linked."""

    step: int
    transform: str
    build: Callable[[pl.Expr], pl.Expr]
    before: FieldType
    after: FieldType
    reason: Text | None = None  # what to tell of a present value that became null; None: it never does, or null is an answer
    breaks: bool = False  # null means something to it: it answers with null or fills nulls
    following: Following | None = None


@dataclass(frozen=True, slots=True)
class Check:
    """Something that must hold of the final value: `broken` is true where it does not. `suspects` is cheaper and may cry wolf: whether to look at all."""

    step: int
    name: str
    broken: Callable[[pl.Expr], pl.Expr]
    reason: Text
    suspects: Callable[[pl.Expr], pl.Expr] | None = None

    def looks_broken(self, value: pl.Expr) -> pl.Expr:
        return self.suspects(value) if self.suspects else self.broken(value).any()


@dataclass(frozen=True, slots=True)
class Piece:
    """A stretch of steps computed in one pass; `watched`: it can lose values, so the nulls before and after it are counted."""

    ops: tuple[Op, ...]
    watched: bool

    @property
    def following(self) -> Following | None:
        return self.ops[0].following if len(self.ops) == 1 else None


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a value comes from, as an expression over the source's columns."""

    value: Callable[[], pl.Expr]
    type: FieldType
    uses: tuple[str, ...]
    column: str | None = None  # the origin is this very column
    failure: Callable[[], pl.Expr] | None = None  # true where a formula failed
    text: str = ""
    constant: bool = False


@dataclass(frozen=True, slots=True)
class FieldPlan:
    """A field mapping, compiled."""

    number: int
    target: Field
    origin: Origin
    ops: tuple[Op, ...]
    pieces: tuple[Piece, ...]
    checks: tuple[Check, ...]
    required: bool
    clears: bool
    uses: tuple[str, ...]
    labels: tuple[str, ...] = field(default=())

    def column(self, piece: int) -> str:
        """The column that holds the value after this piece; -1: the value's origin."""
        if piece < 0 and self.origin.column is not None:
            return self.origin.column
        return f"#{self.number}.{piece + 1}"

    @property
    def failed_column(self) -> str:
        return f"#{self.number}.failed"

    @property
    def last_column(self) -> str:
        return self.column(len(self.pieces) - 1)


def compile_mapping(definition: Definition | dict[str, Any], source: Entity, target: Entity) -> CompiledMapping:
    """Check a definition against both schemas and make it ready to run. Raises DefinitionError with all that is wrong."""
    read = read_definition(definition)
    problems: list[Problem] = []
    plans: list[FieldPlan] = []
    compiler = _Compiler(source, target)
    for number, mapping in enumerate(read.fields):
        try:
            plans.append(compiler.plan(number, mapping))
        except _Refused as refused:
            problems.append(refused.problem)
    fixed = [plan for plan in plans if plan.origin.constant and not any(op.following for op in plan.ops)]
    problems += [problem for plan in fixed for problem in _unfit_constants(read, source, target, plan)]
    if problems:
        raise DefinitionError(problems)
    return CompiledMapping(read, source, target, tuple(plans))


def _unfit_constants(definition: Definition, source: Entity, target: Entity, plan: FieldPlan) -> Iterator[Problem]:
    """A constant that would fail fails for every record: better said now."""
    import polars as pl

    empty = pl.DataFrame([pl.Series(name, [None], dtype) for name, dtype in source.frame_schema().items()])
    rejected = CompiledMapping(definition, source, target, (plan,)).apply(Page(empty, None)).rejected
    for row in rejected.iter_rows(named=True):
        yield Problem(Text(row["template"], json.loads(row["values"])), row["field"])


class _Refused(Exception):
    def __init__(self, problem: Problem) -> None:
        self.problem = problem


class _Compiler:
    def __init__(self, source: Entity, target: Entity) -> None:
        self.source = source
        self.target = target
        self.types = {f.name: f.type for f in source.fields}

    def plan(self, number: int, mapping: FieldMapping) -> FieldPlan:
        import polars as pl

        step = 0
        try:
            target = self._target(mapping.target)
            origin = self._origin(mapping)
            uses, ops, type_ = list(origin.uses), [], origin.type
            for step, told in enumerate(mapping.steps, 1):
                declared, parameters = told.declared, told.parameters
                uses += [find_path(name, self.types).field for name in declared.fields_named(parameters)]
                if type_ not in declared.takes:
                    ops.append(self._written_as_text(step, told.transform, declared.label, declared.takes, type_))
                    type_ = T.TEXT
                ops.append(self._step(step, told, type_))
                ops[-1].build(pl.col("_"))  # says now what it cannot be built of
                type_ = ops[-1].after
            step = 0
            ops += self._into_target(len(mapping.steps) + 1, type_, target)
            checks = tuple(self._checks(len(mapping.steps) + 1, mapping, target))
        except ExpressionError as error:
            raise _Refused(Problem(error.text, mapping.target, step)) from None
        return FieldPlan(
            number=number,
            target=target,
            origin=origin,
            ops=tuple(ops),
            pieces=_pieces(origin, ops),
            checks=checks,
            required=target.required if mapping.required is None else mapping.required,
            clears=mapping.on_null == "clear",
            uses=tuple(dict.fromkeys(uses)),
            labels=tuple(told.declared.label for told in mapping.steps),
        )

    def _target(self, name: str) -> Field:
        target = self.target.field(name)
        if target is None:
            suggestion = did_you_mean(name, [f.name for f in self.target.fields])
            if suggestion:
                raise ExpressionError(_("The target has no field {field}. Did you mean {suggestion}?"), field=name, suggestion=suggestion)
            raise ExpressionError(_("The target has no field {field}."), field=name)
        if name == "row":  # the mapped frame's own column
            raise ExpressionError(_("A field called {field} cannot be mapped to."), field=name)
        if target.read_only:
            raise ExpressionError(_("The target sets {field} itself; nothing can be written to it."), field=name)
        return target

    def _origin(self, mapping: FieldMapping) -> Origin:
        if mapping.source is not None:
            path = find_path(mapping.source, self.types)
            return Origin(path.to_polars, path.type, (path.field,), None if path.inside else path.field, text=mapping.source)
        if mapping.expression is not None:
            from integration_hub.core.expressions import parse

            expression = parse(mapping.expression, self.types)
            type_ = expression.type or T.TEXT
            return Origin(expression.to_polars, type_, expression.fields, failure=expression.failure, text=mapping.expression)
        return _constant(mapping.constant)

    def _step(self, step: int, told: Any, before: FieldType) -> Op:
        declared, parameters = told.declared, told.parameters
        answers = declared.null_is_an_answer(parameters)
        values = {k: v for k, v in parameters.model_dump(mode="json").items() if isinstance(v, str | int | float | bool)}
        values |= {k: ", ".join(map(str, v)) for k, v in parameters.model_dump(mode="json").items() if isinstance(v, list)}

        def build(value: pl.Expr, linked: Mapping[str, str] = MappingProxyType({})) -> pl.Expr:
            built: pl.Expr = declared.apply(value, before, parameters, self._operand, linked)
            return built

        return Op(
            step=step,
            transform=declared.name,
            build=build,
            before=before,
            after=declared.type_after(before, parameters),
            reason=Text(declared.reason, values) if declared.reason and not answers else None,
            breaks=answers or declared.fills_nulls,
            following=Following(parameters, build) if declared.wants_links else None,
        )

    def _operand(self, name: str) -> Operand:
        path = find_path(name, self.types)
        return Operand(path.to_polars(), path.type)

    def _written_as_text(self, step: int, name: str, label: str, takes: frozenset[FieldType], before: FieldType) -> Op:
        if T.TEXT not in takes or before is T.BINARY:
            raise ExpressionError(
                _("“{transform}” works on {takes}, but is given {type}. Put a step before it that makes one of the other."),
                transform=Text(label),
                takes=Text(", ".join(f"{{{name}}}" for name in sorted(takes)), {name: name for name in takes}),
                type=before,
            )
        return _conversion_op(step, name, before, T.TEXT, 9)

    def _into_target(self, step: int, before: FieldType, target: Field) -> Iterator[Op]:
        if conversion(before, target.type) is None:
            raise ExpressionError(
                _("The value is {type}, but {field} takes {wanted}. Add a step that makes one of the other."),
                type=before,
                field=target.name,
                wanted=target.type,
            )
        if before is not target.type or before in (T.NUMBER, T.DECIMAL):
            yield _conversion_op(step, "convert", before, target.type, target.scale)

    def _checks(self, step: int, mapping: FieldMapping, target: Field) -> Iterator[Check]:
        if target.type is T.TEXT:
            yield Check(
                step,
                "text",
                lambda value: value.str.contains("\0", literal=True),
                Text(_("“{value}” contains a NUL character, which no text may hold. Add the step “Remove control characters”.")),
                lambda value: value.str.count_matches("\0", literal=True).sum() > 0,
            )
        if target.type in (T.DATE, T.DATETIME):
            first, last = ends_of_calendar(target.type)
            yield Check(
                step,
                "calendar",
                lambda value: ~value.is_between(first, last),
                Text(_("“{value}” lies outside the years 1 to 9999.")),
                lambda value: (value.min() < first) | (value.max() > last),
            )
        lengths = [length for length in (mapping.max_length, target.max_length) if length is not None]
        if lengths and target.type in (T.TEXT, T.JSON):
            limit = min(lengths)
            yield Check(
                step,
                "max_length",
                lambda value: value.str.len_chars() > limit,
                Text(_("“{value}” is longer than the {limit} characters that are allowed."), {"limit": limit}),
                lambda value: value.str.len_bytes().max() > limit,
            )
        elif mapping.max_length is not None:
            raise ExpressionError(_("Only text has a greatest length; {field} is {type}."), field=target.name, type=target.type)
        if mapping.pattern is not None:
            if target.type is not T.TEXT:
                raise ExpressionError(_("Only text can be held against a pattern; {field} is {type}."), field=target.name, type=target.type)
            check_pattern(mapping.pattern)
            anchored = f"^(?:{mapping.pattern})$"
            yield Check(
                step,
                "pattern",
                lambda value: ~value.str.contains(anchored),
                Text(_("“{value}” does not fit the pattern {pattern}."), {"pattern": mapping.pattern}),
            )
        if mapping.allowed is not None:
            yield _allowed_check(step, list(mapping.allowed), target)
        if target.choices and target.type is not T.JSON:
            yield _allowed_check(step, list(target.choices), target)


def _allowed_check(step: int, allowed: list[Any], target: Field) -> Check:
    import polars as pl

    texts = [json.dumps(v) if isinstance(v, bool) else str(v) for v in allowed]
    values = pl.DataFrame({"v": texts}).select(convert(pl.col("v"), T.TEXT, target.type, target.scale)).to_series()
    if values.null_count():
        wrong = texts[values.is_null().arg_max() or 0]
        raise ExpressionError(_("The allowed value “{value}” is not {type}, as {field} is."), value=wrong, type=target.type, field=target.name)
    several = ", ".join(texts[:20]) + (", …" if len(texts) > 20 else "")
    return Check(
        step,
        "allowed",
        lambda value: ~value.is_in(values.implode()),
        Text(_("“{value}” is not one of the values that are allowed: {allowed}."), {"allowed": several}),
    )


def _conversion_op(step: int, name: str, before: FieldType, after: FieldType, scale: int) -> Op:
    way = conversion(before, after)
    if way is None:
        raise ExpressionError(_("{type} cannot be made {wanted}."), type=before, wanted=after)
    return Op(
        step,
        name,
        lambda value: convert(value, before, after, scale),
        before,
        after,
        Text(NOT_A_TYPE[after], {"scale": scale}) if way.can_fail else None,
    )


def _constant(value: Any) -> Origin:
    types: dict[type, FieldType] = {bool: T.BOOLEAN, int: T.INTEGER, float: T.NUMBER, str: T.TEXT, list: T.JSON, dict: T.JSON}
    type_ = types.get(type(value))
    if type_ is None or (type_ is T.INTEGER and not -(2**63) <= value < 2**63):
        raise ExpressionError(_("“{value}” cannot be a constant."), value=str(value)[:SHOWN])
    plain = json.dumps(value, ensure_ascii=False, separators=(",", ":"), sort_keys=True) if type_ is T.JSON else value

    def literal() -> pl.Expr:
        import polars as pl

        return pl.lit(plain, frame_type(type_))

    return Origin(literal, type_, (), text=str(plain), constant=True)


def _pieces(origin: Origin, ops: Sequence[Op]) -> tuple[Piece, ...]:
    """Cut the steps where null means something, and where links are needed; steps that lose nothing join their neighbours."""
    pieces: list[list[Op]] = [[]]
    for op in ops:
        if op.breaks or op.following:
            pieces += [[op], []]
        else:
            pieces[-1].append(op)
    merged: list[Piece] = []
    for stretch in pieces:
        watched = any(op.reason is not None for op in stretch) and not (len(stretch) == 1 and stretch[0].breaks)
        if not stretch:
            continue
        piece = Piece(tuple(stretch), watched)
        if merged and not any(each.watched or each.following for each in (piece, merged[-1])):
            merged[-1] = Piece((*merged[-1].ops, *stretch), watched=False)
        else:
            merged.append(piece)
    if origin.column is None and merged and (merged[0].watched or merged[0].following):
        merged.insert(0, Piece((), watched=False))  # so that the nulls of the origin can be counted
    return tuple(merged) if merged or origin.column is not None else (Piece((), watched=False),)


class CompiledMapping:
    """A mapping ready to run. Belongs to no thread and holds no state: use it for as many pages as there are."""

    def __init__(self, definition: Definition, source: Entity, target: Entity, plans: tuple[FieldPlan, ...]) -> None:
        self.definition = definition
        self.source = source
        self.target = target
        self.plans = plans
        self.sources = list(dict.fromkeys(name for plan in plans for name in plan.uses))
        self._stages = list(self._plan_stages())

    # --- the quick way ------------------------------------------------------------------------------------------------

    def apply(self, page: Page, links: Links = no_links) -> Mapped:
        """Map a page. Records that fail are in `rejected`, all others in `frame`; nothing else can happen to one."""
        work = page.frame
        for number, stage in enumerate(self._stages):
            work = work.with_columns(stage).with_columns(self._followed(number, work, links))
        final = self._final(work)
        rejected = self._rejected(page, work, final)
        absent = page.absent
        if rejected.height:
            keep = ~final.get_column("row").is_in(rejected.get_column("row").implode())
            final = final.filter(keep)
            absent = absent.filter(keep) if absent is not None else None
        unlinked = list(self._unlinked(work, set(rejected.get_column("row"))))
        return Mapped(final, self._send(final, absent), rejected, match_keys(final, self.definition.match), unlinked)

    def _plan_stages(self) -> Iterator[list[pl.Expr]]:
        """Piece n of every field in one pass. Constants and formulas come first, so that every pass has its columns."""
        import polars as pl

        for number in range(max((len(plan.pieces) for plan in self.plans), default=0)):
            stage = []
            for plan in self.plans:
                if number < len(plan.pieces) and not plan.pieces[number].following:
                    value = plan.origin.value() if number == 0 else pl.col(plan.column(number - 1))
                    bare = number > 0 or plan.origin.column is not None  # a column may be used twice, what is computed is shared
                    for op in plan.pieces[number].ops:
                        value, bare = op.build(value) if bare else let(value, op.build), False
                    stage.append(value.alias(plan.column(number)))
                if number == 0 and plan.origin.failure is not None:
                    stage.append(plan.origin.failure().alias(plan.failed_column))
            yield stage

    def _followed(self, number: int, work: pl.DataFrame, links: Links) -> list[pl.Series]:
        """The pieces of this number that follow a reference."""
        steps = [(plan, plan.pieces[number].following) for plan in self.plans if number < len(plan.pieces)]
        return [
            following.column(work.get_column(plan.column(number - 1)), links).alias(plan.column(number)) for plan, following in steps if following
        ]

    def _unlinked(self, work: pl.DataFrame, rejected: set[int]) -> Iterator[tuple[int, str, int, str]]:
        for plan in self.plans:
            for number, piece in enumerate(plan.pieces):
                if piece.following is None or piece.following.parameters.missing != "null":
                    continue
                before, after = work.get_column(plan.column(number - 1)), work.get_column(plan.column(number))
                if after.null_count() > before.null_count():
                    rows = (before.is_not_null() & after.is_null()).arg_true()
                    found = zip(rows.to_list(), before[rows].to_list(), strict=True)
                    yield from ((row, plan.target.name, piece.ops[0].step, value) for row, value in found if row not in rejected)

    def following(self, field: str, step: int) -> Any:
        """The parameters of a step that follows a reference, as `rejected` names it."""
        ops = next(plan.ops for plan in self.plans if plan.target.name == field)
        return next(op.following.parameters for op in ops if op.step == step and op.following)

    def _final(self, work: pl.DataFrame) -> pl.DataFrame:
        import polars as pl

        columns = [work.get_column(plan.last_column).alias(plan.target.name) for plan in self.plans]
        return pl.DataFrame([pl.int_range(work.height, dtype=pl.UInt32, eager=True).alias("row"), *columns])

    def _send(self, final: pl.DataFrame, absent: pl.DataFrame | None) -> pl.DataFrame | None:
        """Null is not sent, but where it clears; absent is never sent."""
        import polars as pl

        masks = []
        for plan in self.plans:
            column = final.get_column(plan.target.name)
            if not column.null_count():
                continue
            if not plan.clears:
                masks.append(column.is_not_null())
            elif absent is not None and (missing := [name for name in plan.uses if name in absent.columns]):
                gone = absent.select(pl.any_horizontal(pl.col(missing))).to_series()
                masks.append((column.is_not_null() | ~gone).alias(plan.target.name))
        return pl.DataFrame(masks) if masks else None

    # --- who is rejected, and why -------------------------------------------------------------------------------------

    def _rejected(self, page: Page, work: pl.DataFrame, final: pl.DataFrame) -> pl.DataFrame:
        import polars as pl

        found = [*self._misfits(page), *self._failures(work), *self._broken(work, final)]
        if not found:
            return pl.DataFrame(schema=_rejected_schema())
        if len(found) == 1 and not page.misfits:
            return found[0].select(REJECTED)
        every = pl.concat(found).sort("row", "order", maintain_order=True).unique("row", keep="first", maintain_order=True)
        return every.select(REJECTED)

    def _misfits(self, page: Page) -> Iterator[pl.DataFrame]:
        import polars as pl

        wanted = {"", *self.sources}
        rows = [
            (
                m.row,
                m.field,
                0,
                "read",
                m.text[:SHOWN],
                m.reason.template,
                json.dumps(dict(m.reason.values), ensure_ascii=False, default=str),
                None,
                -1,
            )
            for m in page.misfits
            if m.field in wanted
        ]
        if rows:
            yield pl.DataFrame(rows, schema={**_rejected_schema(), "order": pl.Int64()}, orient="row")

    def _failures(self, work: pl.DataFrame) -> Iterator[pl.DataFrame]:
        """A present value that a step made null."""
        for plan in self.plans:
            if plan.origin.failure is not None and work.get_column(plan.failed_column).any():
                yield self._formula_failures(plan, work)
            for number, piece in enumerate(plan.pieces):
                if not piece.watched:
                    continue
                before, after = work.get_column(plan.column(number - 1)), work.get_column(plan.column(number))
                if after.null_count() > before.null_count():
                    rows = (before.is_not_null() & after.is_null()).arg_true()
                    needed = work.select(list(dict.fromkeys([plan.column(number - 1), *plan.uses])))
                    lost = needed[rows].with_columns(rows.alias("#row"))
                    yield from self._lost_in(plan, piece, plan.column(number - 1), lost)

    def _lost_in(self, plan: FieldPlan, piece: Piece, column: str, lost: pl.DataFrame) -> Iterator[pl.DataFrame]:
        """Compute a piece again step by step, with only the records that it lost: each met exactly one step that lost it."""
        import polars as pl

        values = [pl.col(column).alias("#0")]
        for number, op in enumerate(piece.ops, 1):
            values.append(let(values[-1], op.build).alias(f"#{number}"))
        steps = lost.with_columns(values)
        may_fail = [(number, op, op.reason) for number, op in enumerate(piece.ops, 1) if op.reason is not None]
        for number, op, reason in may_fail:
            here = steps
            if len(may_fail) > 1:
                here = steps.filter(pl.col(f"#{number}").is_null() & pl.col(f"#{number - 1}").is_not_null())
            if here.height:
                value = convert(pl.col(f"#{number - 1}"), op.before, T.TEXT)
                yield _reject(here, plan, op.step, op.transform, value, reason, waits_for=value if op.following and op.following.parks else None)

    def _formula_failures(self, plan: FieldPlan, work: pl.DataFrame) -> pl.DataFrame:
        import polars as pl

        failed = work.with_row_index("#row").filter(pl.col(plan.failed_column))
        parts = [
            pl.concat_str(pl.lit(f"{name} = "), convert(pl.col(name), type_, T.TEXT).fill_null("null"))
            for name in plan.origin.uses
            for type_ in [self._type(name)]
        ]
        value = pl.concat_str(parts, separator=", ") if parts else pl.lit("")
        return _reject(failed, plan, 0, "formula", value, Text(_("The formula has no result for {value}."), {"formula": plan.origin.text}))

    def _type(self, name: str) -> FieldType:
        known = self.source.field(name)
        return known.type if known else T.TEXT

    def _broken(self, work: pl.DataFrame, final: pl.DataFrame) -> Iterator[pl.DataFrame]:
        """What the final values must hold to. One pass asks whether there are any that do not."""
        import polars as pl

        for plan in self.plans:
            if not plan.required:
                continue
            value = final.get_column(plan.target.name)
            empty = value.is_null() | (value == "").fill_null(value=True) if value.dtype == pl.String else value.is_null()
            if empty.any():
                missing = final.filter(empty)
                reason = Text(_("{field} must not be empty."), {"field": plan.target.label or plan.target.name})
                yield _reject(missing, plan, len(plan.labels) + 1, "required", pl.lit(None, pl.String), reason, row="row")
        checks = [(plan, check) for plan in self.plans for check in plan.checks]
        if not checks or not final.height:
            return
        suspected = final.select(check.looks_broken(pl.col(plan.target.name)).alias(str(n)) for n, (plan, check) in enumerate(checks)).row(0)
        for suspect, (plan, check) in zip(suspected, checks, strict=True):
            if suspect:
                broken = final.filter(check.broken(pl.col(plan.target.name)))
                if broken.height:
                    shown = convert(pl.col(plan.target.name), plan.target.type, T.TEXT)
                    yield _reject(broken, plan, check.step, check.name, shown, check.reason, row="row")


def _rejected_schema() -> dict[str, pl.DataType]:
    import polars as pl

    text = pl.String()
    columns: dict[str, pl.DataType] = dict.fromkeys(REJECTED, text)
    return columns | {"row": pl.UInt32(), "step": pl.Int64()}


def _reject(
    frame: pl.DataFrame,
    plan: FieldPlan,
    step: int,
    transform: str,
    value: pl.Expr,
    reason: Text,
    *,
    row: str = "#row",
    waits_for: pl.Expr | None = None,
) -> pl.DataFrame:
    """A row of `rejected` for each row of the frame. `values` is the reason's values and the value itself, as JSON."""
    import polars as pl

    known = json.dumps(dict(reason.values), ensure_ascii=False, default=str)
    shown = value.str.slice(0, SHOWN)
    told = pl.concat_str(pl.lit(known[:-1] + (", " if reason.values else "") + '"value": '), json_string(shown), pl.lit("}"))
    return frame.select(
        pl.col(row).cast(pl.UInt32).alias("row"),
        pl.lit(plan.target.name).alias("field"),
        pl.lit(step, pl.Int64).alias("step"),
        pl.lit(transform).alias("transform"),
        shown.alias("value"),
        pl.lit(reason.template).alias("template"),
        pl.coalesce(told, pl.lit(known)).alias("values"),
        (pl.lit(None, pl.String) if waits_for is None else waits_for).alias("waits_for"),
        pl.lit(plan.number, pl.Int64).alias("order"),
    )
