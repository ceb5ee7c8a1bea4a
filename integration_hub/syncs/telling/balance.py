"""The books of a run as two sums, in and out."""

from __future__ import annotations

from collections.abc import Sequence

from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext, pgettext

from integration_hub.core import texts
from integration_hub.core.parts import Balance, Count, Sum
from integration_hub.core.templatetags.hub import clock
from integration_hub.syncs.books import books_of, differences_of
from integration_hub.syncs.models import Run
from integration_hub.syncs.progress import compares_first
from integration_hub.syncs.states import DeletePolicy, RunState
from integration_hub.syncs.telling.names import entity_name


def run_balance(run: Run, counts: dict[str, int], planned: dict[str, int]) -> Balance:
    """Two sums, in and out. `planned`: creates, updates and links in change sets that nobody has written, and how many were linked."""
    rejects = f"{reverse('rejects:list')}?run={run.pk}"
    changes = reverse("runs:changes", args=[run.pk])
    mapped_from = counts["produced"]
    line_in = Sum(
        _("In"),
        [_read(run, counts)],
        [
            *([Count(counts["absent"], _("not there"), "=", "warn", title=_("named, and not in the source"))] if counts["absent"] else ()),
            Count(mapped_from, _("mapped"), "+" if counts["absent"] else "=", title=_("made into a record of the target")),
            Count(counts["filtered"], _("filtered"), "+", title=_("left out by the sync's filter")),
            Count(counts["rejected"], _("rejected"), "+", "warn", f"{rejects}&state=rejected" if counts["rejected"] else ""),
            *_rare([("parked", _("parked"), "parked")], counts, rejects),
            Count(counts["duplicate"], _("duplicate"), "+", title=_("met again later in the same page; the later one counts")),
        ],
    )
    linked = planned["linked"]
    waits = planned["total"] if run.is_live or run.dry else 0
    not_sent = counts["not_sent"] - (planned["total"] if run.dry and not run.is_live else 0)
    ends = [
        Count(counts["created"], _("created"), "=", href=f"{changes}?operation=create&result=written" if counts["created"] else ""),
        Count(counts["updated"], _("updated"), "+", href=f"{changes}?operation=update&result=written" if counts["updated"] else ""),
        *_of_deletes(run, counts),
    ]
    planning = run.dry or (compares_first(run) and (run.paused_from or run.state) in (RunState.QUEUED, RunState.COMPARING))
    if planning:
        ends = [
            Count(planned["creates"], _("to create"), "=", href=f"{changes}?operation=create" if planned["creates"] else ""),
            Count(planned["updates"], _("to update"), "+", href=f"{changes}?operation=update" if planned["updates"] else ""),
            *_to_delete(run, planned, changes),
            _to_link(planned["links"], changes) if run.undoes is None else _to_keep(planned["links"], changes),
        ]
    elif waits:
        ends.append(Count(waits, _("on the way"), "+", title=_("compared, and waiting to be written")))
    rare = [("moved", _("moved"), "moved"), ("unknown", _("unknown"), "unknown")]
    line_out = Sum(
        _("Out"),
        _to_account_for(run, counts),
        [
            *ends,
            *_kept(counts),
            *(
                [
                    Count(
                        linked,
                        _("linked"),
                        "+",
                        href=f"{changes}?operation=adopt&result=linked",
                        title=_("already as it should be in the target; only the link was made"),
                    )
                ]
                if linked
                else ()
            ),
            Count(counts["unchanged"] - linked, _("unchanged"), "+", title=_("the target already was as it should be; nothing is kept of each")),
            Count(counts["refused"], _("refused"), "+", "bad", f"{rejects}&state=refused" if counts["refused"] else ""),
            *_rare(rare, counts, rejects, extra=[(not_sent, _("not sent"), _("planned, and left when the run ended"), f"{changes}?result=not_sent")]),
        ],
    )
    return Balance([line_in, line_out], *_foot(run, counts | {"unchanged": counts["unchanged"] - linked}, waits, not_sent))


def _to_link(n: int, changes: str) -> Count:
    href = f"{changes}?operation=adopt" if n else ""
    return Count(n, _("to link"), "+", href=href, title=_("already as it should be in the target; only the link is made"))


