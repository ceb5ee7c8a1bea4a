"""Transforms of text."""

from typing import TYPE_CHECKING, Annotated, Any, Literal

from connectors.base import _
from integration_hub.core.expressions.patterns import check_pattern, read_replacement

from .base import Example, Parameter, T, transform

if TYPE_CHECKING:
    import polars as pl

GROUP = _("Text")
IfMissing = Annotated[Literal["reject", "null"], Parameter(title=_("If there is none"))]


def _missing_is_an_answer(parameters: Any) -> bool:
    return bool(parameters.if_missing == "null")


def _check_pattern(parameters: Any) -> None:
    check_pattern(parameters.pattern)


@transform(_("Trim"), _("Takes away spaces, tabs and line breaks at both ends."), group=GROUP, takes=T.TEXT, examples=[Example("  Ann ", "Ann")])
def trim(value: "pl.Expr") -> "pl.Expr":
    return value.str.strip_chars()


@transform(
    _("Collapse spaces"),
    _("Makes one space of several spaces, tabs or line breaks, and trims both ends."),
    group=GROUP,
    takes=T.TEXT,
    examples=[Example(" Ann \t Lee\n", "Ann Lee")],
)
def collapse_spaces(value: "pl.Expr") -> "pl.Expr":
    return value.str.replace_all(r"\s+", " ").str.strip_chars()


@transform(_("Upper case"), _("Writes all letters in upper case."), group=GROUP, takes=T.TEXT, examples=[Example("Ann", "ANN")])
def upper(value: "pl.Expr") -> "pl.Expr":
    return value.str.to_uppercase()


@transform(_("Lower case"), _("Writes all letters in lower case."), group=GROUP, takes=T.TEXT, examples=[Example("Ann", "ann")])
def lower(value: "pl.Expr") -> "pl.Expr":
    return value.str.to_lowercase()


@transform(
    _("Title case"),
    _("Begins each word with a capital and goes on in lower case."),
    group=GROUP,
    takes=T.TEXT,
    examples=[Example("anna van-der LEE", "Anna Van-Der Lee")],
)
def title(value: "pl.Expr") -> "pl.Expr":
    return value.str.to_titlecase()


@transform(
    _("Replace"),
    _("Puts one piece of text in the place of another, wherever it occurs."),
    group=GROUP,
    takes=T.TEXT,
    examples=[Example("a/b/c", "a-b-c", {"find": "/", "replacement": "-"})],
)
def replace(
    value: "pl.Expr",
    find: Annotated[str, Parameter(title=_("Find"), min_length=1, max_length=200)],
    replacement: Annotated[str, Parameter(title=_("Replace by"), max_length=200)] = "",
) -> "pl.Expr":
    return value.str.replace_all(find, replacement, literal=True)


@transform(
    _("Replace by pattern"),
    _("Replaces whatever fits a regular expression. $1 stands for its first group, $0 for all of it."),
    group=GROUP,
    takes=T.TEXT,
    check=_check_pattern,
    examples=[
        Example("Tel. 030-12", "Tel. (030) 12", {"pattern": r"(\d+)-(\d+)", "replacement": "($1) $2"}),
        Example("DE4711", "DE-00-4711", {"pattern": r"([A-Z]+)(\d+)", "replacement": "$1-00-$2"}),
    ],
)
def regex_replace(
    value: "pl.Expr",
    pattern: Annotated[str, Parameter(title=_("Pattern"), min_length=1, max_length=200)],
    replacement: Annotated[str, Parameter(title=_("Replace by"), max_length=200)] = "",
) -> "pl.Expr":
    return value.str.replace_all(pattern, read_replacement(replacement, pattern))


@transform(
    _("Extract by pattern"),
    _("Keeps what the first group of a regular expression fits, or all that it fits if it has no group."),
    group=GROUP,
    takes=T.TEXT,
    check=_check_pattern,
    reason=_("“{value}” has no part that fits the pattern {pattern}."),
    null_is_an_answer=_missing_is_an_answer,
    examples=[
        Example("Order 4711 of May", "4711", {"pattern": r"\d+"}),
        Example("ann@example.com", "example.com", {"pattern": "@(.+)$"}),
        Example("none", None, {"pattern": r"\d+", "if_missing": "null"}),
    ],
)
def regex_extract(
    value: "pl.Expr",
    pattern: Annotated[str, Parameter(title=_("Pattern"), min_length=1, max_length=200)],
    if_missing: IfMissing = "reject",
) -> "pl.Expr":
    import re

    plain = re.sub(r"\\.|\[[^\]]*\]", "", pattern)
    return value.str.extract(pattern, 1 if re.search(r"\((?!\?)|\(\?P?<", plain) else 0)


