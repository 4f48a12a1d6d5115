"""Workflows are written as drafts, run as they were published, and keep their order."""

import asyncio
from uuid import uuid4

import pytest

from models import Agent, Team, Workflow, WorkflowRevision, Workspace
from models.access import Role
from models.closure import ClosingReason
from models.database import Raced, fetch, retrying
from models.errors import (
    BadUserInput,
    Forbidden,
    LimitReached,
    NameTaken,
    NotFound,
)
from models.workflow import record
from models.workflow.definition import (
    AssignStep,
    ChannelCondition,
    CloseStep,
    ContactFieldCondition,
    ContactTagCondition,
    Definition,
    HoursCondition,
    Operator,
    SendMessageStep,
    Trigger,
    WebhookStep,
)
from models.workflow.errors import WorkflowArchived, WorkflowChanged, WorkflowInvalid
from models.workflow.naming import DEFINITION_BYTES_MAX
from models.workflow.record import WorkflowStatus
from tests.factories import (
    a_channel,
    a_contact_field,
    a_tag,
    a_team,
    a_workflow,
    a_workspace,
    an_agent,
    as_agent,
    as_integration,
    by_system,
)
from tests.meeting import behind

TELL = Definition(trigger=Trigger.MANUAL, steps=(WebhookStep(key="tell"),))


async def kinds(workspace: Workspace) -> list[str]:
    rows = await fetch(
        "SELECT kind FROM events WHERE workspace_id = $1 AND kind LIKE 'WORKFLOW%' ORDER BY seq",
        workspace.id,
    )
    return [row["kind"] for row in rows]


async def in_order(workspace: Workspace) -> list[tuple[str, int]]:
    live = Workflow.filter(workspace_id=workspace.id).exclude(status=WorkflowStatus.ARCHIVED)
    return [(it.name, it.position) for it in await live.order_by("position")]


def assigning(team: Team) -> Definition:
    return Definition(
        trigger=Trigger.CONVERSATION_OPENED, steps=(AssignStep(key="give", team_id=team.id),)
    )


async def test_what_is_written_waits_to_be_published(workspace: Workspace) -> None:
    workflow = await Workflow.add(by=by_system(workspace), name="Tell", definition=TELL)

    kept = await Workflow.get(id=workflow.id)
    assert (kept.status, kept.version, kept.definition) == (WorkflowStatus.DRAFT, 1, TELL)
    assert await WorkflowRevision.all().count() == 0
    assert await kinds(workspace) == ["WORKFLOW_CREATED"]


async def test_publishing_makes_the_draft_run_from_then_on(workspace: Workspace) -> None:
    workflow = await a_workflow(workspace, published=True, is_once=True)

    revision = await WorkflowRevision.get(id=workflow.revision_id)
    assert workflow.status is WorkflowStatus.ACTIVE
    assert (revision.number, revision.trigger, revision.is_once) == (1, Trigger.MANUAL, True)
    assert revision.published == workflow.definition
    assert await kinds(workspace) == ["WORKFLOW_CREATED", "WORKFLOW_PUBLISHED"]


async def test_one_that_runs_goes_on_as_published_until_it_is_published_again(
    workspace: Workspace,
) -> None:
    by = by_system(workspace)
    workflow = await a_workflow(workspace, published=True)
    before = await WorkflowRevision.get(id=workflow.revision_id)
    team = await a_team(workspace, members=[await an_agent(workspace)])

    await Workflow.change(workflow.id, by=by, definition=assigning(team))
    between = await Workflow.get(id=workflow.id)
    await Workflow.publish(workflow.id, by=by)

    after = await Workflow.get(id=workflow.id)
    revision = await WorkflowRevision.get(id=after.revision_id)
    assert (between.status, between.revision_id) == (WorkflowStatus.ACTIVE, before.id)
    assert (revision.number, revision.published) == (2, assigning(team))
    assert revision.trigger is Trigger.CONVERSATION_OPENED
    assert await WorkflowRevision.get(id=before.id) == before


