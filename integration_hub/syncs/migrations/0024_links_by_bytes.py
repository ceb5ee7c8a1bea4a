"""Links on PostgreSQL: keys compared byte for byte, and room on each page for their next version.

Keys are compared byte for byte everywhere in the hub. By the collation of the database each step through an index would ask the C library to compare two
texts by a language's rules. And an update of a link changes none of its keys: where the page has room for the new version, no index is written.
"""

from django.apps.registry import Apps
from django.db import migrations
from django.db.backends.base.schema import BaseDatabaseSchemaEditor

KEYS = {"a_key": 500, "b_key": 500, "part": 200}


def by_bytes(apps: Apps, editor: BaseDatabaseSchemaEditor) -> None:
    _alter(editor, 'COLLATE "C"', "SET (fillfactor = 90)")


def by_language(apps: Apps, editor: BaseDatabaseSchemaEditor) -> None:
    _alter(editor, "", "RESET (fillfactor)")


def _alter(editor: BaseDatabaseSchemaEditor, collation: str, room: str) -> None:
    if editor.connection.vendor == "postgresql":
        columns = ", ".join(f"ALTER COLUMN {name} TYPE varchar({length}) {collation}" for name, length in KEYS.items())
        editor.execute(f"ALTER TABLE syncs_link {columns}")
        editor.execute(f"ALTER TABLE syncs_link {room}")


class Migration(migrations.Migration):
    dependencies = [
        ("syncs", "0023_keys_of_plans"),
    ]

    operations = [migrations.RunPython(by_bytes, by_language)]
