"""What a service says of itself: $metadata, the Common Schema Definition Language in XML.

Sources: OData CSDL XML Representation 4.01 (docs.oasis-open.org/odata/odata-csdl-xml/v4.01), for version 2 [MC-CSDL] and SAP's annotations for OData 2.
The text comes from outside and may be of any size and shape: no document type, no entity is accepted, and what has been understood is let go at once.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from xml.etree.ElementTree import Element, ParseError

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import iterparse

from connectors.base import BadAnswer, SettingsError, _
from connectors.rest.answers import Answer

SAP = "{http://www.sap.com/Protocols/SAPData}"
METADATA = "{http://schemas.microsoft.com/ado/2007/08/dataservices/metadata}"
CORE, CAPABILITIES = "Org.OData.Core.V1.", "Org.OData.Capabilities.V1."
LABEL = "com.sap.vocabularies.Common.v1.Label"
KNOWN_TERMS = (CORE, CAPABILITIES, LABEL)
PIECES = ("Include", "EntityType", "ComplexType", "EnumType", "TypeDefinition", "EntityContainer", "Annotations")
DEEPEST_BASE = 50


@dataclass(frozen=True, slots=True)
class Property:
    name: str
    type: str  # qualified, or Collection(…)
    nullable: bool
    max_length: int | None
    scale: str
    precision: str
    has_default: bool
    sap: Mapping[str, str]  # annotations of OData 2, by name


@dataclass(frozen=True, slots=True)
class Structure:
    """An entity type or a complex type."""

    name: str
    base: str
    properties: tuple[Property, ...]
    key: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Enumeration:
    members: tuple[str, ...]
    is_flags: bool


@dataclass(frozen=True, slots=True)
class Listed:
    """An entity set of the container."""

    name: str
    type: str
    place: str  # what annotations call it
    sap: Mapping[str, str]


@dataclass
class Service:
    """A service as it describes itself."""

    version: str = "4.0"
    structures: dict[str, Structure] = field(default_factory=dict)
    enumerations: dict[str, Enumeration] = field(default_factory=dict)
    definitions: dict[str, str] = field(default_factory=dict)  # names for primitive types
    sets: dict[str, Listed] = field(default_factory=dict)
    annotations: dict[str, dict[str, Any]] = field(default_factory=dict)  # what is annotated → term → value

    @property
    def is_v2(self) -> bool:
        return self.version.startswith("2")

    def lineage(self, name: str) -> list[Structure]:
        """The type and those it is derived from, the root first."""
        found: list[Structure] = []
        while (one := self.structures.get(name)) is not None and len(found) < DEEPEST_BASE:
            found.insert(0, one)
            name = one.base
        return found

    def annotation(self, place: str, term: str) -> Any:
        """What a term says of a place; None where it says nothing."""
        return self.annotations.get(place, {}).get(term)

    def restriction(self, listed: Listed, name: str) -> Mapping[str, Any]:
        """What the Capabilities vocabulary says of an entity set under this term."""
        value = self.annotation(listed.place, CAPABILITIES + name)
        return value if isinstance(value, dict) else {}


def parsed(answer: Answer) -> Service:
    """The service that $metadata describes. Raises BadAnswer where it is no such description, SettingsError for a version that the hub does not speak."""
    names = {"system": answer.system, "place": answer.place}
    try:
        service = _Reading().read(answer.body)
    except DefusedXmlException:
        raise BadAnswer(
            _("{system} answered {place} with XML that declares a document type or entities. The hub reads no such XML."), **names
        ) from None
    except (ParseError, RecursionError, LookupError, ValueError):
        service = None
    if service is None:
        raise BadAnswer(_("{system} answered {place} with something that is no description of an OData service. Check its address."), **names)
    if service.version not in ("2.0", "4.0", "4.01"):
        raise SettingsError(_("{system} speaks OData {version}; the hub speaks 4 and reads 2."), system=answer.system, version=service.version[:20])
    return service


class _Reading:
    """The document piece by piece, each forgotten once it is understood. Read twice, since a name's alias may be declared behind its use."""

    def __init__(self) -> None:
        self._service = Service()
        self._aliases: dict[str, str] = {}

    def read(self, body: bytes) -> Service | None:
        """None where there is no service in it."""
        edmx, data_version = "", ""
        for kind, _namespace, element in _pieces(body):
            if kind == "Edmx":
                edmx = element.get("Version", "")
            elif kind == "DataServices":
                data_version = element.get(f"{METADATA}DataServiceVersion", "")
            elif kind in ("Schema", "Include") and (alias := element.get("Alias")):
                self._aliases[alias] = element.get("Namespace", "")
        if not edmx:
            return None
        # 1.0 says only that nothing newer is needed to read the description: services of OData 2 say so ([MC-CSDL] 2.1.1), and answer as such.
        self._service.version = ("2.0" if data_version in ("", "1.0") else data_version) if edmx == "1.0" else edmx
        for kind, namespace, element in _pieces(body):
            self._take(kind, f"{namespace}.{element.get('Name', '')}", element)
        return self._service

    def _take(self, kind: str, name: str, element: Element) -> None:
        match kind:
            case "EntityType" | "ComplexType":
                self._structure(name, element)
            case "EnumType":
                members = tuple(m.get("Name", "") for m in _children(element, "Member"))
                self._service.enumerations[name] = Enumeration(members, is_flags=element.get("IsFlags") == "true")
            case "TypeDefinition":
                self._service.definitions[name] = self._named(element.get("UnderlyingType", ""))
            case "EntityContainer":
                self._container(name, element)
            case "Annotations":
                self._annotate(self._named(element.get("Target", "")), element)

    def _structure(self, name: str, element: Element) -> None:
        properties = []
        for one in _children(element, "Property"):
            self._annotate(f"{name}/{one.get('Name', '')}", one)
            length = one.get("MaxLength", "")
            properties.append(
                Property(
                    name=one.get("Name", ""),
                    type=self._named(one.get("Type", "Edm.String")),
                    nullable=one.get("Nullable", "true") != "false",
                    max_length=int(length) if length.isascii() and length.isdecimal() and int(length) else None,
                    scale=one.get("Scale", ""),
                    precision=one.get("Precision", ""),
                    has_default="DefaultValue" in one.attrib,
                    sap=_sap(one),
                )
            )
        key = tuple(ref.get("Name", "") for keys in _children(element, "Key") for ref in _children(keys, "PropertyRef"))
        self._service.structures[name] = Structure(name, self._named(element.get("BaseType", "")), tuple(properties), key)

    def _container(self, name: str, element: Element) -> None:
        for one in _children(element, "EntitySet"):
            place = f"{name}/{one.get('Name', '')}"
            self._annotate(place, one)
            self._service.sets[one.get("Name", "")] = Listed(one.get("Name", ""), self._named(one.get("EntityType", "")), place, _sap(one))

    def _annotate(self, place: str, element: Element) -> None:
        for one in _children(element, "Annotation"):
            term = self._named(one.get("Term", ""))
            if term.startswith(KNOWN_TERMS) and one.get("Qualifier") is None:
                self._service.annotations.setdefault(place, {})[term] = _value(one)

    def _named(self, name: str) -> str:
        """A qualified name with its namespace in place of the alias."""
        if name.startswith("Collection(") and name.endswith(")"):
            return f"Collection({self._named(name[11:-1])})"
        path, slash, rest = name.partition("/")
        alias, dot, last = path.rpartition(".")
        return f"{self._aliases.get(alias, alias)}{dot}{last}{slash}{rest}"


