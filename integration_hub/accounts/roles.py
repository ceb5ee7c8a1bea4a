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
    "plans.approve": frozenset({_A, _P}),
    "plans.apply": frozenset({_A, _I, _O, _P}),
    "plans.undo": _OPERATORS,
    "rejects.view": _EVERYONE,
    "rejects.resolve": _OPERATORS,
    "decisions.view": _EVERYONE,
    "decisions.decide": frozenset({_A, _O, _P}),
    "rejects.mend": _OPERATORS,
    "rejects.assign": _OPERATORS,
    "config.export": frozenset({_A, _I, _U}),
    "config.apply": _BUILDERS,
    "accounts.view": frozenset({_A, _U}),
    "accounts.change": frozenset({_A}),
    "tokens.own": _EVERYONE,
}

PERMISSION_TEXTS = {
    "systems.view": _("see systems, their state and their entities"),
    "systems.check": _("test a connection, start and end maintenance"),
    "systems.change": _("register and change systems, discover and pick entities"),
    "systems.delete": _("delete systems"),
    "mappings.view": _("see mappings and their versions"),
    "mappings.change": _("make mappings and change their drafts"),
    "mappings.publish": _("publish mappings"),
    "mappings.delete": _("delete mappings"),
    "syncs.view": _("see syncs and runs"),
    "syncs.run": _("run a sync, also as a dry run"),
    "syncs.cancel": _("pause, resume and cancel"),
    "syncs.change": _("make and change syncs, set cursors back"),
    "syncs.delete": _("delete syncs"),
    "records.view": _("see records and their changes"),
    "plans.approve": _("approve the changes of a plan"),
    "plans.apply": _("apply an approved plan"),
    "plans.undo": _("plan the undoing of what runs have written"),
    "rejects.view": _("see rejects"),
    "rejects.resolve": _("replay and dismiss rejects"),
    "decisions.view": _("see what waits for a decision, and what was decided"),
    "decisions.decide": _("accept and refuse what waits for a decision"),
    "rejects.mend": _("mend values of rejects"),
    "rejects.assign": _("assign rejects to people"),
    "config.export": _("export the configuration"),
    "config.apply": _("apply a configuration file"),
    "accounts.view": _("see people and their roles"),
    "accounts.change": _("add people and give them roles"),
    "tokens.own": _("make and revoke API tokens of one's own"),
}
