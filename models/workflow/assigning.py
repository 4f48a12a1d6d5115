"""The step ASSIGN: whom a workflow gives a conversation to, and how long it waits in a queue."""

import orjson

from models import decision, event, placement, precedence, queue
from models.channel import Channel, require_line
from models.conversation import Conversation, Status
from models.database import Transaction, encode, tx
from models.decision import Rule, Settings
from models.team import Team
from models.workflow.definition import AssignStep
from models.workflow.run import RunStatus, StepOutcome, Taken, WorkflowRun

# Whom somebody chose a place for is left there, but by a step that reassigns.
_CHOSEN = frozenset({Rule.OWNER, Rule.HANDED_OFF, Rule.TRANSFERRED, Rule.WORKFLOW})


async def assign(step: AssignStep, run: WorkflowRun) -> Taken:
    """Give the conversation to the step's agent, or let it wait in the queue of the step's team.

    Where somebody has it, or it was placed already, nothing happens unless the step reassigns.
    Raises ConversationRequired, ConversationClosed, AgentInactive, RoleCannotHold, TeamInactive,
    LineNotSupported.
    """
    by = run.actor
    async with tx() as transaction:
        team = await Team.locked(step.team_id, by=by) if step.team_id else None
        conversation = await Conversation.locked(run.conversation, by=by)
        if await _is_placed(transaction, run, step):
            return await _placed(transaction, conversation, run, step)
        if not step.reassign and not _is_free(conversation):
            return Taken(outcome=StepOutcome.SKIPPED, next_key=step.next)
        conversation.require_open()
        if team is not None:
            await _enqueue(transaction, conversation, team, run, step)
            return _waiting(step)
        if step.agent_id is not None and conversation.assignee_id != step.agent_id:
            given = placement.Move(Rule.WORKFLOW, event.Kind.CONVERSATION_ASSIGNED)
            await conversation.hand_to(step.agent_id, given, by=by)
    return Taken(next_key=step.next)


async def wait_on(step: AssignStep, run: WorkflowRun) -> Taken | None:
    """What became of a conversation that a run put into a queue; nothing while it waits there.

    Given to somebody of that team, the run goes on. Past the limit it waits under the team's own
    rules, unless a branch says where to go on. Closed, or moved elsewhere, the run is over.
    """
    async with tx() as transaction:
        conversation = await Conversation.locked(run.conversation, by=run.actor)
        if not _waits(conversation, step):
            if await _was_assigned(transaction, run, step):
                return Taken(next_key=step.next)
            return Taken(outcome=StepOutcome.SKIPPED)
        if not await _has_passed(transaction, run):
            return None
        await _let_go(transaction, conversation, run, step)
    return Taken(outcome=StepOutcome.TIMED_OUT, next_key=step.on_timeout)


def _waiting(step: AssignStep) -> Taken:
    return Taken(
        outcome=StepOutcome.WAITING, next_key=step.key, waiting_minutes=step.waiting_minutes
    )


def _is_free(conversation: Conversation) -> bool:
    """Whether nobody has it, and nobody but the channel or the Todos chose where it waits."""
    if conversation.status is not Status.QUEUED or conversation.reserved_for_id is not None:
        return False
    return (conversation.decision or {}).get("rule") not in _CHOSEN


async def _is_placed(transaction: Transaction, run: WorkflowRun, step: AssignStep) -> bool:
    """Whether the conversation was routed by this very step already, before the run began."""
    stored = await transaction.fetchval(
        """
        SELECT coalesce(c.decision, a.decision) FROM conversations c
        LEFT JOIN assignments a ON a.conversation_id = c.id AND a.ended_at IS NULL
        WHERE c.id = $1
        """,
        run.conversation_id,
    )
    made = orjson.loads(stored) if stored else {}
    if made.get("rule") != Rule.WORKFLOW or not made.get("routed"):
        return False
    chosen = precedence.place(precedence.recall(made["routed"]["facts"])).step
    return chosen is not None and (chosen.workflow_id, chosen.key) == (run.workflow_id, step.key)


async def _placed(
    transaction: Transaction, conversation: Conversation, run: WorkflowRun, step: AssignStep
) -> Taken:
    if not _waits(conversation, step):
        return Taken(next_key=step.next)
    await _end_other_waits(transaction, run)
    return _waiting(step)


async def _enqueue(
    transaction: Transaction,
    conversation: Conversation,
    team: Team,
    run: WorkflowRun,
    step: AssignStep,
) -> None:
    channel = await Channel.get(id=conversation.channel_id)
    require_line(channel.kind, team.line)
    conversation.line = team.line
    queued = placement.Move(Rule.WORKFLOW, event.Kind.CONVERSATION_QUEUED)
    settings = Settings.of(
        run.workflow_id,
        step.key,
        distribution=step.distribution,
        online_only=step.online_only,
        max_open=step.max_open,
    )
    await placement.enqueue(conversation, team.id, queued, by=run.actor, settings=settings)
    await _end_other_waits(transaction, run)


async def _end_other_waits(transaction: Transaction, run: WorkflowRun) -> None:
    """Runs that waited for the conversation do so no more: this one has it placed now.

    Nobody else goes on with them, whoever goes on here keeps them all.
    """
    others = WorkflowRun.filter(conversation_id=run.conversation_id, status=RunStatus.WAITING)
    for other in await others.exclude(id=run.id).order_by("id"):
        await transaction.execute(
            """
            UPDATE workflow_runs SET status = 'ENDED', next_key = NULL, due_at = NULL,
                   ended_at = relevo_now()
            WHERE id = $1
            """,
            other.id,
        )
        other.record(event.Kind.WORKFLOW_RUN_ENDED)


def _waits(conversation: Conversation, step: AssignStep) -> bool:
    """Whether it still waits where the step put it: whatever moves it says another rule."""
    rule = (conversation.decision or {}).get("rule")
    is_there = conversation.queue_id is not None and conversation.queue_id == step.team_id
    return is_there and rule == Rule.WORKFLOW


async def _has_passed(transaction: Transaction, run: WorkflowRun) -> bool:
    return bool(await transaction.fetchval("SELECT $1 <= relevo_now()", run.due_at))


async def _was_assigned(transaction: Transaction, run: WorkflowRun, step: AssignStep) -> bool:
    """Whether somebody got it out of the team's queue since the run waits."""
    return bool(
        await transaction.fetchval(
            """
            SELECT EXISTS (SELECT FROM assignments
                WHERE conversation_id = $1 AND team_id = $2 AND started_at >= (
                    SELECT at FROM workflow_run_steps WHERE run_id = $3 AND place = $4))
            """,
            run.conversation_id,
            step.team_id,
            run.id,
            run.steps_taken,
        )
    )


async def _let_go(
    transaction: Transaction, conversation: Conversation, run: WorkflowRun, step: AssignStep
) -> None:
    """The limit has passed: the team's own rules count again, unless a branch comes first."""
    await transaction.execute(
        """
        UPDATE conversations SET distribution = NULL, decision = $2::text::jsonb,
               version = version + 1
        WHERE id = $1
        """,
        conversation.id,
        encode(decision.by_hand(Rule.WORKFLOW_TIMEOUT, None)),
    )
    conversation.record(event.Kind.CONVERSATION_QUEUED, by=run.actor, rule=Rule.WORKFLOW_TIMEOUT)
    if step.on_timeout is None and conversation.team_id is not None:
        queue.follow(transaction, teams=[conversation.team_id])
