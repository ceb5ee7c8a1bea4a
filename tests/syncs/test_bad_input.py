"""Sources and targets at their worst, spoken to over HTTP. Each is one clear sentence, the books balance, nothing is lost and nothing made twice."""

import pytest

from integration_hub.syncs import reading, services
from integration_hub.syncs.models import OpenRow, Sync, SyncCursor
from integration_hub.systems import services as systems
from tests.connectors.conftest import secure
from tests.syncs.answers import shop_sync
from tests.syncs.conftest import USERS_TO_USERS, finish, published
from tests.syncs.equal import assert_equal, reasons, told

__all__ = ["secure", "shop_sync"]
pytestmark = pytest.mark.django_db(transaction=True)
LIST, USERS = "/api/user/list", "/v1/users"


# --- a source that cannot be read ---------------------------------------------------------------------------------------

UNREADABLE = {
    "404 entity": (("status", {"status": 404}), "OA knows no GET /oa/api/user/list. Correct the path in the system's settings."),
    "wrong credentials": (
        ("status", {"status": 401}),
        "OA does not accept our credentials for GET /oa/api/user/list: HTTP 401. Enter them again under Systems, OA.",
    ),
    "500 for good": (("error", {}), "OA failed at GET /oa/api/user/list with status 500: HTTP 500."),
}
NO_DATA = {
    "HTML instead of JSON": (
        ("login_page", {}),
        "OA answered GET /oa/api/user/list with a web page instead of JSON, perhaps a sign-in page. Check its address and credentials.",
    ),
    "truncated JSON": (("truncated_json", {}), "OA answered GET /oa/api/user/list with JSON that ends in the middle, after"),
    "cut short": (("cut", {}), "The answer of OA to GET /oa/api/user/list was cut short."),
}


@pytest.mark.parametrize("what", UNREADABLE)
def test_a_source_that_cannot_be_read_fails_the_run_with_one_sentence(few, users_sync, run_now, what):
    assert_fails_with_one_sentence(few, users_sync, run_now, *UNREADABLE[what])


@pytest.mark.parametrize("what", NO_DATA)
def test_an_answer_that_is_cut_off_or_a_sign_in_page_with_200_is_an_error_and_no_data(few, users_sync, run_now, what):
    assert_fails_with_one_sentence(few, users_sync, run_now, *NO_DATA[what])


def assert_fails_with_one_sentence(few, users_sync, run_now, fault, sentence):
    kind, order = fault
    few.oa.fault(kind, **{"path": LIST, **order})

    run = run_now(users_sync)

    assert run.state == "failed"
    assert told(run).startswith(sentence)
    assert run.counts["read"] == 0
    assert few.crm.applied() == {}
    all_comes_right(few, users_sync, run, run_now)


def all_comes_right(few, users_sync, run, run_now):
    """What had gone wrong is over: the books of the run balance, its cursor did not move, and the next one brings everything, once."""
    assert run.balanced
    assert run.state != "failed" or not SyncCursor.objects.exists()
    few.clear_faults()
    after = run_now(Sync.objects.get(pk=users_sync.pk))
    assert (after.state, after.balanced) == ("succeeded", True), told(after)
    assert_equal(few)


@pytest.fixture
def run_at(oa, users_sync, run_now):
    """A function that runs the sync while the OA is said to be at this address."""

    def run(address):
        row = type(oa).objects.filter(pk=oa.pk)
        row.update(settings={**oa.settings, "base_url": address})
        done = run_now(users_sync)
        row.update(settings=oa.settings)
        return done

    return run


@pytest.mark.parametrize(
    ("address", "sentence"),
    [
        ("http://127.0.0.1:1/oa", "127.0.0.1 (OA) could not be connected to: nothing listens at this address and port."),
        ("http://nowhere.invalid/oa", "The name nowhere.invalid (OA) could not be resolved. Check the system's address."),
    ],
    ids=["unreachable", "no address"],
)
def test_a_host_that_is_not_there(address, sentence, few, users_sync, run_at, run_now):
    run = run_at(address)

    assert told(run) == sentence
    all_comes_right(few, users_sync, run, run_now)


