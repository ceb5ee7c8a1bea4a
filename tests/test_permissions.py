"""The one table of who may call what: every address of the hub stands here, or this test fails.

A line says what each role gets: a permission of roles.PERMISSIONS that is asked for, EVERYONE for whoever is signed in, ANYONE for strangers too.
Who may not see gets 404, who may not do gets 403, a stranger is sent to the sign-in (console) or asked for a token (API).
"""

import re

import pytest
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver
from django.views.generic import RedirectView

from integration_hub.accounts import services as accounts
from integration_hub.accounts.actor import Actor
from integration_hub.accounts.roles import PERMISSIONS, Role
from integration_hub.mappings.models import Mapping, MappingVersion
from integration_hub.syncs.models import Pair, Run, Sync
from integration_hub.systems.models import Entity
from tests.fakes import CONTACTS

ANYONE, EVERYONE = "anyone", "everyone"

# Django's and the shell's own addresses, which have tests of their own.
EXEMPT = re.compile(
    r"^(admin/|login/|logout/|password_change/done/|autocomplete/|jsi18n/|r/|search/|toggle-sidebar/|language/|static/|auth/|axes/|<app_label>/)"
)

API: dict[str, str] = {
    "GET api/v1/connectors/": "systems.view",
    "GET api/v1/config/": "config.export",
    "POST api/v1/config/diff/": "config.apply",
    "POST api/v1/config/apply/": "config.apply",
    "GET api/v1/schema/": EVERYONE,
    "GET api/v1/people/": "accounts.view",
    "POST api/v1/people/": "accounts.change",
    "GET api/v1/people/me/": EVERYONE,
    "GET api/v1/people/<pk>/": "accounts.view",
    "PATCH api/v1/people/<pk>/": "accounts.change",
    "GET api/v1/tokens/": "tokens.own",
    "POST api/v1/tokens/": "tokens.own",
    "GET api/v1/tokens/<pk>/": "tokens.own",
    "POST api/v1/tokens/<pk>/revoke/": "tokens.own",
    "GET api/v1/systems/": "systems.view",
    "POST api/v1/systems/": "systems.change",
    "GET api/v1/systems/<slug>/": "systems.view",
    "PATCH api/v1/systems/<slug>/": "systems.change",
    "DELETE api/v1/systems/<slug>/": "systems.delete",
    "POST api/v1/systems/<slug>/check/": "systems.check",
    "GET api/v1/systems/<slug>/checks/": "systems.view",
    "POST api/v1/systems/<slug>/discover/": "systems.change",
    "POST api/v1/systems/<slug>/select/": "systems.change",
    "POST api/v1/systems/<slug>/start-maintenance/": "systems.check",
    "POST api/v1/systems/<slug>/end-maintenance/": "systems.check",
    "GET api/v1/systems/<slug>/entities/": "systems.view",
    "GET api/v1/systems/<slug>/entities/<name>/": "systems.view",
    "POST api/v1/systems/<slug>/entities/<name>/accept/": "systems.change",
    "GET api/v1/systems/<slug>/entities/<name>/sample/": "records.view",
    "GET api/v1/mappings/": "mappings.view",
    "POST api/v1/mappings/": "mappings.change",
    "GET api/v1/mappings/<pk>/": "mappings.view",
    "PATCH api/v1/mappings/<pk>/": "mappings.change",
    "DELETE api/v1/mappings/<pk>/": "mappings.delete",
    "POST api/v1/mappings/<pk>/publish/": "mappings.publish",
    "POST api/v1/mappings/<pk>/preview/": "records.view",
    "GET api/v1/mappings/<pk>/versions/": "mappings.view",
    "GET api/v1/mappings/<pk>/versions/<number>/": "mappings.view",
    "GET api/v1/syncs/": "syncs.view",
    "POST api/v1/syncs/": "syncs.change",
    "GET api/v1/syncs/<pk>/": "syncs.view",
    "PATCH api/v1/syncs/<pk>/": "syncs.change",
    "DELETE api/v1/syncs/<pk>/": "syncs.delete",
    "POST api/v1/syncs/<pk>/run/": "syncs.run",
    "GET api/v1/syncs/<pk>/trace/": "records.view",
    "POST api/v1/syncs/<pk>/pause/": "syncs.cancel",
    "POST api/v1/syncs/<pk>/resume/": "syncs.cancel",
    "GET api/v1/syncs/<pk>/cursor/": "syncs.view",
    "PUT api/v1/syncs/<pk>/cursor/": "syncs.change",
    "GET api/v1/sync-groups/": "syncs.view",
    "POST api/v1/sync-groups/run/": "syncs.run",
    "POST api/v1/sync-groups/pause/": "syncs.cancel",
    "POST api/v1/sync-groups/resume/": "syncs.cancel",
    "GET api/v1/pairs/": "syncs.view",
    "GET api/v1/pairs/<pk>/": "syncs.view",
    "DELETE api/v1/pairs/<pk>/": "syncs.delete",
    "GET api/v1/runs/": "syncs.view",
    "GET api/v1/runs/<pk>/": "syncs.view",
    "POST api/v1/runs/<pk>/cancel/": "syncs.cancel",
    "POST api/v1/runs/<pk>/pause/": "syncs.cancel",
    "POST api/v1/runs/<pk>/resume/": "syncs.cancel",
    "GET api/v1/runs/<pk>/log/": "syncs.view",
    "GET api/v1/runs/<pk>/changes/": "records.view",
    "GET api/v1/runs/<pk>/plan/": "records.view",
    "POST api/v1/runs/<pk>/approve/": "plans.approve",
    "POST api/v1/runs/<pk>/apply/": "plans.apply",
    "POST api/v1/runs/<pk>/undo/": "plans.undo",
    "POST api/v1/syncs/<pk>/undo/": "plans.undo",
    "GET api/v1/syncs/<pk>/story/": "records.view",
    "GET api/v1/syncs/<pk>/drift/": "records.view",
    "GET api/v1/rejects/": "rejects.view",
    "GET api/v1/rejects/<pk>/": "rejects.view",
    "GET api/v1/rejects/groups/": "rejects.view",
    "POST api/v1/rejects/replay/": "rejects.resolve",
    "POST api/v1/rejects/dismiss/": "rejects.resolve",
    "GET api/v1/decisions/": "decisions.view",
    "GET api/v1/decisions/<pk>/": "decisions.view",
    "POST api/v1/decisions/<pk>/decide/": "decisions.decide",
    "POST api/v1/rejects/assign/": "rejects.assign",
    "POST api/v1/rejects/<pk>/mend/": "rejects.mend",
    "POST api/v1/rejects/<pk>/forget-mend/": "rejects.mend",
    "POST api/v1/rejects/<pk>/value-map/": "mappings.change",
    "POST api/v1/rejects/<pk>/link/": "rejects.resolve",
}
PAGES: dict[str, str] = {
    "GET ": EVERYONE,
    "GET api/v1/reference/": EVERYONE,
    "GET systems/": "systems.view",
    "GET systems/export.csv": "systems.view",
    "GET systems/add/": "systems.change",
    "GET systems/add/<kind>/": "systems.change",
    "POST systems/add/<kind>/": "systems.change",
    "GET systems/connected/": "systems.change",
    "GET systems/<slug>/": "systems.view",
    "GET systems/<slug>/change/": "systems.change",
    "POST systems/<slug>/change/": "systems.change",
    "POST systems/<slug>/check/": "systems.check",
    "POST systems/<slug>/connect/": "systems.change",
    "POST systems/<slug>/delete/": "systems.delete",
    "POST systems/<slug>/take/": "systems.check",
    "POST systems/<slug>/discover/": "systems.change",
    "GET systems/<slug>/entities/": "systems.change",
    "POST systems/<slug>/entities/": "systems.change",
    "GET systems/<slug>/maintenance/": "systems.check",
    "POST systems/<slug>/maintenance/": "systems.check",
    "POST systems/<slug>/maintenance/end/": "systems.check",
    "GET systems/<slug>/entities/<name>/": "systems.view",
    "POST systems/<slug>/entities/<name>/accept/": "systems.change",
    "GET systems/<slug>/entities/<name>/sample/": "records.view",
    "GET mappings/": "mappings.view",
    "GET mappings/export.csv": "mappings.view",
    "GET mappings/add/": "mappings.change",
    "POST mappings/add/": "mappings.change",
    "GET mappings/<pk>/": "mappings.view",
    "POST mappings/<pk>/": "mappings.change",
    "GET mappings/<pk>/preview/": "records.view",
    "POST mappings/<pk>/preview/": "records.view",
    "POST mappings/<pk>/delete/": "mappings.delete",
    "GET mappings/<pk>/publish/": "mappings.publish",
    "POST mappings/<pk>/publish/": "mappings.publish",
    "GET mappings/<pk>/versions/": "mappings.view",
    "GET mappings/<pk>/versions/<number>/": "mappings.view",
    "POST mappings/<pk>/versions/<number>/take-over/": "mappings.change",
    "GET syncs/": "syncs.view",
    "GET syncs/export.csv": "syncs.view",
    "GET syncs/new/": "syncs.change",
    "POST syncs/new/": "syncs.change",
    "GET syncs/due/": "syncs.view",
    "GET syncs/together/": "syncs.change",
    "POST syncs/together/": "syncs.change",
    "POST syncs/groups/run/": "syncs.run",
    "POST syncs/groups/pause/": "syncs.cancel",
    "POST syncs/groups/resume/": "syncs.cancel",
    "GET syncs/<pk>/": "syncs.view",
    "GET syncs/<pk>/edit/": "syncs.change",
    "POST syncs/<pk>/edit/": "syncs.change",
    "POST syncs/<pk>/run/": "syncs.run",
    "GET syncs/<pk>/records/": "syncs.run",
    "POST syncs/<pk>/records/": "syncs.run",
    "GET syncs/<pk>/trace/": "records.view",
    "GET syncs/<pk>/cursor/": "syncs.change",
    "POST syncs/<pk>/cursor/": "syncs.change",
    "POST syncs/<pk>/pause/": "syncs.cancel",
    "POST syncs/<pk>/resume/": "syncs.cancel",
    "POST syncs/<pk>/take/": "syncs.run",
    "POST syncs/<pk>/delete/": "syncs.delete",
    "GET syncs/pairs/<pk>/": "syncs.view",
    "POST syncs/pairs/<pk>/delete/": "syncs.delete",
    "GET runs/": "syncs.view",
    "GET runs/export.csv": "syncs.view",
    "GET runs/<number>/": "syncs.view",
    "GET runs/<number>/changes.csv": "records.view",
    "GET runs/<number>/log/": "syncs.view",
    "GET runs/<number>/changes/": "records.view",
    "GET runs/<number>/changes/<change_set>/<row>/": "records.view",
    "POST runs/<number>/cancel/": "syncs.cancel",
    "POST runs/<number>/pause/": "syncs.cancel",
    "POST runs/<number>/resume/": "syncs.cancel",
    "GET runs/<number>/plan/": "records.view",
    "GET runs/<number>/plan/approve/": "plans.approve",
    "POST runs/<number>/plan/approve/": "plans.approve",
    "POST runs/<number>/plan/apply/": "plans.apply",
    "GET runs/<number>/undo/": "plans.undo",
    "POST runs/<number>/undo/": "plans.undo",
    "GET syncs/<pk>/story/": "records.view",
    "GET syncs/<pk>/drift/": "records.view",
    "GET syncs/<pk>/story/now/": "records.view",
    "GET syncs/<pk>/undo/": "plans.undo",
    "POST syncs/<pk>/undo/": "plans.undo",
    "GET rejects/": "rejects.view",
    "GET rejects/export.csv": "rejects.view",
    "GET rejects/export.xlsx": "rejects.view",
    "GET rejects/<pk>/mend/": "rejects.mend",
    "POST rejects/<pk>/mend/": "rejects.mend",
    "POST rejects/<pk>/mend/forget/": "rejects.mend",
    "POST rejects/<pk>/value-map/": "mappings.change",
    "GET rejects/<pk>/link/": "rejects.resolve",
    "POST rejects/<pk>/link/": "rejects.resolve",
    "POST rejects/assign/": "rejects.assign",
    "GET rejects/causes/<sync>/<cause>/": "rejects.view",
    "GET rejects/<pk>/": "rejects.view",
    "POST rejects/replay/": "rejects.resolve",
    "POST rejects/dismiss/": "rejects.resolve",
    "GET decisions/": "decisions.view",
    "GET decisions/export.csv": "decisions.view",
    "GET decisions/<pk>/": "decisions.view",
    "POST decisions/<pk>/answer/": "decisions.decide",
    "GET help/": EVERYONE,
    "GET help/<slug>/": EVERYONE,
    "POST help/tour/": EVERYONE,
    "GET settings/": ANYONE,  # goes on to the profile
    "GET password_change/": ANYONE,  # goes on to ours
    "GET settings/profile/": EVERYONE,
    "POST settings/profile/": EVERYONE,
    "GET settings/password/": EVERYONE,
    "POST settings/password/": EVERYONE,
    "GET settings/tokens/": "tokens.own",
    "GET settings/tokens/export.csv": "tokens.own",
    "GET settings/tokens/add/": "tokens.own",
    "POST settings/tokens/add/": "tokens.own",
    "POST settings/tokens/<pk>/revoke/": "tokens.own",
    "POST settings/mails/send/": "accounts.change",
    "GET settings/people/": "accounts.view",
    "GET settings/people/export.csv": "accounts.view",
    "GET settings/people/add/": "accounts.change",
    "POST settings/people/add/": "accounts.change",
    "GET settings/people/<pk>/": "accounts.change",
    "POST settings/people/<pk>/": "accounts.change",
}
TABLE = API | PAGES
# What stands in the addresses: things that exist, so that who may not is refused for that reason (see `things`).
THINGS = {
    "slug": "crm",
    "name": "contacts",
    "kind": "memory",
    "pk": "999999",
    "number": "999999",
    "sync": "999999",
    "cause": "c",
    "change_set": "999999",
    "row": "0",
}
# Where those who may go on to be refused for what they send: the address stands for no record, or the body is empty.
ANSWERS = {200, 201, 204, 302, 400, 404, 405, 409, 415, 422, 429, 502, 503}


