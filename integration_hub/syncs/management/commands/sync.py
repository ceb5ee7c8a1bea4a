"""Syncs from the command line: for people at a terminal, and for programs by --json and the exit code."""

from __future__ import annotations

import json
import sys
import time
from argparse import ArgumentParser
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone
from django.utils.translation import gettext as _
from rest_framework.utils.encoders import JSONEncoder

from integration_hub.accounts.actor import Actor
from integration_hub.core import texts
from integration_hub.core.models import Heartbeat
from integration_hub.syncs import freshness, groups, guards, plans, services, undo
from integration_hub.syncs.models import Run, Sync
from integration_hub.syncs.progress import headway_of
from integration_hub.syncs.states import RunState
from integration_hub.syncs.telling.runs import absent_words

SUCCEEDED, FAILED, WRONG, OPEN, INTERRUPTED = 0, 1, 2, 3, 130
CODES = {RunState.SUCCEEDED: SUCCEEDED, RunState.WITH_REJECTS: OPEN, RunState.AWAITING_DECISION: OPEN}
PATIENCE = 15.0  # seconds in which a worker should have taken a run
POLL = 0.5
GROUP_ACTS: dict[str, Any] = {"run": groups.run_group, "pause": groups.pause_group, "resume": groups.resume_group}
BAR = 30


