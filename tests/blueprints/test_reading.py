"""What a configuration file may look like, and where it is told to be wrong."""

import pytest

from integration_hub.blueprints.reading import Wrong, read
from integration_hub.blueprints.references import NotSet, escape, resolve
from integration_hub.blueprints.writing import write


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        ("", 1, "empty"),
        ("a: 1\nb: 2\na: 3\n", 3, "“a” is there twice, first in line 1"),
        ("a:\n  b: 1\n  b: 2\n", 3, "twice"),
        ("a: &x [1]\nb: *x\n", 1, "anchors and aliases"),
        ("a: *x\n", 1, "anchors and aliases"),
        ("a: !!python/object:os.system {}\n", 1, "tags"),
        ("a: [1, 2\nb: 3\n", 2, "expected"),
        ("a: 1\n---\nb: 2\n", 2, "document"),
        ("? [1, 2]\n: 3\n", 1, "a key must be text"),
        ("a: 99999999999999999999\n", 1, "too large"),
        ("a: \x00\n", 1, "cannot stand in YAML"),
        ("a" * 3 + ": " + "[" * 60 + "]" * 60, 1, "nested too deeply"),
        (b"a: \xff\n", 1, "cannot stand in YAML"),
    ],
)
def test_aliases_tags_doubled_keys_and_other_mistakes_of_a_file_are_refused_with_their_line(text, line, said):
    with pytest.raises(Wrong) as wrong:
        read("file.yaml", text)

    mistake = wrong.value.mistakes[0]
    assert (mistake.place.file, mistake.place.line) == ("file.yaml", line)
    assert said in str(mistake)


@pytest.mark.parametrize(
    "value",
    ["no", "yes", "on", "null", "~", "2026-01-05", "0123", "1:30", "1e5", "12", "1.5", ".inf", "", " a ", "a\nb\n", "a: b", "客户", "\t", "#x"],
)
def test_what_is_written_is_read_back(value):
    document = {"a": value, "list": [value, 1, 2.5, True, None, {"b": value}], "number": 1e17}

    assert read("x", write(document)).value == document


def test_words_that_other_readers_take_for_yes_or_dates_are_text():
    assert read("x", "a: [no, 2026-01-05, 012, 1:30, true, 7, 1.5, null]").value == {"a": ["no", "2026-01-05", "012", "1:30", True, 7, 1.5, None]}


@pytest.mark.parametrize("text", ["plain", "${ENV:X}", "$${ENV:X}", "$$${ENV:X}", "a ${ENV:X} b ${ENV:Y}", "${OTHER}", "$"])
def test_an_escaped_text_means_itself(text):
    assert resolve(escape(text), {}) == text


def test_references_take_the_environment_but_never_the_hubs_own_secrets():
    assert resolve("a-${ENV:X}-b", {"X": "1"}) == "a-1-b"
    with pytest.raises(NotSet, match="no Y"):
        resolve("${ENV:Y}", {"X": "1"})
    with pytest.raises(NotSet, match="hub's own"):
        resolve("${ENV:SECRET_KEY}", {"SECRET_KEY": "1"})
