from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("accounts", "0003_mails"),
    ]

    operations = [
        migrations.AddField(
            model_name="user",
            name="mail_decisions",
            field=models.BooleanField(default=False, verbose_name="decisions to be made by e-mail"),
        ),
    ]
