from __future__ import annotations

import json
import sys
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError
from django.utils.translation import gettext as _

from integration_hub.accounts.actor import Actor
from integration_hub.blueprints import schema, services, writing
from integration_hub.blueprints.parts import PARTS
from integration_hub.blueprints.reading import Wrong

SAME, DIFFERENT, WRONG = 0, 1, 2


class Command(BaseCommand):
    """Exit codes: 0 done, or nothing to change; 1 `diff` found something to change; 2 the files cannot be used."""

    help = _("Export the hub's configuration as YAML, show what files would change, or apply them, all or nothing.")

    def add_arguments(self, parser: ArgumentParser) -> None:
        actions = parser.add_subparsers(dest="action", required=True)
        export = actions.add_parser("export", help=_("Write the configuration, or that of some objects and what they build on, as YAML."))
        export.add_argument("names", nargs="*", metavar="NAME", help=_("Of a system, mapping or sync; none: everything."))
        export.add_argument("--output", "-o", type=Path, metavar="FILE", help=_("Write here instead of to standard output."))
        for name, told in (("diff", _("Show what applying would change.")), ("apply", _("Make the hub as the files say."))):
            action = actions.add_parser(name, help=told)
            action.add_argument("files", nargs="+", metavar="FILE", help=_("YAML; - for standard input."))
            action.add_argument("--json", action="store_true", help=_("For programs."))
        actions.add_parser("schema", help=_("Write the JSON Schema of these files."))

    def handle(self, *args: Any, action: str, **options: Any) -> None:
        if action == "schema":
            self.stdout.write(json.dumps(schema.config_schema(), indent=2, ensure_ascii=False))
        elif action == "export":
            self._export(**options)
        else:
            self._apply(options["files"], as_json=options["json"], dry=action == "diff")

    def _export(self, names: list[str], output: Path | None, **options: Any) -> None:
        try:
            text = writing.write(services.export_config(by=Actor.command(), names=names, warn=lambda told: self.stderr.write(told)))
        except ValidationError as error:
            raise CommandError(" ".join(error.messages), returncode=WRONG) from None
        if output is None:
            self.stdout.write(text, ending="")
        else:
            output.write_text(text, encoding="utf-8")

    def _apply(self, names: list[str], *, as_json: bool, dry: bool) -> None:
        try:
            result = services.apply_config([_read(name) for name in names], by=Actor.command(), dry=dry)
        except Wrong as wrong:
            if as_json:
                self.stdout.write(_json({"errors": [_mistake(mistake) for mistake in wrong.mistakes]}))
                sys.exit(WRONG)
            raise CommandError(str(wrong), returncode=WRONG) from None
        for note in result.notes:
            self.stderr.write(note)
        if as_json:
            changes = [{"section": c.section, "name": c.name, "is_new": c.is_new, "fields": c.fields} for c in result.changes]
            self.stdout.write(_json({"changes": changes, "unchanged_count": len(result.unchanged)}))
        else:
            self._tell(result, dry=dry)
        if dry and result.changes:
            sys.exit(DIFFERENT)

    def _tell(self, result: services.Result, *, dry: bool) -> None:
        titles = {part.section: part.title for part in PARTS}
        for change in result.changes:
            self.stdout.write(f"{'+' if change.is_new else '~'} {titles[change.section]} {change.name}")
            if not change.is_new:
                for path, (before, after) in change.fields.items():
                    self.stdout.write(f"    {path}: {_shown(before)} → {_shown(after)}")
        if not result.changes:
            self.stdout.write(_("Nothing to change: the hub is as the files say."))
        elif not dry:
            self.stdout.write(_("Applied: {changed} changed, {same} as they were.").format(changed=len(result.changes), same=len(result.unchanged)))


def _read(name: str) -> tuple[str, bytes]:
    try:
        return (name, sys.stdin.buffer.read()) if name == "-" else (name, Path(name).read_bytes())
    except OSError as error:
        raise CommandError(_("{file} cannot be read: {problem}.").format(file=name, problem=error.strerror), returncode=WRONG) from None


def _mistake(mistake: Any) -> dict[str, Any]:
    return {"file": mistake.place.file, "line": mistake.place.line, "column": mistake.place.column, "detail": mistake.text}


def _shown(value: Any) -> str:
    return _("nothing") if value is None else json.dumps(value, ensure_ascii=False) if not isinstance(value, str) else value or '""'


def _json(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False)
