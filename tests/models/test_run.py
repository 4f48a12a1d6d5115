"""What starts a workflow, and what a run comes to."""

import asyncio
from uuid import UUID

import asyncpg
import pytest

from models import Conversation, Workspace, bot, closing, database
from models.access import Role
from models.base import Line
from models.conversation import Status
from models.database import encode, fetch, fetchval, tx
from models.decision import Distribution
from models.errors import Forbidden, NotFound
from models.merge import merge
from models.opening import open_by_hand
from models.reopening import reopen
from models.routing import hand_off
from models.tag import tag_contact
from models.transfer import transfer
from models.workflow import advance, effect
from models.workflow.definition import (
    AssignStep,
    BranchStep,
    Case,
    CloseStep,
    LineCondition,
    Marked,
    SendMessageStep,
    Source,
    SourceCondition,
    Step,
    TagStep,
    TextCondition,
    Trigger,
    UnassignStep,
    WebhookStep,
)
from models.workflow.errors import WorkflowNotActive, WorkflowNotManual
from models.workflow.run import RunStatus, Taken, WorkflowRun, start_by_hand
from tests.conftest import Clock
from tests.factories import (
    a_channel,
    a_contact,
    a_conversation,
    a_message,
    a_team,
    an_agent,
    as_agent,
    by_system,
    working,
)
from tests.published import came_to, published, runs_of, the_run

GREET = SendMessageStep(key="greet", text="Hello, {{contact.name|there}}.")
TELL = WebhookStep(key="tell")
SCANS = "SELECT seq_scan FROM pg_stat_xact_user_tables WHERE relname = 'conversations'"


async def _said(conversation_id: UUID) -> list[str]:
    rows = await fetch(
        "SELECT text FROM messages WHERE conversation_id = $1 AND direction = 'OUTBOUND'"
        " ORDER BY created_at, id",
        conversation_id,
    )
    return [row["text"] for row in rows]


async def _events(kind: str) -> int:
    count: int = await fetchval("SELECT count(*) FROM events WHERE kind = $1", kind)
    return count


async def test_a_customer_who_writes_is_greeted_before_the_message_is_acknowledged(
    workspace: Workspace,
) -> None:
    workflow = await published(workspace, GREET)

    received = await a_message(await a_channel(workspace))

    assert await _said(received.conversation_id) == ["Hello, Ada."]
    run = await the_run(workflow)
    assert (run.status, run.source, run.conversation_id) == (
        RunStatus.ENDED,
        Source.CONTACT,
        received.conversation_id,
    )
    assert await came_to(run) == [("greet", "DONE")]
    actor = await fetchval("SELECT actor_id FROM events WHERE kind = 'MESSAGE_SENT'")
    assert actor == workflow
    assert await _events("WORKFLOW_RUN_ENDED") == 1


async def test_every_trigger_starts_its_workflow_once(workspace: Workspace) -> None:
    workflows = {trigger: await published(workspace, TELL, trigger=trigger) for trigger in Trigger}
    agent = await an_agent(workspace)
    conversation = await a_conversation(workspace, holder=agent)
    await tag_contact(conversation.contact_id, ["VIP"], by=by_system(workspace))
    await start_by_hand(workflows[Trigger.MANUAL], conversation.id, by=as_agent(agent))
    async with working(conversation.id, by=as_agent(agent)) as held:
        await closing.close(held, by=as_agent(agent))
    team = await a_team(workspace, distribution=Distribution.LEAST_OPEN)
    stranded = await a_conversation(workspace, team=team)

    started = {trigger: await runs_of(workflow) for trigger, workflow in workflows.items()}

    counted = {trigger: len(runs) for trigger, runs in started.items()}
    assert counted == {
        Trigger.CONVERSATION_OPENED: 2,
        Trigger.CONVERSATION_CLOSED: 1,
        Trigger.MESSAGE_RECEIVED: 2,
        Trigger.CONTACT_TAGGED: 1,
        Trigger.AGENT_ASSIGNED: 1,
        Trigger.NOBODY_ELIGIBLE: 1,
        Trigger.IDLE_REMINDER: 0,
        Trigger.MANUAL: 1,
    }
    assert started[Trigger.NOBODY_ELIGIBLE][0].conversation_id == stranded.id
    assert {run.status for runs in started.values() for run in runs} == {RunStatus.ENDED}


