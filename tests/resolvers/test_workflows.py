"""Workflows over the API: what is read can be written again, and refusals say what is wrong."""

from typing import Any

import pytest

from models import Workflow
from models.base import Line
from models.decision import Distribution
from models.workflow.definition import (
    AssignStep,
    BotOffStep,
    BotOnStep,
    BranchStep,
    Case,
    ChannelCondition,
    CloseStep,
    ContactFieldCondition,
    ContactTagCondition,
    Definition,
    FirstContactCondition,
    HoursCondition,
    LineCondition,
    Marked,
    Match,
    Operator,
    SendMessageStep,
    SetLineStep,
    Source,
    SourceCondition,
    Step,
    TagStep,
    TextCondition,
    Trigger,
    UnassignStep,
    WebhookStep,
)
from models.workflow.template import BLANKS, Template
from resolvers.ids import encode
from tests.factories import a_workflow, by_system
from tests.resolvers.client import Client, Company, session_of
from tests.resolvers.conftest import As

CONDITIONS = """conditions {
    ... on WorkflowChannelCondition { __typename channelIds }
    ... on WorkflowLineCondition { __typename line }
    ... on WorkflowContactTagCondition { __typename tagIds match }
    ... on WorkflowContactFieldCondition { __typename fieldId operator value }
    ... on WorkflowTextCondition { __typename contains }
    ... on WorkflowHoursCondition { __typename areOpen teamId }
    ... on WorkflowFirstContactCondition { __typename isFirst }
    ... on WorkflowSourceCondition { __typename sources } }"""
DEFINITION = f"""trigger isOnce {CONDITIONS} steps {{
    ... on WorkflowAssignStep {{ __typename key next agentId teamId distribution onlineOnly maxOpen
        waitingMinutes onTimeout reassign }}
    ... on WorkflowUnassignStep {{ __typename key next }}
    ... on WorkflowSendMessageStep {{ __typename key next text }}
    ... on WorkflowTagStep {{ __typename key next tags on }}
    ... on WorkflowSetLineStep {{ __typename key next line }}
    ... on WorkflowCloseStep {{ __typename key next closingReasonId summary }}
    ... on WorkflowBotOnStep {{ __typename key next }}
    ... on WorkflowBotOffStep {{ __typename key next }}
    ... on WorkflowBranchStep {{ __typename key next cases {{ next {CONDITIONS} }} }}
    ... on WorkflowWebhookStep {{ __typename key next }} }}"""
READ = f"query ($id: ID!) {{ node(id: $id) {{ ... on Workflow {{ {DEFINITION} }} }} }}"


@pytest.fixture
async def admin(company: Company, calling: As) -> Client:
    return calling(await session_of(company.admin))


def everything(company: Company) -> Definition:
    """A definition with every step and every condition in it."""
    conditions = (
        ChannelCondition(channel_ids=(company.channel.id, company.desk.id)),
        LineCondition(line=Line.SUPPORT),
        ContactTagCondition(tag_ids=(company.tag.id,), match=Match.NONE),
        ContactFieldCondition(field_id=company.field.id, operator=Operator.DIFFERS, value="Lima"),
        ContactFieldCondition(field_id=company.field.id, operator=Operator.IS_SET),
        TextCondition(contains=("price", "cost")),
        HoursCondition(are_open=False, team_id=company.team.id),
        HoursCondition(are_open=True),
        FirstContactCondition(is_first=False),
        SourceCondition(sources=(Source.AGENT, Source.WORKFLOW)),
    )
    steps: list[Step] = [
        AssignStep(
            key="team",
            next="free",
            team_id=company.team.id,
            distribution=Distribution.LEAST_OPEN,
            online_only=False,
            max_open=3,
            waiting_minutes=10,
            on_timeout="agent",
        ),
        AssignStep(key="agent", agent_id=company.agent.id, reassign=True),
        UnassignStep(key="free", next="say"),
        SendMessageStep(key="say", text="Hello."),
        TagStep(key="mark", tags=("VIP", "Regular"), on=Marked.CONTACT),
        SetLineStep(key="line", line=Line.SALES),
        CloseStep(key="close", reason_id=company.reason.id, summary="Done."),
        CloseStep(key="just close"),
        BotOnStep(key="on"),
        BotOffStep(key="off"),
        BranchStep(
            key="fork",
            next="tell",
            cases=(Case(conditions=conditions, next="on"), Case(conditions=())),
        ),
        WebhookStep(key="tell"),
    ]
    return Definition(
        trigger=Trigger.CONTACT_TAGGED, conditions=conditions, steps=tuple(steps), is_once=True
    )


