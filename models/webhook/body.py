"""What a webhook says: an event as the API's own type of it, in the envelope of Standard Webhooks.

    {"type": "CONVERSATION_ASSIGNED", "timestamp": "2026-...", "data": {"__typename": ...}}

`type` is the event's kind, `timestamp` when it was logged, and `data` what GraphQL answers for it:
every scalar of its type, and every record by its id alone, as the fragment in
`api/webhook_body.graphql` asks for. No names and no text, since a person can be erased from here
and not from there: whoever is told asks for what it may see. So a receiver handles an event from a
webhook, a subscription and the `events` query with the same code, and finds what only a delivery
has beside `data` and never in it.

A record is named by its id also when it is gone since; GraphQL answers null for that.

Source: Standard Webhooks 1.0.0, "Payload structure", which recommends these three and leaves their
content free.
"""

from collections.abc import Callable
from datetime import datetime
from typing import Any
from uuid import UUID

from models.access import ActorKind
from models.event import Kind
from models.global_id import encode
from models.log import Event, Position
from models.owner import Owner
from models.subject import subject_of

Fields = dict[str, Any]
Part = Callable[[Event], Fields]


def body_of(event: Event, position: Position) -> Fields:
    """The body for an event at its position, ready for JSON."""
    return {
        "type": event.kind.value,
        "timestamp": event.logged_at.isoformat(),
        "data": data_of(event, position),
    }


def data_of(event: Event, position: Position) -> Fields:
    """The event as its GraphQL type shows it, with records by their ids."""
    parts = _PARTS.get(event.kind, _SETTINGS)
    data = {"__typename": typename(event.kind), **_common(event, position)}
    for part in parts:
        data |= part(event)
    return data


def typename(kind: Kind) -> str:
    """The name of a kind's GraphQL type."""
    if kind not in _PARTS:
        return "SettingsChanged"
    return "".join(word.capitalize() for word in kind.value.split("_"))


def _common(event: Event, position: Position) -> Fields:
    by = {kind: event.actor_id if event.actor_kind is kind else None for kind in ActorKind}
    return {
        "seq": event.seq,
        "cursor": position.cursor(),
        "occurredAt": event.logged_at.isoformat(),
        "kind": event.kind.value,
        "actor": {
            "kind": event.actor_kind.value,
            "agent": _named("Agent", by[ActorKind.AGENT]),
            "workflow": _named("Workflow", by[ActorKind.WORKFLOW]),
        },
    }


def _place(event: Event) -> Fields:
    return {
        "conversation": _named("Conversation", event.conversation_id),
        "fromQueue": _named("Queue", event.from_queue_id),
        "toQueue": _named("Queue", event.to_queue_id),
        "fromAgent": _named("Agent", event.from_agent_id),
        "toAgent": _named("Agent", event.to_agent_id),
        "toTeam": _named("Team", event.to_team_id),
        "rule": event.rule.value if event.rule else None,
    }


def _message(event: Event) -> Fields:
    return {"message": _named("Message", event.message_id)}


def _delivery(event: Event) -> Fields:
    return {"delivery": event.data["delivery"]}


def _closing(event: Event) -> Fields:
    return {
        "cause": event.data["cause"],
        "closingReason": _named("ClosingReason", event.data.get("reason")),
    }


def _until(event: Event) -> Fields:
    return {"until": _instant(event.data.get("until"))}


def _agent(event: Event) -> Fields:
    return {"agent": _named("Agent", event.to_agent_id or event.from_agent_id)}


def _since(event: Event) -> Fields:
    return {"since": _instant(event.data.get("since"))}


def _team(event: Event) -> Fields:
    return {"team": _named("Team", event.to_team_id or event.from_team_id)}


def _subject(event: Event) -> Fields:
    subject = subject_of(event)
    return {"subjectId": None if subject is None else encode(*subject)}


def _contact(event: Event) -> Fields:
    return {"contact": _named("Contact", event.contact_id)}


def _contacts(event: Event) -> Fields:
    return {
        "survivor": _named("Contact", event.data["survivor"]),
        "mergedContact": _named("Contact", event.data["merged"]),
    }


def _owners(event: Event) -> Fields:
    return {
        "fromOwner": _owner(Owner.recalled(event.data, "from")),
        "toOwner": _owner(Owner.recalled(event.data, "to")),
    }


def _owner(owner: Owner) -> Fields | None:
    if owner == Owner():
        return None
    return {"agent": _named("Agent", owner.agent_id), "team": _named("Team", owner.team_id)}


def _tags(event: Event) -> Fields:
    return {"tags": [_named("Tag", id) for id in event.data.get("tags", ())]}


def _ticket(event: Event) -> Fields:
    return {"ticket": _named("Ticket", event.ticket_id)}


def _from_ticket(event: Event) -> Fields:
    return {"fromTicket": _named("Ticket", event.data.get("from_ticket"))}


def _run(event: Event) -> Fields:
    return {"run": _named("WorkflowRun", event.data["run"])}


def _failure(event: Event) -> Fields:
    return {"failure": event.data["failure"]}


