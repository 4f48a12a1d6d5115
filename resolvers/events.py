"""Events as the API shows them: one type a kind, and the log itself as a list."""

import asyncio
from datetime import datetime
from typing import Any
from uuid import UUID

import strawberry

from models.event import Kind
from models.log import Event, Position
from models.owner import Owner as OwnerRecord
from models.subject import subject_of
from models.subscription import ResetReason
from resolvers.contact import Contact, contact_of
from resolvers.context import Info
from resolvers.enums import described
from resolvers.ids import encode
from resolvers.logged_event import (
    AgentEvent,
    ConversationEvent,
    LoggedEvent,
    MessageEvent,
    fact,
)
from resolvers.settings import tag_of
from resolvers.ticket import Ticket, ticket_of
from resolvers.types import (
    ClosingReason,
    Owner,
    Tag,
    Team,
    closing_reason_of,
    team_of,
)
from resolvers.vocabulary import Cause, Delivery
from resolvers.webhook_events import WEBHOOK_TYPES
from resolvers.workflow_run import WorkflowRun, workflow_run_of

described(
    ResetReason,
    "StreamResetReason",
    TOO_OLD="The log no longer holds what came after the cursor.",
    FELL_BEHIND="The log forgot what had not been sent yet.",
    OTHER_HISTORY="The cursor is of another history, such as before a restore.",
)


ConversationOpened = fact("ConversationOpened", ConversationEvent, "A conversation was opened.")
ConversationQueued = fact("ConversationQueued", ConversationEvent, "It began to wait.")
ConversationStranded = fact(
    "ConversationStranded",
    ConversationEvent,
    "It waits in a queue that distributes, and nobody is eligible.",
)
ConversationAssigned = fact("ConversationAssigned", ConversationEvent, "An agent holds it now.")
ConversationUnassigned = fact(
    "ConversationUnassigned", ConversationEvent, "It went back to its queue."
)
ConversationTransferred = fact("ConversationTransferred", ConversationEvent, "It was handed over.")
ConversationReopened = fact("ConversationReopened", ConversationEvent, "It was opened again.")
ConversationHandedOff = fact(
    "ConversationHandedOff", ConversationEvent, "The bot gave it to people."
)
ConversationWoken = fact("ConversationWoken", ConversationEvent, "Its snooze ended.")
ConversationLineSet = fact(
    "ConversationLineSet", ConversationEvent, "It is of the other line, in another team."
)
IdleReminded = fact("IdleReminded", ConversationEvent, "It closes soon if nothing happens in it.")
BotPaused = fact("BotPaused", ConversationEvent, "An agent took it from the bot.")
BotResumed = fact("BotResumed", ConversationEvent, "The bot has it again.")


@strawberry.interface(description="Tags were put on something, or taken from it.")
class TagEvent(LoggedEvent):
    @strawberry.field(description="The tags; empty when you may not read tags.")
    async def tags(self, info: Info) -> list[Tag]:
        found = await asyncio.gather(
            *[tag_of(info, UUID(id)) for id in self.event.data.get("tags", ())]
        )
        return [tag for tag in found if tag is not None]


@strawberry.type(description="A conversation was marked.")
class ConversationTagged(ConversationEvent, TagEvent):
    pass


@strawberry.type(description="A conversation lost tags.")
class ConversationUntagged(ConversationEvent, TagEvent):
    pass


@strawberry.interface(description="A fact about a contact.")
class ContactEvent(LoggedEvent):
    @strawberry.field(description="The contact as it is now; null when not visible to you.")
    async def contact(self, info: Info) -> Contact | None:
        id = self.event.contact_id
        return await contact_of(info, id) if id else None


ContactCreated = fact("ContactCreated", ContactEvent, "A contact was added.")
ContactUpdated = fact("ContactUpdated", ContactEvent, "What is known of a contact changed.")


@strawberry.type(description="A contact was marked.")
class ContactTagged(ContactEvent, TagEvent):
    pass


@strawberry.type(description="A contact lost tags.")
class ContactUntagged(ContactEvent, TagEvent):
    pass


@strawberry.interface(
    description="Two contacts became one, or two again; of a conversation that moved, or of none."
)
class MergeEvent(ConversationEvent, ContactEvent):
    @strawberry.field(description="The contact that lived on; null when not visible to you.")
    async def survivor(self, info: Info) -> Contact | None:
        return await contact_of(info, UUID(self.event.data["survivor"]))

    @strawberry.field(description="The contact that was merged; null when not visible to you.")
    async def merged_contact(self, info: Info) -> Contact | None:
        return await contact_of(info, UUID(self.event.data["merged"]))


@strawberry.interface(description="A fact about a ticket.")
class TicketEvent(LoggedEvent):
    @strawberry.field(description="The ticket as it is now; null when not visible to you.")
    async def ticket(self, info: Info) -> Ticket | None:
        return await ticket_of(info, self.event.ticket_id)


