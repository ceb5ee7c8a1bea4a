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

PERMISSION_TEXTS = {
    "systems.view": _("see systems"),
    "systems.check": _("test systems, put them into maintenance"),
    "systems.change": _("register and change systems"),
    "systems.delete": _("delete systems"),
    "mappings.view": _("see mappings"),
    "mappings.change": _("change mappings"),
    "mappings.publish": _("publish mappings"),
    "mappings.delete": _("delete mappings"),
    "syncs.view": _("see syncs and runs"),
    "syncs.run": _("run and pause syncs"),
    "syncs.cancel": _("cancel runs"),
    "syncs.change": _("change syncs"),
    "syncs.delete": _("delete syncs"),
    "records.view": _("see records"),
    "rejects.view": _("see rejects"),
    "rejects.resolve": _("replay and dismiss rejects"),
    "config.export": _("export the configuration"),
    "config.apply": _("apply a configuration"),
    "decisions.decide": _("decide what guards have withheld"),
    "audit.view": _("see the audit log"),
    "accounts.view": _("see people"),
    "accounts.change": _("change people and their roles"),
    "tokens.own": _("see and revoke one's own tokens"),
}
