"""What is promised of the schema as a whole, and of its file."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from graphql import (
    GraphQLField,
    GraphQLInputObjectType,
    GraphQLInterfaceType,
    GraphQLList,
    GraphQLNamedType,
    GraphQLNonNull,
    GraphQLObjectType,
    get_named_type,
    get_nullable_type,
    specified_scalar_types,
)

from models.event import Kind
from models.webhook.body import typename
from resolvers.schema import schema

SDL = Path(__file__).parents[2] / "api" / "schema.graphql"
GRAPHQL: Any = schema._schema
TYPES: dict[str, GraphQLNamedType] = {
    name: type
    for name, type in GRAPHQL.type_map.items()
    if not name.startswith("__") and name not in specified_scalar_types
}
MUTATIONS: dict[str, GraphQLField] = GRAPHQL.mutation_type.fields
TAG_EVENTS = [
    f"{type}.tags"
    for type in (
        "TagEvent",
        "ContactTagged",
        "ContactUntagged",
        "ConversationTagged",
        "ConversationUntagged",
    )
]
REPORT_ROWS = [f"{name}.rows" for name in TYPES if name.endswith("Report")]
# Lists that are bounded by something else than a page, and by what.
BOUNDED_LISTS = {
    "Contact.fields": "100, as many as a workspace may define",
    "ContactField.choices": "100",
    "SegmentFilter.fields": "20",
    "SegmentFilter.tagIds": "20",
    "Workspace.ownerSetters": "the three roles that may be among them",
    **dict.fromkeys(REPORT_ROWS, "1,000, and isComplete says whether these are all"),
    "Query.nodes": "as many as the ids that were sent",
    "ConversationCanClose.missing": "the rules that there are about closing",
    "Viewer.scopes": "the scopes there are",
    "BusinessHours.weekly": "50 intervals",
    "BusinessHours.holidays": "400 days",
    "Contact.tags": "20 on one contact",
    "Conversation.tags": "20 on one conversation",
    "Ticket.tags": "20 on one ticket",
    **dict.fromkeys(TAG_EVENTS, "the names that one command takes"),
    "Decision.candidates": "recorded as it was; never read row by row",
    "Decision.passedOver": "the rules of the precedence",
    "RoutingPreview.passedOver": "the rules of the precedence",
    "StreamSnapshot.conversations": "500, and isComplete says whether these are all",
    "StreamSnapshot.agents": "500, and isComplete says whether these are all",
    "StreamSnapshot.tickets": "one",
    "ConversationsAssignPayload.results": "as many as the ids that were sent",
    "ConversationsClosePayload.results": "as many as the ids that were sent",
    "Query.workflowTemplates": "ten",
    "Workflow.conditions": "128 KiB, and 20 once published",
    "Workflow.defects": "100",
    "Workflow.steps": "128 KiB, and 50 once published",
    "WorkflowRun.steps": "as many as a run takes: 101",
    "WebhookFilter.kinds": "the kinds there are",
    "WebhookUpdated.changed": "the five things that can",
    "WorkflowBranchStep.cases": "128 KiB, and 10 once published",
    "WorkflowCase.conditions": "128 KiB, and 20 once published",
    "WorkflowChannelCondition.channelIds": "128 KiB, and 20 once published",
    "WorkflowContactTagCondition.tagIds": "128 KiB, and 20 once published",
    "WorkflowDefinition.conditions": "20",
    "WorkflowDefinition.steps": "50",
    "WorkflowSourceCondition.sources": "128 KiB, of the three there are",
    "WorkflowTagStep.tags": "128 KiB, and 20 once published",
    "WorkflowTemplate.blanks": "the four there are",
    "WorkflowTextCondition.contains": "128 KiB, and 50 once published",
    "UserError.path": "the depth of an input",
    "UserError.facts": "a few for each rule",
}


def described(type: GraphQLNamedType) -> Iterator[tuple[str, str | None]]:
    """Everything about a type that has a description, by its place in the schema."""
    yield type.name, type.description
    parts: dict[str, Any] = getattr(type, "values", getattr(type, "fields", {}))
    for name, part in parts.items():
        yield f"{type.name}.{name}", part.description
        for argument_name, argument in getattr(part, "args", {}).items():
            yield f"{type.name}.{name}({argument_name})", argument.description


def test_the_schema_is_the_one_in_its_file() -> None:
    # Without `==` in the assertion, whose difference of 2,000 lines nobody reads.
    is_same = SDL.read_text() == schema.as_str().rstrip() + "\n"

    assert is_same, "The schema changed: run `relevo schema --output api/schema.graphql`."


def test_every_part_of_the_schema_is_described() -> None:
    parts = dict(part for type in TYPES.values() for part in described(type))

    assert [place for place, text in parts.items() if not (text or "").strip()] == []
    assert len(parts) > 500


def test_descriptions_are_sentences() -> None:
    parts = [part for type in TYPES.values() for part in described(type)]

    assert [
        place for place, text in parts if not re.match(r"[A-Z0-9`].*\.$", text or "", re.DOTALL)
    ] == []


def test_the_catalogue_says_of_every_kind_of_event_more_than_its_name() -> None:
    kinds: dict[str, Any] = GRAPHQL.type_map["EventKind"].values

    for kind, value in kinds.items():
        said = set(re.findall(r"[a-z]+", value.description.lower()))
        assert len(said - set(kind.lower().split("_"))) >= 3, kind
    assert len({value.description for value in kinds.values()}) == len(kinds)


def test_what_the_catalogue_names_is_shown_by_the_type_of_the_event() -> None:
    kinds: dict[str, Any] = GRAPHQL.type_map["EventKind"].values

    for kind, value in kinds.items():
        type = TYPES[typename(Kind(kind))]
        assert isinstance(type, GraphQLObjectType)
        assert set(re.findall(r"`(\w+)`", value.description)) <= set(type.fields), kind


@pytest.mark.parametrize("name", MUTATIONS)
def test_a_mutation_takes_one_input_and_answers_a_payload(name: str) -> None:
    noun = f"{name[0].upper()}{name[1:]}"
    field = MUTATIONS[name]

    assert {key: str(argument.type) for key, argument in field.args.items()} == {
        "input": f"{noun}Input!"
    }
    assert isinstance(field.type, GraphQLObjectType)
    assert field.type.name == f"{noun}Payload"
    assert str(field.type.fields["userErrors"].type) == "[UserError!]!"
    assert str(_input(name).fields["idempotencyKey"].type) == "String"


def test_a_command_on_a_conversation_carries_the_version_that_was_seen() -> None:
    commands = [name for name in MUTATIONS if "conversationId" in _input(name).fields]

    assert len(commands) >= 8
    assert [name for name in commands if "expectedVersion" not in _input(name).fields] == []


def test_a_list_without_bounds_is_a_connection() -> None:
    lists = {
        f"{type.name}.{name}"
        for type in TYPES.values()
        if isinstance(type, GraphQLObjectType | GraphQLInterfaceType)
        for name, field in type.fields.items()
        if isinstance(get_nullable_type(field.type), GraphQLList)
        and not (type.name.endswith("Connection") and name in ("edges", "nodes"))
        and name != "userErrors"
    }

    assert lists == set(BOUNDED_LISTS)


def test_a_connection_has_its_parts() -> None:
    connections = {name: type for name, type in TYPES.items() if name.endswith("Connection")}

    for type in connections.values():
        assert isinstance(type, GraphQLObjectType)
        assert set(type.fields) == {"edges", "nodes", "pageInfo", "totalCount"}
        assert not isinstance(type.fields["totalCount"].type, GraphQLNonNull)
        edge = get_named_type(type.fields["edges"].type)
        assert isinstance(edge, GraphQLObjectType)
        assert set(edge.fields) == {"cursor", "node"}
    assert len(connections) >= 9


def test_a_list_can_be_paged_from_both_ends() -> None:
    pages = [
        (f"{type.name}.{name}", set(field.args))
        for type in TYPES.values()
        if isinstance(type, GraphQLObjectType)
        for name, field in type.fields.items()
        if get_named_type(field.type).name.endswith("Connection")
    ]

    ends = {"first", "after", "last", "before"}
    assert [place for place, arguments in pages if not ends <= arguments] == []


def _input(mutation: str) -> GraphQLInputObjectType:
    type = get_named_type(MUTATIONS[mutation].args["input"].type)
    assert isinstance(type, GraphQLInputObjectType)
    return type
