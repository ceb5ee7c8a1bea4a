"""How the audit log puts what is done here."""

from django.utils.translation import gettext_noop

EVENTS = {
    "sync.created": gettext_noop("made the sync {subject}"),
    "sync.changed": gettext_noop("changed the sync {subject}"),
    "sync.paused": gettext_noop("paused the sync {subject}"),
    "sync.resumed": gettext_noop("resumed the sync {subject}"),
    "sync.deleted": gettext_noop("deleted the sync {subject}"),
    "pair.deleted": gettext_noop("deleted the links and the history of {subject}"),
    "sync.cursor_set": gettext_noop("set the cursor of {subject}"),
    "run.started": gettext_noop("started {subject}"),
    "run.paused": gettext_noop("paused {subject}"),
    "run.resumed": gettext_noop("resumed {subject}"),
    "run.cancelled": gettext_noop("cancelled {subject}"),
    "plan.approved": gettext_noop("approved the plan of {subject}"),
    "plan.applied": gettext_noop("applied the plan of {subject}"),
    "run.undo_planned": gettext_noop("planned an undo: {subject}"),
    "rejects.replayed": gettext_noop("replayed rejects of {subject}"),
    "rejects.dismissed": gettext_noop("dismissed rejects of {subject}"),
    "reject.linked": gettext_noop("linked a record of {subject} by hand"),
    "reject.mended": gettext_noop("mended values of a reject of {subject}"),
    "reject.mend_forgotten": gettext_noop("took mended values of a reject of {subject} back"),
    "rejects.assigned": gettext_noop("assigned rejects of {subject}"),
    "run.exported": gettext_noop("exported the record changes of a run of {subject}"),
    "rejects.exported": gettext_noop("exported rejects of {subject}"),
}
