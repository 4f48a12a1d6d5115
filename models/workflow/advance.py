"""Going on with runs: each step is one transaction, so that its effect and its record are one.

Runs begin in the transaction of what triggers them; directly after its commit the same process
goes on with them, and a sweep with what a crash left. Nobody repeats a step, and none is lost.
"""

from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import partial
from uuid import UUID

import asyncpg
import orjson
import structlog

from models import event
from models.database import (
    Raced,
    Transaction,
    attempt,
    fetch,
    is_retryable,
    retrying,
    tx,
    when_runs_are_due,
)
from models.errors import Busy, DomainError, OutcomeUnknown
from models.workflow import assigning, condition, effect
from models.workflow.ahead import ahead_of
from models.workflow.definition import STEPS_MAX, AssignStep, Definition, Step
from models.workflow.run import RunStatus, StepOutcome, Taken, WorkflowRun, has_begun, read_facts

# What a command goes on with before it answers; the rest is the sweep's.
STEPS_AT_ONCE_MAX = 20
# A step that waits leaves two records.
RECORDS_MAX = 2 * STEPS_MAX
ENDED = (RunStatus.ENDED, RunStatus.FAILED)
OUR_FAULT = "INTERNAL_SERVER_ERROR"
# A run goes on when its time has come, or when what it waits for no longer waits for it.
_DUE = """r.due_at IS NOT NULL AND (r.due_at <= (SELECT relevo_now()) OR (
    r.status = 'WAITING' AND (SELECT c.status = 'QUEUED' AND c.decision ->> 'rule' = 'WORKFLOW'
        FROM conversations c WHERE c.id = r.conversation_id) IS NOT TRUE))"""
# When the first one goes on, if it does within the interval $1.
NEXT = """
    SELECT min(due_at) AS due_at FROM workflow_runs
    WHERE due_at <= (SELECT relevo_now() + $1::interval)
"""
# The runs of one conversation go one after the other; those of a contact that has none likewise.
_PLACE = "coalesce(r.conversation_id, r.contact_id)"

# What is no fault of the run, which goes on as soon as the server does.
_PASSING = (
    Busy,
    OutcomeUnknown,
    OSError,
    TimeoutError,
    asyncpg.QueryCanceledError,
    asyncpg.InsufficientResourcesError,
    asyncpg.ReadOnlySQLTransactionError,
)

log = structlog.get_logger(__name__)


@dataclass(slots=True)
class _Going:
    """What is gone on with at once; what becomes due on the way joins it."""

    steps_max: int
    steps: int = 0
    conversations: set[UUID] = field(default_factory=set)
    contacts: set[UUID] = field(default_factory=set)
    failures: list[Exception] = field(default_factory=list)
    is_over: bool = False

    @property
    def may_go_on(self) -> bool:
        return self.steps < self.steps_max

    async def go_on(self) -> None:
        while self.may_go_on and (self.conversations or self.contacts):
            conversations, contacts = list(self.conversations), list(self.contacts)
            self.conversations.clear()
            self.contacts.clear()
            for place in await _due_places(conversations, contacts):
                await self.go_on_at(place)

    async def go_on_at(self, place: UUID) -> None:
        """Take every step that is due in one conversation; what fails there holds up no other."""
        try:
            while self.may_go_on and await _take_one(place):
                self.steps += 1
        except Exception as error:  # noqa: BLE001 - a sweep tries again
            self.failures.append(error)


_going: ContextVar[_Going | None] = ContextVar("relevo_going_runs", default=None)


async def go_on(conversation_ids: set[UUID], contact_ids: set[UUID]) -> None:
    """Go on with what is due of these conversations and contacts; never raises.

    Inside a step it only says so to whoever takes the step, who goes on with them then.
    """
    outer = _going.get()
    if outer is not None and not outer.is_over:
        outer.conversations |= conversation_ids
        outer.contacts |= contact_ids
        return
    going = _Going(STEPS_AT_ONCE_MAX, conversations=conversation_ids, contacts=contact_ids)
    await _run(going)
    for error in going.failures:
        # The command is committed whatever became of this; a sweep goes on.
        log.error("workflow runs interrupted", error=repr(error))


