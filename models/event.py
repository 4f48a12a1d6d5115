"""One numbered fact in a workspace's log: the only source of subscriptions and history.

Events carry ids, enums, numbers and times. Text and names stay in their own tables, so that a
person can be erased without touching a number.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Any
from uuid import UUID

from models.access import Actor
from models.database import current


class Kind(StrEnum):
    """What happened, in the past tense."""

    CONVERSATION_OPENED = "CONVERSATION_OPENED"
    CONVERSATION_QUEUED = "CONVERSATION_QUEUED"
    CONVERSATION_STRANDED = "CONVERSATION_STRANDED"
    CONVERSATION_ASSIGNED = "CONVERSATION_ASSIGNED"
    CONVERSATION_UNASSIGNED = "CONVERSATION_UNASSIGNED"
    CONVERSATION_TRANSFERRED = "CONVERSATION_TRANSFERRED"
    CONVERSATION_CLOSED = "CONVERSATION_CLOSED"
    CONVERSATION_REOPENED = "CONVERSATION_REOPENED"
    CONVERSATION_HANDED_OFF = "CONVERSATION_HANDED_OFF"
    CONVERSATION_SNOOZED = "CONVERSATION_SNOOZED"
    CONVERSATION_WOKEN = "CONVERSATION_WOKEN"
    CONVERSATION_LINE_SET = "CONVERSATION_LINE_SET"
    CONVERSATION_TAGGED = "CONVERSATION_TAGGED"
    CONVERSATION_UNTAGGED = "CONVERSATION_UNTAGGED"
    TICKET_LINKED = "TICKET_LINKED"
    TICKET_UNLINKED = "TICKET_UNLINKED"
    TICKET_LINK_PROPOSED = "TICKET_LINK_PROPOSED"
    TICKET_LINK_CONFIRMED = "TICKET_LINK_CONFIRMED"
    TICKET_LINK_REJECTED = "TICKET_LINK_REJECTED"
    WORKFLOW_RUN_STARTED = "WORKFLOW_RUN_STARTED"
    WORKFLOW_RUN_ENDED = "WORKFLOW_RUN_ENDED"
    WORKFLOW_RUN_FAILED = "WORKFLOW_RUN_FAILED"
    WEBHOOK_REQUESTED = "WEBHOOK_REQUESTED"
    IDLE_REMINDED = "IDLE_REMINDED"
    BOT_PAUSED = "BOT_PAUSED"
    BOT_RESUMED = "BOT_RESUMED"
    MESSAGE_RECEIVED = "MESSAGE_RECEIVED"
    MESSAGE_SENT = "MESSAGE_SENT"
    NOTE_ADDED = "NOTE_ADDED"
    MESSAGE_DELIVERY_SET = "MESSAGE_DELIVERY_SET"
    AGENT_CREATED = "AGENT_CREATED"
    AGENT_UPDATED = "AGENT_UPDATED"
    AGENT_DEACTIVATED = "AGENT_DEACTIVATED"
    AGENT_REACTIVATED = "AGENT_REACTIVATED"
    AGENT_PASSWORD_SET = "AGENT_PASSWORD_SET"  # noqa: S105 - an event's name
    AGENT_AVAILABILITY_CHANGED = "AGENT_AVAILABILITY_CHANGED"
    AGENT_CONNECTED = "AGENT_CONNECTED"
    AGENT_DISCONNECTED = "AGENT_DISCONNECTED"
    TEAM_CREATED = "TEAM_CREATED"
    TEAM_UPDATED = "TEAM_UPDATED"
    TEAM_DELETED = "TEAM_DELETED"
    MEMBER_ADDED = "MEMBER_ADDED"
    MEMBER_REMOVED = "MEMBER_REMOVED"
    MEMBERS_REORDERED = "MEMBERS_REORDERED"
    CHANNEL_CREATED = "CHANNEL_CREATED"
    CHANNEL_UPDATED = "CHANNEL_UPDATED"
    CHANNEL_ASSIGNED = "CHANNEL_ASSIGNED"
    CHANNEL_BOT_SET = "CHANNEL_BOT_SET"
    CONTACT_CREATED = "CONTACT_CREATED"
    CONTACT_UPDATED = "CONTACT_UPDATED"
    CONTACT_OWNER_SET = "CONTACT_OWNER_SET"
    CONTACT_TAGGED = "CONTACT_TAGGED"
    CONTACT_UNTAGGED = "CONTACT_UNTAGGED"
    CONTACT_MERGED = "CONTACT_MERGED"
    CONTACT_SPLIT = "CONTACT_SPLIT"
    TAG_CREATED = "TAG_CREATED"
    CONTACT_FIELD_CREATED = "CONTACT_FIELD_CREATED"
    CONTACT_FIELD_UPDATED = "CONTACT_FIELD_UPDATED"
    CONTACT_FIELD_DELETED = "CONTACT_FIELD_DELETED"
    SEGMENT_CREATED = "SEGMENT_CREATED"
    SEGMENT_UPDATED = "SEGMENT_UPDATED"
    SEGMENT_DELETED = "SEGMENT_DELETED"
    TICKET_CREATED = "TICKET_CREATED"
    TICKET_UPDATED = "TICKET_UPDATED"
    TICKET_ACTION_ADDED = "TICKET_ACTION_ADDED"
    SNIPPET_CREATED = "SNIPPET_CREATED"
    SNIPPET_UPDATED = "SNIPPET_UPDATED"
    SNIPPET_DELETED = "SNIPPET_DELETED"
    WORKFLOW_CREATED = "WORKFLOW_CREATED"
    WORKFLOW_UPDATED = "WORKFLOW_UPDATED"
    WORKFLOW_PUBLISHED = "WORKFLOW_PUBLISHED"
    WORKFLOW_ARCHIVED = "WORKFLOW_ARCHIVED"
    WEBHOOK_CREATED = "WEBHOOK_CREATED"
    WEBHOOK_UPDATED = "WEBHOOK_UPDATED"
    WEBHOOK_DELETED = "WEBHOOK_DELETED"
    WEBHOOK_TESTED = "WEBHOOK_TESTED"
    WEBHOOK_REDELIVERED = "WEBHOOK_REDELIVERED"
    WEBHOOK_DISABLED = "WEBHOOK_DISABLED"
    CLOSING_REASON_CREATED = "CLOSING_REASON_CREATED"
    CLOSING_REASON_UPDATED = "CLOSING_REASON_UPDATED"
    CLOSING_REASON_DELETED = "CLOSING_REASON_DELETED"
    WORKSPACE_UPDATED = "WORKSPACE_UPDATED"
    OTHER = "OTHER"
    TOKEN_CREATED = "TOKEN_CREATED"  # noqa: S105 - an event's name
    TOKEN_REVOKED = "TOKEN_REVOKED"  # noqa: S105 - an event's name


# After these, what a subscriber may see must be asked again.
CHANGES_ACCESS = frozenset(
    {
        Kind.MEMBER_ADDED,
        Kind.MEMBER_REMOVED,
        Kind.AGENT_UPDATED,
        Kind.AGENT_DEACTIVATED,
        Kind.TEAM_UPDATED,
        Kind.TEAM_DELETED,
    }
)

# Who changed what was set up, who came and went, and what became of owners and of people's records:
# kept for ever. The rest is the traffic of the desk, which its own tables keep.
AUDIT = frozenset(
    {
        Kind.WORKSPACE_UPDATED,
        Kind.AGENT_CREATED,
        Kind.AGENT_UPDATED,
        Kind.AGENT_DEACTIVATED,
        Kind.AGENT_REACTIVATED,
        Kind.AGENT_PASSWORD_SET,
        Kind.TOKEN_CREATED,
        Kind.TOKEN_REVOKED,
        Kind.TEAM_CREATED,
        Kind.TEAM_UPDATED,
        Kind.TEAM_DELETED,
        Kind.MEMBER_ADDED,
        Kind.MEMBER_REMOVED,
        Kind.MEMBERS_REORDERED,
        Kind.CHANNEL_CREATED,
        Kind.CHANNEL_UPDATED,
        Kind.CHANNEL_ASSIGNED,
        Kind.CHANNEL_BOT_SET,
        Kind.CONTACT_OWNER_SET,
        Kind.CONTACT_MERGED,
        Kind.CONTACT_SPLIT,
        Kind.TAG_CREATED,
        Kind.CONTACT_FIELD_CREATED,
        Kind.CONTACT_FIELD_UPDATED,
        Kind.CONTACT_FIELD_DELETED,
        Kind.SEGMENT_CREATED,
        Kind.SEGMENT_UPDATED,
        Kind.SEGMENT_DELETED,
        Kind.SNIPPET_CREATED,
        Kind.SNIPPET_UPDATED,
        Kind.SNIPPET_DELETED,
        Kind.CLOSING_REASON_CREATED,
        Kind.CLOSING_REASON_UPDATED,
        Kind.CLOSING_REASON_DELETED,
        Kind.WORKFLOW_CREATED,
        Kind.WORKFLOW_UPDATED,
        Kind.WORKFLOW_PUBLISHED,
        Kind.WORKFLOW_ARCHIVED,
        Kind.WEBHOOK_CREATED,
        Kind.WEBHOOK_UPDATED,
        Kind.WEBHOOK_DELETED,
        Kind.WEBHOOK_TESTED,
        Kind.WEBHOOK_REDELIVERED,
        Kind.WEBHOOK_DISABLED,
    }
)


# Names are a person's own, and hours too long for a fact: whoever wants them reads the record.
_UNTOLD = ("name", "business_hours")


def told(changes: Mapping[str, Any]) -> dict[str, Any]:
    """What an event says of changed settings."""
    return {setting: to for setting, to in changes.items() if setting not in _UNTOLD}


def record(
    kind: Kind,
    *,
    by: Actor,
    conversation_id: UUID | None = None,
    contact_id: UUID | None = None,
    channel_id: UUID | None = None,
    message_id: UUID | None = None,
    from_queue_id: UUID | None = None,
    to_queue_id: UUID | None = None,
    from_agent_id: UUID | None = None,
    to_agent_id: UUID | None = None,
    from_team_id: UUID | None = None,
    to_team_id: UUID | None = None,
    ticket_id: UUID | None = None,
    **data: Any,
) -> None:
    """Buffer a fact of the running transaction; it gets its number directly before the commit.

    `data` takes enums, numbers, ids and times only.
    """
    transaction = current()
    if transaction is None:
        raise RuntimeError(f"{kind} was recorded outside of a transaction.")
    fact: dict[str, Any] = {
        "workspace_id": by.workspace_id,
        "kind": kind,
        "actor_kind": by.kind,
        "actor_id": by.id,
        "conversation_id": conversation_id,
        "contact_id": contact_id,
        "channel_id": channel_id,
        "message_id": message_id,
        "from_queue_id": from_queue_id,
        "to_queue_id": to_queue_id,
        "from_agent_id": from_agent_id,
        "to_agent_id": to_agent_id,
        "from_team_id": from_team_id,
        "to_team_id": to_team_id,
        "ticket_id": ticket_id,
        "data": data or None,
    }
    transaction.events.append({name: value for name, value in fact.items() if value is not None})
