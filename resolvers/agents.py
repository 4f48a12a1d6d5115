"""The accounts of people: creating and changing them."""

import strawberry

from models.access import Role
from models.agent import CAPACITY_DEFAULT
from models.agent import Agent as AgentRecord
from models.base import IdlePeriod
from resolvers.commands import Answer, mutation
from resolvers.context import Info
from resolvers.hours import BusinessHoursInput, stored_hours
from resolvers.ids import decode
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
    capacity: int | None = strawberry.field(default=None, description="A new capacity.")
    idle_period: strawberry.Maybe[IdlePeriod | None] = strawberry.field(
        description="A new idle period; null for that of the team.", default=None
    )
    business_hours: strawberry.Maybe[BusinessHoursInput | None] = strawberry.field(
        default=None, description="When conversations are given out; null for the team's."
    )


@strawberry.type(description="What creating an agent came to.")
class AgentCreatePayload(AgentPayload):
    pass


@strawberry.type(description="What changing an agent came to.")
class AgentUpdatePayload(AgentPayload):
    pass


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
            capacity=input.capacity,
            idle_period_days=input.idle_period,
            business_hours=stored_hours(input.business_hours),
        )
        await AgentRecord.change(agent_id, by=info.context.by, **changes)
        return {"agent": agent_id}
