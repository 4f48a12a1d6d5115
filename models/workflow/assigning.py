"""The step ASSIGN: whom a workflow gives a conversation to, and how long it waits in a queue."""

from dataclasses import replace
from datetime import datetime
from functools import partial
from uuid import UUID

from models import decision, event, placement, queue
from models.access import Actor
from models.channel import Channel, require_line
from models.conversation import Conversation, Status
from models.database import Transaction, encode, fetch, retrying, tx
from models.decision import Rule, Settings
from models.team import Team
from models.workflow import ahead
from models.workflow.definition import AssignStep
from models.workflow.run import StepOutcome, Taken, WorkflowRun

# Whom somebody chose a place for is left there, but by a step that reassigns.
_CHOSEN = frozenset({Rule.OWNER, Rule.HANDED_OFF, Rule.TRANSFERRED, Rule.WORKFLOW})
# Whom a workflow put into a queue, or gave up to it: perhaps nobody looked since.
_LEFT = (Rule.WORKFLOW, Rule.WORKFLOW_TIMEOUT)


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
        placed = await ahead.placed_by(transaction, conversation.id)
        if placed and (placed[0].workflow_id, placed[0].key) == (run.workflow_id, step.key):
            return await _placed(transaction, conversation, run, step, since=placed[1])
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
        await _let_go(transaction, conversation, by=run.actor)
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


async def _placed(
    transaction: Transaction,
    conversation: Conversation,
    run: WorkflowRun,
    step: AssignStep,
    *,
    since: datetime,
) -> Taken:
    """Routed by this very step already, before the run began: since then it waits."""
    if not _waits(conversation, step):
        return Taken(next_key=step.next)
    await _end_other_waits(transaction, run)
    return replace(_waiting(step), waits_since=since)


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
    ended = await transaction.fetch(
        """
        UPDATE workflow_runs SET status = 'ENDED', next_key = NULL, due_at = NULL,
               ended_at = relevo_now()
        WHERE conversation_id = $1 AND status = 'WAITING' AND id <> $2 RETURNING id
        """,
        run.conversation_id,
        run.id,
    )
    for other in await WorkflowRun.filter(id__in=[row["id"] for row in ended]).order_by("id"):
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


async def let_go_with(transaction: Transaction, run: WorkflowRun) -> None:
    """A run is over: what still waits where it, or routing ahead of it, put it is its team's to
    give out now, unless another run of its workflow has it.
    """
    if run.conversation_id is None or not await _may_wait(transaction, run.conversation_id):
        return
    conversation = await Conversation.locked(run.conversation_id, by=run.actor)
    rule = (conversation.decision or {}).get("rule")
    if conversation.queue_id is None or rule not in _LEFT:
        return
    if rule == Rule.WORKFLOW:
        if not await _is_left(transaction, conversation, run):
            return
        await _let_go(transaction, conversation, by=run.actor)
    queue.follow(transaction, teams=[conversation.queue_id])


async def _may_wait(transaction: Transaction, conversation_id: UUID) -> bool:
    """Whether it is worth locking: most of what runs are about waits for nobody."""
    return bool(
        await transaction.fetchval(
            """
            SELECT EXISTS (SELECT FROM conversations WHERE id = $1 AND status = 'QUEUED'
                AND decision ->> 'rule' = ANY($2))
            """,
            conversation_id,
            [rule.value for rule in _LEFT],
        )
    )


async def _is_left(transaction: Transaction, conversation: Conversation, run: WorkflowRun) -> bool:
    """Whether it waits as this run's workflow said, of which no other run is going there."""
    by_settings = (conversation.distribution or {}).get("workflow")
    placed = await ahead.placed_by(transaction, conversation.id)
    if run.workflow_id not in (
        UUID(by_settings) if by_settings else None,
        placed[0].workflow_id if placed else None,
    ):
        return False
    others = WorkflowRun.filter(
        conversation_id=conversation.id, workflow_id=run.workflow_id, due_at__isnull=False
    )
    return not await others.exclude(id=run.id).exists()


async def _let_go(transaction: Transaction, conversation: Conversation, *, by: Actor) -> None:
    """From now on the team's own rules count."""
    await transaction.execute(
        """
        UPDATE conversations SET distribution = NULL, decision = $2::text::jsonb,
               version = version + 1
        WHERE id = $1
        """,
        conversation.id,
        encode(decision.by_hand(Rule.WORKFLOW_TIMEOUT, None)),
    )
    conversation.record(event.Kind.CONVERSATION_QUEUED, by=by, rule=Rule.WORKFLOW_TIMEOUT)


async def let_go_of_lost(limit: int) -> int:
    """Let go what waits by the settings of a workflow that has no going run of it.

    None is left so but by a change of the workflow at the very moment of routing. Returns how many.
    """
    rows = await fetch(f"{_LOST} LIMIT $1", limit)
    for row in rows:
        await retrying(partial(_let_go_of, row["id"], Actor.system(row["workspace_id"])))
    return len(rows)


async def _let_go_of(id: UUID, by: Actor) -> None:
    async with tx() as transaction:
        conversation = await Conversation.locked(id, by=by)
        if await transaction.fetchval(f"SELECT EXISTS ({_LOST} AND c.id = $1)", id):
            await _let_go(transaction, conversation, by=by)
            if conversation.queue_id is not None:
                queue.follow(transaction, teams=[conversation.queue_id])


_LOST = """
    SELECT c.id, c.workspace_id, c.distribution ->> 'workflow' AS workflow FROM conversations c
    WHERE c.status = 'QUEUED' AND c.distribution IS NOT NULL AND NOT EXISTS (
        SELECT FROM workflow_runs r
        WHERE r.conversation_id = c.id AND r.due_at IS NOT NULL
          AND r.workflow_id = (c.distribution ->> 'workflow')::uuid)
"""