async def go_on_due(batch_size: int) -> int:
    """Take at most so many steps that are due anywhere; returns how many."""
    going = _Going(batch_size)
    await _run(going, await _places_due(batch_size))
    if going.failures:
        raise ExceptionGroup("Some workflow runs did not go on.", going.failures)
    return going.steps


async def _run(going: _Going, places: list[UUID] | None = None) -> None:
    token = _going.set(going)
    try:
        for place in places or []:
            await going.go_on_at(place)
        await going.go_on()
    except Exception as error:  # noqa: BLE001 - told by whoever asked
        going.failures.append(error)
    finally:
        going.is_over = True
        _going.reset(token)


async def _due_places(conversations: list[UUID], contacts: list[UUID]) -> list[UUID]:
    rows = await fetch(
        f"""
        SELECT {_PLACE} AS place FROM workflow_runs r
        WHERE {_DUE} AND (r.conversation_id = ANY($1) OR r.contact_id = ANY($2))
        GROUP BY 1 ORDER BY min(r.due_at)
        """,  # noqa: S608 - constants
        conversations,
        contacts,
    )
    return [row["place"] for row in rows]


async def _places_due(limit: int) -> list[UUID]:
    rows = await fetch(
        f"""
        SELECT {_PLACE} AS place FROM workflow_runs r WHERE {_DUE}
        GROUP BY 1 ORDER BY min(r.due_at) LIMIT $1
        """,  # noqa: S608 - constants
        limit,
    )
    return [row["place"] for row in rows]


async def _take_one(place: UUID) -> bool:
    """Take the step that is due first; whether there was one, and nobody else takes it."""
    seen: list[WorkflowRun] = []
    try:
        return await retrying(partial(_advance_first, place, seen))
    except Exception as error:
        if not seen or _is_passing(error):
            raise
        # A fault of ours, or of what is stored: it would fail for ever.
        log.exception("workflow run failed", run=str(seen[-1].id))
        await retrying(partial(_give_up, seen[-1].id))
        return True


def _is_passing(error: Exception) -> bool:
    return is_retryable(error) or isinstance(error, _PASSING)


async def _advance_first(place: UUID, seen: list[WorkflowRun]) -> bool:
    async with tx() as transaction:
        run = await _first_due(transaction, place)
        if run is None:
            return False
        seen.append(run)
        return await _advance(transaction, run)


async def _first_due(transaction: Transaction, place: UUID) -> WorkflowRun | None:
    """Locked; none while somebody else goes on here, who looks again after every step."""
    is_ours = await transaction.fetchval(
        "SELECT pg_try_advisory_xact_lock(hashtextextended($1, 0))", f"runs {place}"
    )
    if not is_ours:
        return None
    id = await transaction.fetchval(
        f"""
        SELECT r.id FROM workflow_runs r WHERE {_DUE}
          AND (r.conversation_id = $1 OR (r.conversation_id IS NULL AND r.contact_id = $1))
        ORDER BY r.due_at, r.position, r.id LIMIT 1
        """,  # noqa: S608 - constants
        place,
    )
    return await WorkflowRun.fetch_one("id = $1 AND due_at IS NOT NULL", id, lock=True)


async def _advance(transaction: Transaction, run: WorkflowRun) -> bool:
    definition = await _definition(transaction, run)
    if run.status is RunStatus.STARTING and not await _begins(transaction, run, definition):
        await transaction.execute("DELETE FROM workflow_runs WHERE id = $1", run.id)
        await assigning.let_go_with(transaction, run)
        return True
    step = definition.by_key[run.next_key or definition.steps[0].key]
    if run.steps_taken >= RECORDS_MAX:
        taken: Taken | None = Taken(outcome=StepOutcome.FAILED, failure="LIMIT_REACHED")
    else:
        taken = await _taken(transaction, run, step)
    if taken is None:
        return False
    await _record(transaction, run, step, taken)
    return True


