"""Keeps the catalogues in step with the sources: `python locale/catalogue.py` (or `make messages`) collects every text that can be shown, marks what
is new, drops what is gone, and compiles. `--check` changes nothing and fails where anything is missing. No gettext programs are needed.

Collected are our Python files (also the plain `_()` of connectors, whose templates are translated where they are shown), our templates, and those of
the admin theme, which comes without catalogues of its own. What Django's own catalogue says is left to it.
"""

from __future__ import annotations

import argparse
import ast
import gettext
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import django
import polib
import unfold
from django.utils.translation.template import templatize

ROOT = Path(__file__).resolve().parent.parent
LANGUAGES = {"zh_Hans": "nplurals=1; plural=0;"}
OURS = ("integration_hub", "connectors")
ONE = {"_", "gettext", "gettext_lazy", "gettext_noop", "N_", "Text"}  # Text: a template that nobody marked
MANY = {"ngettext", "ngettext_lazy"}
IN_CONTEXT = {"pgettext", "pgettext_lazy"}
MANY_IN_CONTEXT = {"npgettext", "npgettext_lazy"}
# Texts of the theme's parts that no page of ours shows: its own search, its import pages, its rich-text editor.
NOT_SHOWN = re.compile(r"(^|/)(crispy|unfold_crispy|contrib/(import_export|guardian|simple_history|constance|location_field|hijack|forms))/")
# Parts of the theme's frame that ours replaces.
REPLACED = re.compile(
    r"templates/(registration/logged_out|admin/(app_index|index)|unfold/helpers/"
    r"(account_links|app_list\w*|command\w*|history|navigation\w*|search\w*|site_\w+|theme_switch\w*|unauthenticated_\w+|userlinks|welcomemsg))\.html$"
)
STRING = r"""u?(?:'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")"""
IN_TEMPLATE = re.compile(rf"\b(_|n?p?gettext)\(\s*({STRING}(?:\s*,\s*(?:{STRING}|\w+))*)\s*,?\s*\)", re.DOTALL)


class Message(NamedTuple):
    text: str
    plural: str = ""
    context: str = ""


def messages() -> dict[Message, set[str]]:
    """Every message with the files it is in."""
    found: dict[Message, set[str]] = {}
    theme = Path(unfold.__file__).parent
    sources = [path for folder in OURS for path in sorted((ROOT / folder).rglob("*.py"))]
    pages = sorted((ROOT / "templates").rglob("*.html"))
    overridden = {path.relative_to(ROOT / "templates") for path in pages}
    for path in sources:
        for message in in_python(path.read_text(), forms=path.is_relative_to(ROOT / "connectors")):
            found.setdefault(message, set()).add(str(path.relative_to(ROOT)))
    for path in pages:
        for message in in_template(path.read_text()):
            found.setdefault(message, set()).add(str(path.relative_to(ROOT)))
    every = sorted(theme.rglob("*.py")) + sorted(theme.rglob("*.html"))
    theirs = [path for path in every if not any(skip.search(str(path.relative_to(theme))) for skip in (NOT_SHOWN, REPLACED))]
    for path in theirs:
        if "templates" in path.parts and Path(str(path).split("/templates/", 1)[1]) in overridden:
            continue
        for message in in_python(path.read_text()) if path.suffix == ".py" else in_template(path.read_text()):
            found.setdefault(message, set()).add(f"unfold/{path.relative_to(theme)}")
    known = django_knows()
    return {message: places for message, places in found.items() if message not in known or any(not place.startswith("unfold/") for place in places)}


def in_python(source: str, *, forms: bool = False) -> Iterator[Message]:
    """The texts of a Python file. `forms`: also titles and descriptions of settings, from which the console draws forms."""
    for node in ast.walk(ast.parse(source)):
        if forms and isinstance(node, ast.ClassDef | ast.Call):
            yield from _form_texts(node)
        if not isinstance(node, ast.Call):
            continue
        name = node.func.id if isinstance(node.func, ast.Name) else node.func.attr if isinstance(node.func, ast.Attribute) else ""
        texts = [arg.value for arg in node.args if isinstance(arg, ast.Constant) and isinstance(arg.value, str)]
        yield from _message(name, texts)


def _form_texts(node: ast.ClassDef | ast.Call) -> Iterator[Message]:
    if isinstance(node, ast.Call) and not (isinstance(node.func, ast.Name) and node.func.id == "Field"):
        return
    for keyword in node.keywords:
        if keyword.arg in ("title", "description") and isinstance(keyword.value, ast.Constant) and keyword.value.value:
            yield Message(str(keyword.value.value))


def in_template(source: str) -> Iterator[Message]:
    for name, arguments in IN_TEMPLATE.findall(templatize(source)):
        yield from _message(name, [ast.literal_eval(text) for text in re.findall(STRING, arguments)])