async def test_publishing_again_what_runs_already_changes_nothing(workspace: Workspace) -> None:
    workflow = await a_workflow(workspace, published=True)

    await Workflow.publish(workflow.id, by=by_system(workspace))

    assert (await Workflow.get(id=workflow.id)).version == workflow.version
    assert await kinds(workspace) == ["WORKFLOW_CREATED", "WORKFLOW_PUBLISHED"]


async def test_a_workflow_with_defects_is_not_published_and_each_is_named(
    workspace: Workspace,
) -> None:
    lonely = await a_team(workspace)
    workflow = await a_workflow(
        workspace, AssignStep(key="give", team_id=lonely.id), WebhookStep(key="tell")
    )

    with pytest.raises(WorkflowInvalid) as refused:
        await Workflow.publish(workflow.id, by=by_system(workspace))

    assert refused.value.facts == {
        "defect": ["UNREACHABLE_STEP (tell)", "TEAM_WITHOUT_MEMBERS (give)"]
    }
    assert (await Workflow.get(id=workflow.id)).status is WorkflowStatus.DRAFT


async def test_todos_that_lists_nobody_has_everybody(workspace: Workspace) -> None:
    todos = (await Team.filter(workspace_id=workspace.id, is_todos=True))[0]
    workflow = await a_workflow(workspace, AssignStep(key="give", team_id=todos.id))

    alone = [defect.kind for defect in await workflow.defects()]
    await an_agent(workspace)

    assert alone == ["TEAM_WITHOUT_MEMBERS"]
    assert await workflow.defects() == []


async def test_a_group_that_includes_those_below_has_their_members(workspace: Workspace) -> None:
    above = await a_team(workspace)
    await a_team(workspace, parent=above, members=[await an_agent(workspace)])
    workflow = await a_workflow(workspace, AssignStep(key="give", team_id=above.id))

    without = [defect.kind for defect in await workflow.defects()]
    await Team.change(above.id, by=by_system(workspace), include_descendants=True)

    assert without == ["TEAM_WITHOUT_MEMBERS"]
    assert await workflow.defects() == []


async def test_what_became_of_what_it_names_is_a_defect(workspace: Workspace) -> None:
    by = by_system(workspace)
    auditor = await an_agent(workspace, role=Role.AUDITOR)
    reason = await ClosingReason.add(by=by, name="Solved")
    field = await a_contact_field(workspace)
    size = ContactFieldCondition(field_id=field.id, operator=Operator.IS_SET)
    steps = [AssignStep(key="give", agent_id=auditor.id, next="end")]
    workflow = await a_workflow(
        workspace, *steps, CloseStep(key="end", reason_id=reason.id), conditions=(size,)
    )

    before = [defect.kind for defect in await workflow.defects()]
    await ClosingReason.change(reason.id, by=by, is_active=False)
    await type(field).remove(field.id, by=by)

    after = [defect.kind for defect in await workflow.defects()]
    assert before == ["AGENT_CANNOT_HOLD"]
    assert after == ["FIELD_MISSING", "AGENT_CANNOT_HOLD", "REASON_INACTIVE"]
    # What it named before does not keep anybody from writing it anew.
    await Workflow.change(
        workflow.id, by=by, definition=Definition(trigger=Trigger.MANUAL, conditions=(size,))
    )


async def test_everything_that_is_there_can_be_named(workspace: Workspace) -> None:
    channel = await a_channel(workspace)
    team = await a_team(workspace, members=[await an_agent(workspace)])
    conditions = (
        ChannelCondition(channel_ids=(channel.id,)),
        ContactTagCondition(tag_ids=(await a_tag(workspace),)),
        HoursCondition(are_open=True, team_id=team.id),
    )

    workflow = await a_workflow(workspace, conditions=conditions, published=True)

    assert workflow.status is WorkflowStatus.ACTIVE