def _step(event: Event) -> Fields:
    return {"stepPlace": event.data["place"]}


def _webhook(event: Event) -> Fields:
    return {"webhook": _named("Webhook", event.data["webhook"])}


def _change(event: Event) -> Fields:
    data = event.data
    return {
        "changed": data.get("changed", []),
        "interruption": data.get("interruption"),
        "missedFromSeq": data.get("missed_from"),
        "missedToSeq": data.get("missed_to"),
        "goesOnFromSeq": data.get("from_seq"),
    }


def _disabling(event: Event) -> Fields:
    return {
        "lastFailure": event.data["failure"],
        "statusCode": event.data["status_code"],
        "attempts": event.data["attempts"],
    }


def _deleted(event: Event) -> Fields:
    return {"deletedId": encode("Webhook", UUID(event.data["webhook"]))}


def _from_seq(event: Event) -> Fields:
    return {"fromSeq": event.data["from_seq"]}


def _named(type_name: str, id: UUID | str | None) -> Fields | None:
    """A record by its global id; ids in an event's own data are text."""
    return None if id is None else {"id": encode(type_name, UUID(str(id)))}


def _instant(text: str | None) -> str | None:
    """A time in the spelling of the API."""
    return None if text is None else datetime.fromisoformat(text).isoformat()


_SETTINGS: tuple[Part, ...] = (_agent, _team, _subject)
# What the type of a kind shows beyond what all have; the kinds that are not here change settings.
_PARTS: dict[Kind, tuple[Part, ...]] = {
    Kind.CONVERSATION_OPENED: (_place,),
    Kind.CONVERSATION_QUEUED: (_place,),
    Kind.CONVERSATION_STRANDED: (_place,),
    Kind.CONVERSATION_ASSIGNED: (_place,),
    Kind.CONVERSATION_UNASSIGNED: (_place,),
    Kind.CONVERSATION_TRANSFERRED: (_place,),
    Kind.CONVERSATION_CLOSED: (_place, _closing),
    Kind.CONVERSATION_REOPENED: (_place,),
    Kind.CONVERSATION_HANDED_OFF: (_place,),
    Kind.CONVERSATION_SNOOZED: (_place, _until),
    Kind.CONVERSATION_WOKEN: (_place,),
    Kind.CONVERSATION_LINE_SET: (_place,),
    Kind.CONVERSATION_TAGGED: (_place, _tags),
    Kind.CONVERSATION_UNTAGGED: (_place, _tags),
    Kind.TICKET_LINKED: (_place, _ticket, _from_ticket),
    Kind.TICKET_UNLINKED: (_place, _ticket, _from_ticket),
    Kind.TICKET_LINK_PROPOSED: (_place, _ticket, _from_ticket),
    Kind.TICKET_LINK_CONFIRMED: (_place, _ticket, _from_ticket),
    Kind.TICKET_LINK_REJECTED: (_place, _ticket, _from_ticket),
    Kind.WORKFLOW_RUN_STARTED: (_place, _run),
    Kind.WORKFLOW_RUN_ENDED: (_place, _run),
    Kind.WORKFLOW_RUN_FAILED: (_place, _run, _failure),
    Kind.WEBHOOK_REQUESTED: (_place, _run, _step),
    Kind.IDLE_REMINDED: (_place,),
    Kind.BOT_PAUSED: (_place,),
    Kind.BOT_RESUMED: (_place,),
    Kind.MESSAGE_RECEIVED: (_place, _message),
    Kind.MESSAGE_SENT: (_place, _message),
    Kind.NOTE_ADDED: (_place, _message),
    Kind.MESSAGE_DELIVERY_SET: (_place, _message, _delivery),
    Kind.AGENT_AVAILABILITY_CHANGED: (_agent,),
    Kind.AGENT_CONNECTED: (_agent,),
    Kind.AGENT_DISCONNECTED: (_agent, _since),
    Kind.CONTACT_CREATED: (_contact,),
    Kind.CONTACT_UPDATED: (_contact,),
    Kind.CONTACT_OWNER_SET: (_place, _contact, _owners),
    Kind.CONTACT_TAGGED: (_contact, _tags),
    Kind.CONTACT_UNTAGGED: (_contact, _tags),
    Kind.CONTACT_MERGED: (_place, _contact, _contacts),
    Kind.CONTACT_SPLIT: (_place, _contact, _contacts),
    Kind.TICKET_CREATED: (_ticket,),
    Kind.TICKET_UPDATED: (_ticket,),
    Kind.TICKET_ACTION_ADDED: (_ticket,),
    Kind.WEBHOOK_CREATED: (_webhook,),
    Kind.WEBHOOK_UPDATED: (_webhook, _change),
    Kind.WEBHOOK_DELETED: (_webhook, _deleted),
    Kind.WEBHOOK_TESTED: (_webhook,),
    Kind.WEBHOOK_REDELIVERED: (_webhook, _from_seq),
    Kind.WEBHOOK_DISABLED: (_webhook, _disabling, _from_seq),
}
