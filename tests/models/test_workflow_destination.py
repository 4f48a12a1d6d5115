"""Whoever workflows give conversations to goes only when somebody else takes that over."""

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any
from uuid import UUID, uuid4

import pytest

from models import Workflow, WorkflowRevision, Workspace
from models.access import Role
from models.database import fetch, retrying
from models.departure import change, deactivate
from models.errors import InUse
from models.team_removal import delete
from models.workflow.definition import (
    AssignStep,
    BranchStep,
    Case,
    Definition,
    HoursCondition,
    Trigger,
    WebhookStep,
)
from models.workflow.destination import naming_instead
from models.workflow.errors import WorkflowInvalid
from models.workflow.record import WorkflowStatus
from tests.factories import (
    a_conversation,
    a_team,
    a_workflow,
    an_agent,
    by_system,
)
from tests.meeting import behind

Gone = Callable[..., Awaitable[None]]
TELL = WebhookStep(key="tell")


async def remove_team(id: UUID, workspace: Workspace, replacement_id: UUID | None = None) -> None:
    await delete(id, by=by_system(workspace), replacement_id=replacement_id)


async def deactivate_agent(
    id: UUID, workspace: Workspace, replacement_id: UUID | None = None
) -> None:
    await deactivate(id, by=by_system(workspace), replacement_id=replacement_id)


@pytest.fixture(params=["team", "agent"])
async def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
async def pair(kind: str, workspace: Workspace) -> tuple[UUID, UUID]:
    """Whoever goes, and whoever takes over."""
    if kind == "agent":
        return (await an_agent(workspace)).id, (await an_agent(workspace)).id
    teams = [await a_team(workspace, members=[await an_agent(workspace)]) for _ in range(2)]
    return teams[0].id, teams[1].id


@pytest.fixture
def gone(kind: str) -> Gone:
    return remove_team if kind == "team" else deactivate_agent


def give(kind: str, id: UUID) -> AssignStep:
    target: dict[str, Any] = {f"{kind}_id": id}
    return AssignStep(key="give", **target)


async def a_run(workflow: Workflow, *, is_going: bool = True) -> None:
    """Of what is published now, by its row."""
    workspace = await Workspace.get(id=workflow.workspace_id)
    conversation = await a_conversation(workspace)
    await fetch(
        """
        INSERT INTO workflow_runs (
            id, workspace_id, workflow_id, revision_id, position, trigger, is_once, is_echo,
            contact_id, conversation_id, status, due_at, ended_at, next_key)
        SELECT gen_random_uuid(), workspace_id, id, revision_id, 1, 'MANUAL', false, false, $2, $3,
               CASE WHEN $4 THEN 'WAITING' ELSE 'ENDED' END,
               CASE WHEN $4 THEN relevo_now() + interval '1 day' END,
               CASE WHEN NOT $4 THEN relevo_now() END,
               CASE WHEN $4 THEN draft -> 'steps' -> 0 ->> 'key' END
        FROM workflows WHERE id = $1
        """,
        workflow.id,
        conversation.contact_id,
        conversation.id,
        is_going,
    )


async def published(workflow: Workflow) -> tuple[int, Definition]:
    """The number and the definition of what runs now."""
    workflow = await Workflow.get(id=workflow.id)
    revision = await WorkflowRevision.get(id=workflow.revision_id)
    return revision.number, revision.published


async def test_a_destination_goes_only_when_somebody_takes_over(
    workspace: Workspace, kind: str, pair: tuple[UUID, UUID], gone: Gone
) -> None:
    id, other = pair
    active = [
        await a_workflow(workspace, give(kind, id), published=True, trigger=trigger)
        for trigger in (Trigger.MANUAL, Trigger.CONVERSATION_OPENED)
    ]

    with pytest.raises(InUse) as refused:
        await gone(id, workspace)
    await gone(id, workspace, other)

    assert refused.value.facts == {
        "workflowId": [workflow.id for workflow in active],
        "workflowCount": 2,
    }
    for workflow in active:
        assert await published(workflow) == (
            2,
            Definition(trigger=workflow.definition.trigger, steps=(give(kind, other),)),
        )


async def test_what_is_not_published_is_no_use_and_names_the_replacement_too(
    workspace: Workspace, kind: str, pair: tuple[UUID, UUID], gone: Gone
) -> None:
    id, other = pair
    draft = await a_workflow(workspace, give(kind, id))
    archived = await a_workflow(workspace, give(kind, id), published=True)
    await Workflow.archive(archived.id, by=by_system(workspace))
    aside = await a_workflow(workspace, published=True)

    await gone(id, workspace, other)

    assert (await Workflow.get(id=draft.id)).definition.steps == (give(kind, other),)
    assert (await Workflow.get(id=draft.id)).status is WorkflowStatus.DRAFT
    assert (await Workflow.get(id=archived.id)).definition.steps == (give(kind, id),)
    assert (await Workflow.get(id=aside.id)).version == aside.version
    rows = await fetch(
        "SELECT kind FROM events WHERE data ->> 'workflow' = $1 ORDER BY seq", str(draft.id)
    )
    assert [row["kind"] for row in rows] == ["WORKFLOW_CREATED", "WORKFLOW_UPDATED"]


