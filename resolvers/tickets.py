"""Tickets: finding them, creating and changing them, and linking conversations to them."""

from enum import Enum
from typing import Annotated, Any

import strawberry

from models.ticket import link, search
from models.ticket.action import ActionKind, add_action
from models.ticket.creation import create
from models.ticket.record import DESCRIPTION_LENGTH_MAX, SUBJECT_LENGTH_MAX
from models.ticket.record import Ticket as Record
from models.ticket.search import Bounds, Filter, OrderColumn
from resolvers.commands import Answer, Payload, mutation
from resolvers.context import Info
from resolvers.conversation import Conversation, conversation_of
from resolvers.conversations import ConversationPayload, OrderDirection, find
from resolvers.enums import described
from resolvers.ids import decode, decode_maybe
from resolvers.inputs import CommandInput, ConversationInput, given
from resolvers.pagination import (
    After,
    Before,
    First,
    Keyset,
    Last,
    Page,
    connected,
    place,
)
from resolvers.ticket import (
    Ticket,
    TicketAction,
    TicketConnection,
    TicketEdge,
    action_of,
    ticket_of,
)
from resolvers.vocabulary import TicketPriority, TicketStatus

SUBJECT = f"What it is about, 1 to {SUBJECT_LENGTH_MAX} characters."
DESCRIPTION = f"More of that, at most {DESCRIPTION_LENGTH_MAX:,} characters."
ASSIGNEE = "Who is to solve it."
DEPARTMENT = "The department that it is of."
TAGS = "Its tags, at most 20; new ones are made."


class TicketOrderField(Enum):
    """What a list of tickets can be ordered by."""

    NUMBER = OrderColumn.NUMBER
    UPDATED = OrderColumn.UPDATED


described(
    TicketOrderField,
    "TicketOrderField",
    NUMBER="In the order in which they were opened.",
    UPDATED="When they changed last, or something was done about them.",
)
_KEYSETS = {
    OrderColumn.NUMBER: Keyset("number", parse=place),
    OrderColumn.UPDATED: Keyset("updated_at"),
}


@strawberry.input(description="Which tickets; what is left out does not matter.")
class TicketFilter:
    search: str | None = strawberry.field(
        default=None,
        description="The beginning of a number, or words of subject and description of which the "
        "last may be only begun; at most 200 characters.",
    )
    status: list[TicketStatus] | None = strawberry.field(default=None, description="Any of these.")
    priority: list[TicketPriority] | None = strawberry.field(
        default=None, description="Any of these."
    )
    assignee_id: strawberry.ID | None = strawberry.field(
        default=None, description="For this agent to solve."
    )
    department_id: strawberry.ID | None = strawberry.field(
        default=None, description="Of this department."
    )
    requester_id: strawberry.ID | None = strawberry.field(
        default=None, description="Of this contact."
    )
    tag_id: strawberry.ID | None = strawberry.field(default=None, description="With this tag.")

    def wanted(self) -> Filter:
        """The filter in the domain's terms."""
        return Filter(
            search=self.search,
            status=self.status,
            priority=self.priority,
            assignee_id=decode_maybe("Agent", self.assignee_id),
            department_id=decode_maybe("Team", self.department_id),
            requester_id=decode_maybe("Contact", self.requester_id),
            tag_id=decode_maybe("Tag", self.tag_id),
        )


@strawberry.input(description="The order of a list of tickets.")
class TicketOrder:
    field: TicketOrderField = strawberry.field(description="By what.")
    direction: OrderDirection = strawberry.field(
        default=OrderDirection.ASC, description="Which end first."
    )


@strawberry.input(one_of=True, description="A ticket, by one of both.")
class TicketBy:
    id: strawberry.Maybe[strawberry.ID] = strawberry.field(description="Its id.")
    number: strawberry.Maybe[int] = strawberry.field(description="Its number.")


@strawberry.type
class TicketQuery:
    @strawberry.field(description="One ticket; null when missing or not visible to you.")
    async def ticket(
        self, info: Info, by: Annotated[TicketBy, strawberry.argument(description="Which one.")]
    ) -> Ticket | None:
        if by.id is not None:
            return await ticket_of(info, decode("Ticket", by.id.value))
        assert by.number is not None  # noqa: S101 - one of both
        return await ticket_of(info, await Record.id_of(by.number.value, by=info.context.by))

    @strawberry.field(description="The tickets you see, the newest change first.")
    async def tickets(
        self,
        info: Info,
        filter: Annotated[
            TicketFilter | None, strawberry.argument(description="Which ones.")
        ] = None,
        order_by: Annotated[
            TicketOrder | None, strawberry.argument(description="In which order.")
        ] = None,
        first: First = None,
        after: After = None,
        last: Last = None,
        before: Before = None,
    ) -> TicketConnection:
        order = order_by or TicketOrder(
            field=TicketOrderField.UPDATED, direction=OrderDirection.DESC
        )
        wanted = filter.wanted() if filter else Filter()
        return await _listed(info, wanted, order, Page(first, after, last, before))