def _message(name: str, texts: list[str]) -> Iterator[Message]:
    if name in ONE and texts and texts[0].strip():
        yield Message(texts[0])
    elif name in MANY and len(texts) >= 2:
        yield Message(texts[0], texts[1])
    elif name in IN_CONTEXT and len(texts) >= 2:
        yield Message(texts[1], context=texts[0])
    elif name in MANY_IN_CONTEXT and len(texts) >= 3:
        yield Message(texts[1], texts[2], texts[0])


def django_knows() -> set[Message]:
    """What Django's own catalogues translate."""
    known = set()
    for path in Path(django.__file__).parent.glob("**/locale/zh_Hans/LC_MESSAGES/django.po"):
        known |= {Message(entry.msgid, entry.msgid_plural, entry.msgctxt or "") for entry in polib.pofile(str(path)) if entry.translated()}
    return known


def catalogue_of(language: str) -> Path:
    return ROOT / "locale" / language / "LC_MESSAGES" / "django.po"


def opened(language: str) -> polib.POFile:
    path = catalogue_of(language)
    if path.exists():
        return polib.pofile(str(path), wrapwidth=0)
    path.parent.mkdir(parents=True, exist_ok=True)
    return polib.POFile(wrapwidth=0)


def key(entry: polib.POEntry) -> Message:
    return Message(entry.msgid, entry.msgid_plural, entry.msgctxt or "")


def rewrite(language: str) -> list[str]:
    """Bring one catalogue up to date and compile it; answers with the texts that still lack a translation."""
    old = {key(entry): entry for entry in opened(language) if not entry.obsolete}
    new = polib.POFile(wrapwidth=0)
    new.metadata = {
        "Project-Id-Version": "Integration Hub",
        "Language": language,
        "MIME-Version": "1.0",
        "Content-Type": "text/plain; charset=UTF-8",
        "Content-Transfer-Encoding": "8bit",
        "Plural-Forms": LANGUAGES[language],
    }
    for message, places in sorted(messages().items()):
        entry = polib.POEntry(msgid=message.text, msgid_plural=message.plural, msgctxt=message.context or None)
        entry.occurrences = [(place, "") for place in sorted(places)]
        was = old.get(message)
        if message.plural:
            entry.msgstr_plural = was.msgstr_plural if was else {0: ""}
        else:
            entry.msgstr = was.msgstr if was else ""
        new.append(entry)
    path = catalogue_of(language)
    new.save(str(path))
    new.save_as_mofile(str(path.with_suffix(".mo")))
    return faults(language)


NAMED = re.compile(r"\{(\w*)[^{}]*\}|%\((\w+)\)[sd]")
TAG = re.compile(r"</?[a-z][^<>]*>")


def names_in(text: str) -> set[str]:
    return {one or two for one, two in NAMED.findall(text)}


def tags_in(text: str) -> list[str]:
    return sorted(TAG.findall(text))


def faults(language: str) -> list[str]:
    """What is wrong with a catalogue: texts without a translation, ones nobody uses, values that got lost, a compiled file that differs."""
    have = {key(entry): entry for entry in opened(language) if not entry.obsolete}
    used = messages()
    said = [f"not translated: {message.text!r} in {min(places)}" for message, places in sorted(used.items()) if not _is_translated(have.get(message))]
    said += [f"used nowhere: {message.text!r}" for message in sorted(set(have) - set(used))]
    for message, entry in sorted(have.items()):
        for translation in entry.msgstr_plural.values() if message.plural else [entry.msgstr]:
            if translation and names_in(translation) != names_in(message.plural or message.text):
                said.append(f"other values than in the original: {message.text!r}")
            if translation and tags_in(translation) != tags_in(message.plural or message.text):
                said.append(f"other tags than in the original: {message.text!r}")
    compiled = catalogue_of(language).with_suffix(".mo")
    with compiled.open("rb") as file:
        served = gettext.GNUTranslations(file)
    for message, entry in sorted(have.items()):
        wanted = entry.msgstr_plural.get(0, "") if message.plural else entry.msgstr
        got = served.npgettext(message.context, message.text, message.plural, 2) if message.context and message.plural else ""
        got = got or (served.ngettext(message.text, message.plural, 2) if message.plural else "")
        got = got or (served.pgettext(message.context, message.text) if message.context else served.gettext(message.text))
        if wanted and got != wanted:
            said.append(f"the compiled catalogue is not that of the source: {message.text!r}")
    return said


def _is_translated(entry: polib.POEntry | None) -> bool:
    return entry is not None and entry.translated() and not entry.fuzzy


def main() -> int:
    parser = argparse.ArgumentParser(description="Keep the catalogues of translations in step with the sources.")
    parser.add_argument("--check", action="store_true", help="change nothing, fail where something is missing")
    check = parser.parse_args().check
    said = [f"{language}: {fault}" for language in LANGUAGES for fault in (faults(language) if check else rewrite(language))]
    print("\n".join(said) or "All texts are translated.")  # noqa: T201
    return 1 if said else 0


if __name__ == "__main__":
    sys.exit(main())
