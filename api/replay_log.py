"""What the workspace's log says of a replay once it is over: no request of it costs any more."""

from collections import Counter
from dataclasses import dataclass
from typing import Any

from api.replay_client import Client, Operation, Refused
from api.replay_report import Routes

NEWEST_EVENT = Operation(
    "events",
    "query { events(last: 1) { nodes { ... on LoggedEvent { seq } } pageInfo { endCursor } } }",
)
ROUTED = Operation(
    "events",
    """query ($after: String) {
        events(first: 100, after: $after, filter: {
            kinds: [CONVERSATION_OPENED, CONVERSATION_REOPENED, CONVERSATION_HANDED_OFF]
        }) {
            nodes { ... on ConversationEvent { kind rule toTeam { line isTodos } } }
            pageInfo { hasNextPage endCursor }
        }
    }""",
)
_PLACES = {"OWNER": "the owner", "STICKY": "the sticky agent", "BOT": "the bot"}


@dataclass(frozen=True, slots=True)
class Newest:
    """Where the log ends; `cursor` is none while it is empty."""

    seq: int
    cursor: str | None


async def newest_event(client: Client) -> Newest | None:
    """None where the token may not read the log."""
    try:
        events = await client.query(NEWEST_EVENT, {})
    except Refused:
        return None
    seqs = [int(node["seq"]) for node in events["nodes"] if node] if events else []
    return Newest(seqs[-1], events["pageInfo"]["endCursor"]) if seqs else Newest(0, None)


async def routes_after(client: Client, newest: Newest) -> Routes | None:
    """Where conversations were sent since; none where the log cannot be read to its end."""
    routes = Routes(Counter(), Counter())
    cursor, is_more = newest.cursor, True
    while is_more:
        try:
            page = await client.query(ROUTED, {"after": cursor})
        except Refused:
            return None
        for event in page["nodes"]:
            handed_off = event["kind"] == "CONVERSATION_HANDED_OFF"
            (routes.handed_off if handed_off else routes.opened)[_place(event)] += 1
        cursor, is_more = page["pageInfo"]["endCursor"], page["pageInfo"]["hasNextPage"]
    return routes


def _place(event: dict[str, Any]) -> str:
    """In the words of the domain: SALES teams are groups, SUPPORT ones departments."""
    team = event["toTeam"]
    if event["rule"] in _PLACES:
        return _PLACES[event["rule"]]
    if team is None:
        return "an agent"
    if team["isTodos"]:
        return "Todos"
    return "a department" if team["line"] == "SUPPORT" else "a group"
