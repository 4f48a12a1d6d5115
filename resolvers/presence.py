"""Presence and availability: who is connected, who works, who takes new conversations."""

from uuid import UUID

import strawberry

from models.agent import Agent as Record
from models.decision import Availability
from models.errors import BadUserInput
from resolvers.commands import Answer, Payload, mutation
from resolvers.context import Info
from resolvers.ids import decode_maybe
from resolvers.inputs import CommandInput
from resolvers.types import Agent, agent_of


@strawberry.input(description="A sign of life from one device.")
class PresenceBeatInput(CommandInput):
    device: str = strawberry.field(
        description="Any name of yours for the device; 1 to 100 letters."
    )
    agent_id: strawberry.ID | None = strawberry.field(
        default=None, description="Yourself, if left out."
    )


@strawberry.input(description="Whether an agent works and takes new conversations.")
class AgentSetAvailabilityInput(CommandInput):
    agent_id: strawberry.ID | None = strawberry.field(
        default=None, description="Yourself, if left out."
    )
    availability: Availability | None = strawberry.field(
        default=None, description="Whether it works."
    )
    accepts_new: bool | None = strawberry.field(
        default=None, description="Whether it takes new conversations."
    )


@strawberry.type(description="The agent after a command.")
class AgentPayload(Payload):
    @strawberry.field(description="The agent; null when refused.")
    async def agent(self, info: Info) -> Agent | None:
        return await agent_of(info, self.id_of("agent"))


@strawberry.type(description="What a sign of life came to.")
class PresenceBeatPayload(AgentPayload):
    pass


@strawberry.type(description="What setting the availability came to.")
class AgentSetAvailabilityPayload(AgentPayload):
    pass


@strawberry.type
class PresenceMutation:
    @mutation(PresenceBeatPayload, "Keep a device connected for another minute.", repeatable=True)
    async def presence_beat(self, info: Info, input: PresenceBeatInput) -> Answer:
        agent_id = _whom(info, input.agent_id)
        await Record.beat(agent_id, by=info.context.by, device=input.device)
        return {"agent": agent_id}

    @mutation(
        AgentSetAvailabilityPayload,
        "Say whether an agent works and takes new conversations.",
        repeatable=True,
    )
    async def agent_set_availability(self, info: Info, input: AgentSetAvailabilityInput) -> Answer:
        agent_id = _whom(info, input.agent_id)
        await Record.set_availability(
            agent_id,
            by=info.context.by,
            availability=input.availability,
            accepts_new=input.accepts_new,
        )
        return {"agent": agent_id}


def _whom(info: Info, id: str | None) -> UUID:
    agent_id = decode_maybe("Agent", id) or info.context.by.agent_id
    if agent_id is None:
        raise BadUserInput("An integration says which agent it means.", path="input.agentId")
    return agent_id