def addresses():
    """Every (method, address) that the hub answers, addresses with <names> in place of their parts."""
    found = set()
    for pattern, callback in _patterns(get_resolver(), ""):
        methods = _methods(callback)
        found |= {f"{method} {pattern}" for method in methods}
    return found


def _patterns(resolver: URLResolver, before: str):
    for part in resolver.url_patterns:
        text = before + _plain(str(part.pattern))
        if EXEMPT.match(text):
            continue
        if isinstance(part, URLResolver):
            yield from _patterns(part, text)
        elif isinstance(part, URLPattern) and "format" not in text:
            yield text, part.callback


def _plain(pattern: str) -> str:
    text = re.sub(r"\(\?P<(\w+)>(?:[^()]|\([^()]*\))*\)", r"<\1>", pattern)
    return re.sub(r"<\w+:(\w+)>", r"<\1>", text).replace("^", "").replace("$", "").replace("\\Z", "").replace("\\", "")


def _methods(callback):
    if actions := getattr(callback, "actions", None):
        return {method.upper() for method in actions} - {"HEAD"}
    if getattr(callback, "view_class", None) is RedirectView:
        return {"GET"}
    view = getattr(callback, "view_class", None) or getattr(callback, "cls", None)
    if view is None:
        return {"GET"}
    return {method.upper() for method in ("get", "post", "put", "patch", "delete") if hasattr(view, method) and method in view.http_method_names}


