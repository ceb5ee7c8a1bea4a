"""Integration Hub: the Django project; one folder an app, the same file names in each."""

__version__ = "0.1.0"
