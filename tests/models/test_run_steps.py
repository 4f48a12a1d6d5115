"""What each step of a workflow does, but ASSIGN."""

import asyncio
import contextvars
from uuid import UUID

import pytest

from models import Closure, Contact, Conversation, Workspace, closing
from models.access import Actor
from models.base import Line
from models.closure import Cause
from models.conversation import Status
from models.database import Transaction, fetchval
from models.errors import ConversationClosed
from models.merge import merge
from models.workflow import advance
from models.workflow.definition import (
    BotOffStep,
    BotOnStep,
    CloseStep,
    Marked,
    SendMessageStep,
    SetLineStep,
    Step,
    TagStep,
    Trigger,
    UnassignStep,
    WebhookStep,
)
from models.workflow.run import RunStatus, WorkflowRun, start_by_hand
from tests.conftest import Clock
from tests.factories import (
    a_channel,
    a_contact,
    a_conversation,
    a_message,
    a_team,
    an_agent,
    by_system,
    working,
)
from tests.published import came_to, published, the_run


async def _after(workspace: Workspace, step: Step, conversation_id: UUID) -> Conversation:
    """The conversation after a workflow took one step in it."""
    workflow = await published(workspace, step, trigger=Trigger.MANUAL)
    await start_by_hand(workflow, conversation_id, by=by_system(workspace))
    return await Conversation.get(id=conversation_id)


async def _outcome() -> str:
    outcome: str = await fetchval("SELECT string_agg(outcome, ' ') FROM workflow_run_steps")
    return outcome


async def _close(conversation: Conversation, workspace: Workspace) -> None:
    async with working(conversation.id, by=by_system(workspace)) as found:
        await closing.close(found, by=by_system(workspace))


async def test_unassign_gives_it_back_to_its_queue(workspace: Workspace) -> None:
    held = await a_conversation(workspace, holder=await an_agent(workspace))

    after = await _after(workspace, UnassignStep(key="one"), held.id)

    assert (after.status, after.team_id, await _outcome()) == (
        Status.QUEUED,
        held.team_id,
        "DONE",
    )


@pytest.mark.parametrize("step", [UnassignStep(key="one"), BotOffStep(key="one")])
async def test_what_nobody_has_cannot_be_given_back(workspace: Workspace, step: Step) -> None:
    waiting = await a_conversation(workspace)

    after = await _after(workspace, step, waiting.id)

    assert (after.status, await _outcome()) == (Status.QUEUED, "SKIPPED")


@pytest.mark.parametrize("step", [UnassignStep(key="one"), BotOnStep(key="one")])
async def test_the_sticky_agent_of_a_closed_conversation_is_let_go(
    workspace: Workspace, step: Step
) -> None:
    held = await a_conversation(workspace, holder=await an_agent(workspace), sender="ada")
    await published(workspace, step, trigger=Trigger.CONVERSATION_CLOSED)

    await _close(held, workspace)
    back = await a_message(await held.channel, sender="ada")

    assert (await Closure.get(conversation_id=held.id)).is_sticky is False
    assert back.conversation_id != held.id


async def test_an_agent_who_was_not_let_go_gets_the_contact_back(workspace: Workspace) -> None:
    held = await a_conversation(workspace, holder=await an_agent(workspace), sender="ada")
    await published(workspace, WebhookStep(key="one"), trigger=Trigger.CONVERSATION_CLOSED)

    await _close(held, workspace)
    back = await a_message(await held.channel, sender="ada")

    assert back.conversation_id == held.id


async def test_variables_are_filled_when_a_message_is_sent(workspace: Workspace) -> None:
    agent = await an_agent(workspace)
    text = "{{contact.name}} of {{contact.phone|somewhere}}: {{agent.name}} is with you."
    await published(
        workspace, SendMessageStep(key="one", text=text), trigger=Trigger.AGENT_ASSIGNED
    )

    held = await a_conversation(workspace, holder=agent)

    message_id = (await Conversation.get(id=held.id)).last_message_id
    said = await fetchval("SELECT text FROM messages WHERE id = $1", message_id)
    assert said == f"Ada of somewhere: {agent.name} is with you."
    assert await fetchval("SELECT author_agent_id FROM messages WHERE id = $1", message_id) is None


