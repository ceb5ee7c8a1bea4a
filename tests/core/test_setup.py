import pytest
from django.core.management import call_command

from integration_hub.audit.models import Entry

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def folders(settings, tmp_path):
    settings.STATIC_ROOT = tmp_path / "static"
    settings.STORAGES = {**settings.STORAGES, "default": {**settings.STORAGES["default"], "OPTIONS": {"location": str(tmp_path / "storage")}}}


def test_the_first_administrator_is_told_once(capsys, django_user_model):
    call_command("setup")
    call_command("setup")

    said = capsys.readouterr().out
    password = said.split("password ")[1].split()[0]
    assert said == f"Sign in as admin with the password {password} (it is shown only now).\n"
    admin = django_user_model.objects.get()
    assert admin.check_password(password)
    assert admin.role == "administrator"
    (entry,) = Entry.objects.all()
    assert (entry.event, entry.subject_name, entry.changes) == ("person.created", str(admin), {"role": ["", "administrator"]})
    assert password not in str(vars(entry))


def test_where_there_is_somebody_nobody_is_added(capsys, person, django_user_model):
    person("viewer")

    call_command("setup")

    assert capsys.readouterr().out == ""
    assert django_user_model.objects.count() == 1