async def _listed(info: Info, wanted: Filter, order: TicketOrder, page: Page) -> TicketConnection:
    is_descending = order.direction is OrderDirection.DESC
    column: OrderColumn = order.field.value
    keyset = Keyset(column.value, descending=is_descending, parse=_KEYSETS[column].parse)
    after, before = (
        None if cursor is None else keyset.position(cursor) for cursor in (page.after, page.before)
    )
    bounds = Bounds(
        column,
        page.size + 1,
        descending=is_descending is not page.backward,
        after=before if page.backward else after,
        before=after if page.backward else before,
    )
    rows = await search.page(wanted, bounds, by=info.context.by)
    found: Any = connected(
        [dict(row) for row in rows],
        page,
        keyset,
        node=lambda row: Ticket(row=row),
        connection=TicketConnection,
        edge=TicketEdge,
        count=lambda: search.count(wanted, by=info.context.by),
    )
    return found  # type: ignore[no-any-return]  # the class given above


@strawberry.input(description="A new ticket: for a contact, or of a conversation, or of both.")
class TicketCreateInput(CommandInput):
    subject: str = strawberry.field(description=SUBJECT)
    description: str | None = strawberry.field(default=None, description=DESCRIPTION)
    requester_id: strawberry.ID | None = strawberry.field(
        default=None, description="Whose request it is; the conversation's contact if left out."
    )
    conversation_id: strawberry.ID | None = strawberry.field(
        default=None, description="Links it to this conversation at once."
    )
    expected_version: int | None = strawberry.field(
        default=None, description="The conversation's `version` you saw."
    )
    assignee_id: strawberry.ID | None = strawberry.field(default=None, description=ASSIGNEE)
    department_id: strawberry.ID | None = strawberry.field(default=None, description=DEPARTMENT)
    priority: TicketPriority = strawberry.field(
        default=TicketPriority.NORMAL, description="How much it matters."
    )
    tags: list[str] = strawberry.field(default_factory=list, description=TAGS)


@strawberry.input(description="Changes of a ticket; what is left out stays.")
class TicketUpdateInput(CommandInput):
    ticket_id: strawberry.ID = strawberry.field(description="Which ticket.")
    expected_version: int | None = strawberry.field(
        default=None,
        description="The `version` you saw; the command is refused if it has changed since.",
    )
    subject: str | None = strawberry.field(default=None, description=SUBJECT)
    description: strawberry.Maybe[str | None] = strawberry.field(
        default=None, description=DESCRIPTION
    )
    requester_id: strawberry.ID | None = strawberry.field(
        default=None, description="Whose request it is."
    )
    assignee_id: strawberry.Maybe[strawberry.ID | None] = strawberry.field(
        default=None, description=f"{ASSIGNEE} Null for nobody."
    )
    department_id: strawberry.Maybe[strawberry.ID | None] = strawberry.field(
        default=None, description=f"{DEPARTMENT} Null for none."
    )
    status: TicketStatus | None = strawberry.field(default=None, description="Where it stands.")
    priority: TicketPriority | None = strawberry.field(
        default=None, description="How much it matters."
    )
    tags: list[str] | None = strawberry.field(
        default=None, description="All the tags that it has then, at most 20; new ones are made."
    )


@strawberry.input(description="Write down what was done about a ticket.")
class TicketAddActionInput(CommandInput):
    ticket_id: strawberry.ID = strawberry.field(description="Which ticket.")
    text: str = strawberry.field(description="What was done, at most 64 KiB.")
    kind: ActionKind = strawberry.field(description="PUBLIC or INTERNAL.")


@strawberry.input(description="Give a conversation its ticket.")
class ConversationLinkTicketInput(ConversationInput):
    ticket_id: strawberry.ID = strawberry.field(description="Which ticket.")


@strawberry.input(description="Note which ticket the customer names, by one of both.")
class ConversationProposeTicketInput(ConversationInput):
    ticket_id: strawberry.ID | None = strawberry.field(default=None, description="Its id.")
    number: int | None = strawberry.field(default=None, description="Its number.")


@strawberry.input(description="Let the ticket that the customer named be the conversation's.")
class TicketLinkConfirmInput(ConversationInput):
    pass


@strawberry.input(description="Let the ticket that the customer named not be it.")
class TicketLinkRejectInput(ConversationInput):
    pass


@strawberry.input(description="Take a conversation's ticket away.")
class ConversationUnlinkTicketInput(ConversationInput):
    pass


@strawberry.type(description="The ticket after a command.")
class TicketPayload(Payload):
    @strawberry.field(description="The ticket; null when refused or not visible to you.")
    async def ticket(self, info: Info) -> Ticket | None:
        return await ticket_of(info, self.id_of("ticket"))


@strawberry.type(description="What creating a ticket came to.")
class TicketCreatePayload(TicketPayload):
    @strawberry.field(description="The conversation it is linked to; null when none was named.")
    async def conversation(self, info: Info) -> Conversation | None:
        return await conversation_of(info, self.id_of("conversation"))


