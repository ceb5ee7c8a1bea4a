"""Which source field belongs to which target field, guessed from names, types and sample values. Simple, and only ever a proposal."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from connectors.base import Entity, Field, FieldType
from integration_hub.core.expressions.conversions import conversion

T = FieldType
LEAST = 0.55  # of 1; below it nothing is proposed

# Words that mean the same in the systems of a company; the first stands for all.
SYNONYMS = (
    ("id", "key", "no", "number", "num", "nr", "code", "编号", "编码"),
    ("name", "title", "label", "caption", "名称", "姓名", "标题"),
    ("mail", "email", "e_mail", "mailaddress", "邮箱", "邮件"),
    ("phone", "tel", "telephone", "mobile", "cell", "cellphone", "fon", "电话", "手机"),
    ("first", "given", "forename", "firstname", "名"),
    ("last", "family", "surname", "lastname", "姓"),
    ("company", "organization", "organisation", "firm", "account", "corp", "customer", "client", "公司", "客户"),
    ("street", "address1", "addr", "address", "地址"),
    ("zip", "postal", "postcode", "zipcode", "plz", "邮编"),
    ("city", "town", "城市"),
    ("country", "nation", "国家"),
    ("state", "status", "stage", "phase", "状态", "阶段"),
    ("created", "created_at", "creation", "create_time", "ctime", "inserted", "创建时间"),
    ("updated", "modified", "changed", "updated_at", "mtime", "update_time", "更新时间"),
    ("amount", "total", "sum", "value", "revenue", "turnover", "金额"),
    ("price", "rate", "unitprice", "单价", "价格"),
    ("quantity", "qty", "count", "数量"),
    ("note", "notes", "remark", "comment", "description", "memo", "text", "备注", "描述"),
    ("active", "enabled", "is_active", "valid", "启用"),
    ("birthday", "birthdate", "born", "dob", "生日"),
    ("owner", "responsible", "assignee", "manager", "负责人"),
    ("department", "dept", "team", "division", "部门"),
    ("currency", "curr", "ccy", "币种"),
    ("product", "item", "article", "sku", "goods", "产品", "商品"),
    ("user", "employee", "staff", "member", "person", "员工", "用户"),
)
_MEANS = {word.replace("_", ""): group[0] for group in SYNONYMS for word in group}
_FILLER = frozenset({"full", "the", "of", "at", "is", "has", "c", "f", "tbl", "fld", "obj", "record", "attributes", "properties", "fields", "data"})


@dataclass(frozen=True, slots=True)
class Suggestion:
    """A source field for a target field. `score` of 1 is certain; `steps` make one type of the other where a usual step does."""

    target: str
    source: str
    score: float
    steps: tuple[dict[str, Any], ...] = ()


def suggest_fields(source: Entity, target: Entity, samples: Sequence[Mapping[str, Any]] = ()) -> list[Suggestion]:
    """At most one source for each target field that can be written, and each source once; best first pairs win, the target's order stays."""
    wanted = [f for f in target.fields if not f.read_only]
    pairs = [
        (score, number, theirs, ours)
        for number, ours in enumerate(wanted)
        for theirs in source.fields
        if (score := _score(theirs, ours, samples)) >= LEAST
    ]
    found: dict[str, Suggestion] = {}
    taken: set[str] = set()
    for score, _number, theirs, ours in sorted(pairs, key=lambda pair: (-pair[0], pair[1])):
        if ours.name not in found and theirs.name not in taken:
            found[ours.name] = Suggestion(ours.name, theirs.name, round(score, 2), _steps(theirs, ours, samples))
            taken.add(theirs.name)
    return [found[f.name] for f in wanted if f.name in found]


def suggest_definition(source: Entity, target: Entity, samples: Sequence[Mapping[str, Any]] = ()) -> dict[str, Any]:
    """The suggestions as the draft of a mapping, matched by a mail address or number where there is one."""
    found = suggest_fields(source, target, samples)
    fields = [{"target": s.target, "source": s.source, **({"steps": list(s.steps)} if s.steps else {})} for s in found]
    usable = target.capabilities.lookup_by
    match = [[s.target] for s in found if s.target in usable] or [[s.target] for s in found if _words(s.target)[-1:] == ["mail"]]
    return {"fields": fields, **({"match": match[:3]} if match else {})}


_ABOVE = frozenset({"parent", "manager", "boss", "supervisor", "superior", "上级"})  # whoever has such a field has it for one of its own kind


def suggest_entities(sources: Sequence[Entity], targets: Sequence[Entity]) -> dict[str, str]:
    """Entity of the source → the one of the target that its name fits best; each target once."""
    pairs = [(_entities_alike(theirs, ours), theirs.name, ours.name) for theirs in sources for ours in targets]
    found: dict[str, str] = {}
    for score, theirs_name, ours_name in sorted(pairs, key=lambda pair: -pair[0]):
        if score >= LEAST and theirs_name not in found and ours_name not in found.values():
            found[theirs_name] = ours_name
    return found


def _entities_alike(theirs: Entity, ours: Entity) -> float:
    return max(_alike(_one_of(a), _one_of(b)) for a in (theirs.name, theirs.label) if a for b in (ours.name, ours.label) if b)


def _one_of(name: str) -> str:
    """`companies` → `company`, `accounts` → `account`."""
    return f"{name[:-3]}y" if name.endswith("ies") else name.removesuffix("s")


