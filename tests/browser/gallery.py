"""Every part pages are made of, on one page of the tests' own, with plain and with difficult contents. Used as the root URLconf."""

from datetime import timedelta
from itertools import count
from pathlib import Path
from types import SimpleNamespace

from django import forms
from django.contrib import admin, messages
from django.http import HttpResponse
from django.template import RequestContext, Template
from django.urls import path
from django.utils import timezone
from unfold.admin import ModelAdmin

from integration_hub.accounts.models import User
from integration_hub.audit.models import Entry
from integration_hub.core import parts
from integration_hub.core.language import set_language
from integration_hub.core.pages import Filter, HubAction, HubPage, read_filters
from integration_hub.core.paging import key_page
from integration_hub.core.parts import Act, Link
from integration_hub.core.templatetags.hub import ABSENT

TEMPLATE = Path(__file__).with_suffix(".html").read_text()


class ExampleForm(forms.Form):
    name = forms.CharField(help_text="As people call it.")
    kind = forms.ChoiceField(choices=[("rest", "HTTP, JSON"), ("sql", "Database")], required=False)
    secret = forms.CharField(widget=forms.PasswordInput, required=False)
    read_only = forms.BooleanField(required=False, help_text="Nothing is ever written to it.")
    notes = forms.CharField(widget=forms.Textarea, required=False)


ticks = count(1)
RUNS = [31, 29, 33, 417, 30, 28, 35, 31, 30, 29] * 3


def counts(*said, op=False):
    parted = [one.split() for one in said]
    return [parts.Count(int(n), name, ("+" if place else "=") if op else "", *state, href="/") for place, (name, n, *state) in enumerate(parted)]


def bar(number, seconds):
    return parts.Bar(seconds, "bad" if seconds > 400 else "ok", f"Run {number}, {seconds} s", "/", {0: "08:00", 29: "10:00"}.get(number, ""))


def slot(number):
    return parts.Slot(f"{number}:00", number * 7919 % 38200, 42 if number == 46 else 0, f"{number // 2:02}:00" if number % 8 == 0 else "")


class GalleryPage(HubPage):
    title = "Gallery"
    crumbs = (Link("Syncs", "/"), Link("Contacts of CRM → Customers of ERP", "/"))

    def get_context_data(self, **kwargs):
        asks = {"confirm": "Delete contact 17 of CRM?", "note": "It cannot be brought back.", "reason": "required", "danger": True}
        remove = Act("Delete", post="/act/", values={"id": 17}, **asks)
        kwargs.setdefault("form", ExampleForm())
        return super().get_context_data(**kwargs) | {
            "remove": remove,
            "on": True,
            "tick": next(ticks),
            "verdict": parts.Verdict(
                "warn",
                "Fresh, not complete",
                "ERP is fresh, but 45 contacts have not arrived and 118 deletes wait.",
                since=["Contacts of CRM → Customers of ERP, every 5 minutes, by ", Link("mapping v7", "/")],
                next=[Link("decide about the 118 withheld deletes", "/"), ", then ", Link("clear 23 rejects with one value", "/"), "."],
                asks=True,
                acts=[Act("Run now", post="/act/", primary=True, icon="play_arrow"), Act("Dry run", post="/act/"), Act("Trace a record", href="/")],
            ),
            "facts": [
                parts.Fact("Last success", "10:40:09", "1 min 59 s ago, run 1,286"),
                parts.Fact("Behind", "1 min 59 s", "objective 10 min"),
                parts.Fact("Next due", "10:45:00", "in 2 min 52 s"),
                parts.Fact("Linked records", "182,026", "118 of them gone from CRM", "/"),
                parts.Fact("Deletes", "Seen nightly", "by key comparison, 02:00"),
            ],
            "progress": parts.Progress(
                62.5,
                [("62.5 %", "compared"), ("114,000", "of 182,410 contacts"), ("620/s", "over the last 30 s")],
                ("1 min 50 s", "left to compare"),
                [("done", "Queued"), ("now", "Comparing"), ("later", "Writing"), ("later", "Closing")],
            ),
            "balance": parts.Balance(
                [
                    parts.Sum("In", counts("read 114000"), counts("mapped 113690", "filtered 285", "rejected 21 warn", "parked 0 warn", op=True)),
                    parts.Sum("Out, planned", counts("produced 113690"), counts("created 131", "updated 2410", "unchanged 111149", op=True)),
                ],
                "ok",
                "Balances so far",
                "Nothing is written yet.",
            ),
            "bars": parts.Bars("The last 30 runs", [bar(number, seconds) for number, seconds in enumerate(RUNS)]),
            "chart": parts.UpDown("Written and rejected", [slot(number) for number in range(48)]),
            "diff": [
                ("Address", "江苏省苏州市工业园区星湖街 218 号", "江苏省苏州市工业园区金鸡湖大道 1355 号国际科技园三期 12 幢 B 座 806 室"),
                ("E-mail", None, "wang.lei@hengyuan-precision.example"),
                ("Region", "EC-2", "EC-1"),
                ("Volume", "1,250,000.00", "1,480,000.00"),
                ("Name", "Brightwell  Medical Ltd ", "Brightwell Medical Ltd"),
                ("Empty", "", ABSENT),
                ("Markup", "<script>alert(1)</script>", "<b>bold</b>"),
                ("Long", "x" * 5000, {"city": "Suzhou", "lines": ["a", "b"]}),
            ],
            "story": [
                parts.Moment(timezone.now() - timedelta(minutes=n * n * 700), "edit", "Updated by run 1,284", "4 of 22 fields", "ok")
                for n in range(4)
            ],
            "filters": read_filters(
                self.request, Filter("state", "State", [("open", "Open"), ("closed", "Closed")]), Filter("q", "Name begins with")
            ),
            "pager": key_page(Entry.objects.filter(event__startswith="run."), self.request, size=5),
        }

    def post(self, request):
        form = ExampleForm(request.POST)
        form.is_valid()
        return self.render_to_response(self.get_context_data(form=form))

    def render_to_response(self, context, **kwargs):
        return HttpResponse(Template(TEMPLATE).render(RequestContext(self.request, context)))


class Acted(HubAction):
    seen = []

    def act(self, request):
        self.seen.append(SimpleNamespace(**request.POST.dict()))
        return "Done as you said."


class Breaks(HubPage):
    def get_context_data(self, **kwargs):
        messages.info(self.request, "never shown")
        raise RuntimeError("for the test of the page that says sorry")


class PersonAdmin(ModelAdmin):
    list_display = ("username", "role", "is_active")
    list_filter = ("role",)
    search_fields = ("username",)
    fieldsets = (
        (None, {"fields": ("username", "email")}),
        ("Names", {"fields": ("first_name", "last_name"), "classes": ("tab",)}),
        ("Times", {"fields": ("last_login", "date_joined"), "classes": ("tab",)}),
    )


if not admin.site.is_registered(User):
    admin.site.register(User, PersonAdmin)

urlpatterns = [
    path("gallery/", GalleryPage.as_view()),
    path("act/", Acted.as_view()),
    path("breaks/", Breaks.as_view()),
    path("language/", set_language, name="set_language"),
    path("", admin.site.urls),
]
handler400 = "integration_hub.core.pages.bad_request"
handler403 = "integration_hub.core.pages.forbidden"
handler404 = "integration_hub.core.pages.not_found"
handler500 = "integration_hub.core.pages.server_error"
