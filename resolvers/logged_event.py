"""What events have in common, as the API shows them: of the log, of conversations, of agents."""

from datetime import datetime
from typing import Any
from uuid import UUID

import strawberry

from models.log import Event, Position
from resolvers.context import Info
from resolvers.conversation import Conversation, conversation_of
from resolvers.event_kinds import Kind
from resolvers.types import Agent, Message, Queue, Team, agent_of, queue_of, team_of
from resolvers.vocabulary import ActorKind, Rule
from resolvers.workflow import Workflow, workflow_of


@strawberry.type(description="Who or what caused an event.")
class EventActor:
    kind: ActorKind = strawberry.field(description="What kind of party.")
    id_: strawberry.Private[UUID | None]

    @strawberry.field(description="The agent, if a person did it.")
    async def agent(self, info: Info) -> Agent | None:
        return await agent_of(info, self.id_ if self.kind is ActorKind.AGENT else None)

    @strawberry.field(description="The workflow, if a step of one did it.")
    async def workflow(self, info: Info) -> Workflow | None:
        return await workflow_of(info, self.id_ if self.kind is ActorKind.WORKFLOW else None)


@strawberry.interface(description="One numbered fact of the workspace's log.")
class LoggedEvent:
    event: strawberry.Private[Event]
    position: strawberry.Private[Position]

    @strawberry.field(description="Its number: 1, 2, 3 ... in a workspace, without holes.")
    def seq(self) -> int:
        return self.event.seq

    @strawberry.field(description="Go on after this event with it: `after`.")
    def cursor(self) -> str:
        return self.position.cursor()

    @strawberry.field(description="When it was logged; never earlier than the one before.")
    def occurred_at(self) -> datetime:
        return self.event.logged_at

    @strawberry.field(description="What happened.")
    def kind(self) -> Kind:
        return self.event.kind

    @strawberry.field(description="Who or what caused it.")
    def actor(self) -> EventActor:
        return EventActor(kind=self.event.actor_kind, id_=self.event.actor_id)


@strawberry.interface(description="A fact about a conversation, with its place before and after.")
class ConversationEvent(LoggedEvent):
    @strawberry.field(description="The conversation as it is now; null when not visible to you.")
    async def conversation(self, info: Info) -> Conversation | None:
        return await conversation_of(info, self.event.conversation_id)

    @strawberry.field(description="The queue it waited in before.")
    async def from_queue(self, info: Info) -> Queue | None:
        return await queue_of(info, self.event.from_queue_id)

    @strawberry.field(description="The queue it waits in afterwards.")
    async def to_queue(self, info: Info) -> Queue | None:
        return await queue_of(info, self.event.to_queue_id)

    @strawberry.field(description="Who held it before.")
    async def from_agent(self, info: Info) -> Agent | None:
        return await agent_of(info, self.event.from_agent_id)

    @strawberry.field(description="Who holds it afterwards.")
    async def to_agent(self, info: Info) -> Agent | None:
        return await agent_of(info, self.event.to_agent_id)

    @strawberry.field(description="Which rule chose its place; null where none did.")
    def rule(self) -> Rule | None:
        return self.event.rule

    @strawberry.field(description="The team it belongs to afterwards, waiting or not.")
    async def to_team(self, info: Info) -> Team | None:
        return await team_of(info, self.event.to_team_id)


@strawberry.interface(description="A fact about a message.")
class MessageEvent(ConversationEvent):
    @strawberry.field(description="The message.")
    async def message(self, info: Info) -> Message | None:
        id = self.event.message_id
        # Whoever may not see the conversation may not read its messages either.
        visible = await conversation_of(info, self.event.conversation_id)
        row = await info.context.loaders.messages.load(id) if id and visible else None
        return Message.of(row)


@strawberry.interface(description="A fact about an agent.")
class AgentEvent(LoggedEvent):
    @strawberry.field(description="The agent as it is now.")
    async def agent(self, info: Info) -> Agent | None:
        return await agent_of(info, self.event.to_agent_id or self.event.from_agent_id)


def fact(name: str, base: type[LoggedEvent], description: str) -> Any:
    """The type of a kind that shows no more than its base."""
    return strawberry.type(type(name, (base,), {}), description=description)
