"""An OData service over real HTTP, as strict as the standard: versions 4 (`/v4`) and 2 (`/v2`) of the same customers, parts and order items.

What is not well-formed by the ABNF (a quote that is not doubled, a number that is no number, a blank written as a plus) is answered with 400, a change
without If-Match with 428. Faults are ordered as of the shop.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import json
import re
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from typing import Any
from urllib.parse import quote, unquote

from aiohttp import web

from tests.connectors.shop import Fault, Server

Record = dict[str, Any]
Reply = tuple[int, dict[str, str], bytes]
EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)

TYPES = {
    "Customers": {
        "ID": "Edm.Int32", "Name": "Edm.String", "Email": "Edm.String", "Amount": "Edm.Double", "Price": "Edm.Decimal", "Big": "Edm.Int64",
        "Active": "Edm.Boolean", "Born": "Edm.Date", "ModifiedAt": "Edm.DateTimeOffset", "Color": "Shop.Color", "Ref": "Edm.Guid",
        "Address": "Shop.Address", "Tags": "Collection(Edm.String)",
    },
    "Parts": {"Code": "Edm.String", "Name": "Edm.String"},
    "Items": {"Order": "Edm.Int32", "Code": "Edm.String", "Quantity": "Edm.Decimal"},
}  # fmt: skip
KEYS = {"Customers": ("ID",), "Parts": ("Code",), "Items": ("Order", "Code")}
V4 = """<?xml version="1.0" encoding="utf-8"?>
<edmx:Edmx Version="{version}" xmlns:edmx="http://docs.oasis-open.org/odata/ns/edmx">
 <edmx:Reference Uri="https://oasis-tcs.github.io/Org.OData.Core.V1.xml"><edmx:Include Namespace="Org.OData.Core.V1" Alias="Core"/></edmx:Reference>
 <edmx:Reference Uri="https://oasis-tcs.github.io/Org.OData.Capabilities.V1.xml">
  <edmx:Include Namespace="Org.OData.Capabilities.V1" Alias="Capabilities"/></edmx:Reference>
 <edmx:DataServices><Schema Namespace="Shop" Alias="Self" xmlns="http://docs.oasis-open.org/odata/ns/edm">
  <EntityContainer Name="Container">
   <EntitySet Name="Customers" EntityType="Self.Customer"><NavigationPropertyBinding Path="Items" Target="Items"/></EntitySet>
   <EntitySet Name="Items" EntityType="Shop.Item"/>
   <EntitySet Name="Parts" EntityType="Shop.Part"/>
  </EntityContainer>
  <EntityType Name="Customer" BaseType="Self.Base">
   <Property Name="Name" Type="Edm.String" Nullable="false" MaxLength="100"/>
   <Property Name="Email" Type="Edm.String"/>
   <Property Name="Amount" Type="Edm.Double"/>
   <Property Name="Price" Type="Self.Money"/>
   <Property Name="Big" Type="Edm.Int64"/>
   <Property Name="Active" Type="Edm.Boolean"/>
   <Property Name="Born" Type="Edm.Date"/>
   <Property Name="ModifiedAt" Type="Edm.DateTimeOffset" Precision="6"><Annotation Term="Core.Computed" Bool="true"/></Property>
   <Property Name="Color" Type="Self.Color"/>
   <Property Name="Ref" Type="Edm.Guid"/>
   <Property Name="Address" Type="Self.Address"/>
   <Property Name="Tags" Type="Collection(Edm.String)"/>
   <Property Name="Photo" Type="Edm.Stream"/>
   <NavigationProperty Name="Items" Type="Collection(Self.Item)"/>
  </EntityType>
  <EntityType Name="Base" Abstract="true"><Key><PropertyRef Name="ID"/></Key><Property Name="ID" Type="Edm.Int32" Nullable="false">
   <Annotation Term="Core.Computed"/></Property></EntityType>
  <EntityType Name="Item"><Key><PropertyRef Name="Order"/><PropertyRef Name="Code"/></Key>
   <Property Name="Order" Type="Edm.Int32" Nullable="false"/><Property Name="Code" Type="Edm.String" Nullable="false"/>
   <Property Name="Quantity" Type="Edm.Decimal" Precision="12" Scale="3"/></EntityType>
  <EntityType Name="Part"><Key><PropertyRef Name="Code"/></Key>
   <Property Name="Code" Type="Edm.String" Nullable="false"/><Property Name="Name" Type="Edm.String"/></EntityType>
  <ComplexType Name="Address"><Property Name="City" Type="Edm.String"/><Property Name="Zip" Type="Edm.String"/></ComplexType>
  <EnumType Name="Color"><Member Name="Red"/><Member Name="Blue"/></EnumType>
  <TypeDefinition Name="Money" UnderlyingType="Edm.Decimal"/>
  {more}
 </Schema></edmx:DataServices>
