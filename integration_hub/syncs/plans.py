"""Plans: the change sets that a dry run leaves planned, approved by a person and written by a run of their own.

What is approved is what was seen: the digest covers the mapping version, the settings and every change set. A plan that has become old, or whose sync
has another mapping or other settings by now, is neither approved nor applied; a new dry run makes a new one.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import Exists, F, OuterRef, Q, Sum
from django.db.models.functions import Coalesce
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop, ngettext

from connectors.base import FieldType
from integration_hub.accounts.actor import Actor
from integration_hub.audit import services as audit
from integration_hub.core.expressions.errors import ExpressionError
from integration_hub.mappings.definition import read_definition
from integration_hub.syncs import applying, changesets, services
from integration_hub.syncs.models import ChangeSet, PageRow, PlanApproval, Run, Sync
from integration_hub.syncs.services import NotPossible
from integration_hub.syncs.states import ENDED_WHOLE, DeletePolicy, Mode, RunState
from integration_hub.systems.models import System

GOOD_FOR = timedelta(hours=24)
KEYS_TOLD = 10
COUNT_SECONDS = 0.7  # in which what a rule fits is counted, while somebody waits
OPERATIONS = ("create", "update", "adopt", "delete", "mark", "unlink")
_COUNTED = {"creates": {"create"}, "updates": {"update"}, "deletes": {"delete", "mark"}, "unlinks": {"unlink"}, "links": {"adopt"}}  # of `planned_of`
TRIED_IN_VAIN = (RunState.FAILED, RunState.CANCELLED)


def is_plan(run: Run) -> bool:
    """Whether a run has left a plan: a dry one that went through and would write something."""
    return run.dry and run.state in ENDED_WHOLE and bool(run.counts.get("not_sent"))


def expires_at(plan: Run) -> datetime:
    return (plan.ended_at or plan.made_at) + GOOD_FOR


def count_of(plan: Run) -> int:
    """How many changes it would write; what a plan that undoes has to keep as it is does not count."""
    if plan.undoes is None:
        return int(plan.counts["not_sent"])
    sums = ChangeSet.objects.filter(run=plan).aggregate(n=Sum(F("creates") + F("updates") + F("deletes"), default=0))
    return int(sums["n"])


def approval_of(plan: Run) -> PlanApproval | None:
    return PlanApproval.objects.filter(plan=plan).first()


def approved(plan: Run) -> PlanApproval:
    """Its approval. Raises NotPossible where it has none."""
    approval = approval_of(plan)
    if approval is None:
        raise NotPossible(gettext_noop("This plan is not approved yet."))
    return approval


def applied_by(approval: PlanApproval) -> Run | None:
    """The run that applies it or did; none where it was tried in vain."""
    return approval.runs.exclude(state__in=TRIED_IN_VAIN).order_by("-pk").first()


def was_applied(plan: Run) -> bool:
    """Whether a run writes it or has, and did not fail."""
    approval = approval_of(plan)
    return approval is not None and applied_by(approval) is not None


def digest_of(plan: Run, sync: Sync) -> str:
    """SHA-256 over what a plan rests on, with its sync as it is now: mapping version, settings and change sets, of whose bytes the digests are known since
    they were planned; the run that applies it reads them all once more."""
    version, rules, direction = plan.mapping_version, plan.settings, plan.direction
    if plan.undoes is None and sync.mapping.latest is not None:
        version, rules, direction = sync.mapping.latest, services.settings_of(sync), sync.direction
    said = [version.pk, version.definition, rules, direction, sync.pair_id, plan.undoes]
    digest = hashlib.sha256(json.dumps(said, sort_keys=True).encode())
    for row in ChangeSet.objects.filter(run=plan).order_by("pk").values_list("pk", "rows", "digest"):
        digest.update("{} {} {}".format(*row).encode())
    return digest.hexdigest()


def refuse_unless_good(plan: Run) -> Sync:
    """The sync of a plan that can still be approved and applied. Raises NotPossible with what stands against it."""
    if not is_plan(plan):
        raise NotPossible(gettext_noop("Run {number} is no plan: only a dry run that went through and would write something is one."), number=plan.pk)
    sync = plan.sync
    if sync is None:
        raise NotPossible(gettext_noop("The sync of this plan was deleted."))
    if timezone.now() >= expires_at(plan):
        raise NotPossible(gettext_noop("This plan is older than {hours} hours. Make a new one."), hours=GOOD_FOR // timedelta(hours=1))
    if not plan.changes_kept:
        raise NotPossible(gettext_noop("The record changes of run {number} are no longer kept."), number=plan.pk)
    if sync.restored_at is not None and plan.made_at < sync.restored_at:
        raise NotPossible(gettext_noop("A backup was put back after this plan was made. Make a new one."))
    if plan.undoes is None and plan.mapping_version != sync.mapping.latest:
        raise NotPossible(gettext_noop("The mapping of {name} is another by now. Make a new plan."), name=sync.name)
    if plan.undoes is None and (plan.settings, plan.direction) != (services.settings_of(sync), sync.direction):
        raise NotPossible(gettext_noop("The settings of {name} have changed since. Make a new plan."), name=sync.name)
    return sync


def rule_types(plan: Run) -> dict[str, FieldType]:
    """Names and types that a rule over this plan may use."""
    schema = plan.target.as_schema()
    targets = (each.target for each in read_definition(plan.mapping_version.definition).fields)
    return applying.rule_fields((name, f.type) for name in targets if (f := schema.field(name)) is not None)


def approve_plan(
    plan: Run, *, by: Actor, reason: str, operations: Sequence[str] = (), rule: str = "", except_keys: Sequence[str] = ()
) -> PlanApproval:
    """Approve a plan: whole, only these operations, or what a rule is true for, but never the records with `except_keys` (of the source).

    An approval that was not applied yet is replaced. Raises ValidationError by field, also for an exception that the plan does not have, NotPossible
    where the plan is no longer good.
    """
    by.require("plans.approve", plan)
    sync = refuse_unless_good(plan)
    draft = draft_approval(plan, operations=operations, rule=rule, except_keys=except_keys)
    if not reason.strip():
        raise ValidationError({"reason": _("Say why these changes may be written.")})
    if not draft.approved_count and draft.is_counted:
        raise ValidationError({"rule": _("No change of this plan fits, so nothing would be approved.")})
    names = ("operations", "rule", "except_keys", "approved_count", "is_counted")
    chosen = {name: getattr(draft, name) for name in names}
    who = {"actor_kind": by.kind, "actor_name": by.name, "actor_id": by.user_id}
    digest = digest_of(plan, sync)
    with transaction.atomic():
        Run.objects.select_for_update().get(pk=plan.pk)
        known = approval_of(plan)
        if known is not None and (tried := known.runs.order_by("pk").last()) is not None:
            if tried.state in TRIED_IN_VAIN:
                raise NotPossible(
                    gettext_noop("Run {number} has begun to write this plan as it was approved. Apply it again as it is, or make a new one."),
                    number=tried.pk,
                )
            raise NotPossible(gettext_noop("This plan was applied already, by run {number}."), number=tried.pk)
        approval, __ = PlanApproval.objects.update_or_create(plan=plan, defaults={**chosen, **who, "digest": digest, "reason": reason.strip()})
        audit.record(
            "plan.approved",
            plan,
            by=by,
            changes={name: [None, services.plain(value)] for name, value in chosen.items() if value and name != "is_counted"},
            note=reason.strip(),
        )
    return approval


def draft_approval(plan: Run, *, operations: Sequence[str] = (), rule: str = "", except_keys: Sequence[str] = ()) -> PlanApproval:
    """What such an approval would hold, not stored, with how many changes it would let through: of a rule and of exceptions as many as are found in a
    moment, for each change has to be read for them. Raises ValidationError by field."""
    if unknown := sorted(set(operations) - set(OPERATIONS)):
        raise ValidationError({"operations": _("There is no change called {name}.").format(name=unknown[0])})
    draft = PlanApproval(plan=plan, operations=sorted(set(operations)), rule=rule.strip(), except_keys=sorted({key for key in except_keys if key}))
    if draft.except_keys and (unknown_keys := changesets.without_change(plan, draft.except_keys)):
        raise ValidationError({"except_keys": _unknown_words(unknown_keys)})
    try:
        read = applying.parsed_rule(draft.rule, rule_types(plan))
    except ExpressionError as error:
        raise ValidationError({"rule": services.with_place(error)}) from error
    if read is None and not draft.except_keys:
        planned = planned_of(plan)
        if plan.undoes is not None:
            planned["links"] = 0  # what it keeps as it is
        draft.approved_count = sum(planned[name] for name, names in _COUNTED.items() if not draft.operations or names & set(draft.operations))
        return draft
    draft.approved_count, ends = 0, time.monotonic() + COUNT_SECONDS
    for change_set in ChangeSet.objects.filter(run=plan).order_by("pk").iterator(chunk_size=8):
        if time.monotonic() >= ends:
            draft.is_counted = False
            break
        draft.approved_count += applying.chosen(draft, changesets.frame_of(change_set), read).height
    return draft


def _unknown_words(keys: Sequence[str]) -> str:
    said = ngettext(
        "This plan has no change of a record with the key {keys}. An exception that is mistyped would except nothing.",
        "This plan has no change of records with the keys {keys}. Exceptions that are mistyped would except nothing.",
        len(keys),
    )
    return said.format(keys=", ".join(keys[:KEYS_TOLD]) + (" …" if len(keys) > KEYS_TOLD else ""))


def apply_plan(approval: PlanApproval, *, by: Actor, trigger: str = "hand") -> Run:
    """Start the run that writes what was approved. It moves no cursor.

    Raises NotPossible where the plan is no longer good, is not what was approved or was applied already, PairBusy while another run is writing.
    """
    plan = approval.plan
    if plan is None:
        raise TypeError("What a guard has withheld is written by its decision.")
    by.require("plans.apply", plan)
    sync = refuse_unless_good(plan)
    if digest_of(plan, sync) != approval.digest:
        raise NotPossible(gettext_noop("This plan is not what was approved. Make a new one."))
    with transaction.atomic():
        Run.objects.select_for_update().get(pk=plan.pk)
        if not PlanApproval.objects.filter(pk=approval.pk, at=approval.at).exists():
            raise NotPossible(gettext_noop("Somebody has just approved this plan otherwise. Look at it again."))
        run = write_approved(approval, sync, planned_by=plan, by=by, trigger=trigger)
        other = approval.runs.exclude(pk=run.pk).exclude(state__in=TRIED_IN_VAIN).first()
        if other is not None:
            raise NotPossible(gettext_noop("This plan was applied already, by run {number}."), number=other.pk)
        audit.record("plan.applied", plan, by=by, note=str(run.pk))
    return run


def write_approved(approval: PlanApproval, sync: Sync, *, planned_by: Run, by: Actor, trigger: str) -> Run:
    """Start the run that writes what was approved, as the run that planned it would have. Raises NotPossible where a system rests or may not be
    written to, PairBusy while another run is writing."""
    for system in {sync.source.system, sync.target.system}:
        if system.state == System.State.MAINTENANCE:
            raise NotPossible(gettext_noop("{system} is in maintenance. Run it when that is over."), system=system)
    if sync.target.system.read_only:
        raise NotPossible(
            gettext_noop("{system} is read-only here. Allow writing on its page, then write what was approved."), system=sync.target.system
        )
    settings = {**planned_by.settings, "compare_first": False, "guards": {}}
    return services.create_run(
        sync, planned_by.mapping_version, by=by, keys=None, mode=Mode.FULL, settings=settings, trigger=trigger, applies=approval,
        expected_count=approval.approved_count if approval.is_counted else None, direction=planned_by.direction,
    )  # fmt: skip


# --- what is in it ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class FieldCount:
    """In how many of a plan's updates and creates a field of the target is sent."""

    name: str
    updates: int
    creates: int


