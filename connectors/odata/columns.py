"""The properties of an entity set: which field each becomes, how its values stand in JSON, and how they are written into an address.

Sources: OData CSDL 4.01, section 3.3 (primitive types); OData ABNF 4.01, section 7 (literals); for version 2 the OData 2.0 Overview, section 6.
"""

from __future__ import annotations

import datetime as dt
import math
import re
from base64 import urlsafe_b64encode
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from connectors.base import Field, FieldType
from connectors.canonical import canonical_text, from_canonical
from connectors.odata.csdl import CORE, LABEL, Listed, Property, Service
from connectors.rest.values import Form

T = FieldType
DEEPEST = 6  # complex types within complex types; what lies deeper is json
GUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
TYPES = {  # Edm type → the hub's type and how it stands in JSON
    "Edm.String": (T.TEXT, ""),
    "Edm.Guid": (T.TEXT, ""),
    "Edm.Duration": (T.TEXT, ""),
    "Edm.Time": (T.TEXT, ""),
    "Edm.Boolean": (T.BOOLEAN, "true/false"),
    "Edm.Byte": (T.INTEGER, "any"),  # any: a number, or its text (IEEE754Compatible=true, and always in OData 2)
    "Edm.SByte": (T.INTEGER, "any"),
    "Edm.Int16": (T.INTEGER, "any"),
    "Edm.Int32": (T.INTEGER, "any"),
    "Edm.Int64": (T.INTEGER, "any"),
    "Edm.Single": (T.NUMBER, "any"),
    "Edm.Double": (T.NUMBER, "any"),
    "Edm.Decimal": (T.DECIMAL, "number"),
    "Edm.Date": (T.DATE, "iso"),
    "Edm.TimeOfDay": (T.TIME, "iso"),
    "Edm.DateTimeOffset": (T.DATETIME, "iso"),
    "Edm.DateTime": (T.DATETIME, "iso"),
    "Edm.Binary": (T.BINARY, "base64url"),
}
BITS = {"Edm.Byte": (0, 2**8), "Edm.SByte": (-(2**7), 2**7), "Edm.Int16": (-(2**15), 2**15), "Edm.Int32": (-(2**31), 2**31)}
COMPARABLE = {T.TEXT, T.INTEGER, T.DECIMAL, T.DATE, T.DATETIME, T.BOOLEAN}
RISING = {T.INTEGER, T.DECIMAL, T.DATE, T.DATETIME}


@dataclass(frozen=True)
class Column:
    """A property, or one inside a complex one, and the field it is to the hub."""

    field: Field
    edm: str  # its primitive type, or the qualified name of its enumeration
    format: str
    zone: ZoneInfo  # of moments without one
    is_v2: bool
    is_nullable: bool
    is_filterable: bool
    is_sortable: bool
    members: tuple[str, ...] = ()  # of an enumeration

    @property
    def path(self) -> str:
        return self.field.name.replace(".", "/")

    def form(self, max_bytes: int) -> Form:
        return Form(self.field, self.format, self.zone, max_bytes, self.field.name)

    def literal(self, text: str) -> str:
        """A canonical text as a literal for an address, not yet percent-encoded. Raises ValueError for what is no value of this property."""
        value = self._value(text)
        if self.edm == "Edm.Guid" and not GUID.fullmatch(text):
            raise ValueError(text)
        if self.field.type is T.TEXT:
            return self._quoted(text)
        if self.edm == "Edm.DateTime" and not isinstance(value, dt.datetime):
            return f"datetime'{value.isoformat()}T00:00:00'"
        if isinstance(value, dt.datetime):
            return self._moment(value)
        if self.field.type is T.BINARY:
            return f"X'{value.hex().upper()}'" if self.is_v2 else f"binary'{urlsafe_b64encode(value).decode().rstrip('=')}'"
        if isinstance(value, int) and not isinstance(value, bool):
            low, high = BITS.get(self.edm, (-(2**63), 2**63))
            if not low <= value < high or str(value) != text:
                raise ValueError(text)
        if isinstance(value, Decimal | float) and not math.isfinite(value):
            raise ValueError(text)
        return canonical_text(value) + (V2_SUFFIXES.get(self.edm, "") if self.is_v2 else "")

    def _value(self, text: str) -> Any:
        try:
            return from_canonical(text, self.field.type)
        except (KeyError, ArithmeticError) as error:
            raise ValueError(text) from error

    def _quoted(self, text: str) -> str:
        quoted = "'" + text.replace("'", "''") + "'"
        match self.edm:
            case "Edm.String":
                return quoted
            case "Edm.Guid":
                return f"guid{quoted}" if self.is_v2 else text
            case "Edm.Time":
                return f"time{quoted}"
            case "Edm.Duration":
                return f"duration{quoted}"
        if not set(text.split(",")) <= set(self.members):
            raise ValueError(text)
        return f"{self.edm}{quoted}"

    def _moment(self, value: dt.datetime) -> str:
        if self.edm == "Edm.DateTime":
            return f"datetime'{value.astimezone(self.zone).replace(tzinfo=None).isoformat()}'"
        text = value.astimezone(dt.UTC).replace(tzinfo=None).isoformat() + "Z"
        return f"datetimeoffset'{text}'" if self.is_v2 else text

    def since(self, text: str) -> str:
        """As `literal`, for a lower bound, rounded outwards to what any precision can say."""
        value = self._value(text)
        if not isinstance(value, dt.datetime):
            return self.literal(text)
        local = value.astimezone(self.zone)
        twice = (local.replace(fold=0).utcoffset() or dt.timedelta()) - (local.replace(fold=1).utcoffset() or dt.timedelta())
        return self._moment((value - max(twice, dt.timedelta())).replace(microsecond=0))  # where clocks were put back, one name is of two moments

    def until(self, text: str) -> str:
        """As `literal`, for an upper bound, rounded outwards."""
        value = self._value(text)
        if not isinstance(value, dt.datetime):
            return self.literal(text)
        return self._moment(value if not value.microsecond else value.replace(microsecond=0) + dt.timedelta(seconds=1))


