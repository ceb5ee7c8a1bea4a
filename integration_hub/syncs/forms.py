from __future__ import annotations

from copy import copy
from typing import Any
from zoneinfo import available_timezones

from django import forms
from django.contrib.auth import get_user_model
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, pgettext_lazy

from integration_hub.mappings.models import Mapping, MappingVersion
from integration_hub.syncs import guards, plans, schedule
from integration_hub.syncs.models import Pair, Run, Sync
from integration_hub.syncs.schedule import cursor_value
from integration_hub.syncs.states import DeletePolicy, LeftFilter, Mode
from integration_hub.syncs.telling.names import version_words
from integration_hub.systems.models import Entity

UNITS = [(1, gettext_lazy("seconds")), (60, gettext_lazy("minutes")), (3_600, gettext_lazy("hours")), (86_400, gettext_lazy("days"))]
HAND, INTERVAL, CRONTAB = "hand", "interval", "crontab"
WAYS = [(INTERVAL, gettext_lazy("Every so often")), (CRONTAB, gettext_lazy("By crontab")), (HAND, gettext_lazy("By hand only"))]
IN_THE_SAME_ZONE = gettext_lazy("In the time zone of the schedule above.")
_KINDS = {"schedule": "", "roster": schedule.ROSTER, "reconcile": schedule.RECONCILE}  # field with the kind of a schedule → prefix of its others


