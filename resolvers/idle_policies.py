"""What another idle period would close at once, before anybody chooses it."""

from datetime import datetime
from typing import Annotated

import strawberry

from models.idle_policy import Preview, preview
from resolvers.context import Info
from resolvers.ids import decode_maybe
from resolvers.vocabulary import IdlePeriod

CONFIRMED_BY = (
    "The token of an `idlePolicyPreview` of this very change; a shorter idle period needs it."
)


@strawberry.input(description="Another idle period: of an agent, of a team, or the workspace's.")
class IdlePolicyPreviewInput:
    idle_period: IdlePeriod | None = strawberry.field(
        default=None, description="The period; null for what the agent or the team goes by then."
    )
    team_id: strawberry.ID | None = strawberry.field(default=None, description="Whose: a team's.")
    agent_id: strawberry.ID | None = strawberry.field(
        default=None, description="Whose: an agent's; without either the workspace's."
    )


@strawberry.type(description="What another idle period would do; nothing was changed.")
class IdlePolicyPreview:
    previewed: strawberry.Private[Preview]

    @strawberry.field(description="How many conversations would close at once.")
    def closes_at_once(self) -> int:
        return self.previewed.closes_at_once

    @strawberry.field(description="Whether something would close earlier, which needs the token.")
    def is_shorter(self) -> bool:
        return self.previewed.is_shorter

    @strawberry.field(description="Send it with the change, to show that this was seen.")
    def token(self) -> str:
        return self.previewed.token

    @strawberry.field(
        description="Until when it is good, unless the setting changes or more would close by then."
    )
    def expires_at(self) -> datetime:
        return self.previewed.expires_at


@strawberry.type
class IdlePolicyQuery:
    @strawberry.field(
        description="What another idle period would close; null when whose it is is not visible."
    )
    async def idle_policy_preview(
        self,
        info: Info,
        input: Annotated[
            IdlePolicyPreviewInput, strawberry.argument(description="Which period, and whose.")
        ],
    ) -> IdlePolicyPreview | None:
        previewed = await preview(
            input.idle_period,
            by=info.context.by,
            team_id=decode_maybe("Team", input.team_id),
            agent_id=decode_maybe("Agent", input.agent_id),
        )
        return IdlePolicyPreview(previewed=previewed) if previewed else None
