"""How the console writes things."""

from datetime import timedelta

import pytest
from django.template import Context, Template
from django.test import RequestFactory
from django.utils import timezone, translation

from integration_hub.core.parts import Act, Link, nice_ceiling
from integration_hub.core.templatetags import hub
from integration_hub.core.templatetags.hub import ABSENT


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0, "0 ms"),
        (0.186, "186 ms"),
        (1, "1 s"),
        (1.44, "1.4 s"),
        (59.7, "1 min"),
        (417, "6 min 57 s"),
        (3600, "1 h"),
        (7800, "2 h 10 min"),
        (90_000, "1 d 1 h"),
        (timedelta(minutes=5), "5 min"),
        (-90, "−1 min 30 s"),
        (None, "—"),
    ],
)
def test_a_duration_has_at_most_two_units(seconds, said):
    assert hub.duration(seconds) == said


def test_durations_are_said_in_the_readers_language():
    with translation.override("zh-hans"):
        assert hub.duration(417) == "6 分 57 秒"
        assert hub.interval(300) == "每 5 分钟"


def test_intervals_are_said_as_people_say_them():
    said = [hub.interval(seconds) for seconds in (60, 300, 3600, 86_400, 45, None)]

    assert said == ["every minute", "every 5 minutes", "every hour", "every day", "every 45 seconds", "—"]


@pytest.mark.parametrize(("n", "said"), [(0, "0"), (182410, "182,410"), (None, "—"), ("", "—")])
def test_numbers_are_grouped_and_absent_ones_are_a_dash(n, said):
    assert hub.number(n) == said


def test_counts_that_were_stopped_say_so():
    assert [hub.capped(n) for n in (9_999, 10_000, 10_001)] == ["9,999", "10,000", "10,000+"]


def test_less_than_everything_is_never_shown_as_everything():
    assert [hub.percent(p) for p in (0, 62.5, 99.97, 100, None)] == ["0 %", "62.5 %", "99.9 %", "100 %", "—"]


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (None, '<span class="hub-null">null</span>'),
        ("", '<span class="hub-null">empty text</span>'),
        ("  ", '<span class="hub-null">2 spaces</span>'),
        ([], '<span class="hub-null">empty list</span>'),
        (ABSENT, '<span class="hub-null">not sent</span>'),
        (False, "false"),
        (0, "0"),
        ("<b>", "&lt;b&gt;"),
        (" a", '<span class="hub-null">␣</span>a'),
        ("a\x00b", 'a<span class="hub-null">␀</span>b'),
        ({"a": "é"}, "{&quot;a&quot;: &quot;é&quot;}"),
    ],
)
def test_values_are_shown_so_that_none_can_be_mistaken(value, said):
    assert hub.value(value) == said


def test_sentences_in_a_row_have_a_space_between_them_where_their_full_stop_has_none():
    assert "".join(hub.in_a_row(["One.", " ", "Two. Three."])) == "One. Two. Three."
    assert "".join(hub.in_a_row(["一。", " ", "二。 三。", " 四。"])) == "一。二。三。四。"
    assert list(hub.in_a_row(["一。", Link("二", "/"), " ", "三。"])) == ["一。", Link("二", "/"), " ", "三。"]


def test_long_values_are_cut_and_say_how_much_is_missing():
    assert "… 500 characters more" in hub.value("x" * 1000)


@pytest.mark.parametrize(
    ("before", "after", "gone", "new"),
    [
        ("1,250,000.00", "1,480,000.00", "1,<del>250</del>,000.00", "1,<ins>480</ins>,000.00"),
        ("EC-2", "EC-1", "<del>EC-2</del>", "<ins>EC-1</ins>"),
        ("苏州市星湖街 218 号", "苏州市金鸡湖大道 1355 号", "苏州市<del>星湖街 218</del> 号", "苏州市<ins>金鸡湖大道 1355</ins> 号"),
        (None, "a", '<span class="hub-null">null</span>', "<ins>a</ins>"),
        (1, "1", "<del>1</del>", "<ins>1</ins>"),
        (True, False, "<del>true</del>", "<ins>false</ins>"),
        ("<i>", "<b>", "&lt;<del>i</del>&gt;", "&lt;<ins>b</ins>&gt;"),
        ("same", "same", "same", "same"),
    ],
)
def test_what_differs_is_marked_inside_the_value(before, after, gone, new):
    assert (hub.removed(before, after), hub.added(after, before)) == (gone, new)


def test_times_are_short_and_carry_the_full_one():
    now = timezone.now()

    assert hub.ago_text(now - timedelta(minutes=44)) == "44 min ago"
    assert hub.ago_text(now + timedelta(seconds=30)) == "in 30 s"
    assert hub.ago_text(now) == "just now"
    assert str(timezone.localtime(now).year) in hub.at(now - timedelta(minutes=1))
    assert hub.at(None) == "—"


def test_a_button_that_acts_is_a_form_that_asks():
    act = Act("Delete <all>", post="/x/", confirm="Sure?", danger=True, values={"ids": [1, 2]})

    shown = Template("{% load hub %}{% act act %}").render(Context({"act": act, "csrf_token": "t"}))

    assert 'action="/x/"' in shown
    assert 'data-confirm="Sure?"' in shown
    assert shown.count('name="ids"') == 2
    assert "Delete &lt;all&gt;…" in shown


def test_a_query_keeps_the_filters_and_goes_back_to_the_first_page():
    request = RequestFactory().get("/runs/", {"state": "open", "after": "x", "q": "a b"})

    shown = Template("{% load hub %}{% query state='closed' q=None %}").render(Context({"request": request}))

    assert shown == "?state=closed"


def test_charts_end_at_a_round_number():
    assert [nice_ceiling(n) for n in (0, 1, 3, 38_200, 41_000, 500)] == [2, 2, 4, 40_000, 100_000, 1_000]
