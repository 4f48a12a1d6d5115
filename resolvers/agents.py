"""The accounts of people: creating and changing them."""

from datetime import datetime

import strawberry

from models import departure, invitation
from models.access import Role
from models.agent import CAPACITY_DEFAULT
from models.agent import Agent as AgentRecord
from models.base import IdlePeriod
from resolvers.commands import Answer, mutation
from resolvers.context import Info
from resolvers.hours import BusinessHoursInput, stored_hours
from resolvers.idle_policies import CONFIRMED_BY
from resolvers.ids import decode, decode_maybe
from resolvers.inputs import CommandInput, given
from resolvers.presence import AgentPayload


@strawberry.input(description="A new agent.")
class AgentCreateInput(CommandInput):
    name: str = strawberry.field(description="Name.")
    email: str = strawberry.field(description="Address to sign in with.")
    password: str | None = strawberry.field(default=None, description="At least 8 characters.")
    role: Role = strawberry.field(default=Role.AGENT, description="What it may do.")
    capacity: int = strawberry.field(
        default=CAPACITY_DEFAULT, description="How many it may hold before automatic ones stop."
    )


@strawberry.input(description="Changes of an agent's account; what is left out stays.")
class AgentUpdateInput(CommandInput):
    agent_id: strawberry.ID = strawberry.field(description="Which agent.")
    name: str | None = strawberry.field(default=None, description="A new name.")
    role: Role | None = strawberry.field(default=None, description="What it may do from now on.")
    capacity: int | None = strawberry.field(default=None, description="A new capacity.")
    idle_period: strawberry.Maybe[IdlePeriod | None] = strawberry.field(
        description="A new idle period; null for that of the team.", default=None
    )
    preview_token: str | None = strawberry.field(default=None, description=CONFIRMED_BY)
    business_hours: strawberry.Maybe[BusinessHoursInput | None] = strawberry.field(
        default=None, description="When conversations are given out; null for the team's."
    )


@strawberry.input(description="End an agent's account.")
class AgentDeactivateInput(CommandInput):
    agent_id: strawberry.ID = strawberry.field(description="Which agent; not yourself.")
    replacement_id: strawberry.ID | None = strawberry.field(
        default=None, description="The agent who takes over its channels and contacts."
    )


@strawberry.input(description="Let an agent in again.")
class AgentReactivateInput(CommandInput):
    agent_id: strawberry.ID = strawberry.field(description="Which agent.")


@strawberry.input(description="Invite an agent who is there, or a new one by name and address.")
class AgentInviteInput(CommandInput):
    agent_id: strawberry.ID | None = strawberry.field(
        default=None, description="An agent who is there; then leave the rest out."
    )
    name: str | None = strawberry.field(default=None, description="A new agent's name.")
    email: str | None = strawberry.field(
        default=None, description="A new agent's address to sign in with."
    )
    role: Role = strawberry.field(default=Role.AGENT, description="What a new agent may do.")
    capacity: int = strawberry.field(
        default=CAPACITY_DEFAULT, description="How many a new agent may hold."
    )


@strawberry.type(description="What creating an agent came to.")
class AgentCreatePayload(AgentPayload):
    pass


@strawberry.type(description="What changing an agent came to.")
class AgentUpdatePayload(AgentPayload):
    pass


@strawberry.type(description="What ending an account came to.")
class AgentDeactivatePayload(AgentPayload):
    pass


@strawberry.type(description="What letting an agent in again came to.")
class AgentReactivatePayload(AgentPayload):
    pass


@strawberry.type(description="What inviting came to.")
class AgentInvitePayload(AgentPayload):
    @strawberry.field(
        description="What the person chooses a password with; shown this once, null in a "
        "repeated answer. A newer invitation ends it."
    )
    def invitation(self) -> str | None:
        invitation: str | None = self.answer.get("secret")
        return invitation

    @strawberry.field(description="Until when it can be used; null in a repeated answer.")
    def expires_at(self) -> datetime | None:
        at: datetime | None = self.answer.get("expires_at") if "secret" in self.answer else None
        return at


@strawberry.type
class AgentMutation:
    @mutation(AgentCreatePayload, "Create an agent.")
    async def agent_create(self, info: Info, input: AgentCreateInput) -> Answer:
        agent = await AgentRecord.add(
            by=info.context.by,
            name=input.name,
            email=input.email,
            password=input.password,
            role=input.role,
            capacity=input.capacity,
        )
        return {"agent": agent.id}

    @mutation(AgentUpdatePayload, "Change an agent's account.", repeatable=True)
    async def agent_update(self, info: Info, input: AgentUpdateInput) -> Answer:
        agent_id = decode("Agent", input.agent_id)
        changes = given(
            name=input.name,
            role=input.role,
            capacity=input.capacity,
            idle_period_days=input.idle_period,
            preview_token=input.preview_token,
            business_hours=stored_hours(input.business_hours),
        )
        await departure.change(agent_id, by=info.context.by, **changes)
        return {"agent": agent_id}

    @mutation(AgentDeactivatePayload, "End an account; what it holds goes back to its queues.")
    async def agent_deactivate(self, info: Info, input: AgentDeactivateInput) -> Answer:
        agent_id = decode("Agent", input.agent_id)
        replacement_id = decode_maybe("Agent", input.replacement_id)
        await departure.deactivate(agent_id, by=info.context.by, replacement_id=replacement_id)
        return {"agent": agent_id}

    @mutation(AgentReactivatePayload, "Let an agent in again, where it was.", repeatable=True)
    async def agent_reactivate(self, info: Info, input: AgentReactivateInput) -> Answer:
        agent_id = decode("Agent", input.agent_id)
        await departure.reactivate(agent_id, by=info.context.by)
        return {"agent": agent_id}

    @mutation(AgentInvitePayload, "Invite an agent to choose a password; for 7 days, once.")
    async def agent_invite(self, info: Info, input: AgentInviteInput) -> Answer:
        token, secret = await invitation.invite(
            decode_maybe("Agent", input.agent_id),
            by=info.context.by,
            name=input.name,
            email=input.email,
            role=input.role,
            capacity=input.capacity,
        )
        return {"agent": token.agent_id, "secret": secret, "expires_at": token.expires_at}