def test_every_address_stands_in_the_table():
    assert addresses() - TABLE.keys() == set()
    assert TABLE.keys() - addresses() == set()


def test_every_permission_is_asked_for_somewhere():
    assert PERMISSIONS.keys() == set(TABLE.values()) - {ANYONE, EVERYONE}


def call(client, line, ids=THINGS):
    method, _space, pattern = line.partition(" ")
    address = "/" + re.sub(r"<(\w+)>", lambda part: ids.get(part[1], "nothing"), pattern)
    return getattr(client, method.lower())(address, content_type="application/json") if method != "GET" else client.get(address)


@pytest.fixture
def things(db, make_system):
    crm = make_system()
    contacts = Entity.objects.create(system=crm, name="contacts", schema=CONTACTS.model_dump(mode="json"), selected=True)
    people = Entity.objects.create(system=make_system("OA"), name="people", schema=CONTACTS.model_dump(mode="json"), selected=True)
    mapping = Mapping.objects.create(name="People to contacts", source=people, target=contacts)
    version = MappingVersion.objects.create(
        mapping=mapping,
        number=1,
        definition={"fields": [{"target": "name", "source": "name"}]},
        source_schema=people.schema,
        target_schema=contacts.schema,
        published_by="Ada",
    )
    pair = Pair.objects.create(pk=999999, a=people, b=contacts)
    sync = Sync.objects.create(pk=999999, name="People → contacts", pair=pair, mapping=mapping)
    Run.objects.create(
        pk=999999,
        sync=sync,
        pair=pair,
        name=sync.name,
        direction=sync.direction,
        mode=sync.mode,
        mapping_version=version,
        trigger="hand",
        actor_kind="person",
    )


