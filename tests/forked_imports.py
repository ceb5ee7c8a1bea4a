"""What the process that tests/forked.py forks from has imported. Nothing of it opens a connection or starts a thread."""

import django

django.setup()

import tests.syncs.dying_work  # noqa: F401
