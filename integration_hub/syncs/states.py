"""The states of what a sync works with, each with its word for people."""

from django.db import models
from django.utils.translation import gettext_lazy as _


class Side(models.TextChoices):
    A = "a", "a"
    B = "b", "b"


class Direction(models.TextChoices):
    A_TO_B = "a_to_b", "a → b"
    B_TO_A = "b_to_a", "b → a"


class Mode(models.TextChoices):
    FULL = "full", _("Full")
    INCREMENTAL = "incremental", _("Incremental")
    RECONCILE = "reconcile", _("Reconcile")  # of a run: a sync reconciles beside its own mode, by hand or on a schedule of its own


SYNC_MODES = [(mode.value, mode.label) for mode in (Mode.FULL, Mode.INCREMENTAL)]  # of a sync, with their words


class DeletePolicy(models.TextChoices):
    """What becomes of the target's record when the source's is gone."""

    IGNORE = "ignore", _("Leave it as it is")
    MARK = "mark", _("Mark it")
    DELETE = "delete", _("Delete it")


class LeftFilter(models.TextChoices):
    """What a record is that no longer passes the filter, once it has a link."""

    KEEP = "keep", _("Kept as it is")
    DELETE = "delete", _("Taken for deleted")


class RunState(models.TextChoices):
    QUEUED = "queued", _("Queued")
    COMPARING = "comparing", _("Comparing")
    WRITING = "writing", _("Writing")
    CLOSING = "closing", _("Closing")
    PAUSED = "paused", _("Paused")
    SUCCEEDED = "succeeded", _("Succeeded")
    WITH_REJECTS = "with_rejects", _("With rejects")
    AWAITING_DECISION = "awaiting_decision", _("Awaiting decision")
    FAILED = "failed", _("Failed")
    CANCELLED = "cancelled", _("Cancelled")


LIVE = (RunState.QUEUED, RunState.COMPARING, RunState.WRITING, RunState.CLOSING)
ENDED_WHOLE = (RunState.SUCCEEDED, RunState.WITH_REJECTS, RunState.AWAITING_DECISION)  # everything was read


class Trigger(models.TextChoices):
    """What started a run."""

    SCHEDULE = "schedule", _("Schedule")
    HAND = "hand", _("By hand")
    REPLAY = "replay", _("Replay")
    COMMAND = "command", _("Command line")
    API = "api", _("API")
    DECISION = "decision", _("Decision")


class Freshness(models.TextChoices):
    """How a sync stands: is its target right and as new as it should be?"""

    FRESH = "fresh", _("Fresh")
    INCOMPLETE = "incomplete", _("Fresh, not complete")
    LATE = "late", _("Late")
    FAILED = "failed", _("Failed")
    UNBALANCED = "unbalanced", _("Books do not balance")
    STUCK = "stuck", _("Cannot run")
    PAUSED = "paused", _("Paused")
    FIRST_RUN = "first_run", _("First run")
    NEVER_RAN = "never_ran", _("Never ran")


class PartitionState(models.TextChoices):
    WAITING = "waiting", _("Waiting")
    LEASED = "leased", _("Working")
    COMPARED = "compared", _("Compared")
    DONE = "done", _("Done")
    FAILED = "failed", _("Failed")


class ChangeSetState(models.TextChoices):
    PLANNED = "planned", _("Planned")
    SENDING = "sending", _("Sending")
    SETTLED = "settled", _("Settled")
    DROPPED = "dropped", _("Dropped")


class OpenState(models.TextChoices):
    """Why a record was left."""

    REJECTED = "rejected", _("Rejected")
    REFUSED = "refused", _("Refused")
    PARKED = "parked", _("Parked")
    WITHHELD = "withheld", _("Withheld")
    MOVED = "moved", _("Moved")
    UNKNOWN = "unknown", _("Unknown")


REJECTS = (OpenState.REJECTED, OpenState.REFUSED)  # what the console calls rejects


class Closed(models.TextChoices):
    """How an open row ended."""

    REPLAYED = "replayed", _("Replayed")
    DISMISSED = "dismissed", _("Dismissed")
    LATER_PASS = "later_pass", _("Closed by a later pass")
