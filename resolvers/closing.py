"""Closing conversations, what stands against it, and opening them again."""

from typing import Annotated, Any

import strawberry

from models import closing
from models.conversation import Conversation as Record
from models.reopening import reopen
from models.ticket.at_closing import TicketAtClosing
from resolvers.commands import Answer, mutation
from resolvers.context import Info
from resolvers.conversations import ConversationPayload, find
from resolvers.errors import UserError
from resolvers.ids import decode, decode_maybe
from resolvers.inputs import ConversationInput, given
from resolvers.ticket import Ticket, TicketAction, action_of, ticket_of
from resolvers.tickets import ASSIGNEE, DEPARTMENT, DESCRIPTION, SUBJECT, TAGS
from resolvers.types import Closure
from resolvers.vocabulary import TicketPriority, TicketStatus


@strawberry.input(description="The conversation's new ticket, whose requester is its contact.")
class ClosingTicketCreateInput:
    subject: str = strawberry.field(description=SUBJECT)
    description: str | None = strawberry.field(default=None, description=DESCRIPTION)
    assignee_id: strawberry.ID | None = strawberry.field(default=None, description=ASSIGNEE)
    department_id: strawberry.ID | None = strawberry.field(default=None, description=DEPARTMENT)
    priority: TicketPriority = strawberry.field(
        default=TicketPriority.NORMAL, description="How much it matters."
    )
    tags: list[str] = strawberry.field(default_factory=list, description=TAGS)


@strawberry.input(description="Changes of the conversation's ticket; what is left out stays.")
class ClosingTicketUpdateInput:
    expected_version: int | None = strawberry.field(
        default=None,
        description="The ticket's `version` you saw; refused if it has changed since.",
    )
    subject: str | None = strawberry.field(default=None, description=SUBJECT)
    description: strawberry.Maybe[str | None] = strawberry.field(
        default=None, description=DESCRIPTION
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


@strawberry.input(one_of=True, description="What becomes of the ticket: one of these.")
class ClosingTicketInput:
    ticket_id: strawberry.Maybe[strawberry.ID] = strawberry.field(
        description="Link this one, instead of the one that it has or is proposed for it."
    )
    create: strawberry.Maybe[ClosingTicketCreateInput] = strawberry.field(
        description="Link a new one."
    )
    update: strawberry.Maybe[ClosingTicketUpdateInput] = strawberry.field(
        description="Change the one that it has."
    )

    def meant(self) -> TicketAtClosing:
        """The same in the domain's terms."""
        return TicketAtClosing(
            link=decode("Ticket", self.ticket_id.value) if self.ticket_id else None,
            create=_created(self.create.value) if self.create else None,
            change=_changed(self.update.value) if self.update else None,
        )


def _created(input: ClosingTicketCreateInput) -> dict[str, Any]:
    return {
        "subject": input.subject,
        "description": input.description,
        "assignee_id": decode_maybe("Agent", input.assignee_id),
        "department_id": decode_maybe("Team", input.department_id),
        "priority": input.priority,
        "tags": input.tags,
    }


def _changed(input: ClosingTicketUpdateInput) -> dict[str, Any]:
    changes = given(
        expected_version=input.expected_version,
        subject=input.subject,
        description=input.description,
        status=input.status,
        priority=input.priority,
        tags=input.tags,
    )
    if input.assignee_id is not None:
        changes["assignee_id"] = decode_maybe("Agent", input.assignee_id.value)
    if input.department_id is not None:
        changes["department_id"] = decode_maybe("Team", input.department_id.value)
    return changes


@strawberry.input(description="End a conversation.")
class ConversationCloseInput(ConversationInput):
    closing_reason_id: strawberry.ID | None = strawberry.field(
        default=None, description="One of the workspace's reasons."
    )
    summary: str | None = strawberry.field(default=None, description="What happened, for later.")
    ticket: ClosingTicketInput | None = strawberry.field(
        default=None, description="Its ticket, where it needs one or has one to change."
    )
    on_behalf_of: strawberry.ID | None = strawberry.field(
        default=None, description="For integrations: the agent who closes it elsewhere."
    )


@strawberry.input(description="Open a closed conversation again.")
class ConversationReopenInput(ConversationInput):
    pass


@strawberry.type(description="What closing came to.")
class ConversationClosePayload(ConversationPayload):
    @strawberry.field(description="The closure that was written.")
    async def closure(self, info: Info) -> Closure | None:
        id = self.id_of("conversation")
        row = await info.context.loaders.closures.load(id) if id else None
        return Closure.of(row)

    @strawberry.field(description="The ticket it closed with; null when none, or not visible.")
    async def ticket(self, info: Info) -> Ticket | None:
        return await ticket_of(info, self.id_of("ticket"))

    @strawberry.field(description="What the closing added to the ticket: its history.")
    async def action(self, info: Info) -> TicketAction | None:
        id = self.id_of("action")
        return await action_of(info, id) if id else None


@strawberry.type(description="What reopening came to.")
class ConversationReopenPayload(ConversationPayload):
    pass


@strawberry.type(description="Whether you can close a conversation now, and what is missing.")
class ConversationCanClose:
    missing: list[UserError] = strawberry.field(
        description="Everything that `conversationClose` would refuse; empty when it would not."
    )

    @strawberry.field(description="Whether nothing is missing.")
    def can_close(self) -> bool:
        return not self.missing


@strawberry.type
class ClosingQuery:
    @strawberry.field(
        description="What would stand against closing a conversation so; null when not visible."
    )
    async def conversation_can_close(
        self,
        info: Info,
        conversation_id: Annotated[
            strawberry.ID, strawberry.argument(description="Which conversation.")
        ],
        closing_reason_id: Annotated[
            strawberry.ID | None, strawberry.argument(description="With this reason.")
        ] = None,
        summary: Annotated[
            str | None, strawberry.argument(description="With this summary.")
        ] = None,
    ) -> ConversationCanClose | None:
        by = info.context.by
        id, reason_id = (
            decode("Conversation", conversation_id),
            decode_maybe("ClosingReason", closing_reason_id),
        )
        conversation = await (await Record.visible_to(by)).get_or_none(id=id)
        if conversation is None:
            return None
        standing = await closing.obstacles(
            conversation, by=by, reason_id=reason_id, summary=summary
        )
        return ConversationCanClose(missing=[UserError.of(refusal) for refusal in standing])


@strawberry.type
class ClosingMutation:
    @mutation(ConversationClosePayload, "End a conversation: out of its queue, capacity freed.")
    async def conversation_close(self, info: Info, input: ConversationCloseInput) -> Answer:
        conversation = await find(info, input)
        closed = await closing.close(
            conversation,
            by=info.context.by,
            reason_id=decode_maybe("ClosingReason", input.closing_reason_id),
            summary=input.summary,
            on_behalf_of=decode_maybe("Agent", input.on_behalf_of),
            ticket=input.ticket.meant() if input.ticket else None,
        )
        return {
            "conversation": conversation.id,
            "ticket": closed.ticket_id,
            "action": closed.action_id,
        }

    @mutation(ConversationReopenPayload, "Open a closed conversation again, for who held it.")
    async def conversation_reopen(self, info: Info, input: ConversationReopenInput) -> Answer:
        conversation_id = decode("Conversation", input.conversation_id)
        await reopen(conversation_id, by=info.context.by, expected_version=input.expected_version)
        return {"conversation": conversation_id}
