"""Integration Hub: the Django project; one folder an app, the same file names in each."""