async def _definition(transaction: Transaction, run: WorkflowRun) -> Definition:
    stored = await transaction.fetchval(
        "SELECT definition FROM workflow_revisions WHERE id = $1", run.revision_id
    )
    return Definition.recall(orjson.loads(stored))


async def _begins(transaction: Transaction, run: WorkflowRun, definition: Definition) -> bool:
    """Whether the conditions are met; and, of what runs once for each contact, whether it is new.

    Of several that begin at once for one contact the index lets one through: a repeated look finds
    it.
    """
    if run.is_once and await has_begun(transaction, run.workflow_id, run.contact_id):
        return False
    if not definition.conditions:
        return True
    before = await ahead_of(transaction, run)
    if before and before.is_way_of(run):
        # They were met when routing asked, and it placed by that.
        return True
    line = before.line if before else None
    facts = await read_facts(transaction, run, definition, line)
    return condition.met(definition.conditions, facts)


async def _taken(transaction: Transaction, run: WorkflowRun, step: Step) -> Taken | None:
    """What the step came to; refused by a rule, nothing of it stays."""
    try:
        async with attempt(transaction):
            if run.status is RunStatus.WAITING and isinstance(step, AssignStep):
                return await assigning.wait_on(step, run)
            return await effect.take(step, run)
    except DomainError as error:
        if error.retryable:
            raise
        return Taken(outcome=StepOutcome.FAILED, failure=error.code)


async def _record(transaction: Transaction, run: WorkflowRun, step: Step, taken: Taken) -> None:
    """What the step came to, and where the run stands after it."""
    status = _status(taken)
    try:
        await transaction.execute(
            """
            WITH step AS (
                INSERT INTO workflow_run_steps (
                    run_id, place, workspace_id, key, kind, outcome, failure, next_key)
                VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
            )
            UPDATE workflow_runs SET status = $9, next_key = $8, steps_taken = $2, failure = $7,
                ended_at = CASE WHEN $10 THEN clock.now END,
                due_at = CASE WHEN $10 THEN NULL
                    WHEN $11::int IS NULL THEN least(due_at, clock.now)
                    ELSE coalesce($12, clock.now) + make_interval(mins => $11) END
            FROM (SELECT relevo_now() AS now) clock WHERE id = $1
            """,
            run.id,
            run.steps_taken + 1,
            run.workspace_id,
            step.key,
            step.kind,
            taken.outcome.value,
            taken.failure,
            taken.next_key,
            status.value,
            status in ENDED,
            taken.waiting_minutes,
            taken.waits_since,
        )
    except asyncpg.UniqueViolationError as error:
        # Another run of this workflow began for this contact at the same moment.
        raise Raced from error
    if status in ENDED:
        _tell_ended(run, status, taken.failure)
        await assigning.let_go_with(transaction, run)


def _status(taken: Taken) -> RunStatus:
    if taken.outcome is StepOutcome.FAILED:
        return RunStatus.FAILED
    if taken.outcome is StepOutcome.WAITING:
        return RunStatus.WAITING
    return RunStatus.RUNNING if taken.next_key else RunStatus.ENDED


def _tell_ended(run: WorkflowRun, status: RunStatus, failure: str | None) -> None:
    if status is RunStatus.ENDED:
        run.record(event.Kind.WORKFLOW_RUN_ENDED)
    else:
        run.record(event.Kind.WORKFLOW_RUN_FAILED, failure=failure)


async def _give_up(id: UUID) -> None:
    """End a run that cannot go on, whatever the reason; what it did before stays."""
    async with tx() as transaction:
        run = await WorkflowRun.fetch_one("id = $1 AND due_at IS NOT NULL", id, lock=True)
        if run is None:
            return
        await transaction.execute(
            """
            UPDATE workflow_runs SET status = 'FAILED', failure = $2, due_at = NULL,
                   ended_at = relevo_now()
            WHERE id = $1
            """,
            id,
            OUR_FAULT,
        )
        _tell_ended(run, RunStatus.FAILED, OUR_FAULT)
        await assigning.let_go_with(transaction, run)


when_runs_are_due(go_on)