@strawberry.interface(description="A conversation got a ticket, lost it, or might have one.")
class TicketLinkEvent(ConversationEvent, TicketEvent):
    @strawberry.field(
        description="The ticket that it replaced; null for none, or when not visible to you."
    )
    async def from_ticket(self, info: Info) -> Ticket | None:
        before = self.event.data.get("from_ticket")
        return await ticket_of(info, UUID(before) if before else None)


TicketLinked = fact("TicketLinked", TicketLinkEvent, "It has a ticket, which counts.")
TicketUnlinked = fact("TicketUnlinked", TicketLinkEvent, "It has no ticket any more.")
TicketLinkProposed = fact("TicketLinkProposed", TicketLinkEvent, "The customer named a ticket.")
TicketLinkConfirmed = fact(
    "TicketLinkConfirmed", TicketLinkEvent, "What the customer named is its ticket."
)
TicketLinkRejected = fact(
    "TicketLinkRejected", TicketLinkEvent, "What the customer named is not its ticket."
)
TicketCreated = fact("TicketCreated", TicketEvent, "A ticket was opened.")
TicketUpdated = fact("TicketUpdated", TicketEvent, "A ticket changed.")
TicketActionAdded = fact("TicketActionAdded", TicketEvent, "Something was done about a ticket.")


@strawberry.interface(description="A fact about a run of a workflow.")
class WorkflowRunEvent(ConversationEvent):
    @strawberry.field(description="The run as it is now; null when not visible to you.")
    async def run(self, info: Info) -> WorkflowRun | None:
        return await workflow_run_of(info, UUID(self.event.data["run"]))


WorkflowRunStarted = fact("WorkflowRunStarted", WorkflowRunEvent, "Somebody began a run by hand.")
WorkflowRunEnded = fact("WorkflowRunEnded", WorkflowRunEvent, "A run came to its end.")


@strawberry.type(description="A run was stopped.")
class WorkflowRunFailed(WorkflowRunEvent):
    @strawberry.field(description="The code of what stopped it.")
    def failure(self) -> str:
        return str(self.event.data["failure"])


@strawberry.type(description="A run came to a step that tells integrators.")
class WebhookRequested(WorkflowRunEvent):
    @strawberry.field(description="Which of the run's steps, by its place.")
    def step_place(self) -> int:
        return int(self.event.data["place"])


ContactMerged = fact("ContactMerged", MergeEvent, "A contact was merged into another.")
ContactSplit = fact("ContactSplit", MergeEvent, "A merged contact was split again.")
MessageReceived = fact("MessageReceived", MessageEvent, "The customer wrote.")
MessageSent = fact("MessageSent", MessageEvent, "The customer was answered.")
NoteAdded = fact("NoteAdded", MessageEvent, "A private note was added.")


@strawberry.type(description="It ended.")
class ConversationClosed(ConversationEvent):
    @strawberry.field(description="What ended it.")
    def cause(self) -> Cause:
        return Cause(self.event.data["cause"])

    @strawberry.field(description="The reason that was given; null for none.")
    async def closing_reason(self, info: Info) -> ClosingReason | None:
        reason = self.event.data.get("reason")
        return await closing_reason_of(info, UUID(reason) if reason else None)


@strawberry.type(description="It was put off.")
class ConversationSnoozed(ConversationEvent):
    @strawberry.field(description="Until when; null for until the customer writes.")
    def until(self) -> datetime | None:
        until = self.event.data.get("until")
        return datetime.fromisoformat(until) if until else None


@strawberry.type(description="A carrier told how far an answer got.")
class MessageDeliverySet(MessageEvent):
    @strawberry.field(description="How far it got.")
    def delivery(self) -> Delivery:
        return Delivery(self.event.data["delivery"])


AgentAvailabilityChanged = fact(
    "AgentAvailabilityChanged", AgentEvent, "An agent said whether it works."
)
AgentConnected = fact("AgentConnected", AgentEvent, "An agent's first device connected.")


@strawberry.type(description="An agent's last lease lapsed, or its account was deactivated.")
class AgentDisconnected(AgentEvent):
    @strawberry.field(
        description="When its last lease lapsed, before somebody noticed; null where none did."
    )
    def since(self) -> datetime | None:
        since = self.event.data.get("since")
        return datetime.fromisoformat(since) if since else None


@strawberry.type(description="A contact got another owner, or none; its conversations stay.")
class ContactOwnerSet(ConversationEvent):
    @strawberry.field(description="The contact as it is now; null when not visible to you.")
    async def contact(self, info: Info) -> Contact | None:
        return await contact_of(info, self.event.contact_id)

    @strawberry.field(description="Whom it belonged to before; null for nobody.")
    def from_owner(self) -> Owner | None:
        return _owner(self.event, "from")

    @strawberry.field(description="Whom it belongs to afterwards; null for nobody.")
    def to_owner(self) -> Owner | None:
        return _owner(self.event, "to")


