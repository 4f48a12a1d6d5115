"""The steps of workflows, as they are shown and as they are given."""

from collections.abc import Iterable
from typing import Annotated, Any

import strawberry

from models.workflow import definition
from resolvers.context import Info
from resolvers.ids import encode
from resolvers.types import Agent, ClosingReason, Team, agent_of, team_of
from resolvers.vocabulary import Distribution, Line
from resolvers.workflow_conditions import WorkflowCondition, conditions_shown
from resolvers.workflow_words import Marked, told


def _key() -> Any:
    return told(str, "key", "What other steps call it.")


def _next() -> Any:
    return told(str | None, "next", "The key of the step that comes next; null ends the run.")


@strawberry.type(description="Gives the conversation to an agent, or into a team's queue.")
class WorkflowAssignStep:
    part: strawberry.Private[definition.AssignStep]
    key = _key()
    next = told(str | None, "next", "The key of what comes once an agent has it; null ends it.")
    distribution = told(
        Distribution | None, "distribution", "How it is given out; null is the team's own way."
    )
    online_only = told(
        bool | None, "online_only", "Whether only to those online; null is the team's own way."
    )
    max_open = told(
        int | None, "max_open", "Only below this many open ones; null is the team's own limit."
    )
    waiting_minutes = told(int, "waiting_minutes", "For how long all this counts.")
    on_timeout = told(
        str | None, "on_timeout", "The key of what comes after that; null is the team's own way."
    )
    reassign = told(bool, "reassign", "Whether it acts though somebody has the conversation.")

    @strawberry.field(description="The id of the agent who gets it.")
    def agent_id(self) -> strawberry.ID | None:
        return encode("Agent", self.part.agent_id) if self.part.agent_id else None

    @strawberry.field(description="The id of the team that gets it.")
    def team_id(self) -> strawberry.ID | None:
        return encode("Team", self.part.team_id) if self.part.team_id else None

    @strawberry.field(description="The agent who gets it.")
    async def agent(self, info: Info) -> Agent | None:
        return await agent_of(info, self.part.agent_id)

    @strawberry.field(description="The team that gets it.")
    async def team(self, info: Info) -> Team | None:
        return await team_of(info, self.part.team_id)


@strawberry.type(description="Gives it back to its queue; of a closed one, lets the agent go.")
class WorkflowUnassignStep:
    part: strawberry.Private[definition.UnassignStep]
    key = _key()
    next = _next()


@strawberry.type(description="Sends the customer a text.")
class WorkflowSendMessageStep:
    part: strawberry.Private[definition.SendMessageStep]
    key = _key()
    text = told(str, "text", "The text, with variables such as `{{contact.name|there}}`.")
    next = _next()


@strawberry.type(description="Marks the contact or the conversation.")
class WorkflowTagStep:
    part: strawberry.Private[definition.TagStep]
    key = _key()
    tags = told(list[str], "tags", "The words to mark with.")
    on = told(Marked, "on", "What is marked.")
    next = _next()


@strawberry.type(description="Makes the conversation one of a line.")
class WorkflowSetLineStep:
    part: strawberry.Private[definition.SetLineStep]
    key = _key()
    line = told(Line, "line", "The line.")
    next = _next()


@strawberry.type(description="Closes the conversation.")
class WorkflowCloseStep:
    part: strawberry.Private[definition.CloseStep]
    key = _key()
    summary = told(str | None, "summary", "The summary that it is closed with.")
    next = _next()

    @strawberry.field(description="The id of the reason that it is closed with.")
    def closing_reason_id(self) -> strawberry.ID | None:
        return encode("ClosingReason", self.part.reason_id) if self.part.reason_id else None

    @strawberry.field(description="The reason that it is closed with.")
    async def closing_reason(self, info: Info) -> ClosingReason | None:
        id = self.part.reason_id
        row = await info.context.loaders.closing_reasons.load(id) if id else None
        return ClosingReason.of(row)


@strawberry.type(description="Lets the bot go on; of a closed one, lets the agent go.")
class WorkflowBotOnStep:
    part: strawberry.Private[definition.BotOnStep]
    key = _key()
    next = _next()


@strawberry.type(description="Lets the bot hand it to people.")
class WorkflowBotOffStep:
    part: strawberry.Private[definition.BotOffStep]
    key = _key()
    next = _next()


@strawberry.type(description="A way out of a branch.")
class WorkflowCase:
    part: strawberry.Private[definition.Case]
    next = _next()

    @strawberry.field(description="What must all be so for it.")
    def conditions(self) -> list[WorkflowCondition]:
        return conditions_shown(self.part.conditions)


@strawberry.type(description="Goes on with the first case whose conditions are met.")
class WorkflowBranchStep:
    part: strawberry.Private[definition.BranchStep]
    key = _key()
    next = told(str | None, "next", "The key of what comes when no case is met; null ends it.")

    @strawberry.field(description="The cases, in the order they are tried.")
    def cases(self) -> list[WorkflowCase]:
        return [WorkflowCase(part=case) for case in self.part.cases]


@strawberry.type(description="Tells integrators, through the log, that a run came here.")
class WorkflowWebhookStep:
    part: strawberry.Private[definition.WebhookStep]
    key = _key()
    next = _next()


WorkflowStep = Annotated[
    WorkflowAssignStep
    | WorkflowUnassignStep
    | WorkflowSendMessageStep
    | WorkflowTagStep
    | WorkflowSetLineStep
    | WorkflowCloseStep
    | WorkflowBotOnStep
    | WorkflowBotOffStep
    | WorkflowBranchStep
    | WorkflowWebhookStep,
    strawberry.union("WorkflowStep", description="Something that a workflow does."),
]
_SHOWN: dict[type, Any] = {
    definition.AssignStep: WorkflowAssignStep,
    definition.UnassignStep: WorkflowUnassignStep,
    definition.SendMessageStep: WorkflowSendMessageStep,
    definition.TagStep: WorkflowTagStep,
    definition.SetLineStep: WorkflowSetLineStep,
    definition.CloseStep: WorkflowCloseStep,
    definition.BotOnStep: WorkflowBotOnStep,
    definition.BotOffStep: WorkflowBotOffStep,
    definition.BranchStep: WorkflowBranchStep,
    definition.WebhookStep: WorkflowWebhookStep,
}


def steps_shown(steps: Iterable[definition.Step]) -> list[Any]:
    """Each step as the type of the schema that is about it."""
    return [_SHOWN[type(step)](part=step) for step in steps]