@transform(
    _("Part of text"),
    _("Keeps a number of characters from a place on; the first character has place 1, a negative place counts from the end."),
    group=GROUP,
    takes=T.TEXT,
    examples=[Example("DE-4711", "4711", {"start": 4}), Example("DE-4711", "DE", {"start": 1, "length": 2}), Example("DE-4711", "11", {"start": -2})],
)
def substring(
    value: "pl.Expr",
    start: Annotated[int, Parameter(title=_("From place"), ge=-1_000_000, le=1_000_000)] = 1,
    length: Annotated[int | None, Parameter(title=_("Characters"), ge=0, le=1_000_000)] = None,
) -> "pl.Expr":
    return value.str.slice(start - 1 if start > 0 else start, length)


@transform(
    _("Cut to length"),
    _("Keeps at most so many characters. What is cut off is lost."),
    group=GROUP,
    takes=T.TEXT,
    examples=[Example("Hailan Instruments", "Hailan", {"length": 6})],
)
def truncate(value: "pl.Expr", length: Annotated[int, Parameter(title=_("Characters"), ge=1, le=1_000_000)]) -> "pl.Expr":
    return value.str.slice(0, length).str.strip_chars_end()


@transform(
    _("Pad"),
    _("Fills text up to a width. Longer text stays as it is."),
    group=GROUP,
    takes=T.TEXT,
    examples=[Example("42", "00042", {"width": 5}), Example("42", "42..", {"width": 4, "fill": ".", "side": "right"})],
)
def pad(
    value: "pl.Expr",
    width: Annotated[int, Parameter(title=_("Width"), ge=1, le=1000)],
    fill: Annotated[str, Parameter(title=_("Fill with"), min_length=1, max_length=1)] = "0",
    side: Annotated[Literal["left", "right"], Parameter(title=_("Side"))] = "left",
) -> "pl.Expr":
    return value.str.pad_start(width, fill) if side == "left" else value.str.pad_end(width, fill)


@transform(
    _("Add text"),
    _("Puts text before and after the value."),
    group=GROUP,
    takes=T.TEXT,
    examples=[Example("4711", "CUST-4711", {"before": "CUST-"}), Example("12", "12 kg", {"after": " kg"})],
)
def add_text(
    value: "pl.Expr",
    before: Annotated[str, Parameter(title=_("Before"), max_length=200)] = "",
    after: Annotated[str, Parameter(title=_("After"), max_length=200)] = "",
) -> "pl.Expr":
    import polars as pl

    return pl.concat_str([*([pl.lit(before)] if before else []), value, *([pl.lit(after)] if after else [])])


@transform(
    _("Split and pick"),
    _("Splits text at a separator and keeps one part; the first is 1, the last -1."),
    group=GROUP,
    takes=T.TEXT,
    reason=_("“{value}” has no part {part} when split at “{separator}”."),
    null_is_an_answer=_missing_is_an_answer,
    examples=[
        Example("Lee, Ann", "Ann", {"separator": ", ", "part": 2}),
        Example("a/b/c", "c", {"separator": "/", "part": -1}),
        Example("Lee", None, {"separator": ", ", "part": 2, "if_missing": "null"}),
    ],
)
def split(
    value: "pl.Expr",
    separator: Annotated[str, Parameter(title=_("Separator"), min_length=1, max_length=50)] = ",",
    part: Annotated[int, Parameter(title=_("Part"), ge=-1000, le=1000)] = 1,
    if_missing: IfMissing = "reject",
) -> "pl.Expr":
    return value.str.split(separator).list.get(part - 1 if part > 0 else part, null_on_oob=True)


@transform(
    _("Without accents"),
    _("Takes the marks off letters."),
    group=GROUP,
    takes=T.TEXT,
    examples=[Example("Café Ångström", "Cafe Angstrom")],
)
def remove_accents(value: "pl.Expr") -> "pl.Expr":
    return value.str.normalize("NFD").str.replace_all(r"\p{Mn}", "").str.normalize("NFC")


@transform(
    _("Normalise Unicode"),
    _("Makes one form of characters that look alike to people but not to machines. NFKC also makes ａ and ① plain."),
    group=GROUP,
    takes=T.TEXT,
    examples=[Example("e\u0301", "\u00e9"), Example("ＡＢ①", "AB1", {"form": "NFKC"})],
)
def normalize_unicode(
    value: "pl.Expr",
    form: Annotated[Literal["NFC", "NFD", "NFKC", "NFKD"], Parameter(title=_("Form"))] = "NFC",
) -> "pl.Expr":
    return value.str.normalize(form)


@transform(
    _("Slug"),
    _("Lower-case letters and digits with hyphens between them, as in addresses of pages. Letters of all scripts are kept."),
    group=GROUP,
    takes=T.TEXT,
    examples=[Example("Café Zürich, No. 5", "cafe-zurich-no-5")],
)
def slug(value: "pl.Expr") -> "pl.Expr":
    return remove_accents(value).str.to_lowercase().str.replace_all(r"[^\p{L}\p{N}]+", "-").str.strip_chars("-")


