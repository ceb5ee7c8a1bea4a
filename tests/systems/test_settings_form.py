"""What is drawn, posted and read again is what there was, for every kind of field."""

from typing import Annotated, Any, Literal

import pytest
from pydantic import BaseModel, Field

from connectors.rest import RestConnector, RestSettings
from integration_hub.systems.connection import keep_secrets, validate_settings
from integration_hub.systems.settings_form import Setting, draw, read, title_of_part
from tests import demo

URL = "https://demo.example.com"
Secret = Annotated[str, Field(json_schema_extra={"secret": True}, repr=False)]


class One(BaseModel, extra="forbid"):
    type: Literal["one"] = "one"
    user: str = Field(title="User")
    key: Secret = Field("", title="Key")


class Two(BaseModel, extra="forbid"):
    type: Literal["two"] = "two"
    values: dict[str, str] = Field({}, title="Values", json_schema_extra={"secret": True})


class Inner(BaseModel, extra="forbid"):
    name: str = Field(title="Name")
    sizes: tuple[int, ...] = Field((), title="Sizes")


class Everything(BaseModel, extra="forbid"):
    text: str = Field(title="Text", description="Any.")
    maybe: str | None = Field(None, title="Maybe")
    number: int = Field(5, title="Number", ge=1)
    yes: bool = Field(True, title="Yes")
    choice: Literal["a", "b"] = Field("a", title="Choice")
    lines: tuple[str, ...] = Field(("x",), title="Lines")
    pairs: dict[str, str] = Field({}, title="Pairs")
    body: Any = Field(None, title="Body")
    inner: Inner | None = Field(None, title="Inner")
    auth: Annotated[One | Two, Field(discriminator="type")] = Field(Two(), title="Sign-in")
    items: tuple[Inner, ...] = Field((), title="Items")


FULL = {
    "text": "t", "maybe": "m", "number": 7, "yes": False, "choice": "b", "lines": ["p", "q"], "pairs": {"A": "1: 2"},
    "body": {"a": ["{record}"]}, "inner": {"name": "n", "sizes": [1, 2]}, "auth": {"type": "one", "user": "u"},
    "items": [{"name": "i0", "sizes": []}, {"name": "i1", "sizes": [3]}],
}  # fmt: skip


def posted(settings: list[Setting]) -> dict[str, str]:
    """What a browser sends of the form as it was drawn."""
    sent: dict[str, str] = {}
    for one in settings:
        if one.kind in ("group", "union"):
            if one.optional and one.value:
                sent[f"{one.path}#there"] = "on"
            if one.kind == "union":
                sent[f"{one.path}#tag"] = one.summary
            sent |= posted(one.parts)
        elif one.kind == "list":
            sent[f"{one.path}#count"] = str(one.value)
            for item in one.parts:
                sent |= ({f"{item.path}#tag": item.summary} if item.choices else {}) | posted(item.parts)
        elif one.kind == "check":
            sent |= {one.path: "on" if one.value else ""}
        elif one.kind == "secret":
            sent |= {one.path: ""} | ({f"{one.path}#typed": one.sealed} if one.sealed else {})
        else:
            sent |= {one.path: str(one.value)} | ({f"{one.path}#there": "on"} if one.optional and one.is_open else {})
    return sent


def test_what_is_drawn_and_sent_back_is_what_there_was():
    settings, errors = read(Everything, posted(draw(Everything, FULL)))

    assert errors == {}
    assert Everything.model_validate(settings) == Everything.model_validate(FULL)


@pytest.mark.parametrize("maybe", [None, "", "m"])
def test_an_empty_text_and_none_are_two_things(maybe):
    settings, _errors = read(Everything, posted(draw(Everything, {**FULL, "maybe": maybe})))

    assert settings["maybe"] == maybe


@pytest.mark.parametrize("name", demo.systems(URL))
def test_the_systems_of_the_demo_survive_their_form(name):
    _model, plain, sealed = validate_settings(RestConnector, demo.systems(URL)[name], {})

    again, errors = read(RestSettings, posted(draw(RestSettings, plain, stored=sealed)))

    assert errors == {}
    assert validate_settings(RestConnector, keep_secrets(RestConnector, plain, sealed, again), {})[1:] == (plain, sealed)


def test_an_empty_form_holds_the_defaults():
    settings, errors = read(Everything, posted(draw(Everything, {})) | {"text": "t"})

    assert errors == {}
    assert Everything.model_validate(settings) == Everything(text="t")


def test_a_part_chosen_just_now_begins_with_its_defaults():
    settings, _errors = read(RestSettings, {"auth#tag": "oauth2_authorization_code"})
    assert find(draw(RestSettings, settings), "auth/pkce").value is True

    settings, _errors = read(RestSettings, {"auth#tag": "oauth2_authorization_code", "auth/pkce": ""})
    assert find(draw(RestSettings, settings), "auth/pkce").value is False


def test_beside_the_address_of_consent_stands_where_to_return_to():
    drawn = draw(RestSettings, {"auth": {"type": "oauth2_authorization_code"}})

    assert find(drawn, "auth/authorization_url").return_address == "http://localhost:8000/systems/connected/"
    assert find(drawn, "auth/token_url").return_address == ""