async def test_without_a_replacement_a_draft_keeps_nobody(
    workspace: Workspace, kind: str, pair: tuple[UUID, UUID], gone: Gone
) -> None:
    draft = await a_workflow(workspace, give(kind, pair[0]))

    await gone(pair[0], workspace)

    with pytest.raises(WorkflowInvalid):
        await Workflow.publish(draft.id, by=by_system(workspace))


async def test_what_a_draft_says_besides_is_not_published_by_it(
    workspace: Workspace, kind: str, pair: tuple[UUID, UUID], gone: Gone
) -> None:
    id, other = pair
    by = by_system(workspace)
    workflow = await a_workflow(workspace, give(kind, id), published=True)
    later = Definition(trigger=Trigger.MANUAL, steps=(give(kind, id), TELL))
    await Workflow.change(workflow.id, by=by, definition=later)

    await gone(id, workspace, other)

    assert await published(workflow) == (
        2,
        Definition(trigger=Trigger.MANUAL, steps=(give(kind, other),)),
    )
    assert (await Workflow.get(id=workflow.id)).definition.steps == (give(kind, other), TELL)
    rows = await fetch(
        """
        SELECT kind, (data ->> 'revision')::int AS revision FROM events
        WHERE data ->> 'workflow' = $1 ORDER BY seq DESC LIMIT 2
        """,
        str(workflow.id),
    )
    assert {(row["kind"], row["revision"]) for row in rows} == {
        ("WORKFLOW_UPDATED", None),
        ("WORKFLOW_PUBLISHED", 2),
    }


@pytest.mark.parametrize("since", ["archived", "published anew"])
async def test_a_run_that_goes_on_keeps_whom_it_may_come_to(
    workspace: Workspace, kind: str, pair: tuple[UUID, UUID], gone: Gone, since: str
) -> None:
    id, other = pair
    by = by_system(workspace)
    workflow = await a_workflow(workspace, give(kind, id), published=True)
    ended = await a_workflow(workspace, give(kind, id), published=True)
    await a_run(workflow)
    await a_run(ended, is_going=False)
    for each in (workflow, ended):
        if since == "archived":
            await Workflow.archive(each.id, by=by)
        else:
            told = Definition(trigger=Trigger.MANUAL, steps=(TELL,))
            await Workflow.change(each.id, by=by, definition=told)
            await Workflow.publish(each.id, by=by)

    with pytest.raises(InUse) as refused:
        await gone(id, workspace)
    await gone(id, workspace, other)

    assert refused.value.facts == {"workflowId": [workflow.id], "workflowCount": 1}


async def test_who_takes_no_conversations_any_more_is_no_destination(
    workspace: Workspace,
) -> None:
    agent = await an_agent(workspace)
    workflow = await a_workflow(workspace, give("agent", agent.id), published=True)

    with pytest.raises(InUse) as refused:
        await change(agent.id, by=by_system(workspace), role=Role.AUDITOR)

    assert refused.value.facts == {"workflowId": [workflow.id], "workflowCount": 1}


async def test_a_team_or_an_agent_gone_is_not_published_to_however_both_meet(
    workspace: Workspace, kind: str, pair: tuple[UUID, UUID], gone: Gone
) -> None:
    workflow = await a_workflow(workspace, give(kind, pair[0]))
    publish = partial(Workflow.publish, workflow.id, by=by_system(workspace))
    go = partial(gone, pair[0], workspace)

    with pytest.raises(WorkflowInvalid):
        await behind(go, lambda: retrying(publish))

    assert (await Workflow.get(id=workflow.id)).status is WorkflowStatus.DRAFT


async def test_nobody_goes_to_whom_is_published_however_both_meet(
    workspace: Workspace, kind: str, pair: tuple[UUID, UUID], gone: Gone
) -> None:
    workflow = await a_workflow(workspace, give(kind, pair[0]))
    publish = partial(Workflow.publish, workflow.id, by=by_system(workspace))
    go = partial(gone, pair[0], workspace)

    with pytest.raises(InUse):
        await behind(publish, lambda: retrying(go))

    assert await published(workflow) == (1, workflow.definition)


async def test_what_is_published_while_somebody_takes_over_names_that_one(
    workspace: Workspace, kind: str, pair: tuple[UUID, UUID], gone: Gone
) -> None:
    id, other = pair
    workflow = await a_workflow(workspace, give(kind, id))
    publish = partial(Workflow.publish, workflow.id, by=by_system(workspace))

    await behind(partial(gone, id, workspace, other), lambda: retrying(publish))

    assert (await published(workflow))[1].steps == (give(kind, other),)


def test_a_replacement_is_named_wherever_the_other_was() -> None:
    id, other, unconcerned = uuid4(), uuid4(), uuid4()

    def definition(team_id: UUID) -> Definition:
        hours = (HoursCondition(are_open=True, team_id=team_id),)
        return Definition(
            trigger=Trigger.MANUAL,
            conditions=hours,
            steps=(
                BranchStep(key="ask", cases=(Case(conditions=hours, next="give"),), next="keep"),
                AssignStep(key="give", team_id=team_id, max_open=3, on_timeout="keep"),
                AssignStep(key="keep", team_id=unconcerned),
                TELL,
            ),
        )

    assert naming_instead(definition(id), id, other) == definition(other)
    assert naming_instead(definition(id), other, id) == definition(id)
