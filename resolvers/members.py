"""The members of teams, in their order."""

import strawberry

from models.membership import Membership
from models.team import Team as TeamRecord
from resolvers.commands import Answer, mutation
from resolvers.context import Info
from resolvers.ids import decode
from resolvers.inputs import CommandInput
from resolvers.teams import TeamPayload


@strawberry.input(description="A place in a team.")
class TeamMemberInput(CommandInput):
    team_id: strawberry.ID = strawberry.field(description="Which team.")
    agent_id: strawberry.ID = strawberry.field(description="Which agent.")


@strawberry.input(description="Put an agent at the end of a team's order.")
class TeamMemberAddInput(TeamMemberInput):
    pass


@strawberry.input(description="Take an agent out of a team.")
class TeamMemberRemoveInput(TeamMemberInput):
    pass


@strawberry.input(description="The members of a team in a new order.")
class TeamMembersReorderInput(CommandInput):
    team_id: strawberry.ID = strawberry.field(description="Which team.")
    agent_ids: list[strawberry.ID] = strawberry.field(description="All its members, in order.")


@strawberry.type(description="What adding a member came to.")
class TeamMemberAddPayload(TeamPayload):
    pass


@strawberry.type(description="What removing a member came to.")
class TeamMemberRemovePayload(TeamPayload):
    pass


@strawberry.type(description="What reordering came to.")
class TeamMembersReorderPayload(TeamPayload):
    pass


@strawberry.type
class MemberMutation:
    @mutation(TeamMemberAddPayload, "Put an agent at the end of a team's order.")
    async def team_member_add(self, info: Info, input: TeamMemberAddInput) -> Answer:
        by = info.context.by
        team = await TeamRecord.find(decode("Team", input.team_id), by=by)
        await Membership.add(by=by, team=team, agent_id=decode("Agent", input.agent_id))
        return {"team": team.id}

    @mutation(TeamMemberRemovePayload, "Take an agent out of a team; it keeps what it holds.")
    async def team_member_remove(self, info: Info, input: TeamMemberRemoveInput) -> Answer:
        by = info.context.by
        team = await TeamRecord.find(decode("Team", input.team_id), by=by)
        await Membership.remove(by=by, team=team, agent_id=decode("Agent", input.agent_id))
        return {"team": team.id}

    @mutation(TeamMembersReorderPayload, "Put a team's members into a new order.")
    async def team_members_reorder(self, info: Info, input: TeamMembersReorderInput) -> Answer:
        by = info.context.by
        team = await TeamRecord.find(decode("Team", input.team_id), by=by)
        agent_ids = [decode("Agent", id) for id in input.agent_ids]
        await Membership.reorder(by=by, team=team, agent_ids=agent_ids)
        return {"team": team.id}
