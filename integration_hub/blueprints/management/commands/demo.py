from __future__ import annotations

import os
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils.translation import gettext as _

from integration_hub.accounts.actor import Actor
from integration_hub.blueprints import demo
from integration_hub.blueprints.reading import Wrong


class Command(BaseCommand):
    help = _("Install the demo, or take it away again. What people changed since is left as it is.")

    def add_arguments(self, parser: ArgumentParser) -> None:
        actions = parser.add_subparsers(dest="action", required=True)
        install = actions.add_parser("install", help=_("Register the demo's systems, mappings and syncs."))
        install.add_argument("--url", default=os.environ.get("SANDBOX_URL", ""), help=_("Where the sandbox answers; SANDBOX_URL by default."))
        install.add_argument("--again", action="store_true", help=_("Bring back what was deleted since."))
        actions.add_parser("remove", help=_("Take away what the demo brought, with the history of its syncs."))

    def handle(self, *args: Any, action: str, **options: Any) -> None:
        if action == "install":
            self._install(url=options["url"].rstrip("/"), again=options["again"])
        else:
            removed = demo.remove_demo(by=Actor.command(), tell=self.stdout.write)
            self.stdout.write(_("Removed: {names}.").format(names=", ".join(removed) or _("nothing")))

    def _install(self, *, url: str, again: bool) -> None:
        if not url:
            raise CommandError(_("Say with --url or SANDBOX_URL where the sandbox answers."), returncode=2)
        by = Actor.command()
        try:
            result = demo.install_demo(by=by, url=url, tell=self.stdout.write, again=again)
        except (demo.NotPossible, Wrong) as error:
            raise CommandError(str(error)) from None
        demo.look_around(by=by, tell=self.stdout.write)
        if new := [change.name for change in result.changes if change.is_new]:
            self.stdout.write(_("Installed: {names}.").format(names=", ".join(new)))
        elif result.unchanged or result.changes:
            self.stdout.write(_("The demo is installed."))
