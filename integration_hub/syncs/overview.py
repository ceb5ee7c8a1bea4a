"""What syncs and runs tell the shell: problems, late and running syncs, the day, badges, and what the palette finds."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlencode

from django.core.cache import cache
from django.db.models import OuterRef, Q, Subquery, Sum
from django.db.models.functions import Now
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from integration_hub.approvals.models import Decision
from integration_hub.core import texts
from integration_hub.core.models import Heartbeat
from integration_hub.core.overview import Day, Late, Problem, Running, Step
from integration_hub.core.pages import Badge
from integration_hub.core.palette import MOST, Hit
from integration_hub.core.parts import Act, Slot, UpDown
from integration_hub.core.templatetags.hub import ago_text, capped, duration, number
from integration_hub.syncs import guards
from integration_hub.syncs.freshness import CAP, open_count, standings_of
from integration_hub.syncs.models import WHOLE, Link, OpenRow, Pair, Partition, RecordDrift, Run, Sync
from integration_hub.syncs.progress import reading_rate, shares_of
from integration_hub.syncs.states import ENDED_WHOLE, PartitionState, RunState, Side
from integration_hub.syncs.telling.drift import records_apart
from integration_hub.syncs.telling.names import entity_name, from_to
from integration_hub.syncs.telling.syncs import late_because

SHOWN = 20
STUCK_AFTER = timedelta(minutes=2)
UNBALANCED_FOR = timedelta(days=7)
SLOT = timedelta(minutes=30)
SLOTS = 48


# --- badges -----------------------------------------------------------------------------------------------------------


def syncs_badge(by: Any) -> Badge | None:
    """Syncs whose last run failed, or whose books do not balance."""
    n = Sync.objects.failing()[: CAP + 1].count()
    return Badge(capped(n), "bad") if n else None


def runs_badge(by: Any) -> Badge | None:
    n = Run.objects.live()[: CAP + 1].count()
    return Badge(capped(n), "run") if n else None


def rejects_badge(by: Any) -> Badge | None:
    n = OpenRow.objects.visible_to(by).open()[: CAP + 1].count()
    return Badge(capped(n), "warn") if n else None


# --- the overview -----------------------------------------------------------------------------------------------------


def problems(by: Any) -> list[Problem]:
    """What stands still or soon will: no worker, failed syncs, runs whose books do not balance, stuck ones, late syncs that nothing else explains, rejects."""
    if not by.allows("syncs.view"):
        return []
    failing = list(Sync.objects.failing().with_names()[:SHOWN])
    late = [sync for sync in Sync.objects.late().with_names()[:SHOWN] if sync not in failing]
    return [*no_worker(), *failed(failing, by), *unbalanced(), *stuck(), *too_late(late, by), *drifted(by), *rejects(by)]


def no_worker() -> list[Problem]:
    """Runs wait, and nobody who could carry them has been heard of."""
    oldest = Partition.objects.to_carry().filter(sent_at__lt=Now() - timedelta(seconds=30)).order_by("sent_at").first()
    if oldest is None or any("bulk" in beat.queues for beat in Heartbeat.objects.alive().filter(kind=Heartbeat.Kind.WORKER)):
        return []
    return [
        Problem(
            "bad",
            _("No worker is running"),
            _("Runs wait, and none goes on. Start the workers, or look into their log."),
            oldest.sent_at or timezone.now(),
            Act(_("Waiting runs"), href=reverse("runs:list") + "?state=queued"),
            holds=_("all runs"),
        )
    ]


def take(sync: Sync, by: Any) -> Act | None:
    """For a sync that nobody has."""
    may = sync.owner_id is None and by.user_id is not None and by.allows("syncs.run")
    return Act(_("Take it"), post=reverse("syncs:take", args=[sync.pk]), quiet=True) if may else None


def failed(syncs: Sequence[Sync], by: Any) -> list[Problem]:
    newest = Run.objects.decisive().filter(sync=OuterRef("pk")).values("pk")[:1]
    ids = dict(Sync.objects.filter(pk__in=[sync.pk for sync in syncs]).annotate(run=Subquery(newest)).values_list("pk", "run"))
    runs = Run.objects.defer("keys", "settings").in_bulk([pk for pk in ids.values() if pk])
    found = []
    for sync in syncs:
        run = runs.get(ids.get(sync.pk) or 0)
        if run is None:
            continue
        cause, why = _("{name} failed"), texts.render(run.error) or _("The run ended without saying why.")
        if run.state != RunState.FAILED:
            cause, why = (
                _("The books of {name} do not balance"),
                _("Somebody has to find out what became of its records. The run says which sum differs."),
            )
        found.append(
            Problem(
                "bad",
                cause.format(name=sync.name),
                why,
                run.ended_at or run.made_at,
                Act(_("Open run"), href=run.get_absolute_url()),
                holds=from_to(sync),
                holds_note=_("as of {when}").format(when=ago_text(sync.last_success_at)) if sync.last_success_at else _("never arrived yet"),
                who=str(sync.owner or ""),
                take=take(sync, by),
            )
        )
    return found


def unbalanced() -> list[Problem]:
    """Runs of the last days by which no sync is judged, such as applied plans and replays, and whose books do not balance."""
    lately = Run.objects.filter(ended_at__gte=timezone.now() - UNBALANCED_FOR, balanced=False)
    runs = lately.exclude(WHOLE, dry=False, state__in=(*ENDED_WHOLE, RunState.FAILED))
    return [
        Problem(
            "bad",
            _("The books of run {number} of {name} do not balance").format(number=number(run.pk), name=run.name),
            _("Somebody has to find out what became of its records. The run says which sum differs."),
            run.ended_at or run.made_at,
            Act(_("Open run"), href=run.get_absolute_url()),
        )
        for run in runs.defer("keys", "settings").order_by("-ended_at")[:SHOWN]
    ]


def stuck() -> list[Problem]:
    """Runs that should go on and do not: not taken by any worker, or lost by one, for minutes."""
    waits = Q(state=PartitionState.WAITING, sent_at__lt=Now() - STUCK_AFTER) & (Q(not_before=None) | Q(not_before__lt=Now() - STUCK_AFTER))
    lost = Q(state=PartitionState.LEASED, lease_until__lt=Now() - STUCK_AFTER)
    rows = Partition.objects.filter(waits | lost, run__ended_at=None).exclude(run__state=RunState.PAUSED).select_related("run").order_by("run")
    return [
        Problem(
            "bad",
            _("Run {number} stands still").format(number=number(row.run_id)),
            row.run.name,
            row.lease_until or row.sent_at or row.run.made_at,
            Act(_("Open run"), href=row.run.get_absolute_url()),
            holds=_("its pair: no other run of it can start"),
        )
        for row in rows[:SHOWN]
    ]


def too_late(syncs: Sequence[Sync], by: Any) -> list[Problem]:
    return [
        Problem(
            "warn",
            _("{name} is late").format(name=standing.sync.name),
            late_because(standing),
            (standing.sync.last_success_at or standing.sync.made_at) + timedelta(seconds=standing.sync.objective_seconds or 0),
            Act(_("Open sync"), href=standing.sync.get_absolute_url()),
            holds=from_to(standing.sync),
            holds_note=_("{behind} behind").format(behind=duration(standing.behind)) if standing.behind else "",
            who=str(standing.sync.owner or ""),
            take=take(standing.sync, by),
        )
        for standing in standings_of(syncs)
        if standing.live is None
    ]


def drifted(by: Any) -> list[Problem]:
    """Targets that a reconcile run found other than agreed, and that nobody has mended since."""
    if not by.allows("records.view"):
        return []
    names = ("run__sync__pair__a__system", "run__sync__pair__b__system", "run__sync__owner", "run__pair__a__system", "run__pair__b__system")
    return [
        Problem(
            "warn",
            _("{name} has drifted").format(name=sync.name),
            records_apart(drift, drift.run),
            drift.run.ended_at or drift.run.made_at,
            Act(_("Look at the drift"), href=reverse("syncs:drift", args=[sync.pk])),
            holds=from_to(sync),
            who=str(sync.owner or ""),
            take=take(sync, by),
        )
        for drift in RecordDrift.objects.open().select_related(*names).order_by("-run")[:SHOWN]
        if (sync := drift.run.sync) is not None
    ]


def rejects(by: Any) -> list[Problem]:
    """Syncs with open rows: one line each, the most first."""
    if not by.allows("rejects.view"):
        return []
    oldest = OpenRow.objects.open().filter(sync=OuterRef("pk")).order_by("sync", "cause", "pk").values("first_at")[:1]
    counted = Sync.objects.with_names().annotate(left=open_count(), oldest_at=Subquery(oldest)).filter(left__gt=0, oldest_at__isnull=False)
    syncs = list(counted.order_by("-left")[:SHOWN])
    decided = dict(Decision.objects.open().filter(kind=guards.KIND).values_list("subject_id").annotate(n=Sum("count")))
    for sync in syncs:
        withheld = decided.get(str(sync.pk), 0)  # which stands on the overview as a decision
        if withheld and sync.left > CAP:
            sync.left = OpenRow.objects.open().filter(sync=sync)[: CAP + 1 + withheld].count()
        sync.left -= withheld
    return [
        Problem(
            "warn",
            ngettext("{n} record of {name} did not arrive", "{n} records of {name} did not arrive", sync.left).format(
                n=capped(sync.left), name=sync.name
            ),
            _("They wait for a correction, a replay or a dismissal."),
            sync.oldest_at,
            Act(_("Clear them"), href=f"{reverse('rejects:list')}?sync={sync.pk}"),
            holds=from_to(sync),
            who=str(sync.owner or ""),
            take=take(sync, by),
        )
        for sync in syncs
        if sync.left > 0
    ]


def late(by: Any) -> list[Late]:
    if not by.allows("syncs.view"):
        return []
    return [
        Late(
            standing.sync.name,
            standing.sync.get_absolute_url(),
            (standing.behind or timezone.now() - standing.sync.made_at).total_seconds(),
            standing.sync.objective_seconds or 0,
            late_because(standing),
        )
        for standing in standings_of(list(Sync.objects.late().with_names().order_by("fresh_until")[:SHOWN]))
    ]


def running(by: Any) -> list[Running]:
    if not by.allows("syncs.view"):
        return []
    runs = list(Run.objects.live().defer("keys", "settings").order_by("-pk")[:10])
    shares = shares_of(runs)
    return [
        Running(
            run.name,
            run.get_absolute_url(),
            f"{_('Run {number}').format(number=number(run.pk))} · {run.get_state_display()}",
            shares.get(run.pk),
            _("{n}/s").format(n=number(round(rate))) if rate else "",
            _left_seconds(run, shares.get(run.pk), rate),
        )
        for run, rate in ((run, reading_rate(run)) for run in runs)
    ]


def _left_seconds(run: Run, share: float | None, rate: float | None) -> float | None:
    """How long the reading will still take; None where it is through, or nobody knows."""
    if share is None or share >= 100 or not rate or not run.expected_count:
        return None
    return run.expected_count * (1 - share / 100) / rate


def day(by: Any) -> list[Day]:
    """What was written and what was left in each half hour of the last 24; what is past is remembered, for it does not change."""
    if not by.allows("syncs.view"):
        return []
    now = timezone.now()
    current = now - timedelta(minutes=now.minute % 30, seconds=now.second, microseconds=now.microsecond)
    starts = [current - SLOT * back for back in range(SLOTS - 1, -1, -1)]
    sums = cache.get_many([_slot_key(start) for start in starts[:-1]])
    missing = [start for start in starts if _slot_key(start) not in sums]
    counted = _written_since(missing[0]) if missing else {}
    for start in missing:
        sums[_slot_key(start)] = counted.get(start, (0, 0))
    cache.set_many({_slot_key(start): sums[_slot_key(start)] for start in missing if start + SLOT < now - timedelta(minutes=1)}, 86_400)
    slots = [(start, *sums[_slot_key(start)]) for start in starts]
    written, left = sum(slot[1] for slot in slots), sum(slot[2] for slot in slots)
    if not written and not left:
        return []
    chart = UpDown(_("Records written and rejected in the last 24 hours"), [_slot(place, *slot) for place, slot in enumerate(slots)])
    said = ngettext("{n} record written", "{n} records written", written).format(n=number(written))
    return [Day(chart, _("{written}, {left} rejected").format(written=said, left=number(left)))]


def _slot_key(start: datetime) -> str:
    return f"syncs.day.{start:%Y%m%d%H%M}"


def _slot(place: int, start: datetime, written: int, left: int) -> Slot:
    local = timezone.localtime(start)
    title = _("{from_time}–{until_time}: {written} written, {left} rejected").format(
        from_time=f"{local:%H:%M}", until_time=f"{timezone.localtime(start + SLOT):%H:%M}", written=number(written), left=number(left)
    )
    return Slot(title, written, left, f"{local:%H:%M}" if place % 8 == 0 else "")


def _written_since(start: datetime) -> dict[datetime, tuple[int, int]]:
    """Half hour → (written, rejected), of the runs that ended since."""
    found: dict[datetime, tuple[int, int]] = {}
    parts = Partition.objects.filter(run__ended_at__gte=start, run__dry=False)
    columns = ("run__ended_at", "created_count", "updated_count", "deleted_count", "rejected_count", "refused_count")
    for ended_at, created, updated, deleted, rejected, refused in parts.values_list(*columns).iterator(chunk_size=5_000):
        if not (created or updated or deleted or rejected or refused):
            continue
        slot = ended_at - timedelta(minutes=ended_at.minute % 30, seconds=ended_at.second, microseconds=ended_at.microsecond)
        written, left = found.get(slot, (0, 0))
        found[slot] = (written + created + updated + deleted, left + rejected + refused)
    return found


def notes(by: Any) -> list[str]:
    """How many syncs are on time."""
    if not by.allows("syncs.view"):
        return []
    active = Sync.objects.filter(paused_at=None)
    total = active[: CAP + 1].count()
    if not total:
        return []
    bad = set(Sync.objects.failing().values_list("pk", flat=True)[:CAP]) | set(Sync.objects.late().values_list("pk", flat=True)[:CAP])
    said = ngettext("{n} of {all} sync is on time.", "{n} of {all} syncs are on time.", total)
    return [said.format(n=number(total - len(bad)), all=capped(total))]


def steps(by: Any) -> list[Step]:
    """The last of the three steps to a first sync."""
    done = Run.objects.filter(dry=False, ended_at__isnull=False).exists()
    sync = Sync.objects.order_by("pk").first()
    if sync is None:
        act = Act(_("New sync"), href=reverse("syncs:new"), primary=True) if by.allows("syncs.change") else None
    else:
        act = Act(_("Open sync"), href=sync.get_absolute_url(), primary=True)
    text = _("Choose how often it runs, make a dry run that writes nothing, then run it and watch it arrive.")
    return [Step(3, _("Create a sync and run it"), text, act, done)]


# --- the palette ------------------------------------------------------------------------------------------------------


def find_syncs(by: Any, text: str) -> list[Hit]:
    syncs = Sync.objects.visible_to(by).filter(name__icontains=text)[:MOST]
    return [Hit(sync.name, _("Syncs"), sync.get_absolute_url(), "sync") for sync in syncs]


def find_records(by: Any, text: str) -> list[Hit]:
    """Linked records by their whole key, on either side: their stories."""
    if not by.allows("records.view"):
        return []
    hits = []
    for side, where in ((Side.A, {"a_many": False}), (Side.B, {"b_many": False})):
        links = Link.objects.filter(pair__in=Pair.objects.values("pk"), ended_at=None, **where, **{f"{side}_key": text})
        for link in links.select_related("pair__a__system", "pair__b__system")[:MOST]:
            sync = link.pair.syncs.order_by("pk").first()
            if sync is not None:
                href = f"{reverse('syncs:story', args=[sync.pk])}?{urlencode({'key': text})}"
                other = f"{entity_name(link.pair.side(side))} · {link}"
                hits.append(Hit(text, _("Records"), href, "article", other))
    return hits


def find_runs(by: Any, text: str) -> list[Hit]:
    """A run by its number, with or without the separators it is shown with."""
    digits = text.replace(",", "").replace(" ", "")
    if not (digits.isascii() and digits.isdigit() and len(digits) < 18):
        return []
    runs = Run.objects.visible_to(by).filter(pk=int(digits))
    return [
        Hit(
            _("Run {number}").format(number=number(run.pk)),
            _("Runs"),
            run.get_absolute_url(),
            "play_circle",
            f"{run.name} · {run.get_state_display()}",
        )
        for run in runs
    ]