def _to_delete(run: Run, planned: dict[str, int], changes: str) -> list[Count]:
    """Records that would go, and links that would end because the target has no record either; nothing where there are none."""
    marks = run.settings.get("deletes", {}).get("policy") == DeletePolicy.MARK
    deletes = Count(planned["deletes"], _("to mark") if marks else _("to delete"), "+", href=f"{changes}?operation={'mark' if marks else 'delete'}")
    unlinks = Count(planned["unlinks"], _("links to end"), "+", href=f"{changes}?operation=unlink", title=_("gone on both sides"))
    return [each for each in (deletes, unlinks) if each.n]


def _to_keep(n: int, changes: str) -> Count:
    href = f"{changes}?operation=keep" if n else ""
    return Count(n, _("cannot be undone"), "+", "warn", href, title=_("changed since, or beyond what the target can do"))


def _to_account_for(run: Run, counts: dict[str, int]) -> list[Count]:
    """What the second sum begins with: records for the target, and links whose record is gone in the source."""
    produced = Count(counts["produced"], _("produced"), title=_("records for {target}").format(target=entity_name(run.target)))
    if not counts["missing"]:
        return [produced]
    return [produced, Count(counts["missing"], _("missing"), "+", title=_("linked, and deleted in the source or taken for that"))]


def _of_deletes(run: Run, counts: dict[str, int]) -> list[Count]:
    """What became of missing records; where there were none there is nothing to say."""
    changes = reverse("runs:changes", args=[run.pk])
    policy = run.settings.get("deletes", {}).get("policy")
    word = _("marked") if policy == DeletePolicy.MARK else _("deleted")
    found = []
    if counts["missing"] or counts["deleted"]:
        operation = "mark" if policy == DeletePolicy.MARK else "delete"
        found.append(Count(counts["deleted"], word, "+", href=f"{changes}?operation={operation}&result=written" if counts["deleted"] else ""))
    if counts["withheld"]:
        found.append(Count(counts["withheld"], _("withheld"), "+", "warn", f"{changes}?result=withheld"))
    return found


def _kept(counts: dict[str, int]) -> list[Count]:
    if not counts["kept"]:
        return []
    return [Count(counts["kept"], _("kept"), "+", title=_("the list lacked them, and the source has them all the same"))]


def _read(run: Run, counts: dict[str, int]) -> Count:
    if counts["absent"]:
        return Count(counts["read"] + counts["absent"], _("looked for"), title=_("named, or waiting since an earlier run"))
    return Count(counts["read"], _("read"), title=_("read from {source}").format(source=entity_name(run.source)))


def _rare(
    kinds: Sequence[tuple[str, str, str]], counts: dict[str, int], rejects: str, *, extra: Sequence[tuple[int, str, str, str]] = ()
) -> list[Count]:
    """States that are almost always zero: one number while they are, each its own when not."""
    shown = [Count(counts[name], word, "+", "warn", f"{rejects}&state={state}" if state else rejects) for name, word, state in kinds if counts[name]]
    shown += [Count(n, word, "+", "warn", href, title) for n, word, title, href in extra if n]
    quiet = [word for name, word, __ in kinds if not counts[name]] + [word for n, word, *__ in extra if not n]
    if len(quiet) == 1:
        shown.append(Count(0, quiet[0], "+"))
    elif quiet:
        shown.append(Count(0, ngettext("{n} other", "{n} others", len(quiet)).format(n=len(quiet)), "+", title=texts.listed(quiet)))
    return shown


def _only_counted(counts: dict[str, int]) -> list[str]:
    """That some numbers lead nowhere."""
    words = {"filtered": _("filtered"), "duplicate": _("duplicate"), "unchanged": _("unchanged")}
    counted = [word for name, word in words.items() if counts[name]]
    return [_("Of {kinds} records only the number is kept.").format(kinds=texts.listed(counted))] if counted else []


def _foot(run: Run, counts: dict[str, int], waits: int, not_sent: int) -> tuple[str, str, str]:
    if run.is_live:
        off = counts["read"] - counts["produced"] - sum(counts[name] for name in ("filtered", "rejected", "parked", "duplicate"))
        if off:
            return "run", _("Being counted"), ""
        return "ok", _("Balances so far"), ""
    if run.balanced:
        return (
            "ok",
            _("The books balance"),
            " ".join(
                [
                    _("Every record read and every change is accounted for, recounted from the journal at {time}.").format(time=clock(run.ended_at)),
                    *_only_counted(counts),
                ]
            ),
        )
    where = [texts.render(told) for told in differences_of(run, books_of(run))]
    return (
        "bad",
        _("The books do not balance"),
        pgettext("between clauses", "; ").join(where) or _("They did not when the run ended; recounted now they do."),
    )