class Command(BaseCommand):
    """Exit codes: 0 done or succeeded, 1 failed or cancelled, 2 wrong usage, 3 finished with rejects or decisions open."""

    help = "List syncs, run one or a group, look at a run, cancel it, apply what a dry run has planned."

    def add_arguments(self, parser: ArgumentParser) -> None:
        actions = parser.add_subparsers(dest="action", required=True)
        actions.add_parser("list", help=_("All syncs and how they stand.")).add_argument("--json", action="store_true")
        run = actions.add_parser("run", help=_("Start a run of a sync."))
        run.add_argument("name", metavar="NAME")
        run.add_argument("--dry-run", action="store_true", help=_("Compare only; write nothing."))
        run.add_argument("--full", action="store_true", help=_("Read everything, even where the sync is incremental."))
        run.add_argument("--reconcile", action="store_true", help=_("Compare both systems field by field; what differs becomes a plan."))
        run.add_argument("--keys", nargs="+", metavar="KEY", help=_("Only the source records with these keys."))
        run.add_argument("--keys-only", action="store_true", help=_("Only the keys, of all records: to see what is gone."))
        self._add_waiting(run)
        apply = actions.add_parser("apply", help=_("Write the plan of a dry run: as it was approved, or approved here with --reason."))
        apply.add_argument("plan", type=int, metavar="PLAN", help=_("The number of the dry run."))
        apply.add_argument("--reason", default="", help=_("Why these changes may be written: approves them, in place of an approval there is."))
        apply.add_argument("--only", nargs="+", default=[], choices=plans.OPERATIONS, help=_("Only these changes."))
        apply.add_argument("--where", default="", metavar="CONDITION", help=_("Only the changes that a condition is true for."))
        apply.add_argument("--except", nargs="+", default=[], metavar="KEY", dest="except_keys", help=_("Not the source records with these keys."))
        self._add_waiting(apply)
        undone = actions.add_parser(
            "undo", help=_("Plan what undoes a run, or all runs of a sync by a version of its mapping; `sync apply` writes it.")
        )
        undone.add_argument("run", metavar="RUN|NAME", help=_("The number of the run; with --version and --since the name of the sync."))
        undone.add_argument("--keys", nargs="+", metavar="KEY", help=_("Only the source records with these keys."))
        undone.add_argument("--version", type=int, dest="number", metavar="N", help=_("All runs by this version of the mapping,"))
        undone.add_argument("--since", metavar="TIME", help=_("that were started since then, such as 2026-11-22T08:00."))
        self._add_waiting(undone)
        group = actions.add_parser("group", help=_("Run, pause or resume the syncs of a group."))
        group.add_argument("act", choices=sorted(GROUP_ACTS))
        group.add_argument("name", metavar="NAME", help=_("Of the group."))
        group.add_argument("--json", action="store_true", help=_("For programs."))
        for name, told in (("status", _("How far a run has got, or how it ended.")), ("cancel", _("Ask a run to stop at its next safe point."))):
            action = actions.add_parser(name, help=told)
            action.add_argument("run", type=int, metavar="RUN", help=_("Its number."))
            action.add_argument("--json", action="store_true", help=_("For programs."))

    def _add_waiting(self, action: ArgumentParser) -> None:
        action.add_argument("--wait", action="store_true", help=_("Wait for its end; the exit code says how it went."))
        action.add_argument("--patience", type=float, default=PATIENCE, metavar="SECONDS", help=_("How long to wait for a worker to take it."))
        action.add_argument("--json", action="store_true", help=_("For programs."))

    def handle(self, *args: Any, action: str, **options: Any) -> None:
        self.as_json: bool = options["json"]
        self.by = Actor.command()
        code = getattr(self, f"_{action}")(options)
        if code:
            sys.exit(code)

    # --- actions ------------------------------------------------------------------------------------------------------

    def _list(self, options: dict[str, Any]) -> int:
        syncs = list(Sync.objects.visible_to(self.by).select_related("pair__a__system", "pair__b__system", "mapping"))
        if self.as_json:
            from integration_hub.syncs.api.syncs import SyncSerializer

            self._print_json(SyncSerializer(syncs, many=True).data)
            return SUCCEEDED
        standings = {standing.sync.pk: standing for standing in freshness.standings_of(syncs)}
        width = max((len(sync.name) for sync in syncs), default=0)
        for sync in syncs:
            standing = standings[sync.pk]
            behind = _duration(standing.behind.total_seconds()) if standing.behind else "–"
            facts = [f"{standing.freshness.label:<12}", _("{duration} behind").format(duration=behind), _("next {at}").format(at=_moment(sync))]
            if standing.open_count:
                facts.append(_("{count} open").format(count=_capped(standing.open_count)))
            self.stdout.write(f"{sync.name:<{width}}  {'  '.join(facts)}")
        if not syncs:
            self.stdout.write(_("There is no sync yet."))
        return SUCCEEDED

    def _run(self, options: dict[str, Any]) -> int:
        sync = self._find_sync(options["name"])
        if options["keys"] is not None and not "".join(options["keys"]).strip():
            raise CommandError(_("Name at least one record by its key."), returncode=WRONG)
        with _refusals():
            chosen = {name: options[name] for name in ("full", "reconcile", "keys", "keys_only")}
            run = services.start_run(sync, by=self.by, dry=options["dry_run"], trigger="command", **chosen)
        return self._started(run, options)

    def _apply(self, options: dict[str, Any]) -> int:
        plan = self._find(options["plan"])
        chosen = {"operations": options["only"], "rule": options["where"], "except_keys": options["except_keys"]}
        if any(chosen.values()) and not options["reason"].strip():
            raise CommandError(_("To approve only some changes, say why with --reason."), returncode=WRONG)
        with _refusals():
            if options["reason"].strip():
                approval = plans.approve_plan(plan, by=self.by, reason=options["reason"], **chosen)
            elif (known := plans.approval_of(plan)) is not None:
                approval = known
            else:
                plans.refuse_unless_good(plan)
                raise CommandError(_("Plan {number} is not approved yet; --reason approves it.").format(number=plan.pk), returncode=FAILED)
            run = plans.apply_plan(approval, by=self.by, trigger="command")
        return self._started(run, options)

    def _undo(self, options: dict[str, Any]) -> int:
        asked = [options[name] is not None for name in ("number", "since")]
        if any(asked):
            if not all(asked) or options["keys"] is not None:
                raise CommandError(_("Give the name of a sync with both --version and --since, and without --keys."), returncode=WRONG)
            return self._undo_version(options)
        if not options["run"].isdecimal():
            raise CommandError(
                _("“{given}” is no number of a run. A sync is named with --version and --since.").format(given=options["run"]), returncode=WRONG
            )
        with _refusals():
            plan = undo.plan_undo(self._find(int(options["run"])), by=self.by, keys=options["keys"], trigger="command")
        return self._started(plan, options)

    def _undo_version(self, options: dict[str, Any]) -> int:
        sync = self._find_sync(options["run"])
        version = sync.mapping.versions.filter(number=options["number"]).first()
        if version is None:
            told = _("The mapping {name} has no version {number}.").format(name=sync.mapping, number=options["number"])
            raise CommandError(told, returncode=WRONG)
        with _refusals():
            plan = undo.plan_undo_of_version(sync, version, since=_time(options["since"]), by=self.by, trigger="command")
        return self._started(plan, options)

    def _started(self, run: Run, options: dict[str, Any]) -> int:
        if options["wait"]:
            return self._wait(run, patience=options["patience"])
        if self.as_json:
            self._print_run(run)
        else:
            self.stdout.write(_("Run {number} of {name} is started.").format(number=run.pk, name=run.name))
        return SUCCEEDED

    def _group(self, options: dict[str, Any]) -> int:
        group = groups.group_named(options["name"], self.by)
        if group is None:
            raise CommandError(_("There is no group called {name}.").format(name=options["name"]), returncode=WRONG)
        try:
            done = GROUP_ACTS[options["act"]](group, by=self.by)
        except services.NotPossible as error:
            raise CommandError(str(error), returncode=FAILED) from None
        refused = done.refused if done else []
        for sync, refusal in refused:
            self.stderr.write(_("{name}: {problem}").format(name=sync.name, problem=refusal))
        group = groups.group_named(group.name, self.by) or group
        if self.as_json:
            from integration_hub.syncs.api.groups import GroupSerializer

            self._print_json(GroupSerializer(group).data)
            return FAILED if refused else SUCCEEDED
        for sync in group.syncs:
            self.stdout.write(f"{sync.name}  {_('next {at}').format(at=_moment(sync))}")
        return FAILED if refused else SUCCEEDED

    def _status(self, options: dict[str, Any]) -> int:
        run = self._find(options["run"])
        self._print_run(run)
        return SUCCEEDED if run.is_live else CODES.get(RunState(run.state), FAILED)

    def _cancel(self, options: dict[str, Any]) -> int:
        run = self._find(options["run"])
        try:
            services.cancel_run(run, by=self.by)
        except services.NotPossible as error:
            raise CommandError(str(error), returncode=FAILED) from None
        run.refresh_from_db()
        if self.as_json:
            self._print_run(run)
        else:
            self.stdout.write(_("Run {number} stops at its next safe point; what is written stays.").format(number=run.pk))
        return SUCCEEDED

    def _find_sync(self, name: str) -> Sync:
        sync: Sync | None = Sync.objects.visible_to(self.by).filter(name=name).first()
        if sync is None:
            raise CommandError(_("There is no sync called {name}; `sync list` shows them.").format(name=name), returncode=WRONG)
        return sync

    def _find(self, number: int) -> Run:
        run: Run | None = Run.objects.visible_to(self.by).select_related("mapping_version").filter(pk=number).first()
        if run is None:
            raise CommandError(_("There is no run {number}.").format(number=number), returncode=WRONG)
        return run

    # --- waiting ------------------------------------------------------------------------------------------------------

    def _wait(self, run: Run, *, patience: float) -> int:
        """Until it has ended. Gives up where no worker is there to take it; the run itself stays."""
        began = time.monotonic()
        bar = _Bar() if sys.stderr.isatty() and not self.as_json else None
        try:
            while run.is_live:
                if run.state == RunState.QUEUED and time.monotonic() - began > patience and not _worker_lives():
                    told = _("No worker is running, so run {number} waits; it starts as soon as there is one (`manage.py start` runs them).")
                    raise CommandError(told.format(number=run.pk), returncode=FAILED)
                if bar:
                    bar.show(run)
                time.sleep(POLL)
                run = Run.objects.select_related("mapping_version").get(pk=run.pk)
        except KeyboardInterrupt:
            told = _("Run {number} goes on without you. `sync cancel {number}` stops it.")
            raise CommandError(told.format(number=run.pk), returncode=INTERRUPTED) from None
        finally:
            if bar:
                bar.clear()
        self._print_run(run)
        return CODES.get(RunState(run.state), FAILED)

    # --- what is shown ------------------------------------------------------------------------------------------------

    def _print_run(self, run: Run) -> None:
        if self.as_json:
            from integration_hub.syncs.api.runs import RunSerializer, one_run

            self._print_json(RunSerializer(one_run(run.pk)).data)
            return
        counts = run.sums()
        told = ", ".join(f"{count:,} {_COUNTS[name]}" for name, count in counts.items() if count and name in _COUNTS)
        spent = ((run.ended_at or timezone.now()) - run.started_at).total_seconds() if run.started_at else 0
        dry = f" ({_('reconcile') if run.reconciles else _('dry run')})" if run.dry else ""
        self.stdout.write(f"{_('Run {number} of {name}').format(number=run.pk, name=run.name)}{dry}: {run.get_state_display()}, {_duration(spent)}")
        self.stdout.write(f"  {told or _('nothing read')}")
        if not run.is_live and (absent := absent_words(run, counts)):
            self.stdout.write(f"  {absent}")
        for beyond in guards.beyond_of([run]).get(run.pk, ()):
            self.stdout.write(f"  {texts.render(beyond.sentence)}")
        if run.balanced is False:
            self.stdout.write(f"  {_('The books do not balance; its log says where.')}")
        if reason := texts.render(run.error) or _reason(run):
            self.stdout.write(f"  {reason}")

    def _print_json(self, value: Any) -> None:
        self.stdout.write(json.dumps(value, indent=2, ensure_ascii=False, cls=JSONEncoder))


