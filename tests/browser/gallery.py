"""Every part pages are made of, on one page of the tests' own, with plain and with difficult contents. Used as the root URLconf."""

from datetime import timedelta
from itertools import count
from types import SimpleNamespace

from django import forms
from django.contrib import admin, messages
from django.http import HttpResponse
from django.template import RequestContext, Template
from django.urls import include, path
from django.utils import timezone
from unfold.admin import ModelAdmin

from integration_hub.accounts.models import User
from integration_hub.audit.models import Entry
from integration_hub.core import parts
from integration_hub.core.pages import Filter, HubAction, HubPage, read_filters
from integration_hub.core.paging import key_page
from integration_hub.core.parts import Act, Link
from integration_hub.core.templatetags.hub import ABSENT

TEMPLATE = """
{% extends "hub/page.html" %}{% load i18n hub %}
{% block page %}
{% include "hub/_verdict.html" %}
{% include "hub/_facts.html" %}
<section class="hub-section"><header><h3>Progress</h3></header><div id="h-live" {% live "h-live" every=1 on=on %}>
  <p>Answer <b id="tick">{{ tick }}</b> <a href="#there" id="there">there</a></p>{% include "hub/_progress.html" with name="Comparing" %}
  <details id="more"><summary>More</summary><p>What was opened stays open.</p></details>
  </div></section>
<section class="hub-section"><header><h3>Balance</h3></header>{% include "hub/_balance.html" %}</section>
<section class="hub-section"><header><h3>Last 30 runs</h3></header>{% include "hub/_bars.html" %}</section>
<section class="hub-section"><header><h3>Last 24 hours</h3></header>{% include "hub/_updown.html" %}</section>
<section class="hub-section"><header><h3>Before and after</h3></header><div class="hub-box"><table class="hub-diff">
  <thead><tr><th>Field</th><th>Before</th><th>After</th></tr></thead>
  <tbody>{% for name, before, after in diff %}<tr><th scope="row">{{ name }}</th><td>{{ before|removed:after }}</td><td>{{ after|added:before }}</td></tr>{% endfor %}</tbody></table></div></section>
<section class="hub-section"><header><h3>Its story</h3></header>{% include "hub/_story.html" %}</section>
<section class="hub-section"><header><h3>Form</h3></header>{% include "hub/_form.html" with submit="Save" back="/" %}</section>
<section class="hub-section"><header><h3>List</h3></header>{% include "hub/_filters.html" %}
  <table class="hub-table"><thead><tr><th>Event</th><th class="num">Number</th><th class="act"></th></tr></thead>
  <tbody>{% for row in pager.items %}<tr><th scope="row">{{ row.event }}</th><td class="num">{{ row.pk|number }}</td><td class="act">{% act remove size="xs" %}</td></tr>{% endfor %}</tbody></table>
  {% include "hub/_pager.html" %}</section>
<section class="hub-section"><header><h3>Nothing</h3></header>{% include "hub/_empty.html" with text="None. Rows appear here." %}</section>
<section class="hub-section"><header><h3>Copy</h3></header><p class="hub-code"><span id="token">tok_123</span>{% include "hub/_copy.html" with of="token" %}</p></section>
{% endblock %}
"""


class ExampleForm(forms.Form):
    name = forms.CharField(help_text="As people call it.")
    kind = forms.ChoiceField(choices=[("rest", "HTTP, JSON"), ("sql", "Database")], required=False)
    secret = forms.CharField(widget=forms.PasswordInput, required=False)
    read_only = forms.BooleanField(required=False, help_text="Nothing is ever written to it.")
    notes = forms.CharField(widget=forms.Textarea, required=False)


ticks = count(1)
RUNS = [31, 29, 33, 417, 30, 28, 35, 31, 30, 29] * 3


class GalleryPage(HubPage):
    title = "Gallery"
    crumbs = (Link("Syncs", "/"), Link("Contacts of CRM → Customers of ERP", "/"))

    def get_context_data(self, **kwargs):
        remove = Act(
            "Delete",
            post="/act/",
            confirm="Delete contact 17 of CRM?",
            note="It cannot be brought back.",
            reason="required",
            danger=True,
            values={"id": 17},
        )
        number = parts.Count
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
                    parts.Sum(
                        "In",
                        [number(114000, "read", href="/")],
                        [
                            number(113690, "mapped", "=", href="/"),
                            number(285, "filtered", "+"),
                            number(21, "rejected", "+", "warn", "/"),
                            number(0, "parked", "+", "warn"),
                        ],
                    ),
                    parts.Sum(
                        "Out, planned",
                        [number(113690, "produced")],
                        [number(131, "to create", "=", href="/"), number(2410, "to update", "+"), number(111149, "unchanged", "+")],
                    ),
                ],
                "ok",
                "Balances so far",
                "Nothing is written yet.",
            ),
            "bars": parts.Bars(
                "The last 30 runs",
                [
                    parts.Bar(s, "bad" if s > 400 else "ok", f"Run {n}, {s} s", "/", "10:00" if n == 29 else "08:00" if not n else "")
                    for n, s in enumerate(RUNS)
                ],
            ),
            "chart": parts.UpDown(
                "Written and rejected",
                [parts.Slot(f"{n}:00", (n * 7919) % 38200, 42 if n == 46 else 0, f"{n // 2:02}:00" if n % 8 == 0 else "") for n in range(48)],
            ),
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
            "pager": key_page(Entry.objects.all(), self.request, size=5),
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
    path("", include("integration_hub.urls")),
]
handler400 = "integration_hub.core.pages.bad_request"
handler403 = "integration_hub.core.pages.forbidden"
handler404 = "integration_hub.core.pages.not_found"
handler500 = "integration_hub.core.pages.server_error"
