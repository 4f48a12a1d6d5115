"""What each step does: the verb of the record it is about, and where the run goes from there."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any
from uuid import UUID

from models import closing, event, line_change, placement, routing, stickiness, tag, variable
from models.channel import require_line
from models.closure import Cause, ClosingReason
from models.conversation import Conversation, Status
from models.database import Raced, Transaction, tx
from models.errors import ConversationNotWithBot
from models.workflow import assigning, condition
from models.workflow.ahead import ahead_of
from models.workflow.definition import (
    AssignStep,
    BotOffStep,
    BotOnStep,
    BranchStep,
    CloseStep,
    Definition,
    Marked,
    SendMessageStep,
    SetLineStep,
    Step,
    TagStep,
    Trigger,
    UnassignStep,
    WebhookStep,
)
from models.workflow.run import StepOutcome, Taken, WorkflowRun, read_facts


async def take(step: Step, run: WorkflowRun) -> Taken:
    """Do what a step says; raises what the verbs do, and ConversationRequired."""
    return await _EFFECTS[type(step)](step, run)


async def _unassign(step: UnassignStep, run: WorkflowRun) -> Taken:
    async with tx() as transaction:
        if await ahead_of(transaction, run):
            # Who has it is to have it after this step.
            return _skipped(step)
        conversation = await Conversation.locked(run.conversation, by=run.actor)
        if not conversation.is_open:
            return await _let_go(conversation, step, run)
        if conversation.assignee_id is None:
            return _skipped(step)
        await conversation.unassign(by=run.actor)
    return Taken(next_key=step.next)


async def _send(step: SendMessageStep, run: WorkflowRun) -> Taken:
    async with tx():
        conversation = await Conversation.locked(run.conversation, by=run.actor)
        await conversation.send(
            await _filled(step.text, run),
            by=run.actor,
            is_activity=run.trigger is not Trigger.IDLE_REMINDER,
        )
    return Taken(next_key=step.next)


async def _filled(text: str, run: WorkflowRun) -> str:
    return await variable.fill(
        text, workspace_id=run.workspace_id, conversation_id=run.conversation
    )


async def _tag(step: TagStep, run: WorkflowRun) -> Taken:
    async with tx() as transaction:
        if step.on is Marked.CONTACT:
            contact_id = await _contact(transaction, run)
            await tag.tag_contact(contact_id, list(step.tags), by=run.actor)
        else:
            conversation = await Conversation.locked(run.conversation, by=run.actor)
            await tag.tag_conversation(conversation, list(step.tags), by=run.actor)
    return Taken(next_key=step.next)


async def _set_line(step: SetLineStep, run: WorkflowRun) -> Taken:
    async with tx() as transaction:
        if await ahead_of(transaction, run):
            channel = await Conversation.hold_channel(run.conversation, by=run.actor)
            require_line(channel.kind, step.line)
        else:
            await line_change.set_line(run.conversation, step.line, by=run.actor)
    return Taken(next_key=step.next)


async def _close(step: CloseStep, run: WorkflowRun) -> Taken:
    async with tx() as transaction:
        conversation = await Conversation.locked(run.conversation, by=run.actor)
        conversation.require_open()
        if step.reason_id is not None:
            await ClosingReason.usable(step.reason_id, by=run.actor)
        await closing.close_automatically(
            transaction,
            [conversation.id],
            Cause.WORKFLOW,
            by=run.actor,
            reason_id=step.reason_id,
            summary=step.summary and await _filled(step.summary, run),
        )
    return Taken(next_key=step.next)


async def _bot_on(step: BotOnStep, run: WorkflowRun) -> Taken:
    async with tx():
        conversation = await Conversation.locked(run.conversation, by=run.actor)
        if not conversation.is_open:
            return await _let_go(conversation, step, run)
        if conversation.status is Status.BOT:
            return _skipped(step)
        home = await conversation.home_queue()
        await placement.give_to_bot(conversation, home, by=run.actor)
    return Taken(next_key=step.next)


async def _bot_off(step: BotOffStep, run: WorkflowRun) -> Taken:
    try:
        await routing.hand_off(run.conversation, by=run.actor)
    except ConversationNotWithBot:
        return _skipped(step)
    return Taken(next_key=step.next)


async def _branch(step: BranchStep, run: WorkflowRun) -> Taken:
    asked = Definition(trigger=run.trigger, steps=(step,))
    async with tx() as transaction:
        before = await ahead_of(transaction, run)
        way = dict(before.step.way) if before and before.is_way_of(run) else {}
        if step.key in way:
            return Taken(next_key=way[step.key])
        facts = await read_facts(transaction, run, asked, before.line if before else None)
    for case in step.cases:
        if condition.met(case.conditions, facts):
            return Taken(next_key=case.next)
    return Taken(next_key=step.next)


async def _webhook(step: WebhookStep, run: WorkflowRun) -> Taken:
    async with tx():
        run.record(
            event.Kind.WEBHOOK_REQUESTED, workflow=run.workflow_id, place=run.steps_taken + 1
        )
    return Taken(next_key=step.next)


async def _let_go(
    conversation: Conversation, step: UnassignStep | BotOnStep, run: WorkflowRun
) -> Taken:
    """The sticky agent of a closed conversation goes, if there is one."""
    if not await stickiness.let_go(conversation, by=run.actor):
        return _skipped(step)
    return Taken(next_key=step.next)


async def _contact(transaction: Transaction, run: WorkflowRun) -> UUID:
    """Of the conversation, whose contact may be another by now: contacts merge, but not while we
    hold this one. Raises Raced when it was merged between the look and the lock.
    """
    if run.conversation_id is None:
        return run.contact_id
    locked = await Conversation.lock_contact(transaction, run.conversation_id, by=run.actor)
    contact_id = (await Conversation.get(id=run.conversation_id)).contact_id
    if contact_id != locked:
        raise Raced
    return contact_id


def _skipped(step: Step) -> Taken:
    return Taken(outcome=StepOutcome.SKIPPED, next_key=step.next)


_EFFECTS: Mapping[type, Callable[[Any, WorkflowRun], Awaitable[Taken]]] = {
    AssignStep: assigning.assign,
    UnassignStep: _unassign,
    SendMessageStep: _send,
    TagStep: _tag,
    SetLineStep: _set_line,
    CloseStep: _close,
    BotOnStep: _bot_on,
    BotOffStep: _bot_off,
    BranchStep: _branch,
    WebhookStep: _webhook,
}
