"""One command on many conversations, with a result for each."""

from typing import Any
from uuid import UUID

import strawberry

from models import bulk
from resolvers.commands import Answer, Payload, mutation
from resolvers.context import Info
from resolvers.conversation import Conversation, conversation_of
from resolvers.errors import UserError, kept
from resolvers.ids import decode, decode_maybe
from resolvers.inputs import CommandInput


@strawberry.input(description="A command on many conversations.")
class ConversationsInput(CommandInput):
    conversation_ids: list[strawberry.ID] = strawberry.field(
        description="Which conversations: 1 to 100, each once."
    )

    def ids(self) -> list[UUID]:
        return [decode("Conversation", id) for id in self.conversation_ids]


@strawberry.input(description="Give conversations to an agent.")
class ConversationsAssignInput(ConversationsInput):
    agent_id: strawberry.ID = strawberry.field(description="Who gets them.")


@strawberry.input(description="End conversations.")
class ConversationsCloseInput(ConversationsInput):
    closing_reason_id: strawberry.ID | None = strawberry.field(
        default=None, description="One of the workspace's reasons, for each of them."
    )
    summary: str | None = strawberry.field(default=None, description="What happened, for later.")


@strawberry.type(description="What a command on many conversations came to for one of them.")
class ConversationResult:
    result: strawberry.Private[dict[str, Any]]

    @strawberry.field(description="The conversation; null when missing or not visible to you.")
    async def conversation(self, info: Info) -> Conversation | None:
        return await conversation_of(info, UUID(str(self.result["conversation"])))

    @strawberry.field(description="The rules that said no to this one; empty when it worked.")
    def user_errors(self) -> list[UserError]:
        return [UserError.recalled(refusal) for refusal in self.result["refusals"]]


@strawberry.type(description="What a command on many conversations came to.")
class ConversationsPayload(Payload):
    @strawberry.field(description="A result for each, in the order given; empty when refused.")
    def results(self) -> list[ConversationResult]:
        return [ConversationResult(result=result) for result in self.answer.get("results", ())]


@strawberry.type(description="What assigning many came to.")
class ConversationsAssignPayload(ConversationsPayload):
    pass


@strawberry.type(description="What closing many came to.")
class ConversationsClosePayload(ConversationsPayload):
    pass


@strawberry.type
class BulkMutation:
    @mutation(ConversationsAssignPayload, "Give many conversations to an agent.")
    async def conversations_assign(self, info: Info, input: ConversationsAssignInput) -> Answer:
        agent_id = decode("Agent", input.agent_id)
        return _answer(await bulk.assign(input.ids(), agent_id, by=info.context.by))

    @mutation(ConversationsClosePayload, "End many conversations.")
    async def conversations_close(self, info: Info, input: ConversationsCloseInput) -> Answer:
        results = await bulk.close(
            input.ids(),
            by=info.context.by,
            reason_id=decode_maybe("ClosingReason", input.closing_reason_id),
            summary=input.summary,
        )
        return _answer(results)


def _answer(results: list[bulk.Result]) -> Answer:
    return {
        "results": [
            {
                "conversation": result.conversation_id,
                "refusals": [kept(result.refusal)] if result.refusal else [],
            }
            for result in results
        ]
    }