@transform(
    _("Remove control characters"),
    _("Takes away NUL and other characters that do not print; tabs and line breaks stay."),
    group=GROUP,
    takes=T.TEXT,
    examples=[Example("A\x00nn\u200b\n", "Ann\n")],
)
def remove_control(value: "pl.Expr") -> "pl.Expr":
    return value.str.replace_all(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\u{80}-\u{9f}\u{200b}\u{feff}]", "")


@transform(
    _("Keep characters"),
    _("Keeps only digits, only letters, or both."),
    group=GROUP,
    takes=T.TEXT,
    examples=[Example("+49 (30) 12-34", "49301234"), Example("a1-b2", "ab", {"keep": "letters"})],
)
def keep_characters(
    value: "pl.Expr",
    keep: Annotated[Literal["digits", "letters", "letters and digits"], Parameter(title=_("Keep"))] = "digits",
) -> "pl.Expr":
    others = {"digits": r"[^0-9]+", "letters": r"\P{L}+", "letters and digits": r"[^\p{L}\p{N}]+"}[keep]
    return value.str.replace_all(others, "")


@transform(
    _("Strip HTML"),
    _("Takes away tags and comments, makes line breaks of paragraphs, and reads the common entities."),
    group=GROUP,
    takes=T.TEXT,
    examples=[Example("<p>Ann &amp; Lee</p><br>2 &lt; 3", "Ann & Lee\n\n2 < 3")],
)
def strip_html(value: "pl.Expr") -> "pl.Expr":
    broken = value.str.replace_all(r"(?is)<!--.*?-->|<(script|style)\b.*?</(script|style)\s*>", "").str.replace_all(
        r"(?i)<br\s*/?>|</(p|div|li|tr|h[1-6])\s*>", "\n"
    )
    bare = broken.str.replace_all(r"(?s)</?[a-zA-Z][^>]*>", "")
    # & last, so that &amp;lt; is not read twice
    return (
        bare.str.replace_many(["&lt;", "&gt;", "&quot;", "&#39;", "&apos;", "&nbsp;"], ["<", ">", '"', "'", "'", " "])
        .str.replace_all("&amp;", "&", literal=True)
        .str.strip_chars()
    )


@transform(
    _("E-mail address"),
    _("Trims, writes the part after the @ (or all of it) in lower case, and refuses what is no address."),
    group=GROUP,
    takes=T.TEXT,
    reason=_("“{value}” is not an e-mail address."),
    examples=[Example(" Ann.Lee@Example.COM ", "ann.lee@example.com"), Example("Ann@Example.com", "Ann@example.com", {"keep_local_case": True})],
)
def email(
    value: "pl.Expr",
    keep_local_case: Annotated[bool, Parameter(title=_("Keep upper case before the @"))] = False,
) -> "pl.Expr":
    import polars as pl

    bare = value.str.strip_chars()
    fits = bare.str.contains(r"^[^\s@<>\",;:\\()\[\]]{1,64}@(?:[\p{L}\p{N}](?:[\p{L}\p{N}-]*[\p{L}\p{N}])?\.)+[\p{L}\p{N}-]{2,63}$")
    lower = (
        pl.concat_str(bare.str.extract(r"^(.*)@", 1), pl.lit("@"), bare.str.extract(r"@([^@]*)$", 1).str.to_lowercase())
        if keep_local_case
        else bare.str.to_lowercase()
    )
    return pl.when(fits).then(lower)


@transform(
    _("Phone number"),
    _("Writes a phone number as + and digits (E.164). A number without country code gets this one; a single 0 before it is dropped."),
    group=GROUP,
    takes=T.TEXT,
    reason=_("“{value}” is not a phone number."),
    examples=[
        Example("+49 (0)30 12-34", "+49301234"),
        Example("0049 30 1234", "+49301234"),
        Example("030/1234", "+49301234", {"country": "49"}),
    ],
)
def phone(
    value: "pl.Expr",
    country: Annotated[str, Parameter(title=_("Country code"), pattern=r"^[1-9]\d{0,2}$")] = "86",
) -> "pl.Expr":
    import polars as pl

    digits = value.str.replace(r"\(0\)", "").str.replace_all(r"[\s()./\u{a0}-]", "")
    full = (
        pl.when(digits.str.starts_with("+"))
        .then(digits)
        .when(digits.str.starts_with("00"))
        .then(pl.concat_str(pl.lit("+"), digits.str.slice(2)))
        .otherwise(pl.concat_str(pl.lit(f"+{country}"), digits.str.strip_prefix("0")))
    )
    return pl.when(full.str.contains(r"^\+[1-9]\d{5,14}$")).then(full)
