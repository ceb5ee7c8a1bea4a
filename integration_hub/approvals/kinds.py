"""Kinds of decisions: apps above say what each of theirs means."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from integration_hub.core.registry import Registry

if TYPE_CHECKING:
    from django.utils.functional import Promise

    from integration_hub.accounts.actor import Actor
    from integration_hub.approvals.models import Decision


@dataclass(frozen=True)
class Answer:
    """One thing that can be said. `act` does what follows, in the transaction of the decision; what it raises undoes both."""

    label: str | Promise
    state: str  # in which it leaves the decision
    act: Callable[[Decision, Actor, str], None]  # decision, who, why
    note: str | Promise = ""  # what follows
    permission: str = ""  # beside decisions.decide
    primary: bool = False
    danger: bool = False


@dataclass(frozen=True)
class Kind:
    """What is asked, the answers there are, and how its page shows what it is about: a template with the values that `shown` answers."""

    label: str | Promise
    answers: Callable[[Decision], Mapping[str, Answer]]
    template: str
    shown: Callable[[Decision, Actor], dict[str, Any]]
    refusals: tuple[type[Exception], ...] = ()  # with which its answers refuse; each says why in a sentence


kinds: Registry[Kind] = Registry("kinds of decisions")