</edmx:Edmx>"""
V2 = """<?xml version="1.0" encoding="utf-8"?>
<edmx:Edmx Version="1.0" xmlns:edmx="http://schemas.microsoft.com/ado/2007/06/edmx" xmlns:sap="http://www.sap.com/Protocols/SAPData"
  xmlns:m="http://schemas.microsoft.com/ado/2007/08/dataservices/metadata">
 <edmx:DataServices m:DataServiceVersion="{version}"><Schema Namespace="Shop" xmlns="http://schemas.microsoft.com/ado/2008/09/edm">
  <EntityType Name="Customer" sap:label="Customer"><Key><PropertyRef Name="ID"/></Key>
   <Property Name="ID" Type="Edm.Int32" Nullable="false" sap:label="Number"/>
   <Property Name="Name" Type="Edm.String" Nullable="false" MaxLength="100"/>
   <Property Name="Email" Type="Edm.String" sap:sortable="false"/>
   <Property Name="Amount" Type="Edm.Double"/>
   <Property Name="Price" Type="Edm.Decimal"/>
   <Property Name="Big" Type="Edm.Int64"/>
   <Property Name="Active" Type="Edm.Boolean"/>
   <Property Name="Born" Type="Edm.DateTime" sap:display-format="Date"/>
   <Property Name="ModifiedAt" Type="Edm.DateTime"/>
   <Property Name="Color" Type="Edm.String" sap:filterable="false"/>
   <Property Name="Ref" Type="Edm.Guid"/>
   <Property Name="Address" Type="Shop.Address" Nullable="false"/>
   <NavigationProperty Name="Items" Relationship="Shop.Of" FromRole="Customer" ToRole="Item"/>
  </EntityType>
  <ComplexType Name="Address"><Property Name="City" Type="Edm.String"/><Property Name="Zip" Type="Edm.String"/></ComplexType>
  <EntityContainer Name="Container" m:IsDefaultEntityContainer="true">
   <EntitySet Name="Customers" EntityType="Shop.Customer" sap:label="Customers"/></EntityContainer>
  {more}
 </Schema></edmx:DataServices>
