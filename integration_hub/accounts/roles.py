"""The one table role × permission. A test walks it over every address and service of the hub."""

from django.db import models
from django.utils.translation import gettext_lazy as _


class Role(models.TextChoices):
    ADMINISTRATOR = "administrator", _("Administrator")
    INTEGRATOR = "integrator", _("Integrator")
    OPERATOR = "operator", _("Operator")
    APPROVER = "approver", _("Approver")
    AUDITOR = "auditor", _("Auditor")
    VIEWER = "viewer", _("Viewer")


_A, _I, _O, _P, _U, _V = Role
_EVERYONE = frozenset(Role)
_BUILDERS = frozenset({_A, _I})
_OPERATORS = frozenset({_A, _I, _O})

PERMISSIONS: dict[str, frozenset[Role]] = {
    "systems.view": _EVERYONE,
    "systems.check": _OPERATORS,
    "systems.change": _BUILDERS,
    "systems.delete": _BUILDERS,
    "mappings.view": _EVERYONE,
    "mappings.change": _BUILDERS,
    "mappings.publish": _BUILDERS,
    "mappings.delete": _BUILDERS,
    "syncs.view": _EVERYONE,
    "syncs.run": _OPERATORS,
    "syncs.cancel": _OPERATORS,
    "syncs.change": _BUILDERS,
    "syncs.delete": _BUILDERS,
    "records.view": _EVERYONE,
    "rejects.view": _EVERYONE,
    "rejects.resolve": _OPERATORS,
    "config.export": frozenset({_A, _I, _U}),
    "config.apply": _BUILDERS,
    "decisions.decide": frozenset({_A, _P}),
    "audit.view": frozenset({_A, _U}),
    "accounts.view": frozenset({_A, _U}),
    "accounts.change": frozenset({_A}),
    "tokens.own": _EVERYONE,
}