@pytest.mark.parametrize(("trigger", "restarts"), [("IDLE_REMINDER", False), ("MANUAL", True)])
async def test_a_reminder_does_not_restart_the_idle_time(
    workspace: Workspace, clock: Clock, trigger: str, restarts: bool
) -> None:
    conversation = await a_conversation(workspace)
    workflow = await published(
        workspace, SendMessageStep(key="one", text="Still there?"), trigger=Trigger.MANUAL
    )
    await clock.travel(hours=1)
    run_id = await _a_run_left_behind(workflow, conversation, workspace, trigger)

    await advance.go_on_due(10)

    after = await Conversation.get(id=conversation.id)
    assert (await WorkflowRun.get(id=run_id)).status is RunStatus.ENDED
    assert (after.last_activity_at > conversation.last_activity_at) is restarts


async def _a_run_left_behind(
    workflow: UUID, conversation: Conversation, workspace: Workspace, trigger: str
) -> UUID:
    found: UUID = await fetchval(
        """
        INSERT INTO workflow_runs (id, workspace_id, workflow_id, revision_id, position, trigger,
            is_once, is_echo, contact_id, conversation_id, status, due_at)
        SELECT gen_random_uuid(), w.workspace_id, w.id, w.revision_id, w.position, $3, false, true,
               c.contact_id, c.id, 'STARTING', relevo_now()
        FROM workflows w, conversations c WHERE w.id = $1 AND c.id = $2 RETURNING id
        """,
        workflow,
        conversation.id,
        trigger,
    )
    return found


@pytest.mark.parametrize("on", Marked)
async def test_tags_are_put_on_the_contact_or_the_conversation(
    workspace: Workspace, on: Marked
) -> None:
    conversation = await a_conversation(workspace)

    await _after(workspace, TagStep(key="one", tags=("VIP", "New"), on=on), conversation.id)

    table, id = {
        Marked.CONTACT: ("contact", conversation.contact_id),
        Marked.CONVERSATION: ("conversation", conversation.id),
    }[on]
    marked = await fetchval(f"SELECT count(*) FROM {table}_tags WHERE {table}_id = $1", id)
    assert (marked, await _outcome()) == (2, "DONE")


async def test_the_line_is_set(workspace: Workspace) -> None:
    conversation = await a_conversation(workspace)

    after = await _after(workspace, SetLineStep(key="one", line=Line.SUPPORT), conversation.id)

    assert after.line is Line.SUPPORT


async def test_a_workflow_closes_without_a_reason_and_keeps_stickiness_for_ever(
    workspace: Workspace,
) -> None:
    await Workspace.filter(id=workspace.id).update(closing_reason_required=True)
    agent = await an_agent(workspace)
    held = await a_conversation(workspace, holder=agent)

    after = await _after(workspace, CloseStep(key="one", summary="Quiet."), held.id)

    closure = await Closure.get(conversation_id=held.id)
    assert after.status is Status.CLOSED
    assert (closure.cause, closure.agent_id, closure.summary) == (
        Cause.WORKFLOW,
        agent.id,
        "Quiet.",
    )


async def test_what_is_closed_with_the_bot_switched_on_binds_nobody(workspace: Workspace) -> None:
    held = await a_conversation(workspace, holder=await an_agent(workspace))
    close = CloseStep(key="close", next="bot")
    workflow = await published(
        workspace, close, BotOnStep(key="bot"), trigger=Trigger.MESSAGE_RECEIVED
    )

    await a_message(await held.channel, sender=await _sender(held))

    assert await came_to(await the_run(workflow)) == [("close", "DONE"), ("bot", "DONE")]
    assert (await Closure.get(conversation_id=held.id)).is_sticky is False


async def _sender(conversation: Conversation) -> str:
    sender: str = await fetchval(
        "SELECT external_id FROM contact_identities WHERE contact_id = $1", conversation.contact_id
    )
    return sender


async def test_what_is_of_the_support_desk_closes_with_a_ticket(workspace: Workspace) -> None:
    team = await a_team(workspace, line=Line.SUPPORT)
    conversation = await a_conversation(workspace, team=team)

    after = await _after(workspace, CloseStep(key="one"), conversation.id)

    assert after.status is Status.CLOSED
    assert after.ticket_id is not None


