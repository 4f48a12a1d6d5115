"""The steps of workflows, as they are given."""

from collections.abc import Iterable

import strawberry

from models.workflow import definition
from models.workflow.definition import WAITING_MINUTES_MAX
from resolvers.ids import decode_maybe
from resolvers.vocabulary import Distribution, Line
from resolvers.workflow_conditions import WorkflowConditionInput, chosen, conditions_given
from resolvers.workflow_words import Marked


@strawberry.input(description="What every step says.")
class WorkflowStepBase:
    key: str = strawberry.field(description="What other steps call it, 1 to 50 characters.")
    next: str | None = strawberry.field(
        default=None,
        description="The key of the step that comes next: of ASSIGN once an agent has it, of "
        "BRANCH when no case is met. Without one, the run ends.",
    )


@strawberry.input(description="Gives the conversation to an agent, or into a team's queue.")
class WorkflowAssignStepInput(WorkflowStepBase):
    agent_id: strawberry.ID | None = strawberry.field(
        default=None, description="The agent who gets it; or else a team does."
    )
    team_id: strawberry.ID | None = strawberry.field(
        default=None, description="The team that gets it."
    )
    distribution: Distribution | None = strawberry.field(
        default=None, description="ROUND_ROBIN or LEAST_OPEN, instead of the team's own way."
    )
    online_only: bool | None = strawberry.field(
        default=None, description="Whether only to those online, instead of the team's own way."
    )
    max_open: int | None = strawberry.field(
        default=None, description="Only below this many open ones, instead of the team's limit."
    )
    waiting_minutes: int = strawberry.field(
        default=WAITING_MINUTES_MAX, description="For how long all this counts, 7 days at most."
    )
    on_timeout: str | None = strawberry.field(
        default=None,
        description="The key of what comes after that; without one the team's own way counts.",
    )
    reassign: bool = strawberry.field(
        default=False, description="Whether it acts though somebody has the conversation."
    )

    def part(self) -> definition.Step:
        return definition.AssignStep(
            key=self.key,
            next=self.next,
            agent_id=decode_maybe("Agent", self.agent_id),
            team_id=decode_maybe("Team", self.team_id),
            distribution=self.distribution,
            online_only=self.online_only,
            max_open=self.max_open,
            waiting_minutes=self.waiting_minutes,
            on_timeout=self.on_timeout,
            reassign=self.reassign,
        )


@strawberry.input(description="Gives it back to its queue; of a closed one, lets the agent go.")
class WorkflowUnassignStepInput(WorkflowStepBase):
    def part(self) -> definition.Step:
        return definition.UnassignStep(key=self.key, next=self.next)


@strawberry.input(description="Sends the customer a text.")
class WorkflowSendMessageStepInput(WorkflowStepBase):
    text: str = strawberry.field(
        description="The text, with variables such as `{{contact.name|there}}`."
    )

    def part(self) -> definition.Step:
        return definition.SendMessageStep(key=self.key, next=self.next, text=self.text)


@strawberry.input(description="Marks the contact or the conversation.")
class WorkflowTagStepInput(WorkflowStepBase):
    tags: list[str] = strawberry.field(description="The words to mark with, 20 at most.")
    on: Marked = strawberry.field(default=Marked.CONVERSATION, description="What is marked.")

    def part(self) -> definition.Step:
        return definition.TagStep(key=self.key, next=self.next, tags=tuple(self.tags), on=self.on)


@strawberry.input(description="Makes the conversation one of a line.")
class WorkflowSetLineStepInput(WorkflowStepBase):
    line: Line = strawberry.field(description="The line.")

    def part(self) -> definition.Step:
        return definition.SetLineStep(key=self.key, next=self.next, line=self.line)


@strawberry.input(description="Closes the conversation.")
class WorkflowCloseStepInput(WorkflowStepBase):
    closing_reason_id: strawberry.ID | None = strawberry.field(
        default=None, description="The reason that it is closed with."
    )
    summary: str | None = strawberry.field(
        default=None, description="The summary that it is closed with."
    )

    def part(self) -> definition.Step:
        return definition.CloseStep(
            key=self.key,
            next=self.next,
            reason_id=decode_maybe("ClosingReason", self.closing_reason_id),
            summary=self.summary,
        )


@strawberry.input(description="Lets the bot go on; of a closed one, lets the agent go.")
class WorkflowBotOnStepInput(WorkflowStepBase):
    def part(self) -> definition.Step:
        return definition.BotOnStep(key=self.key, next=self.next)


@strawberry.input(description="Lets the bot hand it to people.")
class WorkflowBotOffStepInput(WorkflowStepBase):
    def part(self) -> definition.Step:
        return definition.BotOffStep(key=self.key, next=self.next)


@strawberry.input(description="A way out of a branch.")
class WorkflowCaseInput:
    conditions: list[WorkflowConditionInput] = strawberry.field(
        description="What must all be so for it, 20 at most."
    )
    next: str | None = strawberry.field(
        default=None, description="The key of the step that comes then; without one the run ends."
    )

    def part(self) -> definition.Case:
        return definition.Case(conditions=conditions_given(self.conditions), next=self.next)


@strawberry.input(description="Goes on with the first case whose conditions are met.")
class WorkflowBranchStepInput(WorkflowStepBase):
    cases: list[WorkflowCaseInput] = strawberry.field(
        description="The cases, in the order they are tried; 10 at most."
    )

    def part(self) -> definition.Step:
        cases = tuple(case.part() for case in self.cases)
        return definition.BranchStep(key=self.key, next=self.next, cases=cases)


@strawberry.input(description="Tells integrators, through the log, that a run came here.")
class WorkflowWebhookStepInput(WorkflowStepBase):
    def part(self) -> definition.Step:
        return definition.WebhookStep(key=self.key, next=self.next)


@strawberry.input(one_of=True, description="Something that a workflow does: exactly one of these.")
class WorkflowStepInput:
    assign: WorkflowAssignStepInput | None = strawberry.field(
        default=strawberry.UNSET, description="Give the conversation to somebody."
    )
    unassign: WorkflowUnassignStepInput | None = strawberry.field(
        default=strawberry.UNSET, description="Give it back."
    )
    send_message: WorkflowSendMessageStepInput | None = strawberry.field(
        default=strawberry.UNSET, description="Write to the customer."
    )
    tag: WorkflowTagStepInput | None = strawberry.field(
        default=strawberry.UNSET, description="Mark with tags."
    )
    set_line: WorkflowSetLineStepInput | None = strawberry.field(
        default=strawberry.UNSET, description="Set the line."
    )
    close: WorkflowCloseStepInput | None = strawberry.field(
        default=strawberry.UNSET, description="Close it."
    )
    bot_on: WorkflowBotOnStepInput | None = strawberry.field(
        default=strawberry.UNSET, description="Switch the bot on."
    )
    bot_off: WorkflowBotOffStepInput | None = strawberry.field(
        default=strawberry.UNSET, description="Switch the bot off."
    )
    branch: WorkflowBranchStepInput | None = strawberry.field(
        default=strawberry.UNSET, description="Go one way or another."
    )
    webhook: WorkflowWebhookStepInput | None = strawberry.field(
        default=strawberry.UNSET, description="Tell integrators."
    )

    def part(self) -> definition.Step:
        """The step in the domain's terms; raises BadUserInput for what is no id."""
        step: definition.Step = chosen(self).part()
        return step


def steps_given(inputs: Iterable[WorkflowStepInput]) -> tuple[definition.Step, ...]:
    return tuple(input.part() for input in inputs)
