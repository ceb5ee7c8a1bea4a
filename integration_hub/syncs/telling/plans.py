"""A plan in sentences: what would be written, whether it may be, and what comes next."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext, pgettext

from integration_hub.core import texts
from integration_hub.core.parts import Link, Verdict
from integration_hub.core.templatetags.hub import clock, number
from integration_hub.syncs import plans
from integration_hub.syncs.models import PlanApproval, Run
from integration_hub.syncs.services import NotPossible
from integration_hub.syncs.telling.names import started_by
from integration_hub.syncs.telling.runs import link_words, planned_by, run_state


def approved_words(approval: PlanApproval) -> str:
    """What was approved, in a sentence's part."""
    parts = []
    words = {
        "create": _("creates"),
        "update": _("updates"),
        "adopt": _("links"),
        "delete": _("deletes"),
        "mark": _("marks"),
        "unlink": _("ended links"),
    }
    if approval.operations:
        parts.append(_("only {operations}").format(operations=texts.listed([words[name] for name in approval.operations])))
    if approval.rule:
        parts.append(_("where {rule}").format(rule=approval.rule))
    if approval.except_keys:
        shown = texts.listed(approval.except_keys[:5]) + (" …" if len(approval.except_keys) > 5 else "")
        parts.append(_("except {keys}").format(keys=shown))
    return pgettext("between clauses", "; ").join(parts) or _("all of it")


def plan_verdict(plan: Run, approval: PlanApproval | None, run: Run | None, acts: Sequence[Any]) -> Verdict:
    """May it be written, and who has to do what? `run` is the one that applies it, or did."""
    count = plans.count_of(plan)
    made = _("made {when} {by}").format(when=clock(plan.ended_at), by=started_by(plan))
    if run is not None and approval is not None:
        state, word = run_state(run), _("Being applied") if run.is_live else _("Applied")
        said = ngettext("{n} of {all} change was approved.", "{n} of {all} changes were approved.", count)
        if not approval.is_counted:
            said = _("What fits of {all} changes was approved.")
        words = _("{run} is writing it.") if run.is_live else _("What was written and what was left stands in {run}.")
        before, __, after = words.partition("{run}")
        where: list[str | Link] = [before, Link(_("Run {number}").format(number=number(run.pk)), run.get_absolute_url()), after]
        return Verdict(state, word, said.format(n=number(approval.approved_count), all=number(count)), since=[made], next=where, acts=acts)
    try:
        plans.refuse_unless_good(plan)
    except NotPossible as refusal:
        word = _("Expired") if timezone.now() >= plans.expires_at(plan) else _("Out of date")
        return Verdict("idle", word, str(refusal), since=[made], acts=acts)
    if not count:
        return Verdict("idle", _("Nothing to do"), _("None of these changes can be undone; below is why."), since=[made], acts=acts)
    since: list[str | Link] = [f"{made} · ", _("good until {when}").format(when=clock(plans.expires_at(plan)))]
    if approval is not None:
        said = ngettext("{n} of {all} change is approved and can be applied.", "{n} of {all} changes are approved and can be applied.", count)
        if not approval.is_counted:
            said = _("What fits of {all} changes is approved and can be applied.")
        said = said.format(n=number(approval.approved_count), all=number(count))
        why = _("{name} approved {what}: {reason}").format(name=approval.actor_name, what=approved_words(approval), reason=approval.reason)
        return Verdict("run", _("Approved"), said, since=since, next=[why], acts=acts)
    return Verdict(
        "warn", _("Awaits approval"), _would(plan), since=since, next=[_("look at the changes, and approve what is right.")], asks=True, acts=acts
    )


def _would(plan: Run) -> str:
    n, target = plans.count_of(plan), plan.target.system.name
    if plan.undoes is not None:
        said = ngettext("{n} record of {target} would be as it was before.", "{n} records of {target} would be as they were before.", n)
        return said.format(n=number(n), target=target)
    writes, links = planned_by(plan)
    said = ngettext("{n} record would be written to {target}.", "{n} records would be written to {target}.", writes) if writes else ""
    said = (said or _("Nothing would be written to {target}.")).format(n=number(writes), target=target)
    return f"{said} {link_words(links)}" if links else said
