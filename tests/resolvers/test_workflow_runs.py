"""Runs over the API: who sees what workflows did, step by step, and who begins one by hand."""

from typing import Any

import pytest

from models import Agent, Conversation, Workflow
from models.workflow.definition import CloseStep, TagStep, Trigger, WebhookStep
from models.workflow.run import start_by_hand
from resolvers.ids import encode
from tests.factories import a_conversation, a_workflow, an_agent, by_system
from tests.resolvers.client import Answer, Client, Company, integration_of, session_of
from tests.resolvers.conftest import As

RUN = """id revision trigger source status nextKey dueAt failure createdAt endedAt
    workflow { name } contact { id } conversation { id }
    steps { place key kind outcome failure nextKey at }"""
RUNS = f"""query ($filter: WorkflowRunFilter) {{
    workflowRuns(filter: $filter) {{ nodes {{ {RUN} }} }} }}"""


@pytest.fixture
async def tagging(company: Company) -> Workflow:
    """It marks a conversation and tells integrators."""
    return await a_workflow(
        company.workspace,
        TagStep(key="mark", tags=("VIP",), next="tell"),
        WebhookStep(key="tell"),
        published=True,
    )


async def run(workflow: Workflow, conversation: Conversation, company: Company) -> str:
    by = by_system(company.workspace)
    return str(encode("WorkflowRun", await start_by_hand(workflow.id, conversation.id, by=by)))


async def by_hand(client: Client, workflow: Workflow, conversation: Conversation) -> Answer:
    given = {
        "workflowId": encode("Workflow", workflow.id),
        "conversationId": encode("Conversation", conversation.id),
    }
    return await client.do("workflowRun", given, f"workflowRun {{ {RUN} }}")


def ids(answer: Answer, *companies: Company) -> list[Any]:
    """Which are listed, besides the run that a company has."""
    usual = {encode("WorkflowRun", company.run_id) for company in companies}
    return [node["id"] for node in answer["workflowRuns"]["nodes"] if node["id"] not in usual]


async def test_whoever_works_a_conversation_runs_a_workflow_on_it(
    company: Company, calling: As, tagging: Workflow
) -> None:
    client = calling(await session_of(company.agent))

    answer = await by_hand(client, tagging, company.held)

    shown = answer["workflowRun"]["workflowRun"]
    again = await client.ask(
        f"query ($id: ID!) {{ node(id: $id) {{ ... on WorkflowRun {{ {RUN} }} }} }}", id=shown["id"]
    )
    assert again["node"] == shown
    assert shown["workflow"] == {"name": tagging.name}
    assert shown["conversation"] == {"id": encode("Conversation", company.held.id)}
    assert shown["contact"] == {"id": encode("Contact", company.held.contact_id)}
    assert {name: shown[name] for name in ("revision", "trigger", "source", "status")} == {
        "revision": 1,
        "trigger": "MANUAL",
        "source": "AGENT",
        "status": "ENDED",
    }
    assert (shown["nextKey"], shown["dueAt"], shown["failure"]) == (None, None, None)
    assert shown["createdAt"] <= shown["endedAt"]
    assert [
        (step["key"], step["kind"], step["outcome"], step["nextKey"]) for step in shown["steps"]
    ] == [("mark", "TAG", "DONE", "tell"), ("tell", "WEBHOOK", "DONE", None)]


async def test_a_run_that_failed_says_why(company: Company, calling: As) -> None:
    closing = await a_workflow(
        company.workspace, CloseStep(key="close", reason_id=company.reason.id), published=True
    )
    client = calling(await session_of(company.admin))
    await client.do(
        "closingReasonUpdate", {"closingReasonId": company.id("ClosingReason"), "isActive": False}
    )

    answer = await by_hand(client, closing, company.held)

    shown = answer["workflowRun"]["workflowRun"]
    [step] = shown["steps"]
    assert (shown["status"], shown["failure"]) == ("FAILED", "CLOSING_REASON_INACTIVE")
    assert (step["outcome"], step["failure"]) == ("FAILED", "CLOSING_REASON_INACTIVE")


