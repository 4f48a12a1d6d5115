"""The conditions of workflows, as they are shown and as they are given."""

from collections.abc import Iterable
from typing import Annotated, Any

import strawberry

from models.workflow import definition
from resolvers.contact import ContactField
from resolvers.context import Info
from resolvers.ids import decode, decode_maybe, encode
from resolvers.types import Team, team_of
from resolvers.vocabulary import Line
from resolvers.workflow_words import Match, Operator, Source, told


@strawberry.type(description="The conversation is on one of these channels.")
class WorkflowChannelCondition:
    part: strawberry.Private[definition.ChannelCondition]

    @strawberry.field(description="The channels; some may be gone.")
    def channel_ids(self) -> list[strawberry.ID]:
        return [encode("Channel", id) for id in self.part.channel_ids]


@strawberry.type(description="The conversation is of a line.")
class WorkflowLineCondition:
    part: strawberry.Private[definition.LineCondition]
    line = told(Line, "line", "The line.")


@strawberry.type(description="The contact has some tags, or has not.")
class WorkflowContactTagCondition:
    part: strawberry.Private[definition.ContactTagCondition]
    match = told(Match, "match", "How many of them.")

    @strawberry.field(description="The tags; some may be gone.")
    def tag_ids(self) -> list[strawberry.ID]:
        return [encode("Tag", id) for id in self.part.tag_ids]


@strawberry.type(description="A field of the contact compares with a value.")
class WorkflowContactFieldCondition:
    part: strawberry.Private[definition.ContactFieldCondition]
    operator = told(Operator, "operator", "How it compares.")
    value = told(str | None, "value", "With what; null for IS_SET and IS_EMPTY.")

    @strawberry.field(description="The id of the field.")
    def field_id(self) -> strawberry.ID:
        return encode("ContactField", self.part.field_id)

    @strawberry.field(description="The field; null when it is gone.")
    async def field(self, info: Info) -> ContactField | None:
        return ContactField.of(await info.context.loaders.contact_fields.load(self.part.field_id))


@strawberry.type(description="The customer's last message has some words in it.")
class WorkflowTextCondition:
    part: strawberry.Private[definition.TextCondition]
    contains = told(list[str], "contains", "The words or phrases, of which one is enough.")


@strawberry.type(description="The business hours are open, or not.")
class WorkflowHoursCondition:
    part: strawberry.Private[definition.HoursCondition]
    are_open = told(bool, "are_open", "Whether they are open.")

    @strawberry.field(description="The id of the team whose hours count; null for the workspace.")
    def team_id(self) -> strawberry.ID | None:
        return encode("Team", self.part.team_id) if self.part.team_id else None

    @strawberry.field(description="The team whose hours count.")
    async def team(self, info: Info) -> Team | None:
        return await team_of(info, self.part.team_id)


@strawberry.type(description="It is the contact's first conversation, or not.")
class WorkflowFirstContactCondition:
    part: strawberry.Private[definition.FirstContactCondition]
    is_first = told(bool, "is_first", "Whether it is the first.")


@strawberry.type(description="The trigger came from somebody.")
class WorkflowSourceCondition:
    part: strawberry.Private[definition.SourceCondition]
    sources = told(list[Source], "sources", "From any of these.")


WorkflowCondition = Annotated[
    WorkflowChannelCondition
    | WorkflowLineCondition
    | WorkflowContactTagCondition
    | WorkflowContactFieldCondition
    | WorkflowTextCondition
    | WorkflowHoursCondition
    | WorkflowFirstContactCondition
    | WorkflowSourceCondition,
    strawberry.union("WorkflowCondition", description="Something that must be so."),
]
_SHOWN: dict[type, Any] = {
    definition.ChannelCondition: WorkflowChannelCondition,
    definition.LineCondition: WorkflowLineCondition,
    definition.ContactTagCondition: WorkflowContactTagCondition,
    definition.ContactFieldCondition: WorkflowContactFieldCondition,
    definition.TextCondition: WorkflowTextCondition,
    definition.HoursCondition: WorkflowHoursCondition,
    definition.FirstContactCondition: WorkflowFirstContactCondition,
    definition.SourceCondition: WorkflowSourceCondition,
}


def conditions_shown(conditions: Iterable[definition.Condition]) -> list[Any]:
    """Each condition as the type of the schema that is about it."""
    return [_SHOWN[type(condition)](part=condition) for condition in conditions]


