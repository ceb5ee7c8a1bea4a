"""The demo at work beside the sandbox's life and faults: afterwards each target equals the mapped source, every run's books balance, and the pages
show the figures of the data."""

import html
import http.cookiejar
import json
import os
import random
import re
import time
import urllib.parse
import urllib.request

import pytest

from tests.faults.hub import running_hub

SYNCS = (
    "OA users → CRM users",
    "CRM accounts → ERP customers",
    "ERP sales orders → MRP production orders",
    "CRM contacts → Marketing subscribers",
)
FAULTS = {
    "rate_limit": {"retry_after": 2},
    "error": {},
    "unavailable": {},
    "slow": {"ms": 1500},
    "cut": {},
    "truncated_json": {},
    "login_page": {},
    "broken_utf8": {},
    "drop_before": {},
    "drop_after": {},
    "partial": {},
    "expired_token": {},
    "empty": {},
    "duplicate": {},
}
SPOKEN_TO = ("crm", "oa", "erp", "mrp", "marketing")


@pytest.fixture
def hub():
    with running_hub() as hub:
        yield hub


def spoil(hub, seconds, chance, *, kills):
    """Order random faults for so long, and kill workers now and then."""
    ends = time.monotonic() + seconds
    kill_at = sorted(time.monotonic() + chance.uniform(0.1, 0.8) * seconds for _ in range(kills))
    ordered = 0
    while time.monotonic() < ends:
        kind = chance.choice(sorted(FAULTS))
        hub.sandbox.fault(chance.choice(SPOKEN_TO), kind, times=chance.randint(1, 6), skip=chance.randint(0, 5), **FAULTS[kind])
        ordered += 1
        if kill_at and time.monotonic() >= kill_at[0]:
            kill_at.pop(0)
            hub.kill_program("bulk")
        time.sleep(chance.uniform(0.5, 3.0))
    return ordered


def idle(hub):
    return not hub.rows("SELECT 1 FROM syncs_run WHERE ended_at IS NULL")


def come_to_rest(hub):
    """No more life, faults or schedules; what is under way ends, and what was left is taken up once more."""
    hub.sandbox.pause_life()
    hub.sandbox.clear_faults()
    hub.order("pause")
    hub.wait_for(lambda: idle(hub), seconds=400, what="all runs to end")
    for name in SYNCS:
        hub.order("run", name)
    hub.wait_for(lambda: idle(hub), seconds=400, what="the last runs to end")
    if hub.order("replay"):
        hub.wait_for(lambda: idle(hub), seconds=200, what="the replays to end")


def work(hub, seconds, *, interval, kills=0):
    seed = int(os.environ.get("SEED") or random.randrange(10**6))
    chance = random.Random(seed)
    print(f"\nSEED={seed}")
    hub.sandbox.control("life", seconds=[0.5, 2.0])
    hub.order("hurry", str(interval))
    ordered = spoil(hub, seconds, chance, kills=kills)
    come_to_rest(hub)

    books = hub.order("books")
    print(f"{ordered} faults; {len(books)} runs: {sorted((s, sum(b['state'] == s for b in books)) for s in {b['state'] for b in books})}")
    assert [b for b in books if not b["balanced"] or b["kept"] != b["recounted"]] == []
    for name in SYNCS:
        told = hub.order("compare", name)
        reasons = sorted(set(told["left"].values()))
        print(f"{name}: {told['expected']} expected, {told['rejected']} cannot be mapped, {len(told['left'])} left open")
        wrong = {what: told[what] for what in ("missing", "differs", "twins") if told[what]}
        assert not wrong, (
            name,
            wrong,
            hub.rows("SELECT a_key, b_key, made_at, ended_at FROM syncs_link WHERE a_key IN (SELECT value FROM json_each(?))", keys(wrong)),
        )
        assert told["expected"] > 50
        assert not [reason for reason in reasons if "by order" in reason], reasons  # what a fault had refused has been taken up again
    assert_pages_show(hub, books)


def keys(wrong):
    return json.dumps([key for found in wrong.values() for key in found])


def assert_pages_show(hub, books):
    """The pages of the last runs tell what these runs did."""
    person = signed_in(hub)
    for run in books[-12:]:
        page = shown(person, f"{hub.url}/runs/{run['run']}/")
        counts = run["recounted"]
        for name, word in (("read", "read"), ("created", "created"), ("updated", "updated")):
            if counts[name]:
                assert f"{counts[name]:,} {word}" in page or f"{counts[name]} {word}" in page, (run, page[:2000])
        assert "The books balance" in page
        assert "not accounted for" not in page


def signed_in(hub):
    """A browser of the poorest kind, signed in with the password that the first start told."""
    password = re.search(r"Sign in as admin with the password (\S+)", hub.log.read_text())[1]
    person = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(http.cookiejar.CookieJar()))
    door = person.open(f"{hub.url}/")
    page = door.read().decode()
    token = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', page)[1]
    form = urllib.parse.urlencode({"username": "admin", "password": password, "csrfmiddlewaretoken": token, "next": "/"}).encode()
    person.open(urllib.request.Request(door.geturl(), form, {"Referer": door.geturl()}))
    return person


def shown(person, url):
    """The text of a page as it is read."""
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", person.open(url).read().decode())).split())


@pytest.mark.timeout(400)
def test_the_demo_at_work_for_half_a_minute(hub):
    work(hub, 30, interval=5)


@pytest.mark.faults
@pytest.mark.timeout(2000)
def test_the_demo_at_work_for_ten_minutes(hub):
    work(hub, 600, interval=15, kills=3)
