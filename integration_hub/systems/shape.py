"""The shape of a connector's settings: which model stands at which place, chosen among the members of a union by the data there."""

from __future__ import annotations

import types
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal, Union, get_args, get_origin
from urllib.parse import urlsplit

from pydantic import BaseModel
from pydantic.fields import FieldInfo

Path = tuple[str, ...]


def is_secret(info: FieldInfo) -> bool:
    return isinstance(info.json_schema_extra, Mapping) and bool(info.json_schema_extra.get("secret"))


def leads_back(info: FieldInfo) -> bool:
    """Whether from this address people are sent back to the hub."""
    return isinstance(info.json_schema_extra, Mapping) and bool(info.json_schema_extra.get("return_address"))


def is_tag(annotation: Any) -> bool:
    """A Literal of one value, which tells the members of a union apart."""
    return get_origin(annotation) is Literal and len(get_args(annotation)) == 1


def members(annotation: Any) -> list[type[BaseModel]]:
    """The models that may stand where this annotation stands."""
    annotation = bare(annotation)
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    if get_origin(annotation) in (Union, types.UnionType):
        return [model for part in get_args(annotation) for model in members(part)]
    return []


def bare(annotation: Any) -> Any:
    """Without Annotated."""
    while get_origin(annotation) is Annotated:
        annotation = get_args(annotation)[0]
    return annotation


def without_none(annotation: Any) -> Any:
    """`X` of `X | None`; anything else as it is."""
    annotation = bare(annotation)
    if get_origin(annotation) in (Union, types.UnionType):
        parts = [part for part in get_args(annotation) if part is not type(None)]
        return bare(parts[0]) if len(parts) == 1 else annotation
    return annotation


def items_of(annotation: Any) -> Any | None:
    """What a list or an open tuple holds; None for anything else."""
    annotation = without_none(annotation)
    return get_args(annotation)[0] if get_origin(annotation) in (list, tuple) else None


def tag_of(model: type[BaseModel]) -> tuple[str, str] | None:
    """(name, value) of the field that tells this model from others in a union."""
    for name, info in model.model_fields.items():
        if is_tag(info.annotation):
            return name, get_args(info.annotation)[0]
    return None


def chosen(annotation: Any, value: Any) -> type[BaseModel] | None:
    """The member of the annotation that `value` will be read as: by its tag, else the first."""
    found = members(annotation)
    if isinstance(value, Mapping):
        for model in found:
            tag = tag_of(model)
            if tag is not None and value.get(tag[0]) == tag[1]:
                return model
    return found[0] if found else None


def secrets_in(model: type[BaseModel], settings: Any, way: Path = ()) -> Iterator[tuple[Path, type[BaseModel]]]:
    """Every place where these settings may hold a secret, with the model it belongs to."""
    if not isinstance(settings, Mapping):
        return
    for name, info in model.model_fields.items():
        here, value = (*way, name), settings.get(name)
        if is_secret(info):
            yield here, model
            continue
        parts = enumerate(value) if isinstance(value, list | tuple) else [(None, value)]
        item = items_of(info.annotation) or info.annotation
        for number, part in parts:
            inner = chosen(item, part)
            if inner is not None and isinstance(part, Mapping):
                yield from secrets_in(inner, part, here if number is None else (*here, str(number)))


def place_of(model: type[BaseModel], loc: tuple[int | str, ...], settings: Any) -> list[str]:
    """Where in the settings pydantic found an error: its way, less the tags by which it chose among the members of a union."""
    here: Any = model  # a model, or an annotation whose value comes next
    value, way, parts = settings, [], list(loc)
    while parts:
        part = parts.pop(0)
        way.append(str(part))
        if isinstance(here, type) and issubclass(here, BaseModel):
            info = here.model_fields.get(str(part))
            here = info.annotation if info else None
        else:
            here = items_of(here)
        value = _inside(value, part)
        found = members(here) if here is not None and items_of(here) is None else []
        if found:
            here = chosen(here, value)
            tag = tag_of(here) if len(found) > 1 and here else None
            if parts and tag and parts[0] == tag[1]:
                parts.pop(0)
    return way


def _inside(value: Any, part: int | str) -> Any:
    if isinstance(value, Mapping):
        return value.get(part)
    if isinstance(value, list | tuple) and isinstance(part, int) and part < len(value):
        return value[part]
    return None


def hosts_in(settings: Any) -> set[str]:
    """The hosts that these settings name: in any address, or as a setting called `host`."""
    if isinstance(settings, str):
        parts = urlsplit(settings) if settings.startswith(("http://", "https://")) else None
        return {parts.netloc.rpartition("@")[2].lower()} if parts else set()
    values = settings.values() if isinstance(settings, Mapping) else settings if isinstance(settings, list | tuple) else ()
    named = (
        {f"{settings['host']}:{settings.get('port', '')}".lower()}
        if isinstance(settings, Mapping) and isinstance(settings.get("host"), str)
        else set()
    )
    return named | {host for value in values for host in hosts_in(value)}
