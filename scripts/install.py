"""Makes a hub that can be started out of a fresh checkout: `python3 scripts/install.py`, as the user that it will run as. Run again, it brings what
is there up to this release and changes nothing else. By hand, in an image and in CI alike; docs/deploy.md says where each part is run.

    python3 scripts/install.py [environment] [secrets] [setup]      without arguments all three

environment   .venv, with exactly what requirements.txt names, checked by hash
secrets       .env beside manage.py: SECRET_KEY and CREDENTIAL_KEYS, made once, and those of the variables below that are set; nothing that
              stands in it is ever changed
setup         manage.py setup: the database, the folders, the first administrator; then manage.py check --deploy

The first two need the standard library alone.
"""

import os
import re
import secrets
import subprocess
import sys
from pathlib import Path

import environment

ENV = Path(".env")
KEPT = ("PUBLIC_URL", "BEHIND_PROXY", "DATA_DIR", "DATABASE_URL", "BROKER_URL", "STORAGE_URL")


def main(wanted):
    steps = {"environment": make_environment, "secrets": keep_secrets, "setup": set_up}
    unknown = [name for name in wanted if name not in steps]
    if unknown:
        sys.exit("There is no part {}; there are {}.".format(unknown[0], ", ".join(steps)))
    os.chdir(str(Path(__file__).resolve().parents[1]))
    for name, run in steps.items():
        if not wanted or name in wanted:
            run()
    if not wanted:
        environment.tell(next_steps())


def make_environment():
    environment.main(Path("requirements.txt"))


def keep_secrets():
    """Add what .env lacks. It is readable by its owner alone from its first byte on."""
    values = {name: os.environ[name] for name in KEPT if os.environ.get(name)}
    values["SECRET_KEY"] = os.environ.get("SECRET_KEY") or secrets.token_urlsafe(50)
    values["CREDENTIAL_KEYS"] = os.environ.get("CREDENTIAL_KEYS") or "k1:" + secrets.token_urlsafe(32)
    try:
        there = ENV.read_text() if ENV.exists() else ""
        added = [name for name in values if not re.search("^(export )?{}=".format(name), there, re.MULTILINE)]
        wrong = [name for name in added if re.search("['\n]", values[name])]
        if wrong:
            sys.exit("{} holds a quotation mark or a line break, which {} cannot hold.".format(wrong[0], ENV))
        if added:
            with open(os.open(str(ENV), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "a") as file:
                file.write("" if there.endswith("\n") or not there else "\n")
                file.writelines("{}='{}'\n".format(name, values[name]) for name in added)
            environment.tell("Wrote {} into {}".format(", ".join(added), ENV))
    except OSError as error:
        sys.exit("{} cannot be read and written by this user: {}. Nothing was changed.".format(os.path.realpath(str(ENV)), error.strerror))


def set_up():
    for command in (["setup"], ["check", "--deploy"]):
        code = subprocess.run([str(environment.PYTHON), "manage.py", *command]).returncode
        if code != 0:
            sys.exit(code)


def next_steps():
    return (
        "Installed in {}. On this machine alone, with nothing else needed:\n"
        "  .venv/bin/python manage.py start\n"
        "As services, on one machine or on many: docs/deploy.md. Keep a copy of .env where the database is not: without its CREDENTIAL_KEYS\n"
        "no stored credential can be read again."
    ).format(Path.cwd())


if __name__ == "__main__":
    main(sys.argv[1:])