async def test_runs_are_listed_newest_first_and_by_what_they_are_of(
    company: Company, calling: As, tagging: Workflow
) -> None:
    other = await a_workflow(company.workspace, published=True)
    first = await run(tagging, company.held, company)
    second = await run(other, company.held, company)
    third = await run(tagging, company.waiting, company)
    client = calling(await session_of(company.operator))
    of = {
        "all": {},
        "workflow": {"workflowId": encode("Workflow", tagging.id)},
        "conversation": {"conversationId": encode("Conversation", company.held.id)},
        "ended": {"status": ["ENDED", "FAILED"]},
        "going": {"status": ["STARTING", "RUNNING", "WAITING"]},
    }

    found = {
        name: ids(await client.ask(RUNS, filter=filter), company) for name, filter in of.items()
    }

    assert found == {
        "all": [third, second, first],
        "workflow": [third, first],
        "conversation": [second, first],
        "ended": [third, second, first],
        "going": [],
    }


async def test_one_sees_the_runs_on_the_conversations_that_one_sees(
    company: Company, other: Company, calling: As, tagging: Workflow
) -> None:
    on_held = await run(tagging, company.held, company)
    elsewhere = await a_conversation(company.workspace, channel=company.desk)
    hidden = await run(tagging, elsewhere, company)
    nested = (
        "query ($id: ID!) { conversation(id: $id) { workflowRuns { totalCount nodes { id } } } }"
    )
    node = "query ($ids: [ID!]!) { nodes(ids: $ids) { id } }"
    everybody: dict[str, Agent] = {
        "member": company.agent,
        "stranger": await an_agent(company.workspace),
        "supervisor": company.operator,
        "foreigner": other.admin,
    }

    found = {}
    for name, agent in everybody.items():
        client = calling(await session_of(agent))
        listed = ids(await client.ask(RUNS), company, other)
        below = await client.ask(nested, id=encode("Conversation", company.held.id))
        nodes = (await client.ask(node, ids=[on_held, hidden]))["nodes"]
        found[name] = (
            listed,
            below["conversation"] and below["conversation"]["workflowRuns"],
            [each and each["id"] for each in nodes],
        )

    one = {"totalCount": 1, "nodes": [{"id": on_held}]}
    assert found == {
        "member": ([on_held], one, [on_held, None]),
        "stranger": ([], None, [None, None]),
        "supervisor": ([hidden, on_held], one, [on_held, hidden]),
        "foreigner": ([], None, [None, None]),
    }


async def test_a_run_without_a_conversation_is_seen_by_who_sees_all(
    company: Company, calling: As
) -> None:
    await a_workflow(company.workspace, trigger=Trigger.CONTACT_TAGGED, published=True)
    admin = calling(await session_of(company.admin))
    tagged = {"contactId": encode("Contact", company.twin.id), "tags": ["Regular"]}
    await admin.do("contactTag", tagged)

    seen = (await admin.ask(RUNS))["workflowRuns"]["nodes"][0]
    agent = calling(await session_of(company.agent))
    script = calling(await integration_of(company.workspace, "contacts:read"))

    assert seen["conversation"] is None
    for client in (agent, script):
        assert ids(await client.ask(RUNS), company) == []
        missing = await client.ask("query ($id: ID!) { node(id: $id) { id } }", id=seen["id"])
        assert missing["node"] is None


async def test_only_an_active_workflow_for_it_is_run_by_hand(
    company: Company, calling: As, tagging: Workflow
) -> None:
    draft = await a_workflow(company.workspace)
    automatic = await a_workflow(company.workspace, trigger=Trigger.IDLE_REMINDER, published=True)
    admin = calling(await session_of(company.admin))
    bystander = calling(await session_of(await an_agent(company.workspace)))

    assert (await by_hand(admin, draft, company.held)).codes == ["WORKFLOW_NOT_ACTIVE"]
    assert (await by_hand(admin, automatic, company.held)).codes == ["WORKFLOW_NOT_MANUAL"]
    assert (await by_hand(bystander, tagging, company.held)).codes == ["NOT_FOUND"]


async def test_a_run_of_what_changed_since_is_refused(
    company: Company, calling: As, tagging: Workflow
) -> None:
    client = calling(await session_of(company.agent))
    given = {
        "workflowId": encode("Workflow", tagging.id),
        "conversationId": encode("Conversation", company.held.id),
        "expectedVersion": 99,
    }

    assert (await client.do("workflowRun", given)).codes == ["CONVERSATION_CHANGED"]
