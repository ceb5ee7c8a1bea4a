from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class SyncsConfig(AppConfig):
    name = "integration_hub.syncs"
    label = "syncs"
    verbose_name = _("Syncs")

    def ready(self) -> None:
        from integration_hub.approvals.kinds import kinds
        from integration_hub.core import outbox, palette
        from integration_hub.core import overview as core
        from integration_hub.core.pages import NavEntry, navigation
        from integration_hub.core.registry import effects, event_texts, restored, stored_files, sweeps, uses
        from integration_hub.mappings.references import links
        from integration_hub.mappings.touches import touches
        from integration_hub.syncs import audited, decisions, due, guards, notices, overview, retention, services, stages, waiting
        from integration_hub.syncs.drift import syncs_touched_by
        from integration_hub.syncs.models import ChangeSet, OutcomeFile, PageRow
        from integration_hub.syncs.references import References
        from integration_hub.syncs.restored import take_up
        from integration_hub.syncs.touches import syncs_touched
        from integration_hub.syncs.uses import syncs_using

        kinds.register(guards.KIND, decisions.KIND)
        sweeps.register("due rosters", due.start_due_rosters)  # these two first: else a sync that is always due would never let them begin
        sweeps.register("due reconciles", due.start_due_reconciles)
        sweeps.register("due syncs", due.start_due_syncs)
        sweeps.register("runs", stages.sweep)
        sweeps.register("replays", services.start_waiting_replays)
        sweeps.register("retention", retention.sweep)
        sweeps.register("parked records", waiting.reject_overdue)
        stored_files.register("change sets", (ChangeSet, "file"))
        stored_files.register("outcomes", (OutcomeFile, "file"))
        stored_files.register("rosters", (PageRow, "roster"))
        stored_files.register("agreements", (PageRow, "agreed"))
        restored.register("syncs", take_up)
        for event, text in audited.EVENTS.items():
            event_texts.register(event, text)
        outbox.listen("run.failed", notices.tell_of_failure)
        outbox.listen("run.unbalanced", notices.tell_of_unbalanced)
        outbox.listen("decision.asked", notices.tell_of_decision)
        outbox.listen("drift.found", notices.tell_of_drift)
        uses.register("syncs", syncs_using)
        effects.register("syncs", syncs_touched_by)
        touches.register("syncs", syncs_touched)
        links.register("syncs", References)

        entries = (
            ("syncs", _("All syncs"), "sync", "syncs:list", "syncs.view", overview.syncs_badge),
            ("runs", _("Runs"), "play_circle", "runs:list", "syncs.view", overview.runs_badge),
            ("rejects", _("Rejects"), "error", "rejects:list", "rejects.view", overview.rejects_badge),
        )
        for order, (name, title, icon, url, permission, badge) in enumerate(entries, start=1):
            navigation.register(name, NavEntry("syncs", title, icon, url, permission, badge=badge, order=order * 10))
        palette.searches.register("syncs", overview.find_syncs)
        palette.searches.register("runs", overview.find_runs)
        palette.searches.register("records", overview.find_records)
        core.problems.register("syncs", overview.problems)
        core.late.register("syncs", overview.late)
        core.running.register("syncs", overview.running)
        core.day.register("syncs", overview.day)
        core.notes.register("syncs", overview.notes)
        core.steps.register("syncs", overview.steps)