@pytest.mark.parametrize(
    ("conditions", "runs"),
    [
        ((TextCondition(contains=("price",)),), 1),
        ((TextCondition(contains=("refund",)),), 0),
        ((SourceCondition(sources=(Source.CONTACT,)),), 1),
        ((SourceCondition(sources=(Source.AGENT,)), TextCondition(contains=("price",))), 0),
    ],
)
async def test_a_run_whose_conditions_are_not_met_never_was(
    workspace: Workspace, conditions: tuple[TextCondition | SourceCondition, ...], runs: int
) -> None:
    workflow = await published(
        workspace, TELL, trigger=Trigger.MESSAGE_RECEIVED, conditions=conditions
    )

    await a_message(await a_channel(workspace), text="What is the price?")

    assert len(await runs_of(workflow)) == runs
    assert await _events("WEBHOOK_REQUESTED") == runs


async def test_a_branch_goes_the_first_way_that_is_open(workspace: Workspace) -> None:
    support = Case(conditions=(LineCondition(line=Line.SUPPORT),), next="tell")
    sales = Case(conditions=(LineCondition(line=Line.SALES),), next="greet")
    fork = BranchStep(key="fork", cases=(support, sales), next="tell")
    workflow = await published(workspace, fork, GREET, TELL)

    await a_message(await a_channel(workspace))

    assert await came_to(await the_run(workflow)) == [("fork", "DONE"), ("greet", "DONE")]


async def test_workflows_of_one_trigger_run_in_their_order(workspace: Workspace) -> None:
    texts = ["First.", "Second.", "Third."]
    for text in texts:
        await published(workspace, SendMessageStep(key="say", text=text))

    received = await a_message(await a_channel(workspace))

    assert await _said(received.conversation_id) == texts


async def test_what_happened_first_goes_first_whatever_the_order_of_workflows(
    workspace: Workspace,
) -> None:
    await published(
        workspace, SendMessageStep(key="say", text="Read."), trigger=Trigger.MESSAGE_RECEIVED
    )
    await published(workspace, SendMessageStep(key="say", text="Opened."))

    received = await a_message(await a_channel(workspace))

    assert await _said(received.conversation_id) == ["Opened.", "Read."]


async def test_a_conversation_that_is_opened_again_starts_its_workflows_again(
    workspace: Workspace,
) -> None:
    workflow = await published(workspace, GREET)
    conversation = await a_conversation(workspace)
    async with working(conversation.id, by=by_system(workspace)) as held:
        await closing.close(held, by=by_system(workspace))

    await reopen(conversation.id, by=by_system(workspace))

    assert len(await runs_of(workflow)) == 2
    assert len(await _said(conversation.id)) == 2


async def test_after_the_bot_workflows_of_the_opening_run_once(workspace: Workspace) -> None:
    source = SourceCondition(sources=(Source.CONTACT,))
    workflow = await published(workspace, GREET, conditions=(source,))
    agent = await an_agent(workspace)
    received = await a_message(await a_channel(workspace, bot=True))
    before = await runs_of(workflow)

    await hand_off(received.conversation_id, by=by_system(workspace))
    async with working(received.conversation_id, by=by_system(workspace)) as held:
        await held.assign(agent.id, by=by_system(workspace))
    await _give_to_bot_and_back(received.conversation_id, workspace)

    assert before == []
    assert len(await runs_of(workflow)) == 1


async def _give_to_bot_and_back(conversation_id: UUID, workspace: Workspace) -> None:

    async with working(conversation_id, by=by_system(workspace)) as held:
        await bot.resume(held, by=by_system(workspace))
    await hand_off(conversation_id, by=by_system(workspace))


async def test_a_contact_gets_what_is_sent_once_only_once_however_often_it_writes(
    workspace: Workspace,
) -> None:
    workflow = await published(workspace, GREET, trigger=Trigger.MESSAGE_RECEIVED, is_once=True)
    channels = [await a_channel(workspace) for _ in range(4)]
    contact = await a_contact(*channels, sender="ada")

    await asyncio.gather(*(a_message(channel, sender="ada") for channel in channels))
    await a_message(channels[0], sender="ada")

    assert len(await runs_of(workflow)) == 1
    said = await fetchval("SELECT count(*) FROM messages WHERE direction = 'OUTBOUND'")
    assert (said, (await the_run(workflow)).contact_id) == (1, contact.id)