@strawberry.input(description="The conversation is on one of these channels.")
class WorkflowChannelConditionInput:
    channel_ids: list[strawberry.ID] = strawberry.field(description="The channels, 20 at most.")

    def part(self) -> definition.Condition:
        return definition.ChannelCondition(
            channel_ids=tuple(decode("Channel", id) for id in self.channel_ids)
        )


@strawberry.input(description="The conversation is of a line.")
class WorkflowLineConditionInput:
    line: Line = strawberry.field(description="The line.")

    def part(self) -> definition.Condition:
        return definition.LineCondition(line=self.line)


@strawberry.input(description="The contact has some tags, or has not.")
class WorkflowContactTagConditionInput:
    tag_ids: list[strawberry.ID] = strawberry.field(description="The tags, 20 at most.")
    match: Match = strawberry.field(default=Match.ANY, description="How many of them.")

    def part(self) -> definition.Condition:
        return definition.ContactTagCondition(
            tag_ids=tuple(decode("Tag", id) for id in self.tag_ids), match=self.match
        )


@strawberry.input(description="A field of the contact compares with a value.")
class WorkflowContactFieldConditionInput:
    field_id: strawberry.ID = strawberry.field(description="Which field.")
    operator: Operator = strawberry.field(description="How it compares.")
    value: str | None = strawberry.field(
        default=None, description="With what; not for IS_SET and IS_EMPTY."
    )

    def part(self) -> definition.Condition:
        return definition.ContactFieldCondition(
            field_id=decode("ContactField", self.field_id),
            operator=self.operator,
            value=self.value,
        )


@strawberry.input(description="The customer's last message has some words in it.")
class WorkflowTextConditionInput:
    contains: list[str] = strawberry.field(
        description="The words or phrases, of which one is enough, whatever their case; 50 at most."
    )

    def part(self) -> definition.Condition:
        return definition.TextCondition(contains=tuple(self.contains))


@strawberry.input(description="The business hours are open, or not.")
class WorkflowHoursConditionInput:
    are_open: bool = strawberry.field(description="Whether they are open.")
    team_id: strawberry.ID | None = strawberry.field(
        default=None, description="The team whose hours count, instead of the workspace's."
    )

    def part(self) -> definition.Condition:
        return definition.HoursCondition(
            are_open=self.are_open, team_id=decode_maybe("Team", self.team_id)
        )


@strawberry.input(description="It is the contact's first conversation, or not.")
class WorkflowFirstContactConditionInput:
    is_first: bool = strawberry.field(description="Whether it is the first.")

    def part(self) -> definition.Condition:
        return definition.FirstContactCondition(is_first=self.is_first)


@strawberry.input(description="The trigger came from somebody.")
class WorkflowSourceConditionInput:
    sources: list[Source] = strawberry.field(description="From any of these.")

    def part(self) -> definition.Condition:
        return definition.SourceCondition(sources=tuple(self.sources))


def chosen(input: Any) -> Any:
    """What was given of an input that takes one of its fields."""
    return next(value for value in vars(input).values() if value)


@strawberry.input(one_of=True, description="Something that must be so: exactly one of these.")
class WorkflowConditionInput:
    channel: WorkflowChannelConditionInput | None = strawberry.field(
        default=strawberry.UNSET, description="Where the conversation is."
    )
    line: WorkflowLineConditionInput | None = strawberry.field(
        default=strawberry.UNSET, description="Of what line the conversation is."
    )
    contact_tag: WorkflowContactTagConditionInput | None = strawberry.field(
        default=strawberry.UNSET, description="How the contact is marked."
    )
    contact_field: WorkflowContactFieldConditionInput | None = strawberry.field(
        default=strawberry.UNSET, description="What is known of the contact."
    )
    text: WorkflowTextConditionInput | None = strawberry.field(
        default=strawberry.UNSET, description="What the customer wrote."
    )
    hours: WorkflowHoursConditionInput | None = strawberry.field(
        default=strawberry.UNSET, description="Whether it is within business hours."
    )
    first_contact: WorkflowFirstContactConditionInput | None = strawberry.field(
        default=strawberry.UNSET, description="Whether the contact was here before."
    )
    source: WorkflowSourceConditionInput | None = strawberry.field(
        default=strawberry.UNSET, description="Who was behind the trigger."
    )

    def part(self) -> definition.Condition:
        """The condition in the domain's terms; raises BadUserInput for what is no id."""
        condition: definition.Condition = chosen(self).part()
        return condition


def conditions_given(inputs: Iterable[WorkflowConditionInput]) -> tuple[definition.Condition, ...]:
    return tuple(input.part() for input in inputs)