def test_a_secret_that_is_wrong(few, users_sync, run_now, crm, by):
    good = {**crm.settings, "auth": {**crm.settings["auth"], "client_secret": "crm-demo-secret"}}
    systems.change_system(crm, by=by, settings={**good, "auth": {**good["auth"], "client_secret": "not-the-one"}})

    run = run_now(users_sync)

    assert run.state == "failed"
    assert told(run) == "CRM gave no token at POST /crm/oauth/token: Unknown client or wrong secret. Enter the credentials again under Systems, CRM."
    assert "not-the-one" not in str(run.error)
    systems.change_system(crm, by=by, settings=good)
    all_comes_right(few, users_sync, run, run_now)


def test_a_token_that_expires_in_the_middle_is_renewed_and_the_run_goes_on(few, users_sync, run_now):
    few.oa.fault("expired_token", path=LIST, skip=1, times=1)
    few.crm.fault("expired_token", method="POST", path=USERS, skip=20, times=2)

    run = run_now(users_sync)

    assert run.state == "succeeded"
    assert not run.log.filter(level__in=("warning", "error")).exists()
    assert_equal(few)


def test_a_certificate_that_nobody_signed(few, users_sync, run_at, run_now, secure):
    run = run_at(secure[0].shop.url)

    assert told(run) == ("The TLS certificate of 127.0.0.1 (OA) was not accepted: self-signed certificate. Check address and certificate authority.")
    all_comes_right(few, users_sync, run, run_now)


# --- records that are not as they should be -----------------------------------------------------------------------------

BAD_RECORDS = {
    "missing field": ({"email": None}, "email", "E-mail must not be empty."),
    "wrong type": ({"hireDate": "the day before"}, "hireDate", "is no date in the format iso"),
    "over-long text": ({"name": "x" * 300}, "full_name", f"“{'x' * 200}” is longer than the 80 characters that are allowed."),
    "not as the pattern": ({"email": "nobody"}, "email", "“nobody” does not fit the pattern [^@ ]+@[^@ ]+."),
    "ten megabytes": ({"name": "x" * 10_000_000}, "name", "is 10000000 bytes long; the limit is 1048576"),
}


@pytest.mark.parametrize("what", BAD_RECORDS)
def test_a_record_that_is_not_as_it_should_be_is_rejected_alone(few, users_sync, run_now, what, by):
    values, field, sentence = BAD_RECORDS[what]
    hired(users_sync)
    good = few.oa.records("user")[7]
    few.oa.change("user", good["userId"], **values)

    run = run_now(users_sync)

    row = OpenRow.objects.open().get()
    assert (run.state, run.balanced, run.counts["rejected"]) == ("with_rejects", True, 1)
    assert reasons([row]) == {good["userId"]: sentence}
    assert row.field == field
    few.oa.change("user", good["userId"], **{name: good[name] for name in values})
    all_comes_right(few, users_sync, run, run_now)
    assert OpenRow.objects.get().closed_as == "later_pass"


def hired(sync):
    """The mapping brings the day of hiring along, in the phone's field: a type that a text may fail to be."""
    definition = {
        **USERS_TO_USERS,
        "fields": [*USERS_TO_USERS["fields"], {"target": "phone", "source": "hireDate", "steps": [{"transform": "to_text"}]}],
    }
    sync.mapping.versions.create(
        number=2, definition=definition, source_schema=sync.source.schema, target_schema=sync.target.schema, published_by="test"
    )


def test_a_field_that_the_source_no_longer_has_rejects_each_record_and_blanks_none(few, users_sync, run_now):
    run_now(users_sync)
    before = few.crm.records("users")
    users = few.oa.records("user")
    for user in users[:3]:
        few.oa.delete("user", user["userId"])
        few.oa.add("user", bare=True, **{name: value for name, value in user.items() if name not in ("email", "modifiedTime")})

    run = run_now(users_sync, full=True)

    assert (run.state, run.balanced, run.counts["rejected"]) == ("with_rejects", True, 3)
    assert set(reasons(OpenRow.objects.open()).values()) == {"E-mail must not be empty."}
    assert OpenRow.objects.open().values("cause").distinct().count() == 1
    assert few.crm.records("users") == before


