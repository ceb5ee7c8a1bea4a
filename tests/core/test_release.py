from types import SimpleNamespace

import pytest
from django.db.migrations.recorder import MigrationRecorder

from integration_hub.core import release

pytestmark = pytest.mark.django_db
seen = MigrationRecorder.Migration.objects


def test_code_and_database_of_one_release_fit():
    assert release.misfit() == ""


def test_a_database_that_lacks_migrations_does_not_fit():
    seen.filter(app="accounts").delete()
    lacking = release.missing_migrations()

    assert lacking[0] == "accounts.0001_initial"
    assert release.misfit() == f"The database lacks {len(lacking)} migrations of this release: run manage.py setup."


@pytest.mark.parametrize("app", ["core", "an_app_that_came_later"])
def test_a_database_with_a_migration_that_the_code_does_not_know_is_of_a_newer_release(app):
    seen.create(app=app, name="0999_newer")

    assert release.misfit() == f"The database is of a newer release ({app}.0999_newer is not known here): bring this machine to that release."


def test_what_one_migration_stands_for_is_known(monkeypatch):
    names = set(seen.values_list("app", "name"))
    squashed = {("core", "0001_squashed"): SimpleNamespace(replaces=sorted(names))}
    monkeypatch.setattr(release, "MigrationLoader", lambda connection: SimpleNamespace(disk_migrations=squashed))
    release._code.cache_clear()

    unknown = release.unknown_migrations()

    release._code.cache_clear()
    assert unknown == []