</edmx:Edmx>"""


class Refused(Exception):
    """An answer other than success."""

    def __init__(self, status: int, message: str, code: str = "Bad", **headers: str) -> None:
        self.status, self.message, self.code = status, message, code
        self.headers = {name.replace("_", "-"): value for name, value in headers.items()}


@dataclass
class ODataService:
    """What the service holds and what it was asked. `faults` are used up one a request, before anything else."""

    version: str = "4.01"
    metadata: str = ""  # instead of its own description
    more: str = ""  # into its description: annotations
    sets: dict[str, dict[tuple[Any, ...], Record]] = field(default_factory=lambda: {name: {} for name in TYPES})
    versions: dict[tuple[str, tuple[Any, ...]], int] = field(default_factory=dict)
    log: list[tuple[str, tuple[Any, ...]]] = field(default_factory=list)  # what changed, in order
    asked: list[tuple[str, str]] = field(default_factory=list)  # method and raw target
    headers: list[dict[str, str]] = field(default_factory=list)
    faults: deque[Fault | None] = field(default_factory=deque)
    answers: dict[str, Reply] = field(default_factory=dict)  # path → instead of its own
    repeated: dict[str, Reply] = field(default_factory=dict)
    refuses: dict[str, str] = field(default_factory=dict)  # e-mail → reason
    numbers_as_text: bool = False  # IEEE754Compatible=true
    is_silent: bool = False  # return=minimal, whatever is preferred
    page_size: int = 10
    tracks_changes: bool = True
    forgotten: int = 0  # delta links up to this are gone
    stops_at_error: bool = False  # in a $batch
    url: str = ""

    def has(self, count: int) -> None:
        for number in range(1, count + 1):
            self.put("Customers", customer(number))

    def put(self, name: str, record: Record) -> None:
        key = tuple(record[part] for part in KEYS[name])
        self.sets[name][key] = record
        self.touch(name, key)

    def touch(self, name: str, key: tuple[Any, ...]) -> None:
        self.versions[name, key] = self.versions.get((name, key), 0) + 1
        self.log.append((name, key))

    def etag(self, name: str, key: tuple[Any, ...]) -> str:
        return f'W/"{self.versions[name, key]}"'

    def targets(self, method: str) -> list[str]:
        return [target for asked, target in self.asked if asked == method]


def customer(number: int, **more: Any) -> Record:
    return {
        "ID": number,
        "Name": f"Customer {number}",
        "Email": f"c{number}@example.com",
        "Amount": number + 0.5,
        "Price": f"{number}.25",
        "Big": 9007199254740993 + number,
        "Active": number % 2 == 0,
        "Born": "1990-01-31",
        "ModifiedAt": f"2026-11-22T10:{number // 60 % 60:02}:{number % 60:02}Z",
        "Color": "Red" if number % 2 else "Blue",
        "Ref": f"00000000-0000-4000-8000-{number:012}",
        "Address": {"City": "Köln", "Zip": "50667"},
        "Tags": ["a", "b"],
        **more,
    }


# --- literals and filters (OData ABNF) ---

LITERAL = r"[A-Za-z_][\w.]*'(?:[^']|'')*'|'(?:[^']|'')*'|[-\w.:]+"
TOKEN = re.compile(rf"\s*(\(|\)|,|[A-Za-z]\w*/\w+|{LITERAL})")


def literal(text: str, type_: str, *, v2: bool) -> Any:
    """The value of a literal, which must be one of exactly this type."""
    patterns: dict[str, str] = {
        "Edm.String": r"'((?:[^']|'')*)'",
        "Edm.Int32": r"(-?\d{1,10})",
        "Edm.Int64": r"(-?\d{1,19})" + ("[Ll]" if v2 else ""),
        "Edm.Decimal": r"(-?\d+(?:\.\d+)?)" + ("[Mm]" if v2 else ""),
        "Edm.Double": r"(-?\d+(?:\.\d+)?)" + ("[Dd]" if v2 else ""),
        "Edm.Boolean": r"(true|false)",
        "Edm.Guid": r"guid'([-0-9a-fA-F]{36})'" if v2 else r"([-0-9a-fA-F]{36})",
        "Edm.Date": r"datetime'(\d{4}-\d\d-\d\d)T00:00:00'" if v2 else r"(\d{4}-\d\d-\d\d)",
        "Edm.DateTimeOffset": r"datetime'([-\d]+T[\d:.]+)'" if v2 else r"([-\d]+T[\d:.]+Z)",
        "Shop.Color": r"'(\w+)'" if v2 else r"Shop\.Color'(\w+)'",
    }
    found = re.fullmatch(patterns.get(type_, "(?!)"), text)
    if found is None:
        raise Refused(400, f"{text} is no {type_}")
    value = found[1]
    if type_ == "Edm.String":
        return value.replace("''", "'")
    if type_ == "Edm.Int32" and not -(2**31) <= int(value) < 2**31:
        raise Refused(400, f"{text} overflows {type_}")
    return comparable(value, type_)


def comparable(value: Any, type_: str) -> Any:
    if value is None:
        return None
    match type_:
        case "Edm.Int32" | "Edm.Int64":
            return int(value)
        case "Edm.Decimal" | "Edm.Double":
            return float(value)
        case "Edm.Boolean":
            return value if isinstance(value, bool) else value == "true"
        case "Edm.Guid":
            return value.lower()
        case "Edm.DateTimeOffset":
            moment = dt.datetime.fromisoformat(value)
            return moment if moment.tzinfo else moment.replace(tzinfo=dt.UTC)
    return value


class Filter:
    """A recursive descent over what may be asked: comparisons, `in`, `and`, `or`, parentheses."""

    def __init__(self, text: str, name: str, *, v2: bool, has_in: bool) -> None:
        self._tokens = self._split(text)
        self._types, self._v2, self._has_in = TYPES[name], v2, has_in
        self.matches = self._any()
        if self._tokens:
            raise Refused(400, f"{self._tokens[0]} is not expected in $filter")

    @staticmethod
    def _split(text: str) -> deque[str]:
        tokens, place = deque[str](), 0
        while place < len(text):
            found = TOKEN.match(text, place)
            if found is None:
                raise Refused(400, f"$filter cannot be read at {text[place:]}")
            tokens.append(found[1])
            place = found.end()
        return tokens

    def _any(self) -> Callable[[Record], bool]:
        parts = [self._all()]
        while self._tokens and self._tokens[0] == "or":
            self._tokens.popleft()
            parts.append(self._all())
        return lambda record: any(part(record) for part in parts)

    def _all(self) -> Callable[[Record], bool]:
        parts = [self._one()]
        while self._tokens and self._tokens[0] == "and":
            self._tokens.popleft()
            parts.append(self._one())
        return lambda record: all(part(record) for part in parts)

    def _one(self) -> Callable[[Record], bool]:
        token = self._next()
        if token == "(":
            inside = self._any()
            self._expect(")")
            return inside
        first, _slash, below = token.partition("/")
        type_ = "Edm.String" if below else self._types.get(first, "")
        if not type_:
            raise Refused(400, f"there is no property {token}")
        operator = self._next()
        if operator == "in" and self._has_in:
            return self._among(first, below, type_)
        text = self._next()
        wanted = None if text == "null" and operator == "eq" else literal(text, type_, v2=self._v2)
        return lambda record: _compares(operator, comparable(_at(record, first, below), type_), wanted)

    def _among(self, first: str, below: str, type_: str) -> Callable[[Record], bool]:
        self._expect("(")
        wanted = [literal(self._next(), type_, v2=self._v2)]
        while (token := self._next()) == ",":
            wanted.append(literal(self._next(), type_, v2=self._v2))
        if token != ")":
            raise Refused(400, "in is not closed")
        return lambda record: comparable(_at(record, first, below), type_) in wanted

    def _next(self) -> str:
        if not self._tokens:
            raise Refused(400, "$filter ends too early")
        return self._tokens.popleft()

    def _expect(self, token: str) -> None:
        if self._next() != token:
            raise Refused(400, f"{token} is missing in $filter")


def _at(record: Record, first: str, below: str) -> Any:
    value = record.get(first)
    return value.get(below) if below and isinstance(value, dict) else value


def _compares(operator: str, left: Any, right: Any) -> bool:
    if operator == "eq":
        return bool(left == right)
    if left is None:
        return False
    match operator:
        case "ge":
            return bool(left >= right)
        case "le":
            return bool(left <= right)
    raise Refused(400, f"{operator} is not known")


# --- answering ---


def respond(service: ODataService, method: str, target: str, headers: dict[str, str], body: bytes) -> Reply:
    """The reply to one request; `target` is raw, behind the host."""
    path, _mark, query = target.partition("?")
    _empty, root, rest = path.split("/", 2) if path.count("/") > 1 else ("", path.strip("/"), "")
    v2 = root == "v2"
    try:
        if "+" in query:
            raise Refused(400, "a blank is %20")
        if headers.get("odata-maxversion", "4.0") not in ("4.0", "4.01") or (v2 and headers.get("maxdataserviceversion") not in (None, "2.0")):
            raise Refused(400, "this version is not spoken")
        if rest in service.answers:
            return service.answers[rest]
        if key := headers.get("repeatability-request-id"):
            if "repeatability-first-sent" not in headers:
                raise Refused(400, "Repeatability-First-Sent is missing")
            if key in service.repeated:
                return service.repeated[key]
        reply = _routed(
            service, method, rest, {n: unquote(v) for n, _is, v in (p.partition("=") for p in query.split("&") if p)}, headers, body, v2=v2
        )
        if key:
            service.repeated[key] = reply
    except Refused as refusal:
        message: Any = {"lang": "en", "value": refusal.message} if v2 else refusal.message
        return refusal.status, {"Content-Type": "application/json", **refusal.headers}, dumps({"error": {"code": refusal.code, "message": message}})
    return reply


def _routed(service: ODataService, method: str, rest: str, query: dict[str, str], headers: dict[str, str], body: bytes, *, v2: bool) -> Reply:
    if rest == "$metadata":
        default = V2.format(version="2.0", more=service.more) if v2 else V4.format(version=service.version, more=service.more)
        return 200, {"Content-Type": "application/xml"}, (service.metadata or default).encode()
    if rest == "":
        return replied({"d": {"EntitySets": list(TYPES)}} if v2 else {"value": [{"name": name, "url": name} for name in TYPES]})
    if rest == "$batch" and not v2:
        return batch(service, headers, body)
    segment, _slash, behind = rest.partition("/")
    name, parenthesis, inside = unquote(segment).partition("(")
    if name not in TYPES:
        raise Refused(404, f"there is no {name}")
    if behind == "$count":
        return 200, {"Content-Type": "text/plain"}, b"\xef\xbb\xbf" + str(len(service.sets[name])).encode()
    if parenthesis:
        return single(service, method, name, parsed_key(inside, name, v2=v2), query, headers, body, v2=v2)
    if method == "POST" and not v2:
        return created(service, name, json.loads(body), headers)
    if method != "GET":
        raise Refused(405, f"{method} is not allowed")
    return listed(service, name, query, headers, v2=v2)


def parsed_key(inside: str, name: str, *, v2: bool) -> tuple[Any, ...]:
    if not inside.endswith(")"):
        raise Refused(400, "the key is not closed")
    pairs = re.findall(rf"(?:(\w+)=)?({LITERAL})(?:,|\Z)", inside[:-1])
    if ",".join(f"{n}={v}" if n else v for n, v in pairs) != inside[:-1]:
        raise Refused(400, f"({inside} is no key")
    names = KEYS[name]
    given = {n or names[0]: v for n, v in pairs}
    if tuple(sorted(given)) != tuple(sorted(names)) or (len(names) > 1 and not all(n for n, _v in pairs)):
        raise Refused(400, f"({inside} is no key of {name}")
    return tuple(literal(given[n], TYPES[name][n], v2=v2) for n in names)


def listed(service: ODataService, name: str, query: dict[str, str], headers: dict[str, str], *, v2: bool) -> Reply:
    if "$deltatoken" in query:
        return changed(service, name, query)
    unknown = set(query) - {"$select", "$filter", "$orderby", "$top", "$skip", "$skiptoken"}
    if unknown:
        raise Refused(400, f"{min(unknown)} is not known")
    rows = list(service.sets[name].values())
    if text := query.get("$filter"):
        rows = list(filter(Filter(text, name, v2=v2, has_in=service.version == "4.01").matches, rows))
    for field_ in reversed([n for n in query.get("$orderby", "").split(",") if n]):
        if field_ not in TYPES[name]:
            raise Refused(400, f"there is no property {field_}")
        rows.sort(key=lambda r: (r.get(field_) is not None, comparable(r.get(field_), TYPES[name][field_])))
    start = int(query.get("$skiptoken", query.get("$skip", 0)))
    preferred = re.search(r"odata\.maxpagesize=(\d+)", headers.get("prefer", ""))
    size = min(service.page_size, int(preferred[1]) if preferred else service.page_size)
    end = min(start + size, start + int(query["$top"])) if "$top" in query else start + size
    part = [shown(service, name, r, query, v2=v2) for r in rows[start:end]]
    more = end < len(rows) and "$top" not in query
    link = f"{service.url}/{'v2' if v2 else 'v4'}/{name}?" + "&".join(
        f"{n}={quote(v)}" for n, v in {**query, "$skiptoken": str(end)}.items() if n != "$skip"
    )
    if v2:
        return replied({"d": {"results": part, **({"__next": link} if more else {})}})
    whole: dict[str, Any] = {"@odata.context": f"{service.url}/v4/$metadata#{name}", "value": part}
    if more:
        whole["@odata.nextLink"] = link
    elif service.tracks_changes and "odata.track-changes" in headers.get("prefer", ""):
        whole["@odata.deltaLink"] = f"{service.url}/v4/{name}?$deltatoken={len(service.log)}&$select={query.get('$select', '')}"
    return replied(whole)


def changed(service: ODataService, name: str, query: dict[str, str]) -> Reply:
    """What changed since a delta token (OData Protocol 4.01, section 11.3)."""
    since = int(query["$deltatoken"])
    if since <= service.forgotten - 1:
        raise Refused(410, "the delta link has expired", "Gone")
    keys = list(dict.fromkeys(key for n, key in service.log[since:] if n == name))
    start = int(query.get("$skiptoken", 0))
    rows: list[Record] = []
    for key in keys[start : start + service.page_size]:
        if key in service.sets[name]:
            rows.append(shown(service, name, service.sets[name][key], query, v2=False))
        elif service.version == "4.01":
            rows.append({"@removed": {"reason": "deleted"}, **dict(zip(KEYS[name], key, strict=True))})
        else:
            rows.append({"@odata.context": "#Customers/$deletedEntity", "id": f"{name}({key[0]})", "reason": "deleted"})
    whole: dict[str, Any] = {"@odata.context": "#Customers/$delta", "value": rows}
    if start + service.page_size < len(keys):
        whole["@odata.nextLink"] = f"{service.url}/v4/{name}?$deltatoken={since}&$select={query['$select']}&$skiptoken={start + service.page_size}"
    else:
        whole["@odata.deltaLink"] = f"{service.url}/v4/{name}?$deltatoken={len(service.log)}&$select={query['$select']}"
    return replied(whole)


def shown(service: ODataService, name: str, record: Record, query: dict[str, str], *, v2: bool) -> Record:
    """A record as it stands in JSON, with the selected properties."""
    wanted = [n for n in query.get("$select", "").split(",") if n] or list(TYPES[name])
    if stranger := next((n for n in wanted if n not in TYPES[name]), None):
        raise Refused(400, f"there is no property {stranger}")
    key = tuple(record[n] for n in KEYS[name])
    head = {"__metadata": {"uri": f"{name}"}} if v2 else {"@odata.etag": service.etag(name, key)}
    return {**head, **{n: in_json(service, record[n], TYPES[name][n], v2=v2) for n in wanted if n in record}}


def in_json(service: ODataService, value: Any, type_: str, *, v2: bool) -> Any:
    as_text = v2 or service.numbers_as_text
    try:
        match type_:
            case _ if value is None:
                return None
            case "Edm.Int64":
                return str(value) if as_text else value
            case "Edm.Decimal":
                return str(value) if as_text else float(value)
            case "Edm.Double" if v2:
                return str(value)
            case "Edm.Date" | "Edm.DateTimeOffset" if v2:
                moment = dt.datetime.fromisoformat(value)
                return f"/Date({(moment.replace(tzinfo=dt.UTC) - EPOCH) // dt.timedelta(milliseconds=1)})/"
    except ValueError:
        return value  # a value that does not fit
    return value


def dumps(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode()


def replied(value: Any, status: int = 200, **headers: str) -> Reply:
    return status, {"Content-Type": "application/json", **headers}, dumps(value)


def created(service: ODataService, name: str, values: Record, headers: dict[str, str], key: tuple[Any, ...] | None = None) -> Reply:
    refuse(service, name, values)
    if name == "Customers":
        number = max((k[0] for k in service.sets[name]), default=0) + 1
        values = {**customer(number), **values, "ID": number}
    values |= dict(zip(KEYS[name], key, strict=True)) if key else {}
    if any(values.get(n) is None for n in KEYS[name]):
        raise Refused(400, "the key is missing")
    key = tuple(values[n] for n in KEYS[name])
    if key in service.sets[name]:
        raise Refused(400, "there is one with this key")
    service.put(name, values)
    return written(service, name, key, headers, 201)


def written(service: ODataService, name: str, key: tuple[Any, ...], headers: dict[str, str], status: int) -> Reply:
    inside = ",".join(f"{n}={in_address(v)}" for n, v in zip(KEYS[name], key, strict=True)) if len(key) > 1 else in_address(key[0])
    about = {"OData-EntityId": f"{service.url}/v4/{name}({inside})", "Location": f"{service.url}/v4/{name}({inside})"}
    if service.is_silent or "return=representation" not in headers.get("prefer", ""):
        return 204, about, b""
    return replied(shown(service, name, service.sets[name][key], {}, v2=False), status, **about)


def in_address(value: Any) -> str:
    return quote("'" + value.replace("'", "''") + "'", safe="'") if isinstance(value, str) else str(value)


def refuse(service: ODataService, name: str, values: Record) -> None:
    for n, value in values.items():
        if n not in TYPES[name]:
            raise Refused(400, f"there is no property {n}")
        if TYPES[name][n] in ("Edm.Int64", "Edm.Decimal", "Edm.Double") and isinstance(value, str):
            raise Refused(400, f"{n} is no number")
    if reason := service.refuses.get(values.get("Email") or ""):
        raise Refused(422, reason, "VAT")


def single(
    service: ODataService, method: str, name: str, key: tuple[Any, ...], query: dict[str, str], headers: dict[str, str], body: bytes, *, v2: bool
) -> Reply:
    record, match = service.sets[name].get(key), headers.get("if-match")
    if method == "GET":
        if record is None:
            raise Refused(404, "there is no such record")
        entity = shown(service, name, record, query, v2=v2)
        return replied({"d": entity} if v2 else entity)
    if v2 or method not in ("PATCH", "DELETE"):
        raise Refused(405, f"{method} is not allowed")
    if record is None:
        if match is None and method == "PATCH":
            return created(service, name, json.loads(body), headers, key)
        raise Refused(412 if match else 404, "there is no such record")
    if match is None and name == "Customers":
        raise Refused(428, "If-Match is missing")
    if match not in (None, "*", service.etag(name, key)):
        raise Refused(412, "it has another ETag", "ETag")
    if method == "DELETE":
        del service.sets[name][key]
        service.log.append((name, key))
        return 204, {}, b""
    values = json.loads(body)
    refuse(service, name, values)
    for n, value in values.items():
        record[n] = {**(record.get(n) or {}), **value} if isinstance(value, dict) else value
    service.touch(name, key)
    return written(service, name, key, headers, 200)


# --- $batch ---


def batch(service: ODataService, headers: dict[str, str], body: bytes) -> Reply:
    goes_on = "continue-on-error" in headers.get("prefer", "") and not service.stops_at_error
    if headers["content-type"].startswith("application/json"):
        if service.version != "4.01":
            raise Refused(415, "JSON batches are of 4.01")
        replies: list[Any] = []
        for request in json.loads(body)["requests"]:
            inner = {n.lower(): v for n, v in request["headers"].items()}
            reply = respond(service, request["method"].upper(), "/v4/" + request["url"], inner, dumps(request.get("body")))
            content = {"body": json.loads(reply[2])} if reply[2] else {}
            replies.append({"id": request["id"], "status": reply[0], "headers": {n.lower(): v for n, v in reply[1].items()}, **content})
            if reply[0] >= 400 and not goes_on:
                break
        return replied({"responses": replies[::-1]})  # in any order
    whole = message_from_bytes(b"Content-Type: " + headers["content-type"].encode() + b"\r\n\r\n" + body, policy=policy.HTTP)
    parts = []
    for part in whole.iter_parts():  # type: ignore[attr-defined]
        assert part["Content-Type"] == "application/http"
        assert part["Content-Transfer-Encoding"] == "binary"
        line, _end, rest = part.get_payload(decode=True).partition(b"\r\n")
        method, target, protocol = line.decode().split(" ")
        assert protocol == "HTTP/1.1"
        inner = message_from_bytes(rest, policy=policy.HTTP)
        status, about, content = respond(service, method, "/v4/" + target, {n.lower(): v for n, v in inner.items()}, inner.get_payload(decode=True))
        lines = [f"HTTP/1.1 {status} Said", *(f"{n}: {v}" for n, v in about.items()), "", ""]
        parts.append(b"Content-Type: application/http\r\nContent-Transfer-Encoding: binary\r\n\r\n" + "\r\n".join(lines).encode() + content)
        if status >= 400 and not goes_on:
            break
    joined = b"".join(b"--answers\r\n" + part + b"\r\n" for part in parts) + b"--answers--\r\n"
    return 200, {"Content-Type": "multipart/mixed; boundary=answers"}, joined


# --- over HTTP ---

SERVICE = web.AppKey("service", ODataService)


async def handle(request: web.Request) -> web.StreamResponse:
    service = request.app[SERVICE]
    service.asked.append((request.method, request.raw_path))
    service.headers.append({n.lower(): v for n, v in request.headers.items()})
    await request.read()
    if service.faults and (fault := service.faults.popleft()) is not None:
        response = await fault(request)
        if response is not None:
            return response
    return await serve(request)


async def serve(request: web.Request) -> web.StreamResponse:
    headers = {n.lower(): v for n, v in request.headers.items()}
    status, about, body = respond(request.app[SERVICE], request.method, request.raw_path, headers, await request.read())
    return web.Response(status=status, headers=about, body=body)


async def lost(request: web.Request) -> web.StreamResponse:
    """A fault: the request takes effect, but its answer never comes."""
    assert request.transport is not None
    await serve(request)
    request.transport.abort()
    await asyncio.sleep(0.01)
    raise web.HTTPException


class ODataServer(Server):
    def stocked(self) -> ODataService:
        return ODataService()

    def application(self) -> web.Application:
        app = web.Application(client_max_size=64 * 2**20)
        app[SERVICE] = self.shop
        app.router.add_route("*", "/{path:.*}", handle)
        return app
