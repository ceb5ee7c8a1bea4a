"""Takes the pictures of the console for README and docs: the demo in a data folder of its own, after some minutes of work. `make pictures`.

    python scripts/pictures.py [MINUTES]

The browser's PNGs are large for what they show, so they are written anew here, with a palette of at most 256 colours: half the size, and no eye
sees the difference.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
import zlib
from collections import Counter
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "docs" / "pictures"
SIZE = {"width": 1440, "height": 1000}
MOST_BYTES = 150_000
ALIKE = 60  # squared distance in RGB within which two colours are one
SWITCHES = ["--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--force-color-profile=srgb", "--disable-lcd-text", "--disable-dev-shm-usage"]
# name, language, theme, and the way there: an address, then the link to follow
PICTURES = (
    ("overview", "en", "light", "/", ""),
    ("overview.zh", "zh-hans", "light", "/", ""),
    ("sync", "en", "light", "/syncs/", "OA users → CRM users"),
    ("run", "en", "light", "/runs/?state=with_rejects", "Run"),
    ("run.dark", "en", "dark", "/runs/?state=with_rejects", "Run"),
    ("rejects", "en", "light", "/rejects/", ""),
    ("mapping", "en", "light", "/mappings/", "Accounts to customers"),
    ("system", "en", "light", "/systems/", "CRM"),
)


def main(minutes: float) -> None:
    FOLDER.mkdir(parents=True, exist_ok=True)
    with demo() as (address, name, password), sync_playwright() as playwright:
        print(f"The demo works for {minutes:g} minutes before its pictures are taken", flush=True)
        time.sleep(60 * minutes)
        program = shutil.which("chromium") or shutil.which("chromium-browser") or playwright.chromium.executable_path
        browser = playwright.chromium.launch(executable_path=program, args=SWITCHES)
        page = browser.new_page(base_url=address, viewport=SIZE, locale="en-GB", reduced_motion="reduce")
        page.goto("/")
        page.fill("#id_username", name)
        page.fill("#id_password", password)
        page.click("#login-form button[type=submit]")
        page.get_by_role("button", name="Put the tour away").click()
        page.wait_for_load_state("networkidle")
        for picture in PICTURES:
            take(page, *picture)
        browser.close()


def take(page: Page, name: str, language: str, theme: str, way: str, link: str) -> None:
    page.context.add_cookies([{"name": "django_language", "value": language, "url": page.url}])
    page.emulate_media(color_scheme="dark" if theme == "dark" else "light", reduced_motion="reduce")
    page.goto(way, wait_until="networkidle")
    if link:
        page.locator("main table tbody th a", has_text=link).last.click()
        page.wait_for_load_state("networkidle")
    page.wait_for_timeout(700)  # samples and charts that come after the page
    png = palette(page.screenshot())
    (FOLDER / f"{name}.png").write_bytes(png)
    print(f"{name}.png  {len(png) // 1000} kB", flush=True)
    if len(png) > MOST_BYTES:
        sys.exit(f"{name}.png is over {MOST_BYTES // 1000} kB.")


@contextmanager
def demo():
    """The whole hub with its demo, as `make run` starts it, in a data folder that goes with it: (address, user, password)."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    folder = Path(tempfile.mkdtemp(prefix="hub-pictures-"))
    environ = {**os.environ, "DATA_DIR": str(folder), "PORT": str(port), "ORGANISATION": "Hailan Instruments", "PYTHONUNBUFFERED": "1"}
    log = folder / "log"
    with log.open("w") as out:
        hub = subprocess.Popen([sys.executable, "manage.py", "start", "--demo"], cwd=ROOT, env=environ, stdout=out, stderr=subprocess.STDOUT)
    try:
        address = f"http://localhost:{port}"
        wait_until_ready(hub, address, log)
        told = re.search(r"Sign in as (\S+) with the password (\S+)", log.read_text())
        if told is None:
            sys.exit(log.read_text())
        yield address, told[1], told[2]
    finally:
        hub.send_signal(signal.SIGINT)
        hub.wait(60)
        shutil.rmtree(folder, ignore_errors=True)


def wait_until_ready(hub: subprocess.Popen[bytes], address: str, log: Path) -> None:
    for _second in range(180):
        time.sleep(1)
        if hub.poll() is not None:
            sys.exit(log.read_text())
        try:
            with urllib.request.urlopen(f"{address}/readyz", timeout=5) as answer:  # noqa: S310  our own
                if answer.status == 200 and "Sign in as" in log.read_text():
                    return
        except (urllib.error.URLError, OSError):
            continue
    sys.exit(log.read_text())


# --- PNG --------------------------------------------------------------------------------------------------------------


def palette(png: bytes) -> bytes:
    """The same picture in its 256 most frequent colours that differ to the eye; a pixel of another one takes the nearest of these."""
    width, height, step, rows = pixels(png)
    colours = Counter(row[i : i + 3] for row in rows for i in range(0, len(row), step))
    chosen: list[bytes] = []
    for colour, _count in colours.most_common():
        if len(chosen) < 256 and all(distance(colour, other) > ALIKE for other in chosen):
            chosen.append(colour)
    index = {colour: min(range(len(chosen)), key=lambda n: distance(colour, chosen[n])) for colour in colours}
    lines = b"".join(b"\0" + bytes(index[row[i : i + 3]] for i in range(0, len(row), step)) for row in rows)
    head = struct.pack(">IIBBBBB", width, height, 8, 3, 0, 0, 0)
    parts = ((b"IHDR", head), (b"PLTE", b"".join(chosen)), (b"IDAT", zlib.compress(lines, 9)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(kind, body) for kind, body in parts)


def distance(one: bytes, other: bytes) -> int:
    return (one[0] - other[0]) ** 2 + (one[1] - other[1]) ** 2 + (one[2] - other[2]) ** 2


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def pixels(png: bytes) -> tuple[int, int, int, list[bytes]]:
    """(width, height, bytes of a pixel, rows) of a PNG as browsers write them: 8 bits, RGB or RGBA, not interlaced. Source: PNG specification, 9."""
    place, packed, head = 8, b"", b""
    while place < len(png):
        (length,) = struct.unpack(">I", png[place : place + 4])
        kind, body = png[place + 4 : place + 8], png[place + 8 : place + 8 + length]
        head = body if kind == b"IHDR" else head
        packed += body if kind == b"IDAT" else b""
        place += 12 + length
    width, height, _depth, colour = struct.unpack(">IIBB", head[:10])
    step = {2: 3, 6: 4}[colour]
    flat, line, rows, before = zlib.decompress(packed), width * step, [], bytearray(width * step)
    for number in range(height):
        start = number * (line + 1)
        before = unfiltered(flat[start], bytearray(flat[start + 1 : start + 1 + line]), before, step)
        rows.append(bytes(before))
    return width, height, step, rows


def unfiltered(kind: int, row: bytearray, above: bytearray, step: int) -> bytearray:
    for i in range(len(row) if kind else 0):
        left, up, corner = (row[i - step], above[i], above[i - step]) if i >= step else (0, above[i], 0)
        if kind == 4:
            guess = left + up - corner
            near = min((abs(guess - left), 0, left), (abs(guess - up), 1, up), (abs(guess - corner), 2, corner))[2]
        row[i] = (row[i] + (left, up, (left + up) // 2, near if kind == 4 else 0)[kind - 1]) & 255
    return row


if __name__ == "__main__":
    main(float(sys.argv[1]) if len(sys.argv) > 1 else 6)
