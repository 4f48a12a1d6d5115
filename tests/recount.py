"""The numbers of reports counted again, one by one, from the log and the records of the desk.

Nothing here reads what reports are computed from, nor shares a line with them.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import orjson

from models.database import Row, fetch

Numbers = dict[str, Any]


@dataclass(frozen=True)
class Fact:
    """One thing that happened."""

    what: str
    at: datetime
    team_id: UUID | None = None
    agent_id: UUID | None = None
    channel_id: UUID | None = None
    contact_id: UUID | None = None
    seconds: int | None = None
    detail: str | None = None
    reason_id: UUID | None = None


@dataclass(frozen=True)
class Stay:
    team_id: UUID
    channel_id: UUID | None
    entered_at: datetime
    left_at: datetime | None


@dataclass(frozen=True)
class History:
    facts: list[Fact]
    stays: list[Stay]

    @classmethod
    async def of(cls, workspace_id: UUID) -> "History":
        events = await fetch(
            "SELECT * FROM events WHERE workspace_id = $1 ORDER BY seq", workspace_id
        )
        told = [fact for event in events for fact in _of_event(event)]
        told += [*_answers(events), *_losses(events)]
        return cls([*told, *await _records(workspace_id)], _stays(events))


def _data(event: Row) -> Mapping[str, Any]:
    return orjson.loads(event["data"]) if event["data"] else {}


def _author(event: Row) -> UUID | None:
    by_hand = event["actor_id"] if event["actor_kind"] == "AGENT" else None
    behalf = _data(event).get("on_behalf_of")
    return by_hand or (UUID(behalf) if behalf else None)


def _of_event(event: Row) -> Iterable[Fact]:
    """What only the log tells."""
    channel, contact = event["channel_id"], event["contact_id"]
    kind, at = event["kind"], event["logged_at"]
    to, from_ = _places(event, "to"), _places(event, "from")
    if kind == "CONTACT_CREATED":
        yield Fact("created", at, channel_id=channel)
    elif kind == "CONVERSATION_OPENED":
        yield Fact("opened", at, event["to_team_id"], _author(event), channel, contact)
    elif kind == "CONVERSATION_REOPENED":
        yield Fact("reopened", at, *to, channel, contact)
    elif kind == "CONVERSATION_TRANSFERRED":
        receiver = "AGENT" if event["to_agent_id"] else "TEAM"
        yield Fact("transferred", at, *from_, channel, contact, detail=receiver)
    elif kind in SAID:
        agent = event["to_agent_id"] if SAID[kind] == "received" else _author(event)
        yield Fact(SAID[kind], at, event["to_team_id"], agent, channel, contact)


def _places(event: Row, way: str) -> tuple[UUID | None, UUID | None]:
    return event[f"{way}_team_id"], event[f"{way}_agent_id"]


SAID = {"MESSAGE_RECEIVED": "received", "MESSAGE_SENT": "sent", "NOTE_ADDED": "notes"}


def _answers(events: Iterable[Row]) -> Iterable[Fact]:
    """The first message of a person in each stretch that a conversation was open."""
    waiting_since: dict[UUID, datetime] = {}
    for event in events:
        conversation = event["conversation_id"]
        if event["kind"] in ("CONVERSATION_OPENED", "CONVERSATION_REOPENED"):
            # Of what somebody opened, no customer waits for the first word.
            if _data(event).get("rule") != "OPENED_BY_HAND":
                waiting_since[conversation] = event["logged_at"]
        elif event["kind"] == "MESSAGE_SENT" and _author(event):
            since = waiting_since.pop(conversation, None)
            if since is not None:
                at = event["logged_at"]
                yield Fact(
                    "answered",
                    at,
                    event["to_team_id"],
                    _author(event),
                    event["channel_id"],
                    seconds=int((at - since).total_seconds()),
                )


def _losses(events: Iterable[Row]) -> Iterable[Fact]:
    """What left the agent who held it, by anything but a closing and a transfer."""
    for event in events:
        (team_id, holder), (_, receiver) = _places(event, "from"), _places(event, "to")
        if event["conversation_id"] is None or event["kind"] in COUNTED_ELSEWHERE:
            continue
        if holder not in (None, receiver):
            yield Fact(
                "unassigned",
                event["logged_at"],
                team_id,
                holder,
                event["channel_id"],
                event["contact_id"],
                detail=_data(event).get("rule"),
            )


COUNTED_ELSEWHERE = ("CONVERSATION_CLOSED", "CONVERSATION_TRANSFERRED")


async def _records(workspace_id: UUID) -> list[Fact]:
    """What has rows of its own: closings and assignments."""
    closures = await fetch(
        """
        SELECT x.*, c.channel_id, c.contact_id, coalesce((
            SELECT max(e.logged_at) FROM events e WHERE e.conversation_id = c.id
              AND e.kind = 'CONVERSATION_REOPENED' AND e.logged_at <= x.closed_at),
            c.opened_at) AS since
        FROM closures x JOIN conversations c ON c.id = x.conversation_id
        WHERE x.workspace_id = $1
        """,
        workspace_id,
    )
    assignments = await fetch(
        """
        SELECT a.*, c.channel_id FROM assignments a JOIN conversations c ON c.id = a.conversation_id
        WHERE a.workspace_id = $1
        """,
        workspace_id,
    )
    closed = [
        Fact(
            "closed",
            row["closed_at"],
            row["team_id"],
            row["agent_id"],
            row["channel_id"],
            seconds=int((row["closed_at"] - row["since"]).total_seconds()),
            detail=row["cause"],
            reason_id=row["reason_id"],
        )
        for row in closures
    ]
    assigned = [
        Fact(
            "assigned",
            row["started_at"],
            row["team_id"],
            row["agent_id"],
            row["channel_id"],
            detail=row["rule"],
        )
        for row in assignments
    ]
    return [*closed, *assigned]


def _stays(events: Iterable[Row]) -> list[Stay]:
    found, waiting = [], {}
    for event in events:
        conversation, to = event["conversation_id"], event["to_queue_id"]
        if conversation is None or event["from_queue_id"] == to:
            continue
        if conversation in waiting:
            team_id, since = waiting.pop(conversation)
            if since != event["logged_at"] or to != team_id:
                found.append(Stay(team_id, event["channel_id"], since, event["logged_at"]))
        if to is not None:
            waiting[conversation] = (to, event["logged_at"])
    return found + [Stay(team, None, since, None) for team, since in waiting.values()]


def counts(facts: Iterable[Fact], names: Mapping[str, Callable[[Fact], bool]]) -> Numbers:
    facts = list(facts)
    return {name: sum(map(is_meant, facts)) for name, is_meant in names.items()}


def percentile(share: float, values: Iterable[float]) -> float | None:
    """Between the two that are nearest, in proportion."""
    ordered = sorted(values)
    if not ordered:
        return None
    place = share * (len(ordered) - 1)
    below = int(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (place - below)


def _is(what: str, detail: str | None = None) -> Callable[[Fact], bool]:
    return lambda fact: fact.what == what and detail in (None, fact.detail)


def _times(what: str) -> Callable[[list[Fact]], Numbers]:
    def told(facts: list[Fact]) -> Numbers:
        seconds = [fact.seconds or 0 for fact in facts if fact.what == what]
        return {
            "count": len(seconds),
            "median_seconds": percentile(0.5, seconds),
            "percentile90_seconds": percentile(0.9, seconds),
        }

    return told


def _contacts(facts: list[Fact]) -> Numbers:
    began = {fact.contact_id for fact in facts if fact.what in ("opened", "reopened")}
    return {"active": len(began), "created": sum(fact.what == "created" for fact in facts)}


def _leader(facts: list[Fact]) -> Numbers:
    facts = [fact for fact in facts if fact.agent_id is not None]
    return {
        **counts(facts, {name: _is(name) for name in ("closed", "assigned", "sent")}),
        "resolution_median_seconds": _times("closed")(facts)["median_seconds"],
        "first_response_median_seconds": _times("answered")(facts)["median_seconds"],
    }


COUNTED: Mapping[str, Callable[[list[Fact]], Numbers]] = {
    "conversations": lambda facts: counts(
        facts, {name: _is(name) for name in ("opened", "reopened", "closed")}
    ),
    "firstResponses": _times("answered"),
    "resolutions": _times("closed"),
    "messages": lambda facts: counts(
        facts, {name: _is(name) for name in ("received", "sent", "notes")}
    ),
    "contacts": _contacts,
    "assignments": lambda facts: counts(
        facts,
        {
            "assigned": _is("assigned"),
            "picked": _is("assigned", "PICKED"),
            "assigned_by_hand": _is("assigned", "ASSIGNED_BY_HAND"),
            "unassigned": _is("unassigned"),
            "timed_out": _is("unassigned", "ANSWER_TIMEOUT"),
        },
    ),
    "transfers": lambda facts: counts(
        facts,
        {
            "transferred": _is("transferred"),
            "to_agents": _is("transferred", "AGENT"),
            "to_teams": _is("transferred", "TEAM"),
        },
    ),
    "leaderboard": _leader,
    "closings": lambda facts: counts(facts, {"closed": _is("closed")}),
}


def key_of(fact: Fact, by: str, zone: str) -> Any:
    if by == "day":
        return fact.at.astimezone(ZoneInfo(zone)).date()
    return getattr(fact, by)


def by_key(facts: Iterable[Fact], name: str, by: str, zone: str) -> dict[Any, Numbers]:
    """The rows of a report that have anything in them."""
    groups: defaultdict[Any, list[Fact]] = defaultdict(list)
    for fact in facts:
        keys = [key_of(fact, "agent_id" if name == "leaderboard" else by, zone)]
        if name == "closings":
            keys += [fact.detail, fact.reason_id]
        groups[tuple(keys)].append(fact)
    rows = {keys: COUNTED[name](group) for keys, group in groups.items()}
    return {keys: row for keys, row in rows.items() if any(row.values())}