@contextmanager
def _refusals() -> Iterator[None]:
    """What is refused, as the command ends with it."""
    try:
        yield
    except (services.PairBusy, services.NotPossible) as error:
        raise CommandError(str(error), returncode=FAILED) from None
    except ValidationError as error:
        raise CommandError(" ".join(error.messages), returncode=WRONG) from None


class _Bar:
    """One line on the terminal, drawn over and over."""

    def show(self, run: Run) -> None:
        headway = headway_of(run, run.sums())
        parts = [f"{run.get_state_display():<10}"]
        if headway.share is not None:
            filled = round(BAR * headway.share / 100)
            parts += [f"[{'█' * filled}{'·' * (BAR - filled)}] {headway.share:3.0f} %"]
        parts.append(f"{headway.done:,}" + (f" / {headway.expected:,}" if headway.expected is not None else ""))
        if headway.rate:
            parts.append(f"{headway.rate:,.0f}/s")
        if headway.left_seconds is not None and headway.done:
            parts.append(_("{duration} left").format(duration=_duration(headway.left_seconds)))
        self._draw("  ".join(parts))

    def clear(self) -> None:
        self._draw("")

    def _draw(self, text: str) -> None:
        sys.stderr.write(f"\r\033[K{text}")
        sys.stderr.flush()