def test_nul_characters_are_carried_and_told_without_breaking_anything(few, users_sync, run_now):
    one, other = few.oa.records("user")[:2]
    few.oa.change("user", one["userId"], name="a\0b")
    few.oa.change("user", other["userId"], email="no\0body")
    few.oa.add("user", userId="9\0", name="With a key like this", email="k@hailan.example")

    run = run_now(users_sync)

    nul = "contains a NUL character, which no text may hold. Add the step “Remove control characters”."
    keyless = OpenRow.objects.open().get(field="userId")
    assert (run.balanced, run.counts["rejected"]) == (True, 3)
    assert reasons(OpenRow.objects.open()) == {
        one["userId"]: f"“a�b” {nul}",
        other["userId"]: f"“no�body” {nul}",
        keyless.key: "The record's userId, which identifies it, has a NUL character in it.",
    }
    few.oa.change("user", one["userId"], name=one["name"])
    few.oa.change("user", other["userId"], email=other["email"])
    few.oa.delete("user", "9\0")
    all_comes_right(few, users_sync, run, run_now)


RAW_RECORDS = {
    "broken UTF-8": (b'{"id": 2, "name": "a\xff\xfe", "email": "b@c.example"}', "holds characters that are not valid UTF-8"),
    "half a character": (b'{"id": 2, "name": "a\\ud83d", "email": "b@c.example"}', "holds characters that are not valid UTF-8"),
    "wrong type": (b'{"id": 2, "name": {"first": "Ada"}, "email": "b@c.example"}', "is an object, not text"),
    "a key of the wrong type": (b'{"id": "two", "name": "Ada", "email": "b@c.example"}', "is text, not a whole number"),
    "a key too large": (b'{"id": 99999999999999999999999, "name": "Ada", "email": "b@c.example"}', "is too large for a whole number of 64 bits"),
    "no key": (b'{"id": null, "name": "Ada", "email": "b@c.example"}', "The record has no id, which identifies it."),
    "no field at all": (b"{}", "The record has no id, which identifies it."),
    "no record": (b'"Ada"', "is no record: an object with names and values was expected"),
}


@pytest.mark.parametrize("what", RAW_RECORDS)
def test_a_record_whose_bytes_are_wrong_is_rejected_alone(few, shop_sync, run_now, what):
    record, sentence = RAW_RECORDS[what]
    good = b'{"id": %d, "name": "Contact", "email": "c%d@shop.example"}'
    shop_sync.shop.answers["/contacts"] = (200, b'{"total": 3, "items": [' + b",".join([good % (1, 1), record, good % (3, 3)]) + b"]}")

    run = run_now(shop_sync)

    assert (run.state, run.balanced, run.counts["rejected"], run.counts["created"]) == ("with_rejects", True, 1, 2)
    assert set(reasons(OpenRow.objects.open()).values()) == {sentence}
    shop_sync.shop.answers["/contacts"] = (200, b'{"total": 3, "items": [' + b",".join(good % (n, n) for n in (1, 2, 3)) + b"]}")
    after = run_now(shop_sync)
    assert (after.state, after.balanced, after.counts["created"]) == ("succeeded", True, 1)
    assert not OpenRow.objects.open().exists()


@pytest.mark.parametrize("seconds", [0.0, 0.5], ids=["page by page", "joined"])
def test_a_list_without_an_end_fails_the_run(few, shop_sync, run_now, monkeypatch, seconds):
    monkeypatch.setattr(reading, "PAGE_SECONDS", seconds)
    shop_sync.shop.answers["/contacts"] = (200, b'{"total": 9, "items": [{"id": 1, "name": "Ada", "email": "a@shop.example"}]}')

    run = run_now(shop_sync)

    assert (run.state, run.balanced) == ("failed", True)
    assert told(run) == "Shop answered two pages of contacts with the same records. Check the page parameter in its settings."


