"""From a system's row to a connector that is ready to speak: settings and secrets joined, validated, and given a host."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from django.core.exceptions import ValidationError
from django.utils import timezone
from django.utils.translation import gettext
from pydantic import BaseModel
from pydantic import ValidationError as SettingsInvalid

from connectors.base import Connector, SettingsError, SystemDown, Text, _
from connectors.registry import UnknownConnector, connector_class, kinds
from connectors.versions import Versions
from integration_hub.core import texts
from integration_hub.core.crypto import CannotDecrypt
from integration_hub.core.findings import findings, sentence
from integration_hub.systems.host import GuardedHost, SystemHost, forever
from integration_hub.systems.models import System
from integration_hub.systems.shape import hosts_in, is_secret, is_tag, place_of, secrets_in

Json = dict[str, Any]
log = logging.getLogger(__name__)


@contextmanager
def connect(
    system: System, *, deadline: Callable[[], float] | None = None, for_check: bool = False, versions: Versions | None = None
) -> Iterator[Connector]:
    """A connector that speaks to `system`, closed at the end. Raises ConnectorError: a SettingsError where the stored settings are not usable,
    SystemDown while it is in maintenance.

    `deadline` tells the monotonic time at which work must end (a lease); `versions` are shared with the other connectors of the same piece of work.
    Never call it inside a transaction.
    """
    from integration_hub.systems.health import mark_revoked

    if system.state == System.State.MAINTENANCE and not for_check:
        until = system.maintenance_until
        raise SystemDown(
            _("{system} is in maintenance."),
            retry_after=max(5.0, (until - timezone.now()).total_seconds()) if until else 60.0,
            system=system.name,
        )
    host = SystemHost(
        system, deadline=deadline or forever, on_revoked=lambda error: mark_revoked(system, error), for_check=for_check, versions=versions
    )
    try:
        with kind_of(system)(settings_of(system), host) as connector:
            yield connector
    finally:
        host.close()


@contextmanager
def connect_unsaved(system: System, settings: BaseModel, *, deadline: Callable[[], float] = forever) -> Iterator[Connector]:
    """A connector with settings that are only being tried: nothing is shared with other workers, nothing stored."""
    with kind_of(system)(settings, GuardedHost(system, deadline=deadline)) as connector:
        yield connector


def kind_of(system: System) -> type[Connector]:
    """Raises SettingsError for a connector that is not installed."""
    try:
        return connector_class(system.connector)
    except UnknownConnector:
        raise SettingsError(
            _("{system} needs the connector {connector}, which is not installed."), system=system.name, connector=system.connector
        ) from None


def installed() -> list[type[Connector]]:
    """The connectors that can be used, by title; one that cannot be imported is logged and left out."""
    found = []
    for kind in kinds():
        try:
            found.append(connector_class(kind))
        except Exception:  # whatever a third party's module does when it is imported
            log.exception("connector cannot be used", extra={"connector": kind})
    return sorted(found, key=lambda one: one.title)


def settings_of(system: System) -> BaseModel:
    """The connector's settings with their secrets. Raises SettingsError, without any value in it."""
    try:
        return kind_of(system).Settings.model_validate(join_secrets(system.settings, revealed(system)))
    except SettingsInvalid as error:
        first = findings(error)[0]
        place = ".".join(place_of(kind_of(system).Settings, first["loc"], system.settings))
        raise SettingsError(
            _("The settings of {system} are not valid at {place}: {problem}. Correct them under Systems, {system}."),
            system=system.name,
            place=place or "—",
            problem=_said(first),
        ) from None


def revealed(system: System) -> Json:
    """The secrets by their path. Raises SettingsError where the key is lost."""
    try:
        return system.secrets.reveal() or {}
    except CannotDecrypt as error:
        raise SettingsError(
            _("The credentials of {system} cannot be read: {problem} Enter them again under Systems, {system}."),
            system=system.name,
            problem=str(error),
        ) from None


# --- secrets apart from settings --------------------------------------------------------------------------------------


def validate_settings(kind: type[Connector], settings: Mapping[str, Any], secrets: Mapping[str, Any]) -> tuple[BaseModel, Json, Json]:
    """(the connector's settings, what of them is stored in plain, what is sealed by path). Raises Django's ValidationError by `settings.path`."""
    given = join_secrets(settings, secrets)
    try:
        model = kind.Settings.model_validate(given)
    except SettingsInvalid as error:
        problems: dict[str, list[str]] = {}
        for one in findings(error):
            problems.setdefault(".".join(("settings", *place_of(kind.Settings, one["loc"], given))), []).append(texts.render(_said(one)))
        raise ValidationError(problems) from None
    sealed: Json = {}
    return model, _plain(model, (), sealed), sealed


def _said(detail: Any) -> Text:
    return sentence(detail, skip=max(0, len(detail["loc"]) - 1))


def keep_secrets(kind: type[Connector], old: Mapping[str, Any], stored: Mapping[str, Any], new: Mapping[str, Any]) -> Json:
    """`new` with the stored secret wherever it leaves one out or empty, as long as the same kind of thing still stands there.

    A stored secret is never sent to a host that the settings did not name before: else whoever may change a system could have it sent anywhere.
    """
    before = dict(secrets_in(kind.Settings, old))
    joined, kept = join_secrets(new, {}), False
    for way, model in secrets_in(kind.Settings, new):
        path = "/".join(way)
        place: Any = joined
        for step in way[:-1]:
            place = _step(place, step)
        if path in stored and before.get(way) is model and not place.get(way[-1]):
            place[way[-1]], kept = stored[path], True
    if kept and (strange := hosts_in(new) - hosts_in(old)):
        raise ValidationError(
            {
                "settings": gettext("The address changed to {host}: enter the secrets again, they are not sent to another host.").format(
                    host=min(strange)
                )
            }
        )
    return joined


def join_secrets(settings: Mapping[str, Any], secrets: Mapping[str, Any]) -> Json:
    """The settings with each secret at its path; a path that the settings do not have is left out."""
    joined = _copied(dict(settings))
    for path, value in secrets.items():
        *way, last = path.split("/")
        place: Any = joined
        for step in way:
            place = _step(place, step)
        if isinstance(place, dict):
            place[last] = value
    return joined


def _plain(model: BaseModel, way: tuple[str, ...], sealed: Json) -> Json:
    """The model as JSON without what is merely the default; its secrets go into `sealed` by their path."""
    plain: Json = {}
    for name, info in type(model).model_fields.items():
        value, here = getattr(model, name), (*way, name)
        if is_secret(info):
            if value:
                sealed["/".join(here)] = value
        elif is_tag(info.annotation) or value != info.get_default(call_default_factory=True):
            plain[name] = _plain_value(model, name, here, sealed)
    return plain


def _plain_value(model: BaseModel, name: str, way: tuple[str, ...], sealed: Json) -> Any:
    value = getattr(model, name)
    if isinstance(value, BaseModel):
        return _plain(value, way, sealed)
    if isinstance(value, list | tuple) and any(isinstance(part, BaseModel) for part in value):
        return [_plain(part, (*way, str(number)), sealed) for number, part in enumerate(value)]
    return model.model_dump(mode="json", include={name})[name]


def _step(place: Any, step: str) -> Any:
    if isinstance(place, dict):
        return place.get(step)
    if isinstance(place, list) and step.isdecimal() and int(step) < len(place):
        return place[int(step)]
    return None


def _copied(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _copied(part) for name, part in value.items()}
    return [_copied(part) for part in value] if isinstance(value, list | tuple) else value
