"""What a transform is. One declaration holds all there is to know of it: the form, the reference page, the checks, the tests and the work.

A transform is a function from a Polars expression to a Polars expression. Its keyword arguments are its parameters, each with a title and
limits in its annotation; the name of the function is the name people write in a mapping. No module of transforms may use
`from __future__ import annotations`: the annotations are read here.
"""

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, create_model
from pydantic import Field as Parameter

from connectors.base import FieldType
from integration_hub.core.registry import Registry

if TYPE_CHECKING:
    import polars as pl

T = FieldType
ANY = frozenset(FieldType)
NUMERIC = frozenset({T.INTEGER, T.NUMBER, T.DECIMAL})

Gives = FieldType | Callable[[FieldType, Any], FieldType] | None
Build = Callable[..., "pl.Expr"]


class SourceField:
    """Marks a parameter that names a field of the source (or a list of them): the function is given `Operand`s in its place."""


@dataclass(frozen=True, slots=True)
class Operand:
    """A value beside the one that is being transformed."""

    value: "pl.Expr"
    type: FieldType


def operands(fields: Any) -> "list[Operand]":
    """What a parameter marked SourceField holds when the transform is built: no names any more."""
    return list(fields)


@dataclass(frozen=True)
class Example:
    """What a value becomes. `type` is what goes in, where it cannot be told from the value."""

    value: Any
    result: Any
    parameters: dict[str, Any] = field(default_factory=dict)
    type: FieldType | None = None
    others: dict[str, Any] = field(default_factory=dict)  # other fields of the same record
    linked: dict[str, str] = field(default_factory=dict)  # keys of the source → keys of the target


class Parameters(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


@dataclass(frozen=True, eq=False)
class Transform:
    """One step that a mapping may take.

    `takes`: the types it works on (any other is written as text first, where it takes text). `gives`: the type it makes, None for the same.
    `reason`: what to tell of a value it made null; None: it never does. `null_is_an_answer`: whether null is a good result with these parameters.
    `fills_nulls`: it is asked about nulls too and may make values of them. `wants_links`: it looks its value up among the links of another entity,
    so its value must be known before it is built.
    """

    name: str
    label: str
    description: str
    group: str
    takes: frozenset[FieldType]
    gives: Gives
    examples: tuple[Example, ...]
    build: Build
    parameters: type[Parameters]
    reason: str | None
    null_is_an_answer: Callable[[Any], bool]
    fills_nulls: bool
    check: Callable[[Any], None] | None
    wants_type: bool
    wants_links: bool
    source_fields: frozenset[str]

    def type_after(self, before: FieldType, parameters: Parameters) -> FieldType:
        if self.gives is None:
            return before
        return self.gives if isinstance(self.gives, FieldType) else self.gives(before, parameters)

    def apply(
        self,
        value: "pl.Expr",
        of: FieldType,
        parameters: Parameters,
        operand: Callable[[str], Operand],
        linked: Mapping[str, str] = MappingProxyType({}),
    ) -> "pl.Expr":
        """The step as an expression; `operand` finds the other fields it names, `linked` has the links of its values: key of the source → of the target."""
        given = {name: getattr(parameters, name) for name in type(parameters).model_fields}
        for name in self.source_fields:
            named = given[name]
            given[name] = operand(named) if isinstance(named, str) else [operand(n) for n in named]
        if self.wants_type:
            given["of"] = of
        if self.wants_links:
            given["linked"] = linked
        return self.build(value, **given)

    def fields_named(self, parameters: Parameters) -> list[str]:
        """The other source fields that this step reads."""
        found: list[str] = []
        for name in sorted(self.source_fields):
            named = getattr(parameters, name)
            found += [named] if isinstance(named, str) else named
        return found


TRANSFORMS: Registry[Transform] = Registry("transforms")


def transform(
    label: str,
    description: str,
    *,
    group: str,
    takes: FieldType | frozenset[FieldType],
    gives: Gives = None,
    examples: Sequence[Example],
    reason: str | None = None,
    null_is_an_answer: bool | Callable[[Any], bool] = False,
    fills_nulls: bool = False,
    check: Callable[[Any], None] | None = None,
) -> Callable[[Build], Build]:
    """Declare a transform. `check(parameters)` may raise ExpressionError for what the types of the parameters cannot say."""

    def declare(build: Build) -> Build:
        signature = inspect.signature(build)
        wanted: dict[str, Any] = {}
        source_fields = set()
        for name, parameter in list(signature.parameters.items())[1:]:
            if name in ("of", "linked"):
                continue
            if any(isinstance(mark, SourceField) for mark in getattr(parameter.annotation, "__metadata__", ())):
                source_fields.add(name)
            wanted[name] = (parameter.annotation, ... if parameter.default is inspect.Parameter.empty else parameter.default)
        name = build.__name__.rstrip("_")
        TRANSFORMS.register(
            name,
            Transform(
                name=name,
                label=label,
                description=description,
                group=group,
                takes=takes if isinstance(takes, frozenset) else frozenset({takes}),
                gives=gives,
                examples=tuple(examples),
                build=build,
                parameters=create_model(f"{name}_parameters", __base__=Parameters, **wanted),
                reason=reason,
                null_is_an_answer=null_is_an_answer if callable(null_is_an_answer) else lambda parameters: null_is_an_answer,
                fills_nulls=fills_nulls,
                check=check,
                wants_type="of" in signature.parameters,
                wants_links="linked" in signature.parameters,
                source_fields=frozenset(source_fields),
            ),
        )
        return build

    return declare


__all__ = ["ANY", "NUMERIC", "TRANSFORMS", "Example", "Operand", "Parameter", "Parameters", "SourceField", "T", "Transform", "operands", "transform"]