def _owner(event: Event, side: str) -> Owner | None:
    owner = OwnerRecord.recalled(event.data, side)
    return Owner.of(owner.agent_id, owner.team_id)


@strawberry.type(description="Something in the set-up changed; `kind` says what.")
class SettingsChanged(AgentEvent):
    @strawberry.field(description="The team concerned, if one is.")
    async def team(self, info: Info) -> Team | None:
        return await team_of(info, self.event.to_team_id or self.event.from_team_id)

    @strawberry.field(
        description="The id of what changed, also when it is gone; null for what only a newer "
        "version of Relevo knows."
    )
    def subject_id(self) -> strawberry.ID | None:
        subject = subject_of(self.event)
        return None if subject is None else encode(*subject)


@strawberry.type(description="A conversation joined the queue; `kind` says why.")
class ConversationEntered(ConversationEvent):
    pass


@strawberry.type(description="A conversation left the queue; `kind` says why.")
class ConversationLeft(ConversationEvent):
    pass


TYPES: dict[Kind, Any] = {
    Kind.CONVERSATION_OPENED: ConversationOpened,
    Kind.CONVERSATION_QUEUED: ConversationQueued,
    Kind.CONVERSATION_STRANDED: ConversationStranded,
    Kind.CONVERSATION_ASSIGNED: ConversationAssigned,
    Kind.CONVERSATION_UNASSIGNED: ConversationUnassigned,
    Kind.CONVERSATION_TRANSFERRED: ConversationTransferred,
    Kind.CONVERSATION_CLOSED: ConversationClosed,
    Kind.CONVERSATION_REOPENED: ConversationReopened,
    Kind.CONVERSATION_HANDED_OFF: ConversationHandedOff,
    Kind.CONVERSATION_SNOOZED: ConversationSnoozed,
    Kind.CONVERSATION_WOKEN: ConversationWoken,
    Kind.CONVERSATION_LINE_SET: ConversationLineSet,
    Kind.WORKFLOW_RUN_STARTED: WorkflowRunStarted,
    Kind.WORKFLOW_RUN_ENDED: WorkflowRunEnded,
    Kind.WORKFLOW_RUN_FAILED: WorkflowRunFailed,
    Kind.WEBHOOK_REQUESTED: WebhookRequested,
    Kind.IDLE_REMINDED: IdleReminded,
    Kind.BOT_PAUSED: BotPaused,
    Kind.BOT_RESUMED: BotResumed,
    Kind.CONTACT_CREATED: ContactCreated,
    Kind.CONTACT_UPDATED: ContactUpdated,
    Kind.CONTACT_OWNER_SET: ContactOwnerSet,
    Kind.CONVERSATION_TAGGED: ConversationTagged,
    Kind.CONVERSATION_UNTAGGED: ConversationUntagged,
    Kind.CONTACT_TAGGED: ContactTagged,
    Kind.CONTACT_UNTAGGED: ContactUntagged,
    Kind.CONTACT_MERGED: ContactMerged,
    Kind.CONTACT_SPLIT: ContactSplit,
    Kind.TICKET_LINKED: TicketLinked,
    Kind.TICKET_UNLINKED: TicketUnlinked,
    Kind.TICKET_LINK_PROPOSED: TicketLinkProposed,
    Kind.TICKET_LINK_CONFIRMED: TicketLinkConfirmed,
    Kind.TICKET_LINK_REJECTED: TicketLinkRejected,
    Kind.TICKET_CREATED: TicketCreated,
    Kind.TICKET_UPDATED: TicketUpdated,
    Kind.TICKET_ACTION_ADDED: TicketActionAdded,
    Kind.MESSAGE_RECEIVED: MessageReceived,
    Kind.MESSAGE_SENT: MessageSent,
    Kind.NOTE_ADDED: NoteAdded,
    Kind.MESSAGE_DELIVERY_SET: MessageDeliverySet,
    Kind.AGENT_AVAILABILITY_CHANGED: AgentAvailabilityChanged,
    Kind.AGENT_CONNECTED: AgentConnected,
    Kind.AGENT_DISCONNECTED: AgentDisconnected,
    **WEBHOOK_TYPES,
}
MEMBERS = (*TYPES.values(), SettingsChanged)


def shown(event: Event, position: Position) -> Any:
    """An event as its own type."""
    return TYPES.get(event.kind, SettingsChanged)(event=event, position=position)


def shown_in_queue(event: Event, position: Position, queue_id: UUID) -> Any:
    """An event as those see it who watch one queue: who came, who went, what else happened."""
    if event.from_queue_id != queue_id:
        return ConversationEntered(event=event, position=position)
    if event.to_queue_id != queue_id:
        return ConversationLeft(event=event, position=position)
    return shown(event, position)