async def test_what_another_company_has_cannot_be_named(workspace: Workspace) -> None:
    theirs = await a_team(await a_workspace("Other"))
    workflow = await a_workflow(workspace)
    by = by_system(workspace)

    with pytest.raises(NotFound):
        await Workflow.add(by=by, name="Give", definition=assigning(theirs))
    with pytest.raises(NotFound):
        await Workflow.change(workflow.id, by=by, definition=assigning(theirs))

    assert await Workflow.all().count() == 1


async def test_workflows_have_places_from_one_on(workspace: Workspace) -> None:
    by = by_system(workspace)
    [_, second, third] = [await a_workflow(workspace, name=name) for name in "abc"]

    await Workflow.add(by=by, name="d", definition=TELL, position=2)
    added = await in_order(workspace)
    await Workflow.change(third.id, by=by, position=1)
    await Workflow.change(second.id, by=by, position=99)
    moved = await in_order(workspace)
    await Workflow.archive(third.id, by=by)

    assert added == [("a", 1), ("d", 2), ("b", 3), ("c", 4)]
    assert moved == [("c", 1), ("a", 2), ("d", 3), ("b", 4)]
    assert await in_order(workspace) == [("a", 1), ("d", 2), ("b", 3)]


async def test_those_added_at_once_get_places_of_their_own(workspace: Workspace) -> None:
    by = by_system(workspace)

    async def add(name: str) -> None:
        await retrying(lambda: Workflow.add(by=by, name=name, definition=TELL, position=1))

    await asyncio.gather(*map(add, "abcde"))

    assert sorted(position for _, position in await in_order(workspace)) == [1, 2, 3, 4, 5]


@pytest.mark.parametrize("position", [0, -1])
async def test_places_count_from_one(workspace: Workspace, position: int) -> None:
    workflow = await a_workflow(workspace)

    with pytest.raises(BadUserInput):
        await Workflow.change(workflow.id, by=by_system(workspace), position=position)


async def test_a_change_of_nothing_is_no_change(workspace: Workspace) -> None:
    workflow = await a_workflow(workspace, name="Tell")

    await Workflow.change(
        workflow.id, by=by_system(workspace), name="Tell", definition=TELL, position=1
    )

    assert (await Workflow.get(id=workflow.id)).version == 1
    assert await kinds(workspace) == ["WORKFLOW_CREATED"]


async def test_a_stale_change_is_refused_with_the_version_it_has_now(workspace: Workspace) -> None:
    by = by_system(workspace)
    workflow = await a_workflow(workspace)
    await Workflow.change(workflow.id, by=by, expected_version=1, name="Renamed")

    with pytest.raises(WorkflowChanged) as refused:
        await Workflow.change(workflow.id, by=by, expected_version=1, name="Renamed again")

    assert refused.value.facts == {"currentVersion": 2}
    assert (await Workflow.get(id=workflow.id)).name == "Renamed"


async def test_an_archived_workflow_takes_no_command(workspace: Workspace) -> None:
    by = by_system(workspace)
    workflow = await a_workflow(workspace, published=True)
    await Workflow.archive(workflow.id, by=by)

    with pytest.raises(WorkflowArchived):
        await Workflow.change(workflow.id, by=by, name="Again")
    with pytest.raises(WorkflowArchived):
        await Workflow.publish(workflow.id, by=by)
    with pytest.raises(WorkflowArchived):
        await Workflow.archive(workflow.id, by=by)

    assert (await Workflow.get(id=workflow.id)).status is WorkflowStatus.ARCHIVED
    assert (await kinds(workspace))[-1] == "WORKFLOW_ARCHIVED"


async def test_a_name_is_free_again_once_its_workflow_is_archived(workspace: Workspace) -> None:
    by = by_system(workspace)
    workflow = await a_workflow(workspace, name="Tell")
    other = await a_workflow(workspace)

    with pytest.raises(NameTaken):
        await Workflow.add(by=by, name="TELL", definition=TELL)
    with pytest.raises(NameTaken):
        await Workflow.change(other.id, by=by, name="tell")
    await Workflow.archive(workflow.id, by=by)

    await Workflow.change(other.id, by=by, name="tell")


