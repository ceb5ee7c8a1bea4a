"""Both languages are complete, and the compiled catalogue is that of the source."""

import importlib.util
from pathlib import Path

import pytest

PATH = Path(__file__).resolve().parents[2] / "locale" / "catalogue.py"
spec = importlib.util.spec_from_file_location("catalogue", PATH)
catalogue = importlib.util.module_from_spec(spec)
spec.loader.exec_module(catalogue)


@pytest.mark.parametrize("language", catalogue.LANGUAGES)
def test_every_text_is_translated(language):
    said = catalogue.faults(language)

    assert not said, "run `make messages`, then translate in locale/:\n" + "\n".join(said[:40])


def test_texts_are_found_in_code_and_templates():
    python = '_("one {n}").format(n=1); ngettext("a", "b", n); pgettext("c", "d"); Text("e"); gettext_lazy("two" " parts"); other("no")'
    page = '{% load i18n %}{% translate "f" %}{% translate "i" context "j" %}{{ _("k") }}'
    page += "{% blocktranslate count n=x %}g{% plural %}h{% endblocktranslate %}"
    message = catalogue.Message

    assert set(catalogue.in_python(python)) == {message("one {n}"), message("a", "b"), message("d", context="c"), message("e"), message("two parts")}
    assert set(catalogue.in_template(page)) == {message("f"), message("g", "h"), message("i", context="j"), message("k")}


def test_the_names_of_values_are_compared():
    assert catalogue.names_in("{system} said %(n)s and {value:.2f}") == {"system", "n", "value"}


def test_the_tags_are_compared():
    assert catalogue.tags_in('use <a href="{}" class="x">this form</a>, where a < b and c > d') == ["</a>", '<a href="{}" class="x">']
