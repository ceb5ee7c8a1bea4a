"""Makes .venv hold exactly what a lock file names: `python3 scripts/environment.py requirements.txt`. Does nothing when it does already.
A second argument names another folder than .venv.

Runs before anything is installed, with whatever Python there is, so it uses the standard library alone.
"""

import re
import shutil
import subprocess
import sys
import venv
from pathlib import Path

ENVIRONMENT = Path(sys.argv[2] if len(sys.argv) > 2 else ".venv")
PYTHON = ENVIRONMENT / "bin" / "python"


def main(lock):
    if sys.version_info < (3, 11):  # noqa: UP036 that is what is to be found out
        sys.exit(
            "Integration Hub needs Python 3.11 or newer, and {} is not: install it, or name it with make PYTHON=/path/to/python3.11".format(
                sys.executable
            )
        )
    stamp = ENVIRONMENT / ("installed-" + lock.name)
    works = PYTHON.exists() and subprocess.run([str(PYTHON), "-c", ""]).returncode == 0
    if works and stamp.exists() and stamp.read_bytes() == lock.read_bytes():
        return
    if not works:
        tell("Creating the environment in {}; the first time this takes a minute".format(ENVIRONMENT))
        shutil.rmtree(str(ENVIRONMENT), ignore_errors=True)
        try:
            venv.create(str(ENVIRONMENT), with_pip=True)
        except (subprocess.CalledProcessError, SystemExit):
            sys.exit("Python's venv module is not complete. On Debian and Ubuntu: apt install python3-venv")
    if install(lock):
        for other in ENVIRONMENT.glob("installed-*"):
            other.unlink()
    stamp.write_bytes(lock.read_bytes())


def install(lock):
    """Run pip and show how far it is; what else it says is shown only when it fails. Returns whether anything had to be installed."""
    total = len(re.findall(r"^[A-Za-z0-9][^ ]*==", lock.read_text(), re.MULTILINE))
    command = [str(PYTHON), "-m", "pip", "install", "--require-hashes", "--no-deps", "--no-input", "--disable-pip-version-check"]
    pip = subprocess.Popen([*command, "--progress-bar", "off", "-r", str(lock)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    said, count = [], 0
    for line in pip.stdout:
        said.append(line)
        if line.startswith(("Collecting ", "Requirement already satisfied: ", "Ignoring ")):
            count += 1
            name = re.split(r"[ =;]", line.split(": ")[-1].replace("Collecting ", ""))[0]
            progress("Fetching packages: {} of {}  {}".format(min(count, total), total, name))
        elif line.startswith("Installing collected packages"):
            progress("Installing them, some seconds more")
    progress("")
    if pip.wait() != 0:
        sys.stderr.write("".join(said[-20:]))
        sys.exit("The packages of {} could not be installed; pip says why above.".format(lock))
    changed = any(line.startswith("Installing collected packages") for line in said)
    if changed:
        tell("Installed what {} names".format(lock))
    return changed


def tell(line):
    print(line, flush=True)


def progress(line):
    """One line that is written over on a terminal; elsewhere nothing, so that a log stays short."""
    if sys.stdout.isatty():
        sys.stdout.write("\r\033[K" + line[:100])
        sys.stdout.flush()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