# --- keys --------------------------------------------------------------------------------------------------------------


def test_the_same_key_twice_in_the_source_is_one_record_the_last_of_them(few, users_sync, run_now):
    few.oa.fault("duplicate", path="pageNo=", times=1)

    run = run_now(users_sync)

    assert (run.state, run.balanced, run.counts["duplicate"]) == ("succeeded", True, 1)
    assert_equal(few)


def test_a_record_without_its_key_is_rejected_and_closed_once_it_has_one(few, users_sync, run_now):
    good = few.oa.records("user")[3]
    few.oa.add("user", bare=True, userId="", name="Nobody", email="nobody@hailan.example")

    run = run_now(users_sync)

    row = OpenRow.objects.open().get()
    assert (run.balanced, run.counts["rejected"]) == (True, 1)
    assert reasons([row]) == {row.key: "The record has no userId, which identifies it."}
    assert good["userId"]
    few.oa.delete("user", "")
    assert run_now(users_sync, full=True).state == "succeeded"
    assert not OpenRow.objects.open().exists()
    assert_equal(few)


def test_one_match_key_twice_in_the_target_is_a_reject_until_they_are_merged(few, users_sync, run_now, by):
    user = few.oa.records("user")[20]
    twins = [few.crm.add("users", employee_id=user["userId"], full_name="Twin", email=f"twin{n}@hailan.example") for n in (1, 2)]

    run = run_now(users_sync)

    assert (run.state, run.balanced, run.counts["refused"]) == ("with_rejects", True, 1)
    assert reasons(OpenRow.objects.open()) == {user["userId"]: f"CRM has 2 Users with the match key {user['userId']}. Merge them there, then replay."}
    few.crm.delete("users", twins[1]["id"])
    services.replay_rejects(OpenRow.objects.all(), by=by)
    finish(users_sync.runs.latest("pk"))
    assert_equal(few)
    assert OpenRow.objects.get().closed_as == "replayed"


@pytest.mark.parametrize("apart", [1, 60], ids=["on one page", "pages apart"])
@pytest.mark.parametrize("first", [True, False], ids=["compared first", "at once"])
def test_one_match_key_twice_in_the_source_makes_one_record_and_a_reject(few, users_sync, run_now, by, monkeypatch, apart, first):
    monkeypatch.setattr(reading, "PAGE_ROWS", 10)
    users_sync = services.change_sync(users_sync, by=by, compare_first=first, mapping=by_email(users_sync))
    users = few.oa.records("user")
    few.oa.change("user", users[5 + apart]["userId"], email=users[5]["email"])

    run = run_now(users_sync)
    settled = run_now(users_sync, full=True)

    assert run.balanced
    assert settled.balanced
    assert run.counts["refused"] + run.counts["moved"] == 1
    holders = [u for u in few.crm.records("users") if u["email"] == users[5]["email"].lower()]
    assert len(holders) == 1
    assert len(reasons(OpenRow.objects.open())) == 1
    few.oa.change("user", users[5 + apart]["userId"], email=users[5 + apart]["email"])
    assert run_now(users_sync, full=True).state == "succeeded"
    assert_equal(few)


def by_email(sync):
    return published("By e-mail", sync.source, sync.target, {**USERS_TO_USERS, "match": [["email"]]})


def test_an_empty_source_writes_nothing(few, users_sync, run_now):
    run_now(users_sync)
    before = few.crm.records("users")
    few.oa.fault("empty", path=LIST)

    run = run_now(users_sync, full=True)

    assert (run.state, run.balanced, run.counts["read"]) == ("succeeded", True, 0)
    assert few.crm.records("users") == before
    few.clear_faults()
    assert_equal(few)


# --- a target that fails -----------------------------------------------------------------------------------------------


def assert_no_twin(sandbox):
    """Each create that took effect is a record of its own that somebody wanted: the five that were there, and what is linked."""
    assert sandbox.crm.applied().get("users.create", 0) == len(sandbox.crm.records("users")) - 5
    assert_equal(sandbox)