def as_input(shown: Any) -> Any:
    """What was read of a part, as it is given: its type becomes the field that takes it."""
    if isinstance(shown, list):
        return [as_input(part) for part in shown]
    if not isinstance(shown, dict):
        return shown
    rest = {name: as_input(part) for name, part in shown.items() if name != "__typename"}
    type = shown.get("__typename")
    if type is None:
        return rest
    name = type.removeprefix("Workflow").removesuffix("Step").removesuffix("Condition")
    return {f"{name[0].lower()}{name[1:]}": rest}


async def test_what_is_read_is_written_again_as_it_is(company: Company, admin: Client) -> None:
    by = by_system(company.workspace)
    definition = everything(company)
    first = await Workflow.add(by=by, name="First", definition=definition)

    read = (await admin.ask(READ, id=encode("Workflow", first.id)))["node"]
    answer = await admin.do("workflowCreate", {"name": "Second", "definition": as_input(read)})

    assert answer.codes == []
    assert (await Workflow.get(name="Second")).definition == definition


async def test_everything_that_it_names_is_shown(company: Company, admin: Client) -> None:
    by = by_system(company.workspace)
    await Workflow.add(by=by, name="All", definition=everything(company))
    page = """{ workflows(last: 1) { nodes { name steps {
        ... on WorkflowAssignStep { agent { name } team { name } }
        ... on WorkflowCloseStep { closingReason { name } }
        ... on WorkflowBranchStep { cases { conditions {
            ... on WorkflowContactFieldCondition { field { name } }
            ... on WorkflowHoursCondition { team { name } } } } } } } } }"""

    [shown] = (await admin.ask(page))["workflows"]["nodes"]

    steps = [step for step in shown["steps"] if step]
    fields = [{"field": {"name": "City"}}] * 2
    hours = [{"team": {"name": company.team.name}}, {"team": None}]
    assert steps[:2] == [
        {"agent": None, "team": {"name": company.team.name}},
        {"agent": {"name": company.agent.name}, "team": None},
    ]
    assert [step["closingReason"] for step in steps if "closingReason" in step] == [
        {"name": "Solved"},
        None,
    ]
    assert [part for part in steps[-1]["cases"][0]["conditions"] if part] == [*fields, *hours]


@pytest.mark.parametrize(
    "step",
    [
        {},
        {"assign": None},
        {"botOn": {"key": "a"}, "botOff": {"key": "a"}},
        {"botOn": {"key": "a"}, "botOff": None},
        {"dance": {"key": "a"}},
        {"branch": {"key": "a", "cases": [{"conditions": [{}]}]}},
    ],
)
async def test_a_step_is_exactly_one_of_those_there_are(
    company: Company, admin: Client, step: dict[str, Any]
) -> None:
    given = {"name": "Odd", "definition": {"trigger": "MANUAL", "steps": [step]}}

    answer = await admin.do("workflowCreate", given)

    assert answer.codes == ["BAD_USER_INPUT"]
    assert not await Workflow.exists(name="Odd")


async def test_publishing_says_what_is_wrong_and_so_does_reading(
    company: Company, admin: Client
) -> None:
    workflow = await a_workflow(
        company.workspace, AssignStep(key="give", agent_id=company.agent.id, next="nowhere")
    )
    given = {"workflowId": encode("Workflow", workflow.id)}

    answer = await admin.do("workflowPublish", given, "workflow { name }")
    read = await admin.ask(
        """query ($id: ID!) { node(id: $id) { ... on Workflow {
            status publishedAt published { trigger } hasUnpublishedChanges
            defects { kind stepKey message } } } }""",
        id=encode("Workflow", workflow.id),
    )

    [error] = answer.data["workflowPublish"]["userErrors"]
    assert error["code"] == "WORKFLOW_INVALID"
    assert error["facts"] == [{"name": "defect", "value": "UNKNOWN_NEXT (give)"}]
    assert read["node"] == {
        "status": "DRAFT",
        "publishedAt": None,
        "published": None,
        "hasUnpublishedChanges": True,
        "defects": [
            {"kind": "UNKNOWN_NEXT", "stepKey": "give", "message": "There is no step nowhere."}
        ],
    }


