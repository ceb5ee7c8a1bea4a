"""Source records as open rows and mends keep them: compressed JSON."""

from __future__ import annotations

import json
import zlib
from typing import Any


def packed_record(record: dict[str, Any]) -> bytes:
    return zlib.compress(json.dumps(record, default=_plain_text, ensure_ascii=False).encode("utf-8", "backslashreplace"), 1)


def _plain_text(value: Any) -> str:
    return value.hex() if isinstance(value, bytes) else str(value)


def unpacked_record(stored: bytes | memoryview) -> dict[str, Any]:
    """The source record of an open row: field → value, times and decimals as text."""
    return json.loads(zlib.decompress(bytes(stored)))  # type: ignore[no-any-return]
