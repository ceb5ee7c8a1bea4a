"""The form of a system's settings, as a browser sends it."""

import pytest
from django.contrib.messages import get_messages
from django.urls import reverse
from django.utils import translation

from integration_hub.systems.models import System

pytestmark = pytest.mark.django_db
ADDRESS = reverse("systems:register", args=["rest"])
SHOP = {
    "do": "save", "name": "Shop", "base_url": "https://shop.example.com", "auth#tag": "none", "check_interval_seconds": "60", "entities#count": "1",
    "entities/0/name": "customers", "entities/0/key": "id", "entities/0/list/path": "/customers", "entities/0/list/pagination#tag": "none",
    "entities/0/create#there": "on", "entities/0/create/path": "/customers", "entities/0/create/method": "POST", "entities/0/create/body": "{record}",
}  # fmt: skip
ADVICE = "customers: Create names neither a key path nor a record path"


@pytest.fixture
def browser(client, person):
    client.force_login(person("integrator"), backend="django.contrib.auth.backends.ModelBackend")
    return client


def told_by(answer):
    return " ".join(map(str, get_messages(answer.wsgi_request)))


def test_a_create_that_tells_no_key_is_saved_with_a_warning(browser):
    warned = told_by(browser.post(ADDRESS, SHOP))
    mended = told_by(browser.post(reverse("systems:change", args=["shop"]), SHOP | {"entities/0/create/key_path": "id"}))

    assert ADVICE in warned
    assert mended.count(ADVICE) == 1  # that from before


@pytest.mark.parametrize(
    ("posted", "english", "chinese"),
    [
        ({"base_url": ""}, "The address must begin with https:// or http://", "地址必须以 https:// 或 http:// 开头"),
        ({"base_url": "http://shop.example.com:99999"}, "a port up to 65535", "不得大于 65535"),
        ({"base_url": "https://me:secret@shop.example.com"}, "User and password belong under Authentication", "用户名和密码请填在"),
        ({"connection/tries": "99"}, "tries must be at most 10.", "tries"),
        (
            {"entities#count": "2", "entities/1/name": "customers", "entities/1/list/path": "/c"},
            "The entity customers is declared twice.",
            "声明了两次",
        ),
    ],
)
def test_what_is_wrong_is_told_in_the_readers_language(browser, posted, english, chinese):
    told = browser.post(ADDRESS, SHOP | posted).content.decode()
    browser.cookies["django_language"] = "zh-hans"
    with translation.override("zh-hans"):  # which also puts the language back behind the request
        translated = browser.post(ADDRESS, SHOP | posted).content.decode()

    assert english in told
    assert chinese in translated
    assert english not in translated
    assert not System.objects.exists()


def test_all_that_is_wrong_is_told_at_once(browser):
    limits = {"check_interval_seconds": "5", "requests_per_second": "0", "requests_per_minute": "0", "requests_per_day": "-1"}
    posted = {"name": "", "base_url": "", "connection/tries": "99", "entities/0/create/body": '["id"', **limits}

    answer = browser.post(ADDRESS, SHOP | posted)

    told = answer.content.decode()
    assert answer.context["form"].errors.keys() == {"name", *limits}
    assert "The address must begin with https:// or http://" in told
    assert "tries must be at most 10." in told
    assert "“[&quot;id&quot;” is not valid JSON." in told
    assert not System.objects.exists()
