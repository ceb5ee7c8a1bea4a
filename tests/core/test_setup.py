import pytest
from django.core.management import call_command

pytestmark = pytest.mark.django_db


def test_the_first_administrator_is_told_once(capsys, settings, tmp_path, django_user_model):
    settings.STATIC_ROOT = tmp_path

    call_command("setup")
    call_command("setup")

    said = capsys.readouterr().out
    password = said.split("password ")[1].split()[0]
    assert said == f"Sign in as admin with the password {password} (it is shown only now).\n"
    admin = django_user_model.objects.get()
    assert admin.check_password(password)
    assert admin.role == "administrator"


def test_where_there_is_somebody_nobody_is_added(capsys, settings, tmp_path, person, django_user_model):
    settings.STATIC_ROOT = tmp_path
    person("viewer")

    call_command("setup")

    assert capsys.readouterr().out == ""
    assert django_user_model.objects.count() == 1
