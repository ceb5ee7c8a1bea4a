"""How a CSV file is written: encoding, separator, line ends; as the settings say, or found out from its first bytes, and the first beyond ASCII."""

from __future__ import annotations

import codecs
import re
from dataclasses import dataclass

from connectors.files.settings import Csv

SEPARATORS = ",;\t|"
SAMPLE_LINES = 20
MARKS = ((codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be"))
OTHER = re.compile(r"[^\x00-\x7f]")
WESTERN = re.compile(  # what would be one character in GB18030, as Western texts have it
    rb"[\x81-\xfe][a-z]|[\x81-\xde][A-Z]"  # é and a letter, but not one in another case than é
    rb"|(?<![\x80-\xff])[\xc0-\xff][\xdf-\xff](?=[A-Za-z])|(?<=[A-Za-z])[\xdf-\xff]{2}(?![\x80-\xff])"  # two accented letters in a word
)
WIDE = {"utf-16": "utf-16-le", "utf-16le": "utf-16-le", "utf-16be": "utf-16-be"}


@dataclass(frozen=True, slots=True)
class Dialect:
    """`mark` is how many bytes of a byte order mark stand before the text. Where `is_open`, nothing but ASCII was met yet, which is alike in all
    encodings: the first bytes that are not ASCII tell which it is."""

    encoding: str
    mark: int
    separator: str
    newline: str
    quote: str
    is_open: bool = False

    @property
    def is_wide(self) -> bool:
        """Two bytes a character: line ends cannot be looked for in bytes."""
        return self.encoding in ("utf-16-le", "utf-16-be")

    def utf8(self, raw: bytes) -> bytes:
        """These bytes in UTF-8. What is no text in the encoding comes out as bytes that are no UTF-8 either, and is noticed there."""
        if self.encoding in ("utf-8", "ascii"):
            return raw
        wrong = "surrogatepass" if self.is_wide else "surrogateescape"
        return raw.decode(self.encoding, wrong).encode("utf-8", wrong)


def found_out(head: bytes, settings: Csv) -> Dialect:
    mark, marked = next(((len(m), e) for m, e in MARKS if head.startswith(m)), (0, ""))
    told = codecs.lookup(settings.encoding).name if settings.encoding else ""
    told = {"utf-8-sig": "utf-8", **{codecs.lookup(k).name: v for k, v in WIDE.items()}}.get(told, told)
    encoding = marked or told or _wide(head) or encoding_of(head)
    text = head[mark:].decode(encoding, "replace")
    newline = "\n" if "\n" in text or "\r" not in text else "\r"
    separator = "\t" if settings.separator == "\\t" else settings.separator
    is_open = head.isascii() and not (marked or told or encoding in WIDE.values())
    return Dialect(encoding, mark, separator or _separator(text, newline, settings), newline, settings.quote, is_open)


def _wide(head: bytes) -> str:
    pairs = head[: len(head) // 2 * 2]
    if pairs and pairs[1::2].count(0) > len(pairs) // 5 and not pairs[::2].count(0):
        return "utf-16-le"
    if pairs and pairs[::2].count(0) > len(pairs) // 5 and not pairs[1::2].count(0):
        return "utf-16-be"
    return ""


def encoding_of(sample: bytes) -> str:
    text = codecs.utf_8_decode(sample, "replace", False)[0]
    beyond, broken = len(text) - len(text.encode("ascii", "ignore")), text.count("\ufffd")
    if broken <= beyond // 10:  # some broken bytes do not make it another encoding: they are told
        return "utf-8"
    return "gb18030" if _is_chinese(sample) else "cp1252"


def _is_chinese(sample: bytes) -> bool:
    """Whether it is GB18030 and not Western. Nearly every text in cp1252 holds bytes that are none in GB18030, an é before a space; where few are,
    its letters show: accented ones stand alone among those of ASCII, so that they would be characters with an ASCII letter as their second byte."""
    text = codecs.getincrementaldecoder("gb18030")("replace").decode(sample)
    characters, broken = len(OTHER.findall(text)), text.count("\ufffd")
    return broken <= characters // 10 and len(WESTERN.findall(sample)) * 2 <= characters


def _separator(text: str, newline: str, settings: Csv) -> str:
    """The character that stands equally often, and most often, in the first lines."""
    bare = re.sub(rf"{re.escape(settings.quote)}[^{re.escape(settings.quote)}]*{re.escape(settings.quote)}", "", text)
    lines = [line for line in bare.split(newline)[settings.skip_lines : settings.skip_lines + SAMPLE_LINES] if line.strip()]
    counts = {s: [line.count(s) for line in lines[:-1] or lines] for s in SEPARATORS}
    return max(SEPARATORS, key=lambda s: (min(counts[s], default=0), sum(counts[s])))
