from django.db import migrations, models
from django.db.models import Q
from django.db.models.functions import Length, Now

LONGEST = 200  # that an older release can hold


def forget_long_cursors(apps, schema_editor):
    """PostgreSQL would cut them off without a word, and half a cursor is another cursor. Without one the next run reads everything; a run that goes by
    such a cursor is cancelled."""
    long = Q(since__gt=LONGEST) | Q(last__gt=LONGEST)
    lengths = {"since": Length("since_value"), "last": Length("partitions__pages__last_value")}
    runs = apps.get_model("syncs", "Run").objects
    going = runs.filter(ended_at=None, cancel_at=None).annotate(**lengths).filter(long).values_list("pk", flat=True)
    runs.filter(pk__in=set(going)).update(cancel_at=Now())
    apps.get_model("syncs", "SyncCursor").objects.annotate(length=Length("value")).filter(length__gt=LONGEST).delete()


class Migration(migrations.Migration):
    """A cursor of a system's own may be an address of any length."""

    dependencies = [
        ("syncs", "0007_links_without_a_check_of_their_pair"),
    ]

    operations = [
        migrations.AlterField(
            model_name="pagerow",
            name="last_value",
            field=models.TextField(blank=True),
        ),
        migrations.AlterField(
            model_name="run",
            name="since_value",
            field=models.TextField(blank=True),
        ),
        migrations.AlterField(
            model_name="synccursor",
            name="value",
            field=models.TextField(),
        ),
        migrations.RunPython(migrations.RunPython.noop, forget_long_cursors),
    ]