@pytest.fixture
def clients(things, person):
    """A signed-in client for each role, and a stranger's."""
    clients = {None: Client()}
    for role in Role:
        clients[role] = Client()
        clients[role].force_login(person(role.value), backend="django.contrib.auth.backends.ModelBackend")
    for client in clients.values():
        client.raise_request_exception = False
    return clients


def test_a_stranger_comes_in_nowhere(clients):
    wrong = {}
    for line, wanted in TABLE.items():
        status = call(clients[None], line).status_code
        right = ANSWERS if wanted == ANYONE else {401} if line in API else {302}
        if status not in right:
            wrong[line] = status

    assert wrong == {}


@pytest.mark.parametrize("role", list(Role))
def test_each_role_may_do_what_the_table_says_and_nothing_else(clients, role):
    wrong = {}
    for line, wanted in sorted(TABLE.items(), key=lambda pair: pair[0].startswith("DELETE")):
        status = call(clients[role], line).status_code
        may = wanted in (ANYONE, EVERYONE) or role in PERMISSIONS[wanted]
        right = ANSWERS if may else {404} if wanted.endswith(".view") else {403}
        if status not in right:
            wrong[line] = status

    assert wrong == {}


def test_a_token_without_the_scope_may_not(things, person, api):
    administrator = Actor.of(person("administrator"))
    client = api(administrator, scopes=["tokens.own"])

    wrong = [line for line, wanted in API.items() if wanted not in (EVERYONE, "tokens.own") and call(client, line).status_code not in (403, 404)]

    assert wrong == []