async def test_good_bye_is_said_after_the_closing_and_is_no_activity(workspace: Workspace) -> None:
    by = by_system(workspace)
    good_bye = SendMessageStep(key="one", text="Good-bye, {{contact.name|friend}}.")
    await published(workspace, good_bye, trigger=Trigger.CONVERSATION_CLOSED)
    channel = await a_channel(workspace)
    wrote = await a_message(channel, sender="5511990001")
    conversation = await Conversation.get(id=wrote.conversation_id)
    await Contact.filter(id=conversation.contact_id).update(name="5511990001")

    await _close(conversation, workspace)

    after = await Conversation.get(id=conversation.id)
    said = await fetchval("SELECT text FROM messages WHERE direction = 'OUTBOUND'")
    # A contact that never said its name has none, whatever the channel calls it.
    assert said == "Good-bye, friend."
    assert after.status is Status.CLOSED
    assert after.last_activity_at == after.closed_at
    async with working(conversation.id, by=by) as closed:
        with pytest.raises(ConversationClosed):
            await closed.send("Wait!", by=by)


async def test_what_is_closed_cannot_be_closed(workspace: Workspace) -> None:
    workflow = await published(workspace, CloseStep(key="one"), trigger=Trigger.CONVERSATION_CLOSED)

    await _close(await a_conversation(workspace), workspace)

    run = await the_run(workflow)
    assert await came_to(run) == [("one", "FAILED", "CONVERSATION_CLOSED")]


@pytest.mark.parametrize("is_held", [False, True])
async def test_the_bot_is_given_what_waits_and_what_an_agent_has(
    workspace: Workspace, is_held: bool
) -> None:
    holder = await an_agent(workspace) if is_held else None
    conversation = await a_conversation(workspace, holder=holder)

    after = await _after(workspace, BotOnStep(key="one"), conversation.id)

    left = await fetchval("SELECT from_queue_id FROM events WHERE kind = 'BOT_RESUMED'")
    entered = await fetchval("SELECT to_queue_id FROM events WHERE kind = 'BOT_RESUMED'")
    assert (after.status, after.assignee_id) == (Status.BOT, None)
    assert (left, entered) == (None if is_held else conversation.team_id, None)


async def test_the_bot_hands_over_to_people(workspace: Workspace) -> None:
    received = await a_message(await a_channel(workspace, bot=True))

    after = await _after(workspace, BotOffStep(key="one"), received.conversation_id)

    assert (after.status, await _outcome()) == (Status.QUEUED, "DONE")


async def test_integrators_are_told_which_run_came_to_which_step(workspace: Workspace) -> None:
    conversation = await a_conversation(workspace)

    await _after(workspace, WebhookStep(key="one"), conversation.id)

    run = await WorkflowRun.get()
    told = await fetchval("SELECT data::text FROM events WHERE kind = 'WEBHOOK_REQUESTED'")
    assert str(run.id) in told
    assert '"place": 1' in told


async def test_a_contact_that_is_merged_while_it_is_tagged_fails_no_run(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two = await a_channel(workspace), await a_channel(workspace)
    ada, lady = await a_contact(one, sender="ada"), await a_contact(two, sender="lady")
    workflow = await published(workspace, TagStep(key="tag", tags=("VIP",), on=Marked.CONTACT))
    lock_contact, looks = Conversation.lock_contact, 0

    async def merged_meanwhile(transaction: Transaction, id: UUID, *, by: Actor) -> UUID | None:
        nonlocal looks
        looks += 1
        if looks > 1:
            return await lock_contact(transaction, id, by=by)
        merging = merge(survivor_id=lady.id, merged_id=ada.id, by=by_system(workspace))
        await asyncio.create_task(merging, context=contextvars.Context())
        return ada.id

    monkeypatch.setattr(Conversation, "lock_contact", merged_meanwhile)
    await a_message(one, sender="ada")

    assert await came_to(await the_run(workflow)) == [("tag", "DONE")]
    assert await fetchval("SELECT contact_id FROM contact_tags") == lady.id