@pytest.mark.parametrize(
    ("auth", "title"), [({"type": "basic"}, "User and password"), ({"type": "oauth2_authorization_code"}, "OAuth 2, by a person's consent")]
)
def test_a_chosen_part_is_named_as_in_the_form(auth, title):
    assert title_of_part(RestSettings, "auth", {"auth": auth}) == title
    assert title_of_part(RestSettings, "base_url", {"auth": auth}) == ""


def test_the_rest_connector_survives_its_form():
    entity = {
        "name": "contacts",
        "fields": [{"name": "id", "type": "integer"}, {"name": "address.city", "max_length": 50}],
        "list": {"path": "/contacts", "pagination": {"type": "page", "size": 50}, "changed_since": {"parameter": "since"}},
        "lookups": [{"path": "/contacts/{value}"}],
        "create": {"path": "/contacts", "body": {"data": "{record}"}},
        "bulk": [{"path": "/bulk", "results": {"path": "results"}}],
    }
    settings = {"base_url": "https://crm.example.com/api", "auth": {"type": "api_key", "key": "k", "name": "X-Key"}, "entities": [entity]}
    model = RestSettings.model_validate(settings)

    again, errors = read(RestSettings, posted(draw(RestSettings, settings)) | {"auth/key": "k"})

    assert errors == {}
    assert RestSettings.model_validate(again) == model


def find(settings: list[Setting], path: str) -> Setting:
    for one in settings:
        if one.path == path:
            return one
        if path.startswith(f"{one.path}/") and one.parts:
            return find(one.parts, path)
    raise LookupError(path)


def test_secrets_are_never_drawn_but_told_to_be_there():
    drawn = draw(Everything, {"auth": {"type": "one", "user": "u", "key": "hunter2"}}, stored=["auth/key"])

    key = find(drawn, "auth/key")
    assert (key.value, key.is_stored, key.sealed) == ("", True, "")
    assert "hunter2" not in repr(drawn)


@pytest.mark.parametrize(
    ("path", "typed", "read_as"), [("auth/key", "hunter2", "hunter2"), ("auth/values", "corp: 1\nsecret: 2", {"corp": "1", "secret": "2"})]
)
def test_a_secret_typed_just_now_travels_on_sealed(path, typed, read_as):
    tag = {"auth#tag": "one" if path == "auth/key" else "two"}
    settings, _errors = read(Everything, {path: typed, **tag})
    drawn = draw(Everything, settings, typed={path: typed, **tag})
    assert typed not in repr(drawn)

    again, _errors = read(Everything, posted(drawn))

    assert again["auth"][path.split("/")[1]] == read_as


@pytest.mark.parametrize("forged", ["k1:rubbish", "rubbish", "k9:gAAAA"])
def test_a_sealed_secret_that_is_forged_is_none(forged):
    settings, _errors = read(Everything, {"auth#tag": "one", "auth/key#typed": forged})

    assert "key" not in settings["auth"]


@pytest.mark.parametrize(
    ("change", "names"),
    [
        ("add:items", ["i0", "i1", None]),
        ("remove:items/0", ["i1"]),
        ("remove:items/9", ["i0", "i1"]),
        ("add:nowhere", ["i0", "i1"]),
        ("x", ["i0", "i1"]),
    ],
)
def test_lists_grow_and_shrink(change, names):
    settings, _errors = read(Everything, posted(draw(Everything, FULL)), change=change)

    assert [item.get("name") for item in settings["items"]] == names


@pytest.mark.parametrize(
    ("path", "text", "sentence"),
    [("pairs", "no colon", "is not of the form name: value"), ("body", '{"a": ', "is not valid JSON"), ("body", "[1,", "is not valid JSON")],
)
def test_what_cannot_be_read_is_told_at_its_place_and_stays_as_typed(path, text, sentence):
    settings, errors = read(Everything, {path: text})

    assert sentence in errors[f"settings.{path}"][0]
    assert find(draw(Everything, settings, errors=errors, typed={path: text}), path).value == text


@pytest.mark.parametrize(
    ("text", "value"), [("", None), ("{record}", "{record}"), ('{"a": 1}', {"a": 1}), ("[1]", [1]), ("7", 7), ("plain", "plain")]
)
def test_a_body_is_json_or_a_placeholder(text, value):
    assert read(Everything, {"body": text})[0]["body"] == value


def test_errors_stand_at_their_fields_and_open_what_is_folded():
    with pytest.raises(Exception) as raised:
        validate_settings(type("K", (), {"Settings": Everything}), {**FULL, "items": [{"name": "a", "sizes": ["x"]}]}, {})

    drawn = draw(Everything, FULL, errors=raised.value.message_dict)

    assert find(drawn, "items").is_open
    assert find(drawn, "items/0").is_open


def test_a_list_longer_than_anyone_fills_in_is_cut():
    assert len(read(Everything, {"items#count": "99999"})[0]["items"]) == 200
    assert read(Everything, {"items#count": "9" * 50})[0]["items"] == []