async def test_of_runs_that_begin_at_once_for_one_contact_one_goes_on(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    workflow = await published(workspace, GREET, trigger=Trigger.MESSAGE_RECEIVED, is_once=True)
    channels = [await a_channel(workspace) for _ in range(4)]
    await a_contact(*channels, sender="ada")
    with monkeypatch.context() as patched:
        patched.setattr(database, "_go_on", None)
        for channel in channels:
            await a_message(channel, sender="ada")
    begun = len(await runs_of(workflow))

    await asyncio.gather(*(advance.go_on_due(10) for _ in range(3)))
    await advance.go_on_due(10)

    assert (begun, len(await runs_of(workflow))) == (4, 1)
    assert await _events("MESSAGE_SENT") == 1


async def test_what_runs_once_begins_with_the_first_message_that_meets_its_conditions(
    workspace: Workspace,
) -> None:
    workflow = await published(
        workspace,
        GREET,
        trigger=Trigger.MESSAGE_RECEIVED,
        conditions=(TextCondition(contains=("price",)),),
        is_once=True,
    )
    channel = await a_channel(workspace)

    for text in ("Hello", "The price?", "The price?"):
        await a_message(channel, sender="ada", text=text)

    assert len(await runs_of(workflow)) == 1


async def test_once_for_a_contact_is_once_for_those_that_are_merged_into_it(
    workspace: Workspace,
) -> None:
    by = by_system(workspace)
    received = await published(workspace, GREET, trigger=Trigger.MESSAGE_RECEIVED, is_once=True)
    opened = await published(
        workspace, AssignStep(key="give", agent_id=(await an_agent(workspace)).id), is_once=True
    )
    one, two, three = [await a_channel(workspace) for _ in range(3)]
    ada = await a_contact(one, sender="ada")
    lady = await a_contact(two, sender="lady")
    countess = await a_contact(three, sender="countess")
    await a_message(two, sender="lady")
    await merge(survivor_id=countess.id, merged_id=lady.id, by=by)
    await merge(survivor_id=ada.id, merged_id=countess.id, by=by)

    await a_message(two, sender="lady", text="again")
    anew = await a_message(one, sender="ada")

    assert [len(await runs_of(workflow)) for workflow in (received, opened)] == [1, 1]
    assert (await Conversation.get(id=anew.conversation_id)).status is Status.QUEUED


async def test_a_run_that_began_before_a_merge_finds_that_it_ran_already(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    workflow = await published(workspace, GREET, trigger=Trigger.MESSAGE_RECEIVED, is_once=True)
    one, two = await a_channel(workspace), await a_channel(workspace)
    ada, lady = await a_contact(one, sender="ada"), await a_contact(two, sender="lady")
    await a_message(two, sender="lady")
    with monkeypatch.context() as interrupted:
        interrupted.setattr(database, "_go_on", None)
        await a_message(one, sender="ada")
        await merge(survivor_id=ada.id, merged_id=lady.id, by=by_system(workspace))

    await advance.go_on_due(10)

    assert len(await runs_of(workflow)) == 1


@pytest.mark.parametrize("how", ["assigned", "transferred to an agent", "transferred to a team"])
async def test_whoever_takes_it_from_the_bot_starts_what_an_opening_does(
    workspace: Workspace, how: str
) -> None:
    workflow = await published(workspace, GREET)
    agent, team, by = await an_agent(workspace), await a_team(workspace), by_system(workspace)
    id = (await a_message(await a_channel(workspace, bot=True))).conversation_id

    for _ in range(2):
        if how == "assigned":
            async with working(id, by=by) as held:
                await held.assign(agent.id, by=by)
        elif how == "transferred to an agent":
            await transfer(id, by=by, to_agent=agent.id)
        else:
            await transfer(id, by=by, to_team=team.id)
            async with working(id, by=by) as waiting:
                await waiting.assign(agent.id, by=by)
        async with working(id, by=as_agent(agent)) as held:
            await bot.resume(held, by=as_agent(agent))

    run = await the_run(workflow)
    assert (run.source, run.status) == (Source.CONTACT, RunStatus.ENDED)


async def test_what_is_opened_by_hand_starts_once(workspace: Workspace) -> None:
    workflow = await published(workspace, GREET)
    agent, channel = await an_agent(workspace, role=Role.OPERATOR), await a_channel(workspace)
    contact = await a_contact(channel)

    await open_by_hand(by=as_agent(agent), contact_id=contact.id, channel_id=channel.id)

    assert (await the_run(workflow)).source is Source.AGENT


async def test_a_step_that_fails_ends_the_run_and_says_why(workspace: Workspace) -> None:
    again = CloseStep(key="again", next="tell")
    close_first = await published(workspace, again, TELL, trigger=Trigger.CONVERSATION_CLOSED)
    conversation = await a_conversation(workspace)

    async with working(conversation.id, by=by_system(workspace)) as held:
        await closing.close(held, by=by_system(workspace))

    run = await the_run(close_first)
    assert (run.status, run.failure) == (RunStatus.FAILED, "CONVERSATION_CLOSED")
    assert await came_to(run) == [("again", "FAILED", "CONVERSATION_CLOSED")]
    told = await fetchval(
        "SELECT data ->> 'failure' FROM events WHERE kind = 'WORKFLOW_RUN_FAILED'"
    )
    assert told == "CONVERSATION_CLOSED"


async def test_what_was_done_before_a_failing_step_stays(workspace: Workspace) -> None:
    too_many = TagStep(key="tag", tags=tuple(f"Tag {number}" for number in range(21)))
    greet = SendMessageStep(key="greet", text="Hello.", next="tag")
    workflow = await published(workspace, greet, too_many)

    received = await a_message(await a_channel(workspace))

    run = await the_run(workflow)
    assert run.failure == "BAD_USER_INPUT"
    assert await _said(received.conversation_id) == ["Hello."]
    assert await fetchval("SELECT count(*) FROM tags") == 0


async def test_a_fault_of_ours_ends_the_run_and_never_fails_the_command(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(step: Step, run: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(advance.effect, "take", broken)
    workflow = await published(workspace, GREET)

    received = await a_message(await a_channel(workspace))

    run = await the_run(workflow)
    assert (run.status, run.failure) == (RunStatus.FAILED, "INTERNAL_SERVER_ERROR")
    assert await Conversation.exists(id=received.conversation_id)


async def test_a_lost_connection_leaves_the_run_to_the_sweep(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def lost(place: UUID, seen: list[object]) -> bool:
        raise ConnectionError

    workflow = await published(workspace, GREET)
    with monkeypatch.context() as patched:
        patched.setattr(advance, "_advance_first", lost)
        received = await a_message(await a_channel(workspace))
    assert (await the_run(workflow)).status is RunStatus.STARTING

    taken = await advance.go_on_due(10)

    assert taken == 1
    assert await _said(received.conversation_id) == ["Hello, Ada."]


@pytest.mark.parametrize(
    "stall",
    [TimeoutError, OSError, asyncpg.ReadOnlySQLTransactionError],
    ids=lambda it: it.__name__,
)
async def test_a_server_that_stalls_fails_no_run(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch, stall: type[Exception]
) -> None:
    async def stalls(step: Step, run: WorkflowRun) -> Taken:
        raise stall

    workflow = await published(workspace, GREET)
    with monkeypatch.context() as patched:
        patched.setattr(effect, "take", stalls)
        await a_message(await a_channel(workspace))
    assert (await the_run(workflow)).status is RunStatus.STARTING

    await advance.go_on_due(10)

    assert (await the_run(workflow)).status is RunStatus.ENDED


async def test_a_command_takes_a_few_steps_and_leaves_the_rest_to_the_sweep(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(advance, "STEPS_AT_ONCE_MAX", 2)
    steps = [WebhookStep(key=f"{n}", next=f"{n + 1}" if n < 4 else None) for n in range(5)]
    workflow = await published(workspace, *steps)

    await a_message(await a_channel(workspace))
    at_once = (await the_run(workflow)).steps_taken
    taken = await advance.go_on_due(10)

    assert (at_once, taken) == (2, 3)
    assert (await the_run(workflow)).status is RunStatus.ENDED


async def test_a_contact_that_is_tagged_has_a_run_in_each_open_conversation(
    workspace: Workspace,
) -> None:
    workflow = await published(workspace, GREET, trigger=Trigger.CONTACT_TAGGED)
    channels = [await a_channel(workspace) for _ in range(2)]
    contact = await a_contact(*channels, sender="ada")
    received = [await a_message(channel, sender="ada") for channel in channels]

    await tag_contact(contact.id, ["VIP"], by=by_system(workspace))

    runs = await runs_of(workflow)
    assert {run.conversation_id for run in runs} == {it.conversation_id for it in received}
    assert {run.status for run in runs} == {RunStatus.ENDED}


async def test_a_contact_without_a_conversation_has_a_run_of_its_own(
    workspace: Workspace,
) -> None:
    mark = TagStep(key="mark", tags=("Seen",), on=Marked.CONTACT, next="greet")
    workflow = await published(workspace, mark, GREET, trigger=Trigger.CONTACT_TAGGED)
    contact = await a_contact(await a_channel(workspace))

    await tag_contact(contact.id, ["VIP"], by=by_system(workspace))

    first, second = await runs_of(workflow)
    assert await came_to(first) == [("mark", "DONE"), ("greet", "FAILED", "CONVERSATION_REQUIRED")]
    # Its own tag started it again; the tag that is there already starts nothing.
    assert second.source is Source.WORKFLOW


async def test_workflows_that_cause_each_other_stop_and_say_so(
    workspace: Workspace, clock: Clock
) -> None:

    agent = await an_agent(workspace)
    give = AssignStep(key="give", agent_id=agent.id, next="take")
    take = UnassignStep(key="take", next="again")
    again = AssignStep(key="again", agent_id=agent.id)
    workflows = [
        await published(workspace, take, again, trigger=Trigger.AGENT_ASSIGNED) for _ in range(2)
    ]
    await published(workspace, give, take, again)

    received = await a_message(await a_channel(workspace))
    while await advance.go_on_due(100):
        pass

    for workflow in workflows:
        runs = await runs_of(workflow)
        failed = [run for run in runs if run.status is RunStatus.FAILED]
        assert len(runs) <= 13
        assert [run.failure for run in failed] == ["TOO_MANY_ECHOES"]
    assert received.conversation_id is not None


async def test_nobody_eligible_is_told_once_for_each_wait(workspace: Workspace) -> None:
    workflow = await published(workspace, GREET, trigger=Trigger.NOBODY_ELIGIBLE)
    teams = [await a_team(workspace, distribution=Distribution.LEAST_OPEN) for _ in range(2)]
    by = by_system(workspace)
    conversation = await a_conversation(workspace, team=teams[0])
    await transfer(conversation.id, by=by, to_team=teams[1].id)
    in_one_wait = len(await runs_of(workflow))

    async with working(conversation.id, by=by) as waiting:
        await waiting.assign((await an_agent(workspace)).id, by=by)
    async with working(conversation.id, by=by) as held:
        await held.unassign(by=by)

    assert await _events("CONVERSATION_STRANDED") == 3
    assert (in_one_wait, len(await runs_of(workflow))) == (1, 2)


class TestByHand:
    async def test_only_what_is_active_and_manual_is_run_by_hand(
        self, workspace: Workspace
    ) -> None:
        by = by_system(workspace)
        conversation = await a_conversation(workspace)
        other = await published(workspace, TELL, trigger=Trigger.CONTACT_TAGGED)
        draft = await published(workspace, TELL, trigger=Trigger.MANUAL, status="ARCHIVED")

        with pytest.raises(WorkflowNotManual) as refused:
            await start_by_hand(other, conversation.id, by=by)
        with pytest.raises(WorkflowNotActive):
            await start_by_hand(draft, conversation.id, by=by)
        with pytest.raises(NotFound):
            await start_by_hand(conversation.id, conversation.id, by=by)

        assert refused.value.facts == {"trigger": "CONTACT_TAGGED"}

    async def test_whoever_may_not_work_the_conversation_may_not_run_a_workflow_in_it(
        self, workspace: Workspace
    ) -> None:
        workflow = await published(workspace, TELL, trigger=Trigger.MANUAL)
        conversation = await a_conversation(workspace, holder=await an_agent(workspace))
        auditor = await an_agent(workspace, role=Role.AUDITOR)

        with pytest.raises(Forbidden):
            await start_by_hand(workflow, conversation.id, by=as_agent(auditor))

        assert await runs_of(workflow) == []


@pytest.mark.leaves_violations
async def test_what_a_message_begins_is_found_without_reading_all_conversations(
    workspace: Workspace,
) -> None:
    channel = await a_channel(workspace)
    contact = await a_contact(channel, sender="another")
    tagged = await a_contact(channel, sender="the third")
    await published(workspace, AssignStep(key="give", team_id=(await a_team(workspace)).id))
    await published(workspace, TELL, trigger=Trigger.MESSAGE_RECEIVED)
    await published(workspace, TELL, trigger=Trigger.CONTACT_TAGGED)
    waiting = (await a_message(channel)).conversation_id
    await fetch(
        """
        INSERT INTO conversations (id, workspace_id, contact_id, channel_id, line, status,
                                   opened_at, last_activity_at, closed_at, version)
        SELECT gen_random_uuid(), $1, $2, $3, 'SALES', 'CLOSED', now(), now(), now(), 1
        FROM generate_series(1, 5000)
        """,
        workspace.id,
        contact.id,
        channel.id,
    )
    await fetch("ANALYZE conversations, workflows, workflow_revisions, workflow_runs")

    async with tx() as transaction:
        await a_message(channel)
        await tag_contact(tagged.id, ["VIP"], by=by_system(workspace))
        before = await transaction.fetchval(SCANS)
        facts = encode(transaction.events)
        await transaction.fetchval("SELECT begin_runs($1::text::jsonb)", facts)
        await advance._due_places([waiting], [tagged.id])

        assert await transaction.fetchval(SCANS) == before