@strawberry.type(description="What changing a ticket came to.")
class TicketUpdatePayload(TicketPayload):
    pass


@strawberry.type(description="What adding an action came to.")
class TicketAddActionPayload(TicketPayload):
    @strawberry.field(description="The action; null when refused.")
    async def action(self, info: Info) -> TicketAction | None:
        id = self.id_of("action")
        return await action_of(info, id) if id else None


def _payload(name: str, description: str) -> type[ConversationPayload]:
    return strawberry.type(type(name, (ConversationPayload,), {}), description=description)


ConversationLinkTicketPayload = _payload("ConversationLinkTicketPayload", "What linking came to.")
ConversationProposeTicketPayload = _payload(
    "ConversationProposeTicketPayload", "What proposing a ticket came to."
)
TicketLinkConfirmPayload = _payload("TicketLinkConfirmPayload", "What confirming came to.")
TicketLinkRejectPayload = _payload("TicketLinkRejectPayload", "What rejecting came to.")
ConversationUnlinkTicketPayload = _payload(
    "ConversationUnlinkTicketPayload", "What taking the ticket away came to."
)


@strawberry.type
class TicketMutation:
    @mutation(
        TicketCreatePayload, "Create a ticket, and link it to a conversation if one is named."
    )
    async def ticket_create(self, info: Info, input: TicketCreateInput) -> Answer:
        conversation_id = decode_maybe("Conversation", input.conversation_id)
        ticket = await create(
            by=info.context.by,
            requester_id=decode_maybe("Contact", input.requester_id),
            conversation_id=conversation_id,
            expected_version=input.expected_version,
            subject=input.subject,
            description=input.description,
            assignee_id=decode_maybe("Agent", input.assignee_id),
            department_id=decode_maybe("Team", input.department_id),
            priority=input.priority,
            tags=input.tags,
        )
        return {"ticket": ticket.id, "conversation": conversation_id}

    @mutation(TicketUpdatePayload, "Change a ticket.")
    async def ticket_update(self, info: Info, input: TicketUpdateInput) -> Answer:
        id = decode("Ticket", input.ticket_id)
        changes = given(
            subject=input.subject,
            description=input.description,
            requester_id=decode_maybe("Contact", input.requester_id),
            status=input.status,
            priority=input.priority,
            tags=input.tags,
        )
        if input.assignee_id is not None:
            changes["assignee_id"] = decode_maybe("Agent", input.assignee_id.value)
        if input.department_id is not None:
            changes["department_id"] = decode_maybe("Team", input.department_id.value)
        await Record.change(
            id, by=info.context.by, expected_version=input.expected_version, **changes
        )
        return {"ticket": id}

    @mutation(TicketAddActionPayload, "Write down what was done about a ticket, for good.")
    async def ticket_add_action(self, info: Info, input: TicketAddActionInput) -> Answer:
        id = decode("Ticket", input.ticket_id)
        action_id = await add_action(id, input.text, kind=input.kind, by=info.context.by)
        return {"ticket": id, "action": action_id}

    @mutation(ConversationLinkTicketPayload, "Link a conversation to a ticket, instead of another.")
    async def conversation_link_ticket(
        self, info: Info, input: ConversationLinkTicketInput
    ) -> Answer:
        conversation = await find(info, input)
        await link.link(conversation, decode("Ticket", input.ticket_id), by=info.context.by)
        return {"conversation": conversation.id}

    @mutation(
        ConversationProposeTicketPayload,
        "Note the ticket that the customer names; it does not count until somebody confirms it.",
    )
    async def conversation_propose_ticket(
        self, info: Info, input: ConversationProposeTicketInput
    ) -> Answer:
        conversation_id = decode("Conversation", input.conversation_id)
        await link.propose_by_id(
            conversation_id,
            by=info.context.by,
            ticket_id=decode_maybe("Ticket", input.ticket_id),
            number=input.number,
            expected_version=input.expected_version,
        )
        return {"conversation": conversation_id}

    @mutation(TicketLinkConfirmPayload, "Let the proposed ticket be the conversation's.")
    async def ticket_link_confirm(self, info: Info, input: TicketLinkConfirmInput) -> Answer:
        conversation = await find(info, input)
        await link.confirm(conversation, by=info.context.by)
        return {"conversation": conversation.id}

    @mutation(TicketLinkRejectPayload, "Let the proposed ticket not be the conversation's.")
    async def ticket_link_reject(self, info: Info, input: TicketLinkRejectInput) -> Answer:
        conversation = await find(info, input)
        await link.reject(conversation, by=info.context.by)
        return {"conversation": conversation.id}

    @mutation(ConversationUnlinkTicketPayload, "Take a conversation's ticket away.")
    async def conversation_unlink_ticket(
        self, info: Info, input: ConversationUnlinkTicketInput
    ) -> Answer:
        conversation = await find(info, input)
        await link.unlink(conversation, by=info.context.by)
        return {"conversation": conversation.id}
