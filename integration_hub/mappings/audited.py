"""How the audit log puts what is done here."""

from django.utils.translation import gettext_noop

EVENTS = {
    "mapping.created": gettext_noop("made the mapping {subject}"),
    "mapping.changed": gettext_noop("changed the draft of the mapping {subject}"),
    "mapping.renamed": gettext_noop("renamed the mapping {subject}"),
    "mapping.published": gettext_noop("published the mapping {subject}"),
    "mapping.deleted": gettext_noop("deleted the mapping {subject}"),
}