def _value(element: Element) -> Any:
    """The constant, record or collection that an annotation or property value holds; True where it holds none."""
    for name in ("Bool", "String", "Int", "EnumMember", "PropertyPath", "Path"):
        if name in element.attrib:
            text = element.attrib[name]
            return text == "true" if name == "Bool" else text
    for child in element:
        match _local(child):
            case "Bool":
                return (child.text or "").strip() == "true"
            case "Record":
                return {one.get("Property", ""): _value(one) for one in _children(child, "PropertyValue")}
            case "Collection":
                return [(one.text or "").strip() or _value(one) for one in child]
            case "Annotation":
                continue
            case _:
                return (child.text or "").strip()
    return True


def _pieces(body: bytes) -> Iterator[tuple[str, str, Element]]:
    """(what it is, the namespace of the schema it stands in, itself)"""
    namespace = ""
    for event, element in iterparse(io.BytesIO(body), events=("start", "end"), forbid_dtd=True):
        kind = _local(element)
        if event == "start" and kind in ("Edmx", "DataServices", "Schema"):
            namespace = element.get("Namespace", "")
            yield kind, namespace, element
        elif event == "end" and kind in PIECES:
            yield kind, namespace, element
            element.clear()


def _children(element: Element, kind: str) -> Iterator[Element]:
    return (child for child in element if _local(child) == kind)


def _local(element: Element) -> str:
    return str(element.tag).rpartition("}")[2]


def _sap(element: Element) -> dict[str, str]:
    return {name.removeprefix(SAP): value for name, value in element.attrib.items() if name.startswith(SAP)}