async def test_there_are_only_so_many_that_are_not_archived(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(record, "WORKFLOWS_MAX", 2)
    by = by_system(workspace)
    first, _ = await a_workflow(workspace), await a_workflow(workspace)

    with pytest.raises(LimitReached) as refused:
        await a_workflow(workspace)
    await Workflow.archive(first.id, by=by)

    assert refused.value.facts == {"limit": 2}
    await a_workflow(workspace)


@pytest.mark.parametrize("text", ["\0", "\ud800", "x" * DEFINITION_BYTES_MAX])
async def test_what_the_database_does_not_keep_is_not_written(
    workspace: Workspace, text: str
) -> None:
    with pytest.raises(BadUserInput):
        await a_workflow(workspace, SendMessageStep(key="say", text=text))


async def test_only_whoever_configures_writes_workflows(workspace: Workspace) -> None:
    workflow = await a_workflow(workspace)
    operator = as_agent(await an_agent(workspace, role=Role.OPERATOR))

    with pytest.raises(Forbidden):
        await Workflow.add(by=operator, name="Tell", definition=TELL)
    with pytest.raises(Forbidden):
        await Workflow.change(workflow.id, by=operator, name="Tell")
    with pytest.raises(Forbidden):
        await Workflow.publish(workflow.id, by=operator)
    with pytest.raises(Forbidden):
        await Workflow.archive(workflow.id, by=operator)

    assert await Workflow.visible_to(operator).count() == 1
    assert await Workflow.visible_to(as_integration(workspace, "settings:read")).count() == 1
    assert await Workflow.visible_to(as_integration(workspace, "conversations:read")).count() == 0


async def test_a_workflow_of_another_company_is_not_there(workspace: Workspace) -> None:
    theirs = await a_workflow(await a_workspace("Other"))
    by = by_system(workspace)

    for id in (theirs.id, uuid4()):
        with pytest.raises(NotFound):
            await Workflow.change(id, by=by, name="Mine")
        with pytest.raises(NotFound):
            await Workflow.publish(id, by=by)
        with pytest.raises(NotFound):
            await Workflow.archive(id, by=by)


async def test_of_two_who_publish_at_once_one_writes_the_revision(workspace: Workspace) -> None:
    workflow = await a_workflow(workspace)
    by = by_system(workspace)

    async def publish() -> None:
        await retrying(lambda: Workflow.publish(workflow.id, by=by))

    await asyncio.gather(*[publish() for _ in range(4)])

    assert await WorkflowRevision.filter(workflow_id=workflow.id).count() == 1


async def test_what_is_written_anew_meanwhile_is_published_from_the_start(
    workspace: Workspace,
) -> None:
    """What it names now is not locked yet."""
    workflow = await a_workflow(workspace)
    by = by_system(workspace)
    agent = await an_agent(workspace)
    steps = (AssignStep(key="give", agent_id=agent.id),)
    anew = Definition(trigger=Trigger.MANUAL, steps=steps)

    with pytest.raises(Raced):
        await behind(
            lambda: Workflow.change(workflow.id, by=by, definition=anew),
            lambda: Workflow.publish(workflow.id, by=by),
        )

    assert await WorkflowRevision.all().count() == 0


async def test_an_agent_who_leaves_meanwhile_is_no_target(workspace: Workspace) -> None:
    agent = await an_agent(workspace)
    workflow = await a_workflow(workspace, AssignStep(key="give", agent_id=agent.id))
    by = by_system(workspace)

    with pytest.raises(WorkflowInvalid) as refused:
        await behind(
            lambda: Agent.filter(id=agent.id).update(is_active=False),
            lambda: Workflow.publish(workflow.id, by=by),
        )

    assert refused.value.facts == {"defect": ["TARGET_INACTIVE (give)"]}
