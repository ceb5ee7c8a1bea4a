"""YAML out: the same values always give the same text, byte for byte, that a diff in review shows only what changed."""

from __future__ import annotations

from typing import Any

import yaml


class _Dumper(yaml.SafeDumper):
    def ignore_aliases(self, data: Any) -> bool:
        return True

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        super().increase_indent(flow, indentless=False)  # lists stand to the right of their key


def _text(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
    block = "\n" in value and not any(line != line.rstrip() for line in value.split("\n")) and value.isprintable() is False
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style="|" if block else None)


def _list(dumper: yaml.SafeDumper, value: Any) -> yaml.SequenceNode:
    """A short list of plain values in one line."""
    plain = all(isinstance(part, str | int | float | bool | None) for part in value)
    flow = plain and sum(len(str(part)) + 2 for part in value) < 100
    return dumper.represent_sequence("tag:yaml.org,2002:seq", value, flow_style=flow)


_Dumper.add_representer(str, _text)
_Dumper.add_representer(list, _list)
_Dumper.add_representer(tuple, _list)


def write(value: Any) -> str:
    """Keys stand in the order they are given."""
    return yaml.dump(value, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=150, default_flow_style=False)
