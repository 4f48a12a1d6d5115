"""What an event of the set-up is about: which kind of thing, and which one, gone or not."""

from collections.abc import Callable
from uuid import UUID

from models.event import Kind
from models.log import Event

Find = Callable[[Event], UUID | None]


def subject_of(event: Event) -> tuple[str, UUID] | None:
    """The name of its type and its id; none for what only a newer version knows."""
    type_name, find = _SUBJECTS.get(event.kind, ("", lambda _: None))
    id = find(event)
    return None if id is None else (type_name, id)


def _told(name: str) -> Find:
    return lambda event: UUID(event.data[name])


def _agent(event: Event) -> UUID | None:
    return event.to_agent_id


def _left(event: Event) -> UUID | None:
    return event.from_agent_id


def _team(event: Event) -> UUID | None:
    """Of two the one that went, not the one that took over."""
    return event.from_team_id or event.to_team_id


def _channel(event: Event) -> UUID | None:
    return event.channel_id


def _workspace(event: Event) -> UUID | None:
    return event.workspace_id


_SUBJECTS: dict[Kind, tuple[str, Find]] = {
    Kind.AGENT_CREATED: ("Agent", _agent),
    Kind.AGENT_UPDATED: ("Agent", _agent),
    Kind.AGENT_DEACTIVATED: ("Agent", _left),
    Kind.AGENT_REACTIVATED: ("Agent", _agent),
    Kind.AGENT_PASSWORD_SET: ("Agent", _agent),
    Kind.TEAM_CREATED: ("Team", _team),
    Kind.TEAM_UPDATED: ("Team", _team),
    Kind.TEAM_DELETED: ("Team", _team),
    Kind.MEMBER_ADDED: ("Team", _team),
    Kind.MEMBER_REMOVED: ("Team", _team),
    Kind.MEMBERS_REORDERED: ("Team", _team),
    Kind.CHANNEL_CREATED: ("Channel", _channel),
    Kind.CHANNEL_UPDATED: ("Channel", _channel),
    Kind.CHANNEL_ASSIGNED: ("Channel", _channel),
    Kind.CHANNEL_BOT_SET: ("Channel", _channel),
    Kind.TAG_CREATED: ("Tag", _told("tag")),
    Kind.CONTACT_FIELD_CREATED: ("ContactField", _told("field")),
    Kind.CONTACT_FIELD_UPDATED: ("ContactField", _told("field")),
    Kind.CONTACT_FIELD_DELETED: ("ContactField", _told("field")),
    Kind.SEGMENT_CREATED: ("Segment", _told("segment")),
    Kind.SEGMENT_UPDATED: ("Segment", _told("segment")),
    Kind.SEGMENT_DELETED: ("Segment", _told("segment")),
    Kind.SNIPPET_CREATED: ("Snippet", _told("snippet")),
    Kind.SNIPPET_UPDATED: ("Snippet", _told("snippet")),
    Kind.SNIPPET_DELETED: ("Snippet", _told("snippet")),
    Kind.WORKFLOW_CREATED: ("Workflow", _told("workflow")),
    Kind.WORKFLOW_UPDATED: ("Workflow", _told("workflow")),
    Kind.WORKFLOW_PUBLISHED: ("Workflow", _told("workflow")),
    Kind.WORKFLOW_ARCHIVED: ("Workflow", _told("workflow")),
    Kind.CLOSING_REASON_CREATED: ("ClosingReason", _told("reason")),
    Kind.CLOSING_REASON_UPDATED: ("ClosingReason", _told("reason")),
    Kind.CLOSING_REASON_DELETED: ("ClosingReason", _told("reason")),
    Kind.WORKSPACE_UPDATED: ("Workspace", _workspace),
    Kind.TOKEN_CREATED: ("Token", _told("token")),
    Kind.TOKEN_REVOKED: ("Token", _told("token")),
}