class Span(forms.MultiWidget):
    """A number and its unit."""

    def __init__(self, attrs: dict[str, Any] | None = None) -> None:
        number = forms.NumberInput(attrs={"min": 0, "aria-label": gettext_lazy("Number")})
        super().__init__([number, forms.Select(choices=UNITS, attrs={"aria-label": gettext_lazy("Unit")})], attrs)

    def render(self, name: str, value: Any, attrs: dict[str, Any] | None = None, renderer: Any = None) -> SafeString:
        return format_html('<div class="hub-span">{}</div>', super().render(name, value, attrs, renderer))

    def decompress(self, value: int | None) -> list[int | None]:
        if not value:
            return [None, 60]
        unit = next(unit for unit, __ in reversed(UNITS) if value % unit == 0)
        return [value // unit, unit]


class SpanField(forms.MultiValueField):
    """A length of time in seconds, written as a number and a unit; None where it is left empty."""

    widget = Span

    def __init__(self, **kwargs: Any) -> None:
        fields = (forms.IntegerField(required=False, min_value=1, max_value=10**8), forms.TypedChoiceField(choices=UNITS, coerce=int, required=False))
        super().__init__(fields, required=False, require_all_fields=False, **kwargs)

    def compress(self, data_list: list[Any]) -> int | None:
        if not data_list or not data_list[0]:
            return None
        return min(int(data_list[0]) * int(data_list[1] or 60), 2**31 - 1)


def _limit(label: Any, initial: int | None = None) -> forms.IntegerField:
    """What a run may do without asking; None: any number."""
    return forms.IntegerField(label=label, min_value=0, max_value=30_000 if label.endswith("%") else 2**31 - 1, required=False, initial=initial)


def _schedule(label: Any, *, initial: str = HAND, help_text: Any = "") -> forms.ChoiceField:
    return forms.ChoiceField(label=label, choices=WAYS, widget=forms.RadioSelect, initial=initial, required=initial != HAND, help_text=help_text)


def _crontab(label: Any, example: str, help_text: Any) -> forms.CharField:
    looks = forms.TextInput(attrs={"class": "hub-mono", "placeholder": example})
    return forms.CharField(label=label, max_length=100, required=False, widget=looks, help_text=help_text)


class SyncForm(forms.Form):
    """A sync as people write it. The direction follows from source and target; a mapping fits that goes from one to the other."""

    source = forms.ModelChoiceField(Entity.objects.none(), label=gettext_lazy("Source"), empty_label=gettext_lazy("Choose an entity"))
    target = forms.ModelChoiceField(Entity.objects.none(), label=gettext_lazy("Target"), empty_label=gettext_lazy("Choose an entity"))
    mapping = forms.ModelChoiceField(Mapping.objects.none(), label=gettext_lazy("Mapping"), empty_label=gettext_lazy("Choose a mapping"))
    name = forms.CharField(label=gettext_lazy("Name"), max_length=200)
    mode = forms.ChoiceField(
        label=gettext_lazy("Mode"),
        choices=[(Mode.INCREMENTAL, gettext_lazy("Incremental: only what changed")), (Mode.FULL, gettext_lazy("Full: everything each time"))],
    )
    filter = forms.CharField(
        label=pgettext_lazy("of a sync", "Filter"),
        required=False,
        max_length=2_000,
        widget=forms.Textarea(attrs={"rows": 2, "class": "hub-mono", "spellcheck": "false"}),
        help_text=gettext_lazy(
            "An expression over the source's fields, such as status = 'active' AND country <> 'US'. Empty: all records are taken."
        ),
    )
    schedule = _schedule(gettext_lazy("Schedule"), initial=INTERVAL)
    interval_seconds = SpanField(label=gettext_lazy("Every"), initial=300)
    crontab = _crontab(
        gettext_lazy("Crontab"),
        "0 2 * * 1-5",
        gettext_lazy("Minute, hour, day of the month, month, day of the week: 0 2 * * 1-5 is 02:00 from Monday to Friday."),
    )
    time_zone = forms.CharField(
        label=gettext_lazy("Time zone"), max_length=60, required=False, initial="UTC", widget=forms.TextInput(attrs={"list": "time-zones"})
    )
    reconcile = _schedule(
        gettext_lazy("Reconcile"),
        help_text=gettext_lazy("Both systems are read and compared field by field. Nothing is written; what differs becomes a plan."),
    )
    reconcile_interval_seconds = SpanField(label=gettext_lazy("Reconcile every"), initial=86_400)
    reconcile_crontab = _crontab(gettext_lazy("Reconcile by crontab"), "0 3 * * 0", IN_THE_SAME_ZONE)
    objective_seconds = SpanField(
        label=gettext_lazy("At most behind"), help_text=gettext_lazy("The sync counts as late beyond this. Empty: it is never called late.")
    )
    lookback_seconds = forms.IntegerField(
        label=gettext_lazy("Read again, seconds"),
        min_value=0,
        max_value=604_800,
        initial=60,
        required=False,
        help_text=gettext_lazy(
            "Incremental runs begin so far before the cursor, in case records were saved late; by numbers, where the source stood so long before the "
            "last run. What is unchanged costs nothing."
        ),
    )
    compare_first = forms.BooleanField(
        label=gettext_lazy("Compare everything before writing"),
        required=False,
        help_text=gettext_lazy("Nothing is written until all of it has been read and compared."),
    )
    deletes = forms.ChoiceField(
        label=gettext_lazy("When a record is deleted in the source"),
        choices=DeletePolicy.choices,
        initial=DeletePolicy.IGNORE,
        required=False,
        help_text=gettext_lazy(
            "Full runs see what is gone; incremental ones where the source tells it, or by reading all keys now and then. Each record is looked up once "
            "more before."
        ),
    )
    roster = _schedule(gettext_lazy("Look for deletes"))
    roster_interval_seconds = SpanField(label=gettext_lazy("Every"), initial=86_400)
    roster_crontab = _crontab(gettext_lazy("Crontab"), "0 3 * * *", IN_THE_SAME_ZONE)
    mark_field = forms.CharField(
        label=gettext_lazy("Field of the mark"), max_length=300, required=False, widget=forms.TextInput(attrs={"class": "hub-mono"}),
        help_text=gettext_lazy("Of the target, by its technical name, such as BLOCKED."),
    )  # fmt: skip
    mark_value = forms.CharField(label=gettext_lazy("Value of the mark"), max_length=200, required=False)
    left_filter = forms.ChoiceField(
        label=gettext_lazy("When a record leaves the filter"), choices=LeftFilter.choices, initial=LeftFilter.KEEP, required=False
    )
    most_creates = _limit(gettext_lazy("Creates without asking"))
    most_creates_percent = _limit(gettext_lazy("Creates without asking, %"))
    most_updates = _limit(gettext_lazy("Updates without asking"))
    most_updates_percent = _limit(gettext_lazy("Updates without asking, %"))
    most_deletes = _limit(gettext_lazy("Deletes without asking"))
    most_deletes_percent = _limit(gettext_lazy("Deletes without asking, %"), initial=20)
    parked_days = forms.IntegerField(
        label=gettext_lazy("Wait for links, days"),
        min_value=1,
        max_value=365,
        initial=7,
        required=False,
        help_text=gettext_lazy(
            "A record that refers to another one waits until that has arrived, where its mapping says so. After so many days it becomes a reject."
        ),
    )
    group = forms.CharField(
        label=gettext_lazy("Group"),
        max_length=200,
        required=False,
        widget=forms.TextInput(attrs={"list": "sync-groups"}),
        help_text=gettext_lazy("Syncs of one group are run and paused together."),
    )
    after = forms.ModelMultipleChoiceField(
        Sync.objects.none(),
        label=gettext_lazy("Runs after"),
        required=False,
        widget=forms.CheckboxSelectMultiple,
        help_text=gettext_lazy("When these are due or running, it waits for them: customers before their orders."),
    )
    owner = forms.ModelChoiceField(get_user_model().objects.none(), label=gettext_lazy("Owner"), required=False, empty_label=gettext_lazy("Nobody"))
    notes = forms.CharField(label=gettext_lazy("Notes"), required=False, max_length=10_000, widget=forms.Textarea(attrs={"rows": 3}))

    def __init__(self, data: Any = None, *, sync: Sync | None = None, chosen: dict[str, str] | None = None, by: Any = None, **kwargs: Any) -> None:
        self.sync = sync
        kwargs.setdefault("initial", _initial(sync) if sync else {**(chosen or {}), "owner": getattr(by, "user_id", None)})
        super().__init__(data, use_required_attribute=False, **kwargs)
        entities = Entity.objects.selected().select_related("system").order_by("system__name", "name")
        self.fields["owner"].queryset = get_user_model().objects.filter(is_active=True).order_by("first_name", "username")  # type: ignore[attr-defined]
        others = Sync.objects.exclude(pk=sync.pk) if sync else Sync.objects.all()
        self.fields["after"].queryset = others.order_by("name")  # type: ignore[attr-defined]
        mappings = Mapping.objects.order_by("name")
        if sync is not None:
            del self.fields["source"], self.fields["target"]
            mappings = mappings.filter(source=sync.source, target=sync.target)
        else:
            self.fields["source"].queryset = self.fields["target"].queryset = entities  # type: ignore[attr-defined]
            source, target = self["source"].value(), self["target"].value()
            fits = source and target and str(source).isdigit() and str(target).isdigit()
            mappings = mappings.filter(source=source, target=target) if fits else mappings.none()
            self.ends_chosen = bool(fits)
        self.fields["mapping"].queryset = mappings  # type: ignore[attr-defined]
        alone = (schedule.ROSTER, schedule.RECONCILE)
        conditional = (*schedule.fields(), *(name for prefix in alone for name in schedule.fields(prefix)[:2]))
        for name in (*conditional, "mark_field", "mark_value", "deletes", "left_filter", "roster", "reconcile"):
            self.fields[name].is_conditional = True  # type: ignore[attr-defined]  # needed with others, or never empty: not called optional
        self.has_mappings = mappings.exists()

    @property
    def groups(self) -> list[str]:
        return list(Sync.objects.exclude(group="").order_by("group").values_list("group", flat=True).distinct())

    @property
    def zones(self) -> list[str]:
        return sorted(available_timezones())

    def clean(self) -> dict[str, Any]:
        found = super().clean() or {}
        self._clean_schedule(found, found.get("schedule"), "")
        self._clean_schedule(found, found.get("reconcile"), schedule.RECONCILE)
        follows = found.get("mode") == Mode.INCREMENTAL and found.get("deletes") not in ("", DeletePolicy.IGNORE)
        self._clean_schedule(found, found.get("roster") if follows else HAND, schedule.ROSTER)
        return found

    def _clean_schedule(self, found: dict[str, Any], kind: str | None, prefix: str) -> None:
        """Of interval and crontab, what was chosen; the other is emptied."""
        interval, crontab, __ = schedule.fields(prefix)
        if kind != INTERVAL:
            found[interval] = None
        elif not found.get(interval):
            self.add_error(interval, _("Say how often, or choose “By hand only”."))
        if kind != CRONTAB:
            found[crontab] = ""
        elif not found.get(crontab):
            self.add_error(crontab, _("Write a crontab, or choose “By hand only”."))

    def settings(self) -> dict[str, Any]:
        """What the services take, as far as it is filled in."""
        found = {name: value for name, value in self.cleaned_data.items() if name not in _KINDS}
        found["lookback_seconds"] = found.get("lookback_seconds") or 0
        found["parked_days"] = found.get("parked_days") or 7
        found["deletes"] = found.get("deletes") or DeletePolicy.IGNORE
        found["left_filter"] = found.get("left_filter") or LeftFilter.KEEP
        found["after"] = list(found.get("after") or ())
        found["time_zone"] = found.get("time_zone") or "UTC"
        return found

    def draft(self) -> Sync:
        """The sync that this form would make, as far as it is filled in; not saved."""
        settings = self.settings()
        del settings["after"]  # an order is of syncs that are saved
        ends = settings.pop("source", None), settings.pop("target", None)
        sync = copy(self.sync) if self.sync else Sync(pair=Pair(a=ends[0], b=ends[1])) if all(ends) else Sync()
        for name, value in settings.items():
            setattr(sync, name, value)
        return sync

    def scheduled(self) -> Sync:
        """An unsaved sync with the schedule of this form, as far as it is filled in."""
        known = getattr(self, "cleaned_data", {})
        return Sync(interval_seconds=known.get("interval_seconds"), crontab=known.get("crontab") or "", time_zone=known.get("time_zone") or "UTC")


def _initial(sync: Sync) -> dict[str, Any]:
    names = (
        "name", "mode", "filter", *schedule.fields(), *schedule.fields(schedule.ROSTER), *schedule.fields(schedule.RECONCILE), "objective_seconds",
        "lookback_seconds", "compare_first", "parked_days", "group", "notes", "deletes", "mark_field", "mark_value", "left_filter", *guards.FIELDS,
    )  # fmt: skip
    kinds = {name: _kind_of(sync, prefix) for name, prefix in _KINDS.items()}
    return {**kinds, "mapping": sync.mapping_id, "owner": sync.owner_id, "after": sync.after.all()} | {name: getattr(sync, name) for name in names}


def _kind_of(sync: Sync, prefix: str) -> str:
    interval, crontab, __ = schedule.fields(prefix)
    return INTERVAL if getattr(sync, interval) else CRONTAB if getattr(sync, crontab) else HAND


class RecordsForm(forms.Form):
    """Records by their keys, one a line."""

    keys = forms.CharField(
        label=gettext_lazy("Keys of the source, one a line"),
        widget=forms.Textarea(attrs={"rows": 8, "class": "hub-mono", "spellcheck": "false"}),
        help_text=gettext_lazy(
            'At most 10,000. A key of several fields is a list: ["2026", "17"]. A record that the source no longer has is deleted in the target where the '
            "sync follows deletes."
        ),
    )
    dry = forms.BooleanField(label=gettext_lazy("Dry run: write nothing"), required=False)

    def clean_keys(self) -> list[str]:
        return [line.strip() for line in self.cleaned_data["keys"].splitlines() if line.strip()]


class CursorForm(forms.Form):
    """Where the next incremental run begins to read."""

    value = forms.CharField(
        label=gettext_lazy("Read from"),
        max_length=200,
        required=False,
        widget=forms.TextInput(attrs={"class": "hub-mono"}),
        help_text=gettext_lazy("Empty removes the cursor, so that the next run reads everything."),
    )
    note = forms.CharField(label=gettext_lazy("Reason"), max_length=1_000, widget=forms.Textarea(attrs={"rows": 2}))

    def __init__(self, *args: Any, sync: Sync, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.sync = sync

    def clean(self) -> dict[str, Any]:
        found = super().clean() or {}
        if found.get("value"):
            cursor_value(self.sync, found["value"])
        return found


OPERATIONS = [
    ("create", gettext_lazy("Creates")),
    ("update", gettext_lazy("Updates")),
    ("adopt", gettext_lazy("Links only")),
    ("delete", gettext_lazy("Deletes")),
    ("mark", gettext_lazy("Marks of what was deleted")),
    ("unlink", gettext_lazy("Ended links")),
]


class ApprovalForm(forms.Form):
    """What of a plan is approved, and why."""

    operations = forms.MultipleChoiceField(
        label=gettext_lazy("Only these changes"),
        choices=OPERATIONS,
        widget=forms.CheckboxSelectMultiple,
        required=False,
        help_text=gettext_lazy("None chosen: all of them."),
    )
    rule = forms.CharField(
        label=gettext_lazy("Only where"),
        max_length=2_000,
        required=False,
        widget=forms.Textarea(attrs={"rows": 2, "class": "hub-mono", "spellcheck": "false"}),
        help_text=gettext_lazy("A condition over each change, for example: operation = 'update' and before.email is null"),
    )
    except_keys = forms.CharField(
        label=gettext_lazy("Except these keys of the source, one a line"),
        required=False,
        widget=forms.Textarea(attrs={"rows": 3, "class": "hub-mono", "spellcheck": "false"}),
    )
    reason = forms.CharField(label=gettext_lazy("Reason"), max_length=1_000, widget=forms.Textarea(attrs={"rows": 2}))

    def __init__(self, plan: Run, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        kinds = plans.kinds_of(plan)
        self.fields["operations"].choices = [choice for choice in OPERATIONS if choice[0] in kinds]  # type: ignore[attr-defined]

    def clean_except_keys(self) -> list[str]:
        return [line.strip() for line in self.cleaned_data["except_keys"].splitlines() if line.strip()]


class UndoForm(forms.Form):
    """Which records of a run to undo."""

    keys = forms.CharField(
        label=gettext_lazy("Only the records with these keys of the source, one a line"),
        required=False,
        widget=forms.Textarea(attrs={"rows": 5, "class": "hub-mono", "spellcheck": "false"}),
        help_text=gettext_lazy("Empty: all that the run has written."),
    )

    def clean_keys(self) -> list[str] | None:
        return [line.strip() for line in self.cleaned_data["keys"].splitlines() if line.strip()] or None


class UndoVersionForm(forms.Form):
    """Which runs of a sync to undo: those by one version of its mapping, since a time."""

    version = forms.ModelChoiceField(label=gettext_lazy("Version of the mapping"), queryset=MappingVersion.objects.none())
    since = forms.DateTimeField(
        label=gettext_lazy("Runs started since"), widget=forms.DateTimeInput(attrs={"type": "datetime-local"}, format="%Y-%m-%dT%H:%M")
    )

    def __init__(self, *args: Any, sync: Sync, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        versions = MappingVersion.objects.filter(mapping=sync.mapping).select_related("mapping").order_by("-number")
        self.fields["version"].queryset = versions  # type: ignore[attr-defined]
        self.fields["version"].label_from_instance = version_words  # type: ignore[attr-defined]
        newest = versions.first()
        self.fields["version"].initial = newest
        self.fields["since"].initial = newest.published_at if newest is not None else None
