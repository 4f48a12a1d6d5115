"""Why not somebody, and where a message would go: what the routing says of itself."""

from typing import Annotated

import strawberry

from models.base import Line
from models.database import encode
from models.explanation import Explanation, why_not
from models.preview import Preview, preview
from resolvers.context import Info
from resolvers.conversation import Conversation, conversation_of
from resolvers.decision import Decision
from resolvers.ids import decode, decode_maybe
from resolvers.types import Agent, Team, agent_of, team_of
from resolvers.vocabulary import Reason, Rule, Verdict


@strawberry.type(description="What stands between a conversation and one agent.")
class WhyNot:
    explanation: strawberry.Private[Explanation]

    @strawberry.field(description="What speaks for or against the agent.")
    def verdict(self) -> Verdict:
        return self.explanation.verdict

    @strawberry.field(
        description="The decision behind it: of whoever holds it, or as it would be made now."
    )
    def decision(self) -> Decision | None:
        return Decision.of(encode(self.explanation.decision))


@strawberry.type(description="Where a message would go now; nothing was changed.")
class RoutingPreview:
    previewed: strawberry.Private[Preview]

    @strawberry.field(description="The open conversation that it would be appended to.")
    async def appends_to(self, info: Info) -> Conversation | None:
        return await conversation_of(info, self.previewed.appends_to)

    @strawberry.field(description="The closed conversation that would be reopened.")
    async def reopens(self, info: Info) -> Conversation | None:
        place = self.previewed.place
        return await conversation_of(info, place.reopens if place else None)

    @strawberry.field(description="The rule that would choose the place; null when appended.")
    def rule(self) -> Rule | None:
        return self.previewed.place.rule if self.previewed.place else None

    @strawberry.field(description="The rules that could decide and why they would not.")
    def passed_over(self) -> list[Reason]:
        return list(self.previewed.place.passed) if self.previewed.place else []

    @strawberry.field(description="Whether the bot would have it first.")
    def is_with_bot(self) -> bool:
        return bool(self.previewed.place and self.previewed.place.is_with_bot)

    @strawberry.field(description="Who would get it; null while it would wait.")
    async def agent(self, info: Info) -> Agent | None:
        return await agent_of(info, self.previewed.agent_id)

    @strawberry.field(description="The owner it would wait for.")
    async def reserved_for(self, info: Info) -> Agent | None:
        place = self.previewed.place
        return await agent_of(info, place.reserved_for if place else None)

    @strawberry.field(description="The team whose queue it would come to.")
    async def team(self, info: Info) -> Team | None:
        return await team_of(info, self.previewed.place.team_id if self.previewed.place else None)

    @strawberry.field(description="The decision that would be kept.")
    def decision(self) -> Decision | None:
        made = self.previewed.decision
        return None if made is None else Decision.of(encode(made))


@strawberry.input(description="A message that a customer might write.")
class RoutingPreviewInput:
    channel_id: strawberry.ID = strawberry.field(description="On which channel.")
    line: Line | None = strawberry.field(
        default=None, description="For which line; else the channel's default."
    )
    contact_id: strawberry.ID | None = strawberry.field(
        default=None, description="By this contact; a new one if neither is given."
    )
    external_id: str | None = strawberry.field(
        default=None, description="By whomever the channel knows by this."
    )
    text: str | None = strawberry.field(
        default=None, description="What it says; workflows may ask for that."
    )


@strawberry.type
class ExplanationQuery:
    @strawberry.field(
        description="Why an agent does not have a conversation; null when either is not visible."
    )
    async def why_not(
        self,
        info: Info,
        conversation_id: Annotated[
            strawberry.ID, strawberry.argument(description="Which conversation.")
        ],
        agent_id: Annotated[strawberry.ID, strawberry.argument(description="Which agent.")],
    ) -> WhyNot | None:
        found = await why_not(
            decode("Conversation", conversation_id), decode("Agent", agent_id), by=info.context.by
        )
        return WhyNot(explanation=found) if found else None

    @strawberry.field(description="Where a message would go, by the rules that route it.")
    async def routing_preview(
        self,
        info: Info,
        input: Annotated[RoutingPreviewInput, strawberry.argument(description="Which message.")],
    ) -> RoutingPreview | None:
        previewed = await preview(
            by=info.context.by,
            channel_id=decode("Channel", input.channel_id),
            line=input.line,
            contact_id=decode_maybe("Contact", input.contact_id),
            external_id=input.external_id,
            text=input.text,
        )
        return RoutingPreview(previewed=previewed)
