"""What of an event is counted: each figure is one countable thing, with the places it had then.

Figures are of the moment they happened, so that a range that is over never changes: a first
response counts when it was sent, a closing when it closed, each for the team, the agent and the
channel of that moment. They are written with the events that they come from, by `flush_events`.
"""

from collections.abc import Callable, Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Any

from models import database
from models.access import ActorKind
from models.event import Kind

Fact = Mapping[str, Any]
Figure = dict[str, Any]


class Measure(StrEnum):
    """What is counted."""

    OPENED = "OPENED"
    REOPENED = "REOPENED"
    FIRST_RESPONSE = "FIRST_RESPONSE"
    CLOSED = "CLOSED"
    MESSAGE_RECEIVED = "MESSAGE_RECEIVED"
    MESSAGE_SENT = "MESSAGE_SENT"
    NOTE_ADDED = "NOTE_ADDED"
    CONTACT_CREATED = "CONTACT_CREATED"
    ASSIGNED = "ASSIGNED"
    UNASSIGNED = "UNASSIGNED"
    TRANSFERRED = "TRANSFERRED"


def figures(fact: Fact) -> list[Figure]:
    """What an event counts as, perhaps nothing; channel, contact and conversation are its own."""
    found = [_OF[fact["kind"]](fact)] if fact["kind"] in _OF else []
    data = _data(fact)
    if data.get("first_response_seconds") is not None:
        response = _by_author(Measure.FIRST_RESPONSE, fact)
        found.append({**response, "seconds": data["first_response_seconds"]})
    if _is_lost(fact):
        found.append(_lost(fact))
    if "assignment" in data:
        found.append(_received(Measure.ASSIGNED, fact))
    return [{name: to for name, to in figure.items() if to is not None} for figure in found]


def _opened(fact: Fact) -> Figure:
    """Whose it is comes with its assignment; here it is who opened it by hand."""
    return {
        "measure": Measure.OPENED,
        "team_id": fact.get("to_team_id"),
        "agent_id": _author(fact),
        "detail": _data(fact).get("rule"),
    }


def _closed(fact: Fact) -> Figure:
    data = _data(fact)
    return {
        "measure": Measure.CLOSED,
        "team_id": fact.get("from_team_id"),
        "agent_id": fact.get("from_agent_id"),
        "reason_id": data.get("reason"),
        "seconds": data.get("resolution_seconds"),
        "detail": data.get("cause"),
    }


def _received(measure: Measure, fact: Fact) -> Figure:
    return {
        "measure": measure,
        "team_id": fact.get("to_team_id"),
        "agent_id": fact.get("to_agent_id"),
        "detail": _data(fact).get("rule"),
    }


def _is_lost(fact: Fact) -> bool:
    """Whether a conversation went from its agent, to another or to none, by whatever happened.

    What was closed or handed over is counted as that.
    """
    holder = fact.get("from_agent_id") if fact.get("conversation_id") else None
    is_counted = fact["kind"] in (Kind.CONVERSATION_CLOSED, Kind.CONVERSATION_TRANSFERRED)
    return holder is not None and fact.get("to_agent_id") != holder and not is_counted


def _lost(fact: Fact) -> Figure:
    return {
        "measure": Measure.UNASSIGNED,
        "team_id": fact.get("from_team_id"),
        "agent_id": fact.get("from_agent_id"),
        "detail": _data(fact).get("rule"),
    }


def _handed_over(fact: Fact) -> Figure:
    """Of who gave it away; whoever received it has an assignment, or a stay in its queue."""
    return {
        "measure": Measure.TRANSFERRED,
        "team_id": fact.get("from_team_id"),
        "agent_id": fact.get("from_agent_id"),
        "detail": "AGENT" if fact.get("to_agent_id") else "TEAM",
    }


def _from_customer(fact: Fact) -> Figure:
    return {
        "measure": Measure.MESSAGE_RECEIVED,
        "team_id": fact.get("to_team_id"),
        "agent_id": fact.get("to_agent_id"),
    }


def _by_author(measure: Measure, fact: Fact) -> Figure:
    return {"measure": measure, "team_id": fact.get("to_team_id"), "agent_id": _author(fact)}


def _author(fact: Fact) -> Any:
    """The person who did it, or for whom an integration did."""
    if fact["actor_kind"] == ActorKind.AGENT:
        return fact.get("actor_id")
    return _data(fact).get("on_behalf_of")


def _data(fact: Fact) -> Mapping[str, Any]:
    return fact.get("data") or _NOTHING


_NOTHING: Mapping[str, Any] = MappingProxyType({})
_OF: dict[Kind, Callable[[Fact], Figure]] = {
    Kind.CONVERSATION_OPENED: _opened,
    Kind.CONVERSATION_REOPENED: lambda fact: _received(Measure.REOPENED, fact),
    Kind.CONVERSATION_CLOSED: _closed,
    Kind.CONVERSATION_TRANSFERRED: _handed_over,
    Kind.MESSAGE_RECEIVED: _from_customer,
    Kind.MESSAGE_SENT: lambda fact: _by_author(Measure.MESSAGE_SENT, fact),
    Kind.NOTE_ADDED: lambda fact: _by_author(Measure.NOTE_ADDED, fact),
    Kind.CONTACT_CREATED: lambda _: {"measure": Measure.CONTACT_CREATED},
}

database.count_by(figures)
