import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("approvals", "0001_decisions"),
        ("syncs", "0014_mends_and_assignments"),
    ]

    operations = [
        migrations.AddField(
            model_name="planapproval",
            name="decision",
            field=models.OneToOneField(null=True, on_delete=django.db.models.deletion.CASCADE, related_name="+", to="approvals.decision"),
        ),
        migrations.AlterField(
            model_name="planapproval",
            name="digest",
            field=models.CharField(blank=True, max_length=64),
        ),
        migrations.AlterField(
            model_name="planapproval",
            name="plan",
            field=models.OneToOneField(null=True, on_delete=django.db.models.deletion.CASCADE, related_name="approval", to="syncs.run"),
        ),
    ]