V2_SUFFIXES = {"Edm.Int64": "L", "Edm.Decimal": "M", "Edm.Double": "d", "Edm.Single": "f"}


def columns_of(service: Service, listed: Listed, zone: ZoneInfo) -> Iterator[Column]:
    """The columns of an entity set: complex properties flattened with dots, collections as json; without streams and navigation properties."""
    lineage = service.lineage(listed.type)
    key = next((one.key for one in lineage if one.key), ())
    for structure in lineage:
        for one in structure.properties:
            yield from _Described(service, listed, zone, key).columns(one, f"{structure.name}/{one.name}", one.name, DEEPEST, is_sure=True)


@dataclass(frozen=True)
class _Described:
    service: Service
    listed: Listed
    zone: ZoneInfo
    key: tuple[str, ...]

    def columns(self, one: Property, place: str, name: str, depth: int, *, is_sure: bool) -> Iterator[Column]:
        """`is_sure`: nothing around it may be null."""
        type_ = self.service.definitions.get(one.type, one.type)
        inside = self.service.lineage(type_)
        if inside and depth:
            for structure in inside:
                for inner in structure.properties:
                    below = f"{structure.name}/{inner.name}"
                    yield from self.columns(inner, below, f"{name}.{inner.name}", depth - 1, is_sure=is_sure and not one.nullable)
        elif type_ != "Edm.Stream":
            yield self._column(one, type_, place, name, is_sure=is_sure)

    def _column(self, one: Property, type_: str, place: str, name: str, *, is_sure: bool) -> Column:
        enumeration = self.service.enumerations.get(type_)
        found, format_ = (T.TEXT, "") if enumeration else TYPES.get(type_, (T.JSON, ""))
        if self.service.is_v2 and found is T.DATETIME:
            format_ = "json_date"
            found = T.DATE if one.sap.get("display-format") == "Date" else found
        creatable, updatable = self._writable(one, place, name)
        required = is_sure and not one.nullable and not one.has_default and creatable and name not in self.key and not self.service.is_v2
        is_fixed = found is T.DECIMAL and one.scale.isascii() and one.scale.isdecimal()
        field = Field(
            name=name,
            type=found,
            label=self._text(place, LABEL) or one.sap.get("label", ""),
            required=required,
            read_only=self.service.is_v2 or not (creatable and (updatable or required or name in self.key)),
            max_length=one.max_length if type_ == "Edm.String" else None,
            scale=min(int(one.scale), 18) if is_fixed else 9,
            choices=enumeration.members if enumeration and not enumeration.is_flags else (),
            description=self._text(place, f"{CORE}Description"),
        )
        zone = self.zone if type_ == "Edm.DateTime" and found is T.DATETIME else ZoneInfo("UTC")
        return Column(
            field,
            type_,
            format_,
            zone,
            self.service.is_v2,
            is_nullable=one.nullable or not is_sure,
            is_filterable=found in COMPARABLE and self._allows("FilterRestrictions", "NonFilterableProperties", "filterable", one, name),
            is_sortable=found is not T.JSON and self._allows("SortRestrictions", "NonSortableProperties", "sortable", one, name),
            members=enumeration.members if enumeration else (),
        )

    def _writable(self, one: Property, place: str, name: str) -> tuple[bool, bool]:
        """Whether it may be sent with a create, and with an update."""
        if self._holds(place, f"{CORE}Computed") or self._text(place, f"{CORE}Permissions").endswith("/Read"):
            return False, False
        creatable = self._allows("InsertRestrictions", "NonInsertableProperties", "creatable", one, name)
        updatable = self._allows("UpdateRestrictions", "NonUpdatableProperties", "updatable", one, name)
        return creatable, updatable and not self._holds(place, f"{CORE}Immutable")

    def _allows(self, term: str, excluded: str, sap: str, one: Property, name: str) -> bool:
        said = self.service.restriction(self.listed, term).get(excluded)
        return one.sap.get(sap) != "false" and not (isinstance(said, list) and name.replace(".", "/") in said)

    def _holds(self, place: str, term: str) -> bool:
        return self.service.annotation(place, term) is True

    def _text(self, place: str, term: str) -> str:
        value = self.service.annotation(place, term)
        return value if isinstance(value, str) else ""