TROUBLE = {
    "429 in seconds": ("rate_limit", {"retry_after": 1, "times": 3}),
    "429 for long": ("rate_limit", {"retry_after": 5, "times": 3}),
    "429 until a date": ("rate_limit", {"retry_after": 2, "form": "date", "times": 3}),
    "429 without saying": ("rate_limit", {"form": "none", "times": 3}),
    "503 storm": ("unavailable", {"times": 12}),
    "no connection": ("drop_before", {"times": 5}),
    "no answer": ("drop_after", {"times": 5}),
    "half an answer": ("cut", {"times": 5}),
}


@pytest.mark.parametrize("what", TROUBLE)
def test_a_target_in_trouble_gets_each_record_once(few, users_sync, run_now, what):
    kind, order = TROUBLE[what]
    few.crm.fault(kind, method="POST", path=USERS, skip=20, **order)

    run = run_now(users_sync)

    assert (run.state, run.balanced) == ("succeeded", True), (told(run), reasons(OpenRow.objects.open()))
    assert_no_twin(few)


def test_a_target_that_goes_down_halfway_and_comes_back(few, users_sync, by):
    run = services.start_run(users_sync, by=by)
    few.crm.fault("drop_before", path="/crm", skip=40, times=24)

    finish(run)

    assert (run.state, run.balanced) == ("succeeded", True), (told(run), reasons(OpenRow.objects.open()))
    assert_no_twin(few)


@pytest.mark.parametrize("how", ["drop_before", "drop_after", "error", "unavailable"])
def test_a_target_that_goes_down_and_stays_down_fails_the_run_and_the_next_one_completes(few, users_sync, run_now, how):
    few.crm.fault(how, path="/crm", skip=40)

    run = run_now(users_sync)

    assert run.state == "failed"
    all_comes_right(few, users_sync, run, run_now)
    assert_no_twin(few)


def test_a_refused_record_does_not_stop_its_batch(few, users_sync, run_now):
    user = few.oa.records("user")[30]
    few.crm.refuses("users", field="employee_id", value=user["userId"], because="VAT number")

    run = run_now(users_sync)

    assert (run.state, run.balanced, run.counts["refused"]) == ("with_rejects", True, 1)
    before = few.crm.log()
    run_now(users_sync, full=True)
    assert [r for r in few.crm.log()[len(before) :] if r["method"] == "POST" and r["path"].startswith("/crm/v1")] == []  # not sent again
    few.clear_faults()
    few.oa.change("user", user["userId"], name="Another name")
    assert run_now(users_sync).state == "succeeded"
    assert_equal(few)


def test_a_read_only_target_is_not_written_to(few, users_sync, run_now, crm, by):
    run = services.start_run(users_sync, by=by)
    systems.change_system(crm, by=by, read_only=True)

    finish(run)

    assert (run.state, run.balanced) == ("failed", True)
    assert told(run) == "CRM is read-only here, so nothing was written. Allow writing on its page, or stop this sync."
    assert few.crm.applied() == {}
    with pytest.raises(services.NotPossible, match="CRM is read-only here"):
        services.start_run(Sync.objects.get(), by=by)
    crm.refresh_from_db()
    systems.change_system(crm, by=by, read_only=False)
    all_comes_right(few, users_sync, run, run_now)


def test_a_target_record_deleted_behind_our_back_is_told_and_made_again_on_replay(few, users_sync, run_now, by):
    run_now(users_sync)
    user = few.oa.records("user")[10]
    gone = next(u for u in few.crm.records("users") if u["employee_id"] == user["userId"])
    few.crm.delete("users", gone["id"])
    few.oa.change("user", user["userId"], name="Changed")

    run = run_now(users_sync)

    assert (run.state, run.balanced, run.counts["moved"]) == ("with_rejects", True, 1)
    assert reasons(OpenRow.objects.open()) == {user["userId"]: f"CRM no longer has Users {gone['id']}. Replay it to create it again, or dismiss it."}
    services.replay_rejects(OpenRow.objects.all(), by=by)
    assert finish(users_sync.runs.latest("pk")).state == "succeeded"
    assert_equal(few)
