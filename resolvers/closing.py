"""Closing conversations, and what stands against it."""

from typing import Annotated

import strawberry

from models import closing
from models.conversation import Conversation as Record
from resolvers.commands import Answer, mutation
from resolvers.context import Info
from resolvers.conversations import ConversationPayload, find
from resolvers.errors import UserError
from resolvers.ids import decode, decode_maybe
from resolvers.inputs import ConversationInput
from resolvers.types import Closure


@strawberry.input(description="End a conversation.")
class ConversationCloseInput(ConversationInput):
    closing_reason_id: strawberry.ID | None = strawberry.field(
        default=None, description="One of the workspace's reasons."
    )
    summary: str | None = strawberry.field(default=None, description="What happened, for later.")
    on_behalf_of: strawberry.ID | None = strawberry.field(
        default=None, description="For integrations: the agent who closes it elsewhere."
    )


@strawberry.type(description="What closing came to.")
class ConversationClosePayload(ConversationPayload):
    @strawberry.field(description="The closure that was written.")
    async def closure(self, info: Info) -> Closure | None:
        id = self.id_of("conversation")
        row = await info.context.loaders.closures.load(id) if id else None
        return Closure.of(row)


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
        )
        return {
            "conversation": conversation.id,
            "ticket": closed.ticket_id,
            "action": closed.action_id,
        }