def fields_of(plan: Run) -> list[FieldCount]:
    """The fields that the plan changes, those most updated first."""
    counts: dict[str, Counter[str]] = {"update": Counter(), "create": Counter()}
    for sends in ChangeSet.objects.filter(run=plan).values_list("sends", flat=True):
        for operation, counter in counts.items():
            counter.update(sends.get(operation, {}))
    found = [FieldCount(name, counts["update"][name], counts["create"][name]) for name in {**counts["update"], **counts["create"]}]
    return sorted(found, key=lambda field: (-field.updates, -field.creates, field.name))


def kinds_of(run: Run) -> list[str]:
    """The operations that its change sets plan."""
    planned, policy = planned_of(run), run.settings.get("deletes", {}).get("policy")
    gone = "mark" if policy == DeletePolicy.MARK and run.undoes is None else "delete"
    links = "adopt" if run.undoes is None else "keep"
    kinds = {"create": "creates", "update": "updates", links: "links", gone: "deletes", "unlink": "unlinks"}
    return [operation for operation, name in kinds.items() if planned[name]]


def planned_of(run: Run) -> dict[str, int]:
    """What its change sets plan, and how much of it is not settled."""
    of_deletes = Exists(PageRow.objects.filter(partition=OuterRef("partition"), number=OuterRef("page"), missing__gt=0))
    found = (
        ChangeSet.objects.filter(run=run)
        .annotate(ends_links=of_deletes)
        .aggregate(
            all_rows=Coalesce(Sum("rows"), 0),
            total=Coalesce(Sum(F("rows") - F("settled") - F("not_sent")), 0),
            all_creates=Coalesce(Sum("creates"), 0),
            all_updates=Coalesce(Sum("updates"), 0),
            all_deletes=Coalesce(Sum("deletes"), 0),
            all_unlinks=Coalesce(Sum(F("rows") - F("deletes"), filter=Q(ends_links=True)), 0),
            linked=Coalesce(Sum("unchanged", filter=Q(ends_links=False)), 0),
        )
    )
    rows, creates, updates, deletes = (found[f"all_{name}"] for name in ("rows", "creates", "updates", "deletes"))
    unlinks = found["all_unlinks"] if run.undoes is None else 0
    links = rows - creates - updates - deletes - unlinks
    return {
        "rows": rows,
        "creates": creates,
        "updates": updates,
        "deletes": deletes,
        "links": links,
        "unlinks": unlinks,
        "total": found["total"],
        "linked": found["linked"],
    }