def suggest_references(source: Entity, entities: Sequence[Entity]) -> dict[str, str]:
    """Field of the source → the entity whose records it seems to name: account_id → accounts, manager_id of employees → employees."""
    found = {}
    for field in source.fields:
        words = re.split(r"[^\w]+|_", re.sub(r"([a-z0-9])([A-Z])", r"\1 \2", field.name).lower())
        if field.name in source.key or len(words) < 2 or _words(field.name)[-1] != "id":
            continue
        if words[0] in _ABOVE and source in entities:
            found[field.name] = source.name
            continue
        pointed_to = next((each.name for each in entities if _words(_one_of(each.name)) == _words(field.name)[:-1]), None)
        if pointed_to is not None:
            found[field.name] = pointed_to
    return found


def follow_references(definition: Mapping[str, Any], references: Mapping[str, str]) -> dict[str, Any]:
    """The definition with a link for each source field that names a record of another entity."""
    fields = [
        {**told, "steps": [{"transform": "link", "entity": references[told["source"]]}]} if told.get("source") in references else told
        for told in definition["fields"]
    ]
    return {**definition, "fields": fields}


def _words(name: str) -> list[str]:
    """`address.PostalCode` → ["street", "zip", "id"]: split at signs and capitals, each word by what it means."""
    spaced = re.sub(r"([a-z0-9])([A-Z])|([A-Z]+)([A-Z][a-z])", r"\1\3 \2\4", name)
    words = [word for word in re.split(r"[^\w]+|_", spaced.lower()) if word and word not in _FILLER]
    joined = "".join(words)
    if joined in _MEANS:
        return [_MEANS[joined]]
    return [_MEANS.get(word, word) for word in words]


def _score(theirs: Field, ours: Field, samples: Sequence[Mapping[str, Any]]) -> float:
    if not _fits(theirs, ours):
        return 0.0
    names = max(_alike(a, b) for a in (theirs.name, theirs.label) if a for b in (ours.name, ours.label) if b)
    same_type = 1.0 if theirs.type is ours.type else 0.5
    return min(1.0, names * 0.85 + same_type * 0.15 + _sample_hint(ours, [sample.get(theirs.name) for sample in samples]))


def _alike(first: str, second: str) -> float:
    """1 for names of the same words; less the more of them are another's."""
    if first.lower() == second.lower():
        return 1.0
    a, b = _words(first), _words(second)
    if not a or not b:
        return 0.0
    if a == b:
        return 0.98
    shared = len(set(a) & set(b)) / len(set(a) | set(b))
    last = 0.25 if a[-1] == b[-1] else 0.0  # `customer name` and `name`: what it is stands last
    letters = difflib.SequenceMatcher(None, "".join(a), "".join(b)).ratio()
    return min(0.95, max(shared + last, letters * 0.9))


def _fits(theirs: Field, ours: Field) -> bool:
    return conversion(theirs.type, ours.type) is not None or (theirs.type, ours.type) in _BY_STEP


_BY_STEP: dict[tuple[FieldType, FieldType], tuple[dict[str, Any], ...]] = {
    (T.DATETIME, T.DATE): ({"transform": "date_of"},),
    (T.INTEGER, T.DATETIME): ({"transform": "from_epoch"},),
    (T.BOOLEAN, T.INTEGER): ({"transform": "format_boolean", "true": "1", "false": "0"},),
}


def _sample_hint(ours: Field, values: Sequence[Any]) -> float:
    """A little more where the values look like what the target's name says or its choices are."""
    texts = [value for value in values if isinstance(value, str) and value]
    if not texts:
        return 0.0
    if ours.choices:
        return 0.3 if all(text in ours.choices for text in texts) else 0.0
    meaning = _words(ours.name)[-1:]
    if meaning == ["mail"]:
        return 0.2 if all("@" in text for text in texts) else -0.2
    if meaning == ["phone"]:
        return 0.1 if all(re.fullmatch(r"[+()\d\s./-]{5,}", text) for text in texts) else -0.1
    return 0.0


_DATES = (
    (r"\d{4}-\d{2}-\d{2}", "%Y-%m-%d"),
    (r"\d{2}\.\d{2}\.\d{4}", "%d.%m.%Y"),
    (r"\d{4}/\d{2}/\d{2}", "%Y/%m/%d"),
    (r"\d{8}", "%Y%m%d"),
    (r"\d{2}/\d{2}/\d{4}", "%m/%d/%Y"),
)
_TIMES = (
    (r"\d{4}-\d{2}-\d{2} \d{2}:\d{2}:\d{2}", "%Y-%m-%d %H:%M:%S"),
    (r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}", "%Y-%m-%dT%H:%M:%S"),
    (r"\d{4}/\d{2}/\d{2} \d{2}:\d{2}:\d{2}", "%Y/%m/%d %H:%M:%S"),
    (r"\d{2}\.\d{2}\.\d{4} \d{2}:\d{2}", "%d.%m.%Y %H:%M"),
)


def _steps(theirs: Field, ours: Field, samples: Sequence[Mapping[str, Any]]) -> tuple[dict[str, Any], ...]:
    """The usual steps from one type to the other, as the samples show them."""
    if (theirs.type, ours.type) in _BY_STEP:
        return _BY_STEP[theirs.type, ours.type]
    if theirs.type is not T.TEXT:
        return ()
    texts = [value for sample in samples if isinstance(value := sample.get(theirs.name), str) and value]
    if ours.type is T.BOOLEAN and texts and not all(text.lower() in ("true", "false") for text in texts):
        return ({"transform": "parse_boolean"},)
    if ours.type in (T.NUMBER, T.DECIMAL) and any("," in text for text in texts):
        return ({"transform": "parse_number"},)
    known = _DATES if ours.type is T.DATE else _TIMES if ours.type is T.DATETIME else ()
    for pattern, format_ in known:
        if texts and all(re.fullmatch(pattern, text) for text in texts) and format_ != "%Y-%m-%d":
            return ({"transform": "parse_date" if ours.type is T.DATE else "parse_datetime", "formats": [format_]},)
    return ()