async def test_what_runs_is_shown_beside_what_is_written(company: Company, admin: Client) -> None:
    workflow = await a_workflow(company.workspace, published=True)
    given = {"workflowId": encode("Workflow", workflow.id), "expectedVersion": 2}
    definition = {"trigger": "IDLE_REMINDER", "steps": {"webhook": {"key": "tell"}}}
    shown = "workflow { version trigger hasUnpublishedChanges published { trigger } }"

    named = await admin.do("workflowUpdate", {**given, "name": "Named"}, shown)
    stale = await admin.do("workflowUpdate", {**given, "definition": definition})
    given["expectedVersion"] = 3
    changed = await admin.do("workflowUpdate", {**given, "definition": definition}, shown)

    assert named["workflowUpdate"]["workflow"] == {
        "version": 3,
        "trigger": "MANUAL",
        "hasUnpublishedChanges": False,
        "published": {"trigger": "MANUAL"},
    }
    assert stale.codes == ["WORKFLOW_CHANGED"]
    assert changed["workflowUpdate"]["workflow"] == {
        "version": 4,
        "trigger": "IDLE_REMINDER",
        "hasUnpublishedChanges": True,
        "published": {"trigger": "MANUAL"},
    }


async def test_workflows_are_listed_in_the_order_in_which_they_run(
    company: Company, admin: Client
) -> None:
    last = await a_workflow(company.workspace, name="Last", trigger=Trigger.AGENT_ASSIGNED)
    await Workflow.change(last.id, by=by_system(company.workspace), position=1)
    await Workflow.publish(last.id, by=by_system(company.workspace))
    ask = """query ($filter: WorkflowFilter, $after: String, $first: Int) {
        workflows(filter: $filter, after: $after, first: $first) {
            nodes { name position } pageInfo { endCursor } } }"""

    first = (await admin.ask(ask, first=1))["workflows"]
    rest = (await admin.ask(ask, after=first["pageInfo"]["endCursor"]))["workflows"]
    found = [
        (await admin.ask(ask, filter=filter))["workflows"]["nodes"]
        for filter in ({"status": "ACTIVE"}, {"trigger": "AGENT_ASSIGNED"})
    ]

    assert first["nodes"] == [{"name": "Last", "position": 1}]
    assert rest["nodes"] == [
        {"name": "By hand", "position": 2},
        {"name": "Manual", "position": 3},
        {"name": "Spare", "position": 4},
    ]
    assert found == [[*first["nodes"], rest["nodes"][0]], first["nodes"]]


async def test_the_ten_templates_say_what_they_take_and_can_be_copied(
    company: Company, admin: Client
) -> None:
    ask = "{ workflowTemplates { name blanks definition { trigger steps { __typename } } } }"
    filling = {
        "TEAM": {"teamId": company.id("Team")},
        "AGENT": {"agentId": company.id("Agent")},
        "TAG": {"tagId": company.id("Tag")},
        "TEXT": {"text": "Hello {{contact.name}}."},
    }

    templates = (await admin.ask(ask))["workflowTemplates"]
    for template in templates:
        name = template["name"]
        given = {"template": name, "name": name}
        for blank in template["blanks"]:
            given |= filling[blank]
        copied = await admin.do(
            "workflowCreateFromTemplate", given, "workflow { defects { kind } trigger }"
        )

        trigger = template["definition"]["trigger"]
        assert copied["workflowCreateFromTemplate"]["workflow"] == {
            "defects": [],
            "trigger": trigger,
        }

    assert [template["name"] for template in templates] == list(Template)
    assert len(templates) == 10


@pytest.mark.parametrize("template", [it for it in Template if len(BLANKS[it]) < 2])
async def test_a_template_takes_nothing_that_it_has_no_blank_for(
    company: Company, admin: Client, template: Template
) -> None:
    given = {"template": template, "name": "Copy", "agentId": company.id("Agent")}

    answer = await admin.do("workflowCreateFromTemplate", given)

    assert answer.codes == ["BAD_USER_INPUT"]
    assert not await Workflow.exists(name="Copy")