_COUNTS = {
    "read": _("read"),
    "absent": _("not there"),
    "filtered": _("filtered"),
    "duplicate": _("duplicate"),
    "created": _("created"),
    "updated": _("updated"),
    "deleted": _("deleted"),
    "kept": _("kept"),
    "withheld": _("withheld"),
    "unchanged": _("unchanged"),
    "rejected": _("rejected"),
    "refused": _("refused"),
    "parked": _("parked"),
    "moved": _("moved"),
    "unknown": _("unknown"),
    "not_sent": _("not sent"),
}


def _time(given: str) -> datetime:
    """A moment as people write it; without a zone, in the hub's."""
    try:
        moment = datetime.fromisoformat(given)
    except ValueError:
        told = _("“{given}” is no time, such as 2026-11-22T08:00 or 2026-11-22T08:00:00+01:00.").format(given=given)
        raise CommandError(told, returncode=WRONG) from None
    return moment if moment.tzinfo else timezone.make_aware(moment)


def _worker_lives() -> bool:
    """Whether any worker takes bulk work."""
    return any("bulk" in beat.queues for beat in Heartbeat.objects.alive().filter(kind=Heartbeat.Kind.WORKER))


def _reason(run: Run) -> str:
    """Of a run that failed: what its parts said last."""
    if run.state != RunState.FAILED:
        return ""
    return next((texts.render(error) for error in run.partitions.exclude(error=None).values_list("error", flat=True)), "")


def _moment(sync: Sync) -> str:
    if sync.paused_at is not None:
        return _("when it is resumed")
    return timezone.localtime(sync.next_due_at).strftime("%Y-%m-%d %H:%M:%S") if sync.next_due_at else _("by hand")


def _capped(count: int) -> str:
    return f"{freshness.CAP:,}+" if count > freshness.CAP else f"{count:,}"


def _duration(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"
