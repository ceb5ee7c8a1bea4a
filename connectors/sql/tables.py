"""What a database says of its tables and views, and what the hub makes of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any
from zoneinfo import ZoneInfo

import sqlalchemy as sa
from sqlalchemy.dialects import mysql, postgresql
from sqlalchemy.engine.reflection import ObjectKind
from sqlalchemy.sql import sqltypes

from connectors.base import Capabilities, Entity, Field, FieldType, SettingsError, _
from connectors.sql.columns import Column
from connectors.sql.settings import SqlSettings, TableSettings

T = FieldType
BULK = 20_000  # records of a portion; all of it is one transaction
CHANGE_NAMES = (  # columns that, by their name, rise with each change
    "updated_at", "modified_at", "changed_at", "last_modified", "last_updated", "last_update", "update_time", "modify_time", "updated_on",
    "modified_on", "last_modified_at", "last_updated_at", "write_date", "gmt_modified", "mtime", "updated", "modified", "systemmodstamp",
    "rowversion",
)  # fmt: skip
COMPARABLE = {T.TEXT, T.INTEGER, T.DECIMAL, T.DATE, T.DATETIME, T.BOOLEAN}
RISING = {T.INTEGER, T.DECIMAL, T.DATE, T.DATETIME}
NEVER_RISING = {T.BOOLEAN, T.TIME, T.JSON, T.BINARY}


@dataclass(frozen=True)
class Table:
    """A table or view as it is in the database, with what the settings say of it."""

    name: str  # as the hub calls it
    sql: sa.Table
    columns: dict[str, Column]
    key: tuple[str, ...]
    is_view: bool
    uniques: tuple[tuple[str, ...], ...]  # columns whose values no two records share, the primary key first
    indexed: frozenset[str]  # the first column of each index
    cursor_field: str | None
    label: str
    comment: str

    @cached_property
    def sure_key(self) -> tuple[str, ...] | None:
        """Unique columns that every create has to bring along: by them a create that comes again is told."""
        return next((names for names in self.uniques if all(self.columns[n].field.required for n in names)), None)

    @cached_property
    def is_key_sure(self) -> bool:
        """Whether the database itself sees to it that no two records share the key."""
        return any(set(names) <= set(self.key) for names in self.uniques)

    @property
    def has_nullable_key(self) -> bool:
        return self.is_view or any(self.columns[name].sql.nullable for name in self.key)

    def entity(self) -> Entity:
        can_write = not self.is_view
        rises = self.cursor_field is not None
        return Entity(
            name=self.name,
            label=self.label,
            fields=tuple(column.field for column in self.columns.values()),
            key=self.key,
            cursor_field=self.cursor_field,
            capabilities=Capabilities(
                create=can_write,
                update=can_write,
                delete=can_write,
                upsert=can_write and self.sure_key is not None,
                bulk=BULK if can_write else 0,
                incremental=rises,
                upper_bound=rises,
                partitions=True,
                count=True,
                lookup_by_key=True,
                lookup_by=tuple(name for name, column in self.columns.items() if column.field.type in COMPARABLE),
                stable_order=True,
            ),
        )


class Tables:
    """Reads what there is, all tables at once or one."""

    def __init__(self, settings: SqlSettings, system: str, *, is_clean: bool) -> None:
        self._settings, self._system, self._is_clean = settings, system, is_clean
        self._zone = ZoneInfo(settings.zone)

    def all(self, connection: sa.Connection) -> list[Table]:
        """The tables and views that have a key, in the order of their names."""
        inspector = sa.inspect(connection)
        schemas = self._settings.schemas or (None,)
        there = set(inspector.get_schema_names()) if self._settings.schemas else {None}
        if unknown := next((s for s in schemas if s not in there), None):
            raise SettingsError(
                _("{system} has no schema {schema}, or does not show it to this user. Correct it under Schemas in the settings."),
                system=self._system,
                schema=unknown,
            )
        found = [table for schema in schemas for table in self._of(inspector, schema) if table.key]
        return sorted(found, key=lambda table: table.name)

    def one(self, connection: sa.Connection, name: str) -> Table:
        """Raises SettingsError where there is none of this name."""
        schema, bare = self._place(name)
        inspector = sa.inspect(connection)
        found = next((table for table in self._of(inspector, schema, [bare]) if table.name == name), None)
        if found is None:
            raise SettingsError(_("{system} has no table or view {entity}, or does not show it to this user."), system=self._system, entity=name)
        return found

    def _place(self, name: str) -> tuple[str | None, str]:
        schemas = self._settings.schemas
        for schema in schemas[1:]:
            if name.startswith(f"{schema}."):
                return schema, name.removeprefix(f"{schema}.")
        return (schemas[0] if schemas else None), name

    def _called(self, schema: str | None, bare: str) -> str:
        """Tables of the first schema go by their own name, those of the others by both."""
        schemas = self._settings.schemas
        return bare if schema is None or schema == schemas[0] else f"{schema}.{bare}"

    def _of(self, inspector: sa.Inspector, schema: str | None, names: Sequence[str] | None = None) -> Iterator[Table]:
        asked: dict[str, Any] = {"schema": schema, "filter_names": names, "kind": ObjectKind.ANY}
        columns = inspector.get_multi_columns(**asked)
        keys = inspector.get_multi_pk_constraint(**asked)
        uniques = inspector.get_multi_unique_constraints(**asked)
        automatic: dict[str, Any] = (
            {"include_auto_indexes": True} if inspector.dialect.name == "sqlite" else {}
        )  # else it is guessed from the text of CREATE TABLE
        indexes = inspector.get_multi_indexes(**asked, **automatic)
        comments: dict[Any, Any] = dict(inspector.get_multi_table_comment(**asked) if inspector.dialect.supports_comments else {})
        views = set(inspector.get_view_names(schema)) | _materialized(inspector, schema)
        for place, described in columns.items():
            constraints = _Constraints(keys.get(place), uniques.get(place), indexes.get(place))
            yield self._table(schema, place[1], described, constraints, (comments.get(place) or {}).get("text") or "", is_view=place[1] in views)

    def _table(self, schema: str | None, bare: str, described: Any, constraints: _Constraints, comment: str, *, is_view: bool) -> Table:
        name = self._called(schema, bare)
        said = self._settings.table(name) or TableSettings(name=name)
        sql = sa.Table(bare, sa.MetaData(), schema=schema)
        columns = {}
        for one in described:
            column = sa.Column(one["name"], _bare(one["type"]), nullable=one["nullable"])
            sql.append_column(column)
            columns[one["name"]] = self._column(column, one, constraints.primary, is_view=is_view)
        key = said.key or constraints.key(columns)
        for wanted in (*said.key, *filter(None, [said.cursor_field])):
            if wanted not in columns:
                raise SettingsError(
                    _("{entity} of {system} has no column {field}. Correct it under Tables in the settings."),
                    entity=name,
                    system=self._system,
                    field=wanted,
                )
        if said.cursor_field and columns[said.cursor_field].field.type in NEVER_RISING:
            raise SettingsError(
                _("{field} in {entity} of {system} is of type {type}, by which no change can be told. Choose another cursor field, or none."),
                field=said.cursor_field,
                entity=name,
                system=self._system,
                type=str(columns[said.cursor_field].field.type),
            )
        return Table(
            name=name,
            sql=sql,
            columns=columns,
            key=tuple(n for n in columns if n in key) if not said.key else said.key,
            is_view=is_view,
            uniques=constraints.all,
            indexed=constraints.indexed,
            cursor_field=_cursor(said, columns),
            label=said.label,
            comment=comment,
        )

    def _column(self, sql: sa.Column[Any], described: Any, primary: tuple[str, ...], *, is_view: bool) -> Column:
        type_, name = sql.type, described["name"]
        made_by_itself = bool(described.get("computed") or (described.get("identity") or {}).get("always"))
        has_default = (
            described.get("default") is not None
            or bool(described.get("identity"))
            or described.get("autoincrement") is True
            or (primary == (name,) and described.get("autoincrement") == "auto" and isinstance(type_, sa.Integer) and _is_rowid(type_))
        )
        found, more = _field_type(type_)
        if more.get("is_bits"):
            sql.type = sa.Integer()  # as which they are compared
        scale, exact = _scale_of(type_) if found is T.DECIMAL else (9, True)
        field = Field(
            name=name,
            type=found,
            required=not described["nullable"] and not has_default and not made_by_itself and not is_view,
            read_only=made_by_itself or is_view,
            max_length=getattr(type_, "length", None)
            if found is T.TEXT and isinstance(type_, sa.String) and not isinstance(type_, sa.Enum)
            else None,
            scale=scale,
            choices=tuple(type_.enums) if isinstance(type_, sa.Enum) else (),
            description=described.get("comment") or "",
        )
        zone = _zone_of(type_, self._zone) if found is T.DATETIME else None
        return Column(sql, field, zone=zone, exact=exact, is_clean=self._is_clean, **more)


@dataclass(frozen=True)
class _Constraints:
    """Primary key, unique constraints and indexes of a table, as the inspector tells them."""

    _primary: Any
    _uniques: Any
    _indexes: Any

    @cached_property
    def primary(self) -> tuple[str, ...]:
        return tuple((self._primary or {}).get("constrained_columns") or ())

    @cached_property
    def all(self) -> tuple[tuple[str, ...], ...]:
        unique = [tuple(u["column_names"]) for u in self._uniques or ()]
        unique += [tuple(i["column_names"]) for i in self._whole_indexes() if i.get("unique")]
        return tuple(dict.fromkeys(names for names in (self.primary, *unique) if names))

    @cached_property
    def indexed(self) -> frozenset[str]:
        return frozenset(names[0] for names in (*self.all, *(tuple(i["column_names"]) for i in self._whole_indexes())) if names)

    def key(self, columns: dict[str, Column]) -> tuple[str, ...]:
        """The primary key; without one, the first unique columns that are never null."""
        return self.primary or next((names for names in self.all if all(not columns[n].sql.nullable for n in names)), ())

    def _whole_indexes(self) -> Iterator[Any]:
        """Without those over expressions or over some of the rows."""
        for index in self._indexes or ():
            options = index.get("dialect_options") or {}
            if None not in index["column_names"] and not index.get("expressions") and not any(name.endswith("_where") for name in options):
                yield index


def _materialized(inspector: sa.Inspector, schema: str | None) -> set[str]:
    return set(inspector.get_materialized_view_names(schema)) if inspector.dialect.name == "postgresql" else set()


def _bare(type_: sa.types.TypeEngine[Any]) -> sa.types.TypeEngine[Any]:
    """What a domain of PostgreSQL is made of."""
    while isinstance(type_, postgresql.DOMAIN):
        type_ = type_.data_type
    return type_


def _zone_of(type_: sa.types.TypeEngine[Any], told: ZoneInfo) -> ZoneInfo | None:
    """The zone of moments that come without one. MySQL hands its TIMESTAMP over in the time zone of the session, which is UTC."""
    if isinstance(type_, mysql.TIMESTAMP):
        return ZoneInfo("UTC")
    return None if getattr(type_, "timezone", False) else told


def _is_rowid(type_: sa.types.TypeEngine[Any]) -> bool:
    """SQLite numbers an INTEGER PRIMARY KEY by itself."""
    return type(type_) is sqltypes.INTEGER


def _field_type(type_: sa.types.TypeEngine[Any]) -> tuple[FieldType, dict[str, bool]]:
    match type_:
        case sqltypes.ARRAY():
            return T.JSON, {"is_array": True}
        case sqltypes.JSON():
            return T.JSON, {}
        case sqltypes.Uuid():
            return T.TEXT, {"is_uuid": True}
        case sqltypes.Boolean():
            return T.BOOLEAN, {}
        case mysql.TINYINT() if type_.display_width == 1:
            return T.BOOLEAN, {}
        case mysql.BIT():
            return (T.BOOLEAN if type_.length in (None, 1) else T.INTEGER), {"is_bits": True}
        case mysql.BIGINT() if type_.unsigned:
            return T.DECIMAL, {}
        case sqltypes.Integer():
            return T.INTEGER, {}
        case sqltypes.Float():
            return T.NUMBER, {}
        case sqltypes.Numeric():
            return T.DECIMAL, {}
        case sqltypes.DateTime():
            return T.DATETIME, {}
        case sqltypes.Date():
            return T.DATE, {}
        case sqltypes.Time():
            return (T.TEXT if type_.timezone else T.TIME), {}
        case sqltypes._Binary():
            return T.BINARY, {}
    return T.TEXT, {}


def _scale_of(type_: Any) -> tuple[int, bool]:
    """(digits behind the point, whether none can have more)."""
    if isinstance(type_, sqltypes.Numeric):
        if type_.scale is not None:
            return max(0, type_.scale), (type_.precision or 38) <= 38
        if type_.precision is not None:
            return 0, type_.precision <= 38
        return 9, False
    return 0, True


def _cursor(said: TableSettings, columns: dict[str, Column]) -> str | None:
    """The column the settings name, else one that by name and type tells of changes."""
    if not said.incremental:
        return None
    if said.cursor_field:
        return said.cursor_field
    folded = {name.lower(): name for name in columns}
    guesses = (folded[guess] for guess in CHANGE_NAMES if guess in folded)
    return next((name for name in guesses if columns[name].field.type in RISING), None)
