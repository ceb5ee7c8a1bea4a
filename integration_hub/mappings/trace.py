"""What becomes of one record, step by step: for the editor, and for the trace of a record through a sync."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from connectors.base import FieldType, Page, Text, _
from integration_hub.core.expressions.conversions import convert

from .engine import SHOWN, CompiledMapping, FieldPlan, Links, Op, no_links

if TYPE_CHECKING:
    import polars as pl

T = FieldType


@dataclass(frozen=True, slots=True)
class StepTrace:
    """The value after a step, as text (None: null). The step after the last one is the conversion to the target's type."""

    number: int
    transform: str
    label: str
    value: str | None
    type: FieldType


@dataclass(frozen=True, slots=True)
class FieldTrace:
    """One target field: `value` is what it began with, `result` what it would be; `problem`, at `problem_step`, why the record would be rejected."""

    field: str
    origin: str
    value: str | None
    absent: bool
    steps: tuple[StepTrace, ...]
    result: str | None
    sent: bool
    problem: Text | None = None
    problem_step: int | None = None


def trace(mapping: CompiledMapping, page: Page, row: int = 0, links: Links = no_links) -> list[FieldTrace]:
    """Every target field of one record of a page. Never raises for what is wrong with the record."""
    return [_trace_field(plan, page, row, links) for plan in mapping.plans]


def _trace_field(plan: FieldPlan, page: Page, row: int, links: Links) -> FieldTrace:
    import polars as pl

    absent = page.absent is not None and any(name in page.absent.columns and page.absent[name][row] for name in plan.uses)
    frame = page.frame.slice(row, 1).with_columns(plan.origin.value().alias("#now"))
    began = _shown(frame, plan.origin.type)
    misfit = next((m for m in page.misfits if m.row == row and (m.field in plan.uses or not m.field)), None)
    if misfit is not None:
        return FieldTrace(plan.target.name, plan.origin.text, misfit.text, absent, (), None, False, misfit.reason, 0)
    if plan.origin.failure is not None and frame.select(plan.origin.failure()).item():
        problem = Text(_("The formula has no result for {value}."), {"value": ", ".join(plan.origin.uses), "formula": plan.origin.text})
        return FieldTrace(plan.target.name, plan.origin.text, began, absent, (), None, False, problem, 0)

    steps: list[StepTrace] = []
    value = began
    for op in plan.ops:
        now = op.following.column(frame["#now"], links) if op.following else op.build(pl.col("#now")).alias("#now")
        before, frame = frame, frame.with_columns(now)
        was, value = value, _shown(frame, op.after)
        if steps and steps[-1].number == op.step:
            steps.pop()
        steps.append(StepTrace(op.step, op.transform, _label(plan, op), value, op.after))
        if op.reason is not None and frame["#now"].null_count() and not before["#now"].null_count():
            reason = Text(op.reason.template, {**op.reason.values, "value": (was or "")[:SHOWN]})
            return FieldTrace(plan.target.name, plan.origin.text, began, absent, tuple(steps), None, False, reason, op.step)

    sent = value is not None or (plan.clears and not absent)
    step, broken = next(_broken(plan, frame, value), (None, None))
    return FieldTrace(plan.target.name, plan.origin.text, began, absent, tuple(steps), value, sent and broken is None, broken, step)


def _broken(plan: FieldPlan, frame: pl.DataFrame, value: str | None) -> Iterator[tuple[int, Text]]:
    import polars as pl

    if plan.required and value in (None, ""):
        yield len(plan.labels) + 1, Text(_("{field} must not be empty."), {"field": plan.target.label or plan.target.name})
    for check in plan.checks:
        if frame.select(check.broken(pl.col("#now"))).item():
            yield check.step, Text(check.reason.template, {**check.reason.values, "value": (value or "")[:SHOWN]})


def _label(plan: FieldPlan, op: Op) -> str:
    return plan.labels[op.step - 1] if 0 < op.step <= len(plan.labels) else ""


def _shown(frame: pl.DataFrame, type_: FieldType) -> str | None:
    import polars as pl

    shown: Any = frame.select(convert(pl.col("#now"), type_, T.TEXT) if type_ is not T.JSON else pl.col("#now")).item()
    return shown if shown is None else str(shown)
