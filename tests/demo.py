"""The demo's file as the tests read it that speak to the systems of the sandbox: the settings there are written once, for both."""

from copy import deepcopy
from functools import cache
from typing import Any

import yaml

from integration_hub.blueprints import demo, references

Json = dict[str, Any]


@cache
def read(url: str) -> Json:
    """The demo's file, for a sandbox at this address, with the secrets in place. Read once, for that takes long."""
    return yaml.safe_load(references.resolve(demo.FILE.read_text(), {**demo.SECRETS, "SANDBOX_URL": url}))


def systems(url: str) -> dict[str, Json]:
    """The settings of each of its systems, as an administrator would fill them in; to be changed at will."""
    return {name: deepcopy(system["settings"]) for name, system in read(url)["systems"].items()}
