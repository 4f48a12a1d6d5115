"""What an event is filed under: whoever follows one of its keys is told of it, and nobody else."""

from uuid import UUID

from models.event import CHANGES_ACCESS, Kind
from models.log import Event

Key = tuple[str, UUID | Kind | None]

WORKSPACE: Key = ("workspace", None)
# What moves teams in their tree, and with them what the agents above see.
TREE: Key = ("tree", None)
STAFF: Key = ("staff", None)

# How an agent appears to its team: whether it is there, works, and how much it holds.
_OF_AGENTS = frozenset(
    {
        Kind.AGENT_CREATED,
        Kind.AGENT_UPDATED,
        Kind.AGENT_DEACTIVATED,
        Kind.AGENT_REACTIVATED,
        Kind.AGENT_AVAILABILITY_CHANGED,
        Kind.AGENT_CONNECTED,
        Kind.AGENT_DISCONNECTED,
    }
)
# These change a load though the holder stays the same.
_OF_LOADS = frozenset(
    {
        Kind.CONVERSATION_SNOOZED,
        Kind.CONVERSATION_WOKEN,
        Kind.CONVERSATION_CLOSED,
        Kind.CONVERSATION_REOPENED,
    }
)
_OF_TREE = frozenset({Kind.TEAM_CREATED, Kind.TEAM_UPDATED, Kind.TEAM_DELETED, Kind.OTHER})
_MAY_MOVE = CHANGES_ACCESS | _OF_TREE | {Kind.TOKEN_REVOKED}


def keys_of(event: Event) -> set[Key]:
    """The keys of an event, about a dozen, and twenty at most."""
    keys: set[Key] = {WORKSPACE, ("kind", event.kind)}
    if event.conversation_id is not None:
        keys.add(("conversation", event.conversation_id))
    else:
        keys.update(("team", id) for id in (event.from_team_id, event.to_team_id) if id)
    if event.contact_id is not None:
        keys.add(("contact", event.contact_id))
    keys.update(("queue", id) for id in (event.from_queue_id, event.to_queue_id) if id)
    agents = [id for id in (event.from_agent_id, event.to_agent_id) if id]
    keys.update(("agent", id) for id in agents)
    keys.update(("own", id) for id in event.own_of if id)
    keys.update(("ticket", id) for id in event.ticket_ids)
    if changes_staff(event):
        keys.add(STAFF)
        keys.update(("staff", id) for id in agents)
    return keys | access_keys(event)


def access_keys(event: Event) -> set[Key]:
    """Whose access an event may move: one that this version does not know may move anybody's."""
    if event.kind not in _MAY_MOVE:
        return set()
    if event.kind is Kind.TOKEN_REVOKED:
        return {("access", UUID(event.data["token"]))}
    agents = (event.from_agent_id, event.to_agent_id)
    keys: set[Key] = {("access", id) for id in agents if id}
    if event.kind in _OF_TREE and (
        event.kind is not Kind.TEAM_UPDATED or "parent_id" in event.data
    ):
        keys.add(TREE)
    return keys


def changes_staff(event: Event) -> bool:
    """Whether an event changes how its agents appear to their teams, their load included."""
    if event.conversation_id is None:
        return event.kind in _OF_AGENTS
    return event.from_agent_id != event.to_agent_id or event.kind in _OF_LOADS
