"""Conversations: finding them, and the commands that move them."""

from enum import Enum
from typing import Annotated

import strawberry

from models.base import Line
from models.conversation import Conversation as Record
from models.conversation import Status
from models.tag import tagged
from models.transfer import transfer
from resolvers.commands import Answer, Payload, mutation
from resolvers.context import Info
from resolvers.conversation import (
    Conversation,
    ConversationConnection,
    conversation_of,
    listed,
)
from resolvers.enums import described
from resolvers.ids import decode, decode_maybe
from resolvers.inputs import ConversationInput
from resolvers.pagination import After, Before, First, Keyset, Last, Page


class ConversationOrderField(Enum):
    """What a list of conversations can be ordered by."""

    LAST_ACTIVITY = "last_activity_at"
    OPENED = "opened_at"
    QUEUED = "queued_at"


class OrderDirection(Enum):
    """Which end comes first."""

    ASC = "ASC"
    DESC = "DESC"


described(
    ConversationOrderField,
    "ConversationOrderField",
    LAST_ACTIVITY="When something last happened.",
    OPENED="When it was opened.",
    QUEUED="When it first joined a queue; only open ones that did.",
)
described(OrderDirection, "OrderDirection", ASC="Oldest first.", DESC="Newest first.")


@strawberry.input(description="Which conversations; what is left out does not matter.")
class ConversationFilter:
    status: list[Status] | None = strawberry.field(default=None, description="Any of these.")
    line: Line | None = strawberry.field(default=None, description="This line.")
    team_id: strawberry.ID | None = strawberry.field(default=None, description="This team's.")
    assignee_id: strawberry.ID | None = strawberry.field(
        default=None, description="Held by this agent."
    )
    channel_id: strawberry.ID | None = strawberry.field(
        default=None, description="On this channel."
    )
    contact_id: strawberry.ID | None = strawberry.field(
        default=None, description="With this contact."
    )
    tag_id: strawberry.ID | None = strawberry.field(default=None, description="With this tag.")

    def conditions(self) -> dict[str, object]:
        """The filter in the record's terms."""
        given = {
            "status__in": self.status,
            "line": self.line,
            "team_id": decode_maybe("Team", self.team_id),
            "assignee_id": decode_maybe("Agent", self.assignee_id),
            "channel_id": decode_maybe("Channel", self.channel_id),
            "contact_id": decode_maybe("Contact", self.contact_id),
        }
        return {name: value for name, value in given.items() if value is not None}


@strawberry.input(description="The order of a list of conversations.")
class ConversationOrder:
    field: ConversationOrderField = strawberry.field(description="By what.")
    direction: OrderDirection = strawberry.field(
        default=OrderDirection.ASC, description="Which end first."
    )


@strawberry.type
class ConversationQuery:
    @strawberry.field(description="One conversation; null when missing or not visible to you.")
    async def conversation(
        self, info: Info, id: Annotated[strawberry.ID, strawberry.argument(description="Its id.")]
    ) -> Conversation | None:
        return await conversation_of(info, decode("Conversation", id))

    @strawberry.field(description="The conversations you see, the newest activity first.")
    async def conversations(
        self,
        info: Info,
        filter: Annotated[
            ConversationFilter | None, strawberry.argument(description="Which ones.")
        ] = None,
        order_by: Annotated[
            ConversationOrder | None, strawberry.argument(description="In which order.")
        ] = None,
        first: First = None,
        after: After = None,
        last: Last = None,
        before: Before = None,
    ) -> ConversationConnection:
        order = order_by or ConversationOrder(
            field=ConversationOrderField.LAST_ACTIVITY, direction=OrderDirection.DESC
        )
        visible = (await Record.visible_to(info.context.by)).filter(
            **(filter.conditions() if filter else {}),
            **{f"{order.field.value}__isnull": False},
        )
        tag_id = decode_maybe("Tag", filter.tag_id) if filter else None
        if tag_id is not None:
            visible = tagged(visible, tag_id)
        keyset = Keyset(order.field.value, descending=order.direction is OrderDirection.DESC)
        return await listed(visible, Page(first, after, last, before), keyset)


@strawberry.type(description="The conversation after a command.")
class ConversationPayload(Payload):
    @strawberry.field(description="The conversation; null when refused or no longer visible.")
    async def conversation(self, info: Info) -> Conversation | None:
        return await conversation_of(info, self.id_of("conversation"))


def _payload(name: str, description: str) -> type[ConversationPayload]:
    return strawberry.type(type(name, (ConversationPayload,), {}), description=description)


ConversationPickPayload = _payload("ConversationPickPayload", "What picking came to.")
ConversationAssignPayload = _payload("ConversationAssignPayload", "What assigning came to.")
ConversationUnassignPayload = _payload("ConversationUnassignPayload", "What giving back came to.")
ConversationTransferPayload = _payload("ConversationTransferPayload", "What handing over came to.")


@strawberry.input(description="Take a waiting conversation.")
class ConversationPickInput(ConversationInput):
    pass


@strawberry.input(description="Give a conversation to an agent.")
class ConversationAssignInput(ConversationInput):
    agent_id: strawberry.ID = strawberry.field(description="Who gets it.")


@strawberry.input(description="Give a conversation back to its queue.")
class ConversationUnassignInput(ConversationInput):
    pass


@strawberry.input(description="Hand a conversation over, to an agent or to a team.")
class ConversationTransferInput(ConversationInput):
    agent_id: strawberry.ID | None = strawberry.field(default=None, description="To this agent.")
    team_id: strawberry.ID | None = strawberry.field(default=None, description="To this team.")
    reason: str | None = strawberry.field(
        default=None,
        description="Why, for the receiver: kept as a private note, at most 500 characters.",
    )


async def find(info: Info, input: ConversationInput) -> Record:
    """The conversation of a command, locked for its transaction."""
    return await Record.locked(
        decode("Conversation", input.conversation_id),
        by=info.context.by,
        expected_version=input.expected_version,
    )


@strawberry.type
class ConversationMutation:
    @mutation(ConversationPickPayload, "Take a waiting conversation from its queue.")
    async def conversation_pick(self, info: Info, input: ConversationPickInput) -> Answer:
        conversation = await find(info, input)
        await conversation.pick(by=info.context.by)
        return {"conversation": conversation.id}

    @mutation(ConversationAssignPayload, "Give a conversation to an agent, whatever its load.")
    async def conversation_assign(self, info: Info, input: ConversationAssignInput) -> Answer:
        conversation = await find(info, input)
        await conversation.assign(decode("Agent", input.agent_id), by=info.context.by)
        return {"conversation": conversation.id}

    @mutation(ConversationUnassignPayload, "Give a conversation back to its queue.")
    async def conversation_unassign(self, info: Info, input: ConversationUnassignInput) -> Answer:
        conversation = await find(info, input)
        await conversation.unassign(by=info.context.by)
        return {"conversation": conversation.id}

    @mutation(ConversationTransferPayload, "Hand a conversation over to an agent or a team.")
    async def conversation_transfer(self, info: Info, input: ConversationTransferInput) -> Answer:
        conversation_id = decode("Conversation", input.conversation_id)
        await transfer(
            conversation_id,
            by=info.context.by,
            to_agent=decode_maybe("Agent", input.agent_id),
            to_team=decode_maybe("Team", input.team_id),
            reason=input.reason,
            expected_version=input.expected_version,
        )
        return {"conversation": conversation_id}