# Ids that nobody has, in place of THINGS.
GUESSES = {"slug": "nobody", "name": "nothing", "pk": "888888", "number": "888888", "sync": "888888", "change_set": "888888"}


def test_whoever_guesses_an_id_without_the_right_to_see_it_gets_the_404_of_one_that_nobody_has(things, person, api):
    client = api(Actor.of(person("administrator")), scopes=["tokens.own"])
    wrong = {}
    for line, wanted in API.items():
        if "<" in line and wanted not in (EVERYONE, "tokens.own"):
            there, guessed = call(client, line), call(client, line, GUESSES)
            right = 404 if wanted.endswith(".view") else 403  # the right to act is asked for before the thing
            if (there.status_code, guessed.status_code) != (right, right) or there.json()["detail"] != guessed.json()["detail"]:
                wrong[line] = (there.content, guessed.content)

    assert wrong == {}


@pytest.mark.parametrize("role", [role for role in Role if role not in PERMISSIONS["accounts.view"]])
def test_whoever_guesses_the_ids_of_people_and_of_tokens_of_others_gets_404_in_console_api_and_export(clients, person, role, api):
    other = person("administrator", username="other")
    token, _key = accounts.create_token(name="CI", scopes=["systems.view"], by=Actor.of(other))
    client = clients[role]

    api_client = api(Actor.of(person(role.value, username="guesser")))
    answers = {
        "people": api_client.get(f"/api/v1/people/{other.pk}/"),
        "tokens": api_client.get(f"/api/v1/tokens/{token.pk}/"),
        "revoke": api_client.post(f"/api/v1/tokens/{token.pk}/revoke/"),
        "page": client.post(f"/settings/tokens/{token.pk}/revoke/"),
        "export": client.get("/settings/people/export.csv"),
    }

    assert {name: answer.status_code for name, answer in answers.items()} == dict.fromkeys(answers, 404)
    token.refresh_from_db()
    assert token.revoked_at is None
