"""Releases of the hub as a database shows them: an older one lacks the last migrations of each app, a newer one has brought one that nobody here knows."""

from collections.abc import Iterator
from contextlib import contextmanager

from django.apps import apps
from django.core.management import call_command
from django.db import connection, migrations, models
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.recorder import MigrationRecorder

Node = tuple[str, str]  # (app, migration)
OWN = sorted(config.label for config in apps.get_app_configs() if config.name.startswith("integration_hub."))


@contextmanager
def database_of_its_own() -> Iterator[None]:
    """An empty copy of the test database, so that the other tests find theirs as it was, wherever this one ends."""
    shared, creation = connection.settings_dict["NAME"], connection.creation
    connection.close()
    creation.clone_test_db("releases", verbosity=0)
    connection.settings_dict["NAME"] = creation.get_test_db_clone_settings("releases")["NAME"]
    try:
        call_command("flush", verbosity=0, interactive=False)
        yield
    finally:
        connection.close()
        connection.settings_dict["NAME"] = shared
        creation.destroy_test_db(verbosity=0, suffix="releases")


def own_migrations() -> dict[Node, migrations.Migration]:
    """Those of the product's own apps, each after what it depends on."""
    graph = MigrationLoader(None).graph
    order = dict.fromkeys(node for leaf in sorted(graph.leaf_nodes()) for node in graph.forwards_plan(leaf))
    return {node: graph.nodes[node] for node in order if node[0] in OWN}


def older_release(*, without: int) -> list[Node]:
    """The last migration of each app in a release that lacks the newest so many of each app, but for its first and what the others depend on."""
    graph, known = MigrationLoader(None).graph, own_migrations()
    kept = set[Node]()
    for app in OWN:
        names = [node for node in known if node[0] == app]
        kept.update(needed for node in names[: max(1, len(names) - without)] for needed in graph.forwards_plan(node))
    return list({node[0]: node for node in known if node in kept}.values())


def back_to(release: list[Node]) -> None:
    newest = MigrationLoader(None).graph.leaf_nodes()
    for node in release:
        if node not in newest:
            call_command("migrate", *node, verbosity=0, interactive=False)


def forward() -> None:
    call_command("migrate", verbosity=0, interactive=False)


def kept_rows(release: list[Node]) -> dict[str, list[dict[str, object]]]:
    """What the tables hold in the columns that both this code and that release know, by table."""
    now = {model._meta.db_table: model for model in apps.get_models(include_auto_created=True)}
    found = {}
    for model in MigrationLoader(None).project_state(release).apps.get_models(include_auto_created=True):
        table = model._meta.db_table
        if model._meta.app_label in OWN and table in now:
            columns = {f.column for f in model._meta.local_fields} & {f.column for f in now[table]._meta.local_fields}
            found[table] = _rows(table, sorted(columns), model._meta.pk.column)
    return found


def _rows(table: str, columns: list[str], key: str) -> list[dict[str, object]]:
    quoted = connection.ops.quote_name
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {', '.join(map(quoted, columns))} FROM {quoted(table)} ORDER BY {quoted(key)}")
        return [dict(zip(columns, row, strict=True)) for row in cursor.fetchall()]


@contextmanager
def older(release: list[Node]) -> Iterator[None]:
    """The database is that of an older release, and then brought up to this one again."""
    back_to(release)
    yield
    forward()


@contextmanager
def newer() -> Iterator[None]:
    """The database is that of a newer release, whose links have one column more that must be filled, and then taken back to this one."""
    migration = migrations.Migration("9999_newer", "syncs")
    migration.operations = [migrations.AddField("link", "weight", models.IntegerField(default=1))]
    state = MigrationLoader(connection).project_state()
    with connection.schema_editor() as editor:
        migration.apply(state.clone(), editor)
    MigrationRecorder(connection).record_applied("syncs", migration.name)
    yield
    with connection.schema_editor() as editor:
        migration.unapply(state.clone(), editor)
    MigrationRecorder(connection).record_unapplied("syncs", migration.name)
