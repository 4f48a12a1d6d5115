"""Each promise is seen to be broken when it is; otherwise verify could be empty by mistake."""

from collections.abc import Iterable

import pytest

from models import Agent, Contact, Team, Workspace, invariant, snooze, verify
from models.base import Line
from models.closing import close
from models.contact_field import FieldKind
from models.database import Transaction, tx
from models.decision import Distribution
from models.invariant import Invariant
from models.merge import merge
from models.reopening import reopen
from models.report import invariant as report_invariant
from models.ticket import invariant as ticket_invariant
from models.verify import violations, violations_in
from models.webhook import invariant as webhook_invariant
from models.workflow import invariant as workflow_invariant
from models.workflow.definition import AssignStep, Trigger
from models.workflow.run import start_by_hand
from tests.conftest import Clock
from tests.factories import (
    A_TICKET,
    a_channel,
    a_contact,
    a_contact_field,
    a_conversation,
    a_message,
    a_team,
    a_ticket,
    a_webhook,
    a_workflow,
    an_agent,
    by_system,
    working,
)
from tests.published import published

NEWEST = "(SELECT max(seq) FROM events)"
A_FLOOR = "UPDATE logs SET floor_seq = 2"
SOME_DECISION = "UPDATE assignments SET decision = jsonb_set(decision, %s) WHERE rule <> 'PICKED'"
CHANGEABLE = "ALTER TABLE figures DISABLE TRIGGER figures_never_change;"
IMMUTABLE_NO_MORE = "SET LOCAL session_replication_role = replica"

# What is broken, and how; a statement first takes away the constraint that stands before it.
# What waits to be picked is to be given out by a workflow's step, which did not place it.
BY_A_STEP = """UPDATE conversations SET distribution = jsonb_build_object(
    'workflow', id, 'key', 'give', 'distribution', 'LEAST_OPEN', 'online_only', false)
    WHERE status = 'QUEUED' AND reserved_for_id IS NULL"""
CORRUPTIONS: list[tuple[Invariant | str, str]] = [
    (invariant.LOAD_COUNTS_ASSIGNED, "UPDATE agents SET load = load + 1"),
    (
        invariant.ONE_OPEN_ASSIGNMENT,
        "UPDATE assignments SET ended_at = relevo_now(), ending = 'CLOSED' WHERE ended_at IS NULL",
    ),
    (
        invariant.ONE_OPEN_ASSIGNMENT,
        "UPDATE assignments SET ended_at = NULL, ending = NULL WHERE ending = 'CLOSED'",
    ),
    (
        invariant.ONE_OPEN_ASSIGNMENT,
        "UPDATE assignments a SET agent_id = b.id FROM agents b WHERE b.id <> a.agent_id",
    ),
    (
        invariant.STATUS_SAYS_WHERE,
        "ALTER TABLE conversations DROP CONSTRAINT conversations_queued_somewhere;"
        "UPDATE conversations SET queued_at = NULL",
    ),
    (
        invariant.STATUS_SAYS_WHERE,
        "ALTER TABLE conversations DROP CONSTRAINT conversations_assigned_to_somebody;"
        "UPDATE conversations SET assignee_id = NULL WHERE status = 'ASSIGNED'",
    ),
    (
        invariant.ONE_OPEN_CONVERSATION,
        "DROP INDEX conversations_one_open_per_contact_and_channel;"
        "UPDATE conversations SET contact_id = (SELECT id FROM contacts LIMIT 1),"
        " channel_id = (SELECT id FROM channels LIMIT 1)",
    ),
    (invariant.NUMBERS_WITHOUT_HOLES, "DELETE FROM events WHERE seq = 2"),
    (invariant.NUMBERS_WITHOUT_HOLES, f"{A_FLOOR}; DELETE FROM events WHERE seq = 3"),
    (invariant.NUMBERS_WITHOUT_HOLES, f"{A_FLOOR}; DELETE FROM events WHERE seq = {NEWEST} - 1"),
    (invariant.NUMBERS_WITHOUT_HOLES, f"UPDATE logs SET floor_seq = {NEWEST}"),
    (invariant.NUMBERS_WITHOUT_HOLES, f"UPDATE logs SET floor_seq = {NEWEST} + 1"),
    (invariant.NUMBERS_WITHOUT_HOLES, "DELETE FROM events WHERE seq <= 2"),
    (
        invariant.AUDIT_KEPT_BELOW_THE_FLOOR,
        f"{A_FLOOR}; UPDATE events SET kind = 'NOTE_ADDED' WHERE seq = 1",
    ),
    (
        invariant.TIME_FOLLOWS_NUMBERS,
        f"UPDATE events SET logged_at = logged_at - interval '1 day' WHERE seq = {NEWEST}",
    ),
    (
        invariant.CLOSED_BY_A_CLOSURE,
        "UPDATE closures SET closed_at = closed_at - interval '1 second'",
    ),
    (
        invariant.CLOSURE_HAS_AN_EVENT,
        "UPDATE events SET kind = 'NOTE_ADDED' WHERE kind = 'CONVERSATION_CLOSED'",
    ),
    (invariant.CLOSURE_HAS_AN_EVENT, f"{IMMUTABLE_NO_MORE}; DELETE FROM closures"),
    (
        invariant.CLOSURE_HAS_AN_EVENT,
        f"{A_FLOOR}; UPDATE events SET kind = 'NOTE_ADDED' WHERE kind = 'CONVERSATION_CLOSED'",
    ),
    (invariant.ASSIGNMENT_HAS_AN_EVENT, "UPDATE events SET data = data - 'assignment'"),
    (invariant.ASSIGNMENT_HAS_AN_EVENT, f"{A_FLOOR}; UPDATE events SET data = NULL"),
    (invariant.ASSIGNMENT_HAS_AN_EVENT, "DELETE FROM assignments WHERE ending = 'CLOSED'"),
    (
        invariant.TODOS_PER_LINE,
        "UPDATE teams SET is_todos = false WHERE is_todos AND line = 'SALES'",
    ),
    (invariant.TODOS_PER_LINE, "DELETE FROM logs"),
    (
        invariant.MEMBERS_IN_ORDER,
        "ALTER TABLE memberships DROP CONSTRAINT memberships_one_position;"
        "UPDATE memberships SET position = 1",
    ),
    (invariant.TARGETS_FIT_THEIR_LINE, "UPDATE channels SET support_team_id = sales_team_id"),
    (invariant.LINE_IS_ITS_TEAMS, "UPDATE conversations SET line = 'SUPPORT'"),
    (
        invariant.OF_A_TEAM_THAT_IS_THERE,
        "UPDATE teams SET is_active = false WHERE NOT is_todos",
    ),
    (
        invariant.ANSWERS_KEPT,
        "INSERT INTO idempotency_keys (workspace_id, actor_id, mutation, key, input_hash)"
        " SELECT id, id, 'm', 'k', '' FROM workspaces",
    ),
    (
        invariant.INBOUND_ONCE,
        "DROP INDEX messages_inbound_once; UPDATE messages SET external_id = 'wamid.1',"
        " channel_id = (SELECT id FROM channels LIMIT 1)",
    ),
    (
        invariant.GROUPS_FORM_TREES,
        "UPDATE teams a SET parent_id = b.id FROM teams b"
        " WHERE a.id <> b.id AND NOT (a.is_todos OR b.is_todos)"
        " AND a.line = 'SALES' AND b.line = 'SALES'",
    ),
    (
        invariant.MESSAGES_BELONG,
        "UPDATE messages m SET channel_id = c.id FROM channels c WHERE c.id <> m.channel_id",
    ),
    (
        invariant.LAST_MESSAGE_BELONGS,
        "UPDATE conversations SET last_message_id = gen_random_uuid()",
    ),
    (invariant.LAST_MESSAGE_BELONGS, "UPDATE messages SET direction = 'NOTE'"),
    (
        invariant.RESERVED_WHILE_WAITING,
        "ALTER TABLE conversations DROP CONSTRAINT conversations_reserved_while_waiting;"
        "UPDATE conversations SET status = 'BOT' WHERE reserved_for_id IS NOT NULL",
    ),
    (
        invariant.RESERVED_WHILE_WAITING,
        "ALTER TABLE conversations DROP CONSTRAINT conversations_reserved_for;"
        "UPDATE conversations SET reserved_for_id = workspace_id WHERE status = 'QUEUED'",
    ),
    (invariant.RESERVED_WHILE_WAITING, "UPDATE conversations SET reserved_until = relevo_now()"),
    (invariant.RESERVED_FOR_THE_OWNER, "UPDATE contacts SET owner_agent_id = NULL"),
    (
        invariant.RESERVED_FOR_THE_OWNER,
        "UPDATE contacts c SET owner_agent_id = a.id FROM agents a WHERE a.id <> c.owner_agent_id",
    ),
    (
        invariant.VALUES_FIT_THEIR_FIELDS,
        "UPDATE contact_fields SET choices = '[\"L\"]' WHERE kind = 'CHOICE'",
    ),
    (
        invariant.VALUES_FIT_THEIR_FIELDS,
        "UPDATE contact_fields SET kind = 'NUMBER' WHERE kind = 'TEXT'",
    ),
    (
        invariant.VALUES_FIT_THEIR_FIELDS,
        "UPDATE contact_fields SET kind = 'DATE' WHERE kind = 'TEXT'",
    ),
    (
        invariant.VALUES_FIT_THEIR_FIELDS,
        "UPDATE contacts SET field_values = jsonb_build_object(f.id, 7) FROM contact_fields f",
    ),
    (
        invariant.BOT_HOLDS_ALONE,
        "ALTER TABLE conversations DROP CONSTRAINT conversations_held_only_when_worked;"
        "UPDATE conversations SET status = 'BOT' WHERE status = 'ASSIGNED'",
    ),
    (
        invariant.BOT_HOLDS_ALONE,
        "UPDATE conversations SET status = 'BOT', assignee_id = NULL WHERE status = 'ASSIGNED'",
    ),
    (invariant.COUNTED_WHILE_ASSIGNED, "UPDATE assignments SET is_counted = NOT is_counted"),
    (
        invariant.COUNTED_WHILE_ASSIGNED,
        "UPDATE conversations SET status = 'SNOOZED' WHERE status = 'ASSIGNED'",
    ),
    (
        invariant.SNOOZED_FOR_A_TIME,
        "ALTER TABLE conversations DROP CONSTRAINT conversations_snoozed_by_somebody;"
        "UPDATE conversations SET assignee_id = NULL WHERE status = 'SNOOZED'",
    ),
    (
        invariant.SNOOZED_FOR_A_TIME,
        "ALTER TABLE conversations DROP CONSTRAINT conversations_wake_from_a_snooze;"
        "UPDATE conversations SET snoozed_until = relevo_now() WHERE status = 'QUEUED'",
    ),
    (
        invariant.SKIPPED_WHILE_WAITING,
        "UPDATE conversations SET skipped_agent_id = assignee_id, skipped_until = relevo_now()"
        " WHERE status = 'ASSIGNED'",
    ),
    *[
        (
            invariant.MERGED_HAVE_NOTHING,
            f"UPDATE {table} SET contact_id = o.id FROM contacts o"
            " WHERE o.merged_into_id IS NOT NULL"
            f" AND {table}.id = (SELECT id FROM {table} LIMIT 1)",
        )
        for table in ("conversations", "contact_identities")
    ],
    (
        invariant.MERGED_HAVE_NOTHING,
        "UPDATE tickets SET requester_id = o.id FROM contacts o WHERE o.merged_into_id IS NOT NULL",
    ),
    (webhook_invariant.WITHIN_THE_LOG, f"UPDATE webhooks SET delivered_seq = {NEWEST} + 1"),
    (webhook_invariant.WEBHOOK_HAS_AN_EVENT, "UPDATE webhooks SET id = gen_random_uuid()"),
    (ticket_invariant.TICKETS_WITHOUT_HOLES, "UPDATE tickets SET number = 4 WHERE number = 3"),
    (
        ticket_invariant.TICKETS_WITHOUT_HOLES,
        "ALTER TABLE tickets DROP CONSTRAINT tickets_number_once;UPDATE tickets SET number = 1",
    ),
    (ticket_invariant.TICKET_HAS_AN_EVENT, "DELETE FROM tickets WHERE number = 2"),
    (
        ticket_invariant.TICKET_HAS_AN_EVENT,
        "UPDATE events SET kind = 'TICKET_UPDATED' WHERE kind = 'TICKET_CREATED'",
    ),
    (
        ticket_invariant.TICKET_HAS_AN_EVENT,
        f"{A_FLOOR}; UPDATE events SET kind = 'TICKET_UPDATED' WHERE kind = 'TICKET_CREATED'",
    ),
    (invariant.MERGED_BY_A_MERGE, "UPDATE contact_merges SET split_at = relevo_now()"),
    (invariant.MERGED_BY_A_MERGE, "UPDATE contacts SET merged_into_id = NULL"),
    (
        invariant.MERGED_BY_A_MERGE,
        "UPDATE contact_merges SET survivor_id = (SELECT id FROM contacts"
        " WHERE id NOT IN (survivor_id, merged_id) LIMIT 1)",
    ),
    *[
        (report_invariant.COUNTED_AS_IT_HAPPENED, f"{CHANGEABLE} {change}")
        for change in (
            "DELETE FROM figures WHERE measure = 'CLOSED'",
            "DELETE FROM figures WHERE measure = 'MESSAGE_RECEIVED'",
            "UPDATE figures SET agent_id = conversation_id WHERE measure = 'ASSIGNED'",
            "UPDATE figures SET detail = 'AGENT' WHERE measure = 'CLOSED'",
            "INSERT INTO figures SELECT * FROM figures WHERE measure = 'ASSIGNED'",
            "DELETE FROM figures WHERE measure = 'UNASSIGNED'",
            "UPDATE figures SET detail = 'ANSWER_TIMEOUT' WHERE measure = 'UNASSIGNED'",
        )
    ],
    (
        report_invariant.OPENED_ONCE,
        f"{CHANGEABLE} DELETE FROM figures WHERE measure = 'OPENED'",
    ),
    (
        report_invariant.OPENED_ONCE,
        "INSERT INTO figures SELECT * FROM figures WHERE measure = 'OPENED'",
    ),
    (report_invariant.STAYS_WHILE_WAITING, "DELETE FROM queue_stays"),
    (
        report_invariant.STAYS_WHILE_WAITING,
        "UPDATE queue_stays SET team_id = conversation_id WHERE left_at IS NULL",
    ),
    (
        report_invariant.STAYS_WHILE_WAITING,
        "UPDATE conversations SET status = 'CLOSED', closed_at = relevo_now(),"
        " reserved_for_id = NULL"
        " WHERE status = 'QUEUED'",
    ),
    (
        report_invariant.AVAILABLE_AS_IT_IS,
        "DELETE FROM availability_intervals WHERE ended_at IS NULL",
    ),
    (report_invariant.AVAILABLE_AS_IT_IS, "UPDATE agents SET accepts_new = NOT accepts_new"),
    (
        report_invariant.AVAILABLE_AS_IT_IS,
        "UPDATE agents SET availability = 'AWAY' WHERE is_connected",
    ),
    (
        ticket_invariant.CLOSED_WITH_ITS_HISTORY,
        "UPDATE conversations SET ticket_link = 'PROPOSED' WHERE ticket_id IS NOT NULL",
    ),
    *[
        (promise, f"{IMMUTABLE_NO_MORE}; DELETE FROM ticket_actions")
        for promise in (
            ticket_invariant.CLOSED_WITH_ITS_HISTORY,
            ticket_invariant.SUPPORT_CLOSED_WITH_A_TICKET,
        )
    ],
    (
        ticket_invariant.SUPPORT_CLOSED_WITH_A_TICKET,
        "UPDATE conversations c SET line = 'SUPPORT' WHERE status = 'CLOSED'",
    ),
    (
        ticket_invariant.SUPPORT_CLOSED_WITH_A_TICKET,
        "UPDATE assignments SET line = 'SUPPORT' WHERE ending = 'CLOSED'",
    ),
    *[
        (ticket_invariant.PARTS_APART, f"{IMMUTABLE_NO_MORE}; UPDATE ticket_actions SET {change}")
        for change in ("messages_after = NULL", "messages_until = messages_until + '1 s'")
    ],
    (
        workflow_invariant.WORKFLOWS_GIVE_TO_WHO_IS_THERE,
        "UPDATE teams SET is_active = false WHERE NOT is_todos",
    ),
    (workflow_invariant.WORKFLOWS_GIVE_TO_WHO_IS_THERE, "UPDATE agents SET is_active = false"),
    (workflow_invariant.WORKFLOWS_GIVE_TO_WHO_IS_THERE, "UPDATE agents SET role = 'AUDITOR'"),
    (workflow_invariant.RUNS_KNOW_THEIR_NEXT_STEP, "UPDATE workflow_runs SET next_key = 'nowhere'"),
    (workflow_invariant.RUNS_KNOW_THEIR_NEXT_STEP, "UPDATE workflow_runs SET status = 'STARTING'"),
    (workflow_invariant.RUNS_ARE_RECORDED, "DELETE FROM workflow_run_steps"),
    (workflow_invariant.RUNS_ARE_RECORDED, "UPDATE workflow_run_steps SET place = place + 1"),
    (invariant.NO_IDLE_CAPACITY, "UPDATE teams SET distribution = 'ROUND_ROBIN'"),
    (invariant.NO_IDLE_CAPACITY, BY_A_STEP),
    (verify.ROUTED_AGAIN, BY_A_STEP),
    (verify.DECIDED_AGAIN, SOME_DECISION % "'{winner}', to_jsonb(conversation_id)"),
    (verify.DECIDED_AGAIN, SOME_DECISION % "'{candidates,0,verdict}', '\"LOST_TURN\"'"),
    (verify.DECIDED_AGAIN, SOME_DECISION % "'{candidates,0,accepts_new}', 'false'"),
    (verify.ROUTED_AGAIN, SOME_DECISION % "'{rule}', '\"TODOS\"'"),
    (verify.ROUTED_AGAIN, SOME_DECISION % "'{winner}', to_jsonb(conversation_id)"),
    (verify.ROUTED_AGAIN, SOME_DECISION % "'{routed,passed}', '[\"BOT_FIRST\"]'"),
    (verify.ROUTED_AGAIN, SOME_DECISION % "'{routed,facts,target_team_id}', 'null'"),
    (verify.ROUTED_AGAIN, "UPDATE conversations SET reserved_for_id = NULL"),
    (
        verify.ROUTED_AGAIN,
        "UPDATE conversations SET status = 'QUEUED', queued_at = opened_at WHERE status = 'BOT'",
    ),
    (
        verify.ROUTED_AGAIN,
        "UPDATE conversations SET team_id = (SELECT id FROM teams WHERE NOT is_todos LIMIT 1)"
        " WHERE team_id IN (SELECT id FROM teams WHERE is_todos)",
    ),
    (verify.WITHIN_LIMIT, SOME_DECISION % "'{candidates,0,capacity}', '0'"),
    (workflow_invariant.WAITS_HAVE_RUNS, BY_A_STEP),
    (workflow_invariant.WORKFLOWS_IN_ORDER, "UPDATE workflows SET position = 1"),
    (
        workflow_invariant.RUNS_AS_PUBLISHED_LAST,
        "UPDATE workflows SET revision_id = (SELECT id FROM workflow_revisions LIMIT 1)",
    ),
    (
        workflow_invariant.RUNS_AS_PUBLISHED_LAST,
        "INSERT INTO workflow_revisions"
        " (id, workspace_id, workflow_id, number, trigger, is_once, definition)"
        " SELECT gen_random_uuid(), workspace_id, workflow_id, 2, trigger, is_once, definition"
        " FROM workflow_revisions",
    ),
    (
        workflow_invariant.RUNS_AS_PUBLISHED_LAST,
        "ALTER TABLE workflow_revisions DISABLE TRIGGER workflow_revisions_never_change;"
        "UPDATE workflow_revisions SET is_once = NOT is_once",
    ),
]


@pytest.fixture
async def office(workspace: Workspace) -> Workspace:
    """A row for every promise to be broken by."""
    await an_answered_one(workspace)
    manual = await a_team(workspace)
    automatic = await a_team(workspace, distribution=Distribution.LEAST_OPEN)
    agent = await an_agent(workspace, teams=[automatic])
    await a_conversation(workspace, team=automatic)
    closed = await a_conversation(workspace, team=automatic)
    async with working(closed.id, by=by_system(workspace)) as conversation:
        await close(conversation, by=by_system(workspace))
    other = await an_agent(workspace, teams=[manual, automatic])
    for _ in range(2):
        await a_conversation(workspace, team=manual)
    taken = await a_conversation(workspace, team=manual, holder=other)
    async with working(taken.id, by=by_system(workspace)) as conversation:
        await conversation.assign(agent.id, by=by_system(workspace))
    put_off = await a_conversation(workspace, team=manual, holder=agent)
    async with working(put_off.id, by=by_system(workspace)) as conversation:
        await snooze.begin(conversation, by=by_system(workspace))
    await an_owned_one(workspace, with_bot=True)
    await an_owned_one(workspace, with_bot=False)
    twins = [await a_contact(await a_channel(workspace)) for _ in range(2)]
    await merge(survivor_id=twins[0].id, merged_id=twins[1].id, by=by_system(workspace))
    await a_known_one(workspace)
    for _ in range(2):
        await a_ticket(twins[0])
    await a_waiting_run(workspace, manual, automatic, agent)
    await a_webhook(workspace)
    return workspace


async def a_waiting_run(workspace: Workspace, manual: Team, automatic: Team, agent: Agent) -> None:
    """Workflows that give to each kind of target, and one that waits for somebody."""
    for target in ({"team_id": automatic.id}, {"agent_id": agent.id}):
        await a_workflow(workspace, AssignStep(key="give", **target), published=True)
    give = AssignStep(key="give", team_id=manual.id)
    workflow = await published(workspace, give, trigger=Trigger.MANUAL)
    waiting = await a_conversation(workspace)
    await start_by_hand(workflow, waiting.id, by=by_system(workspace))


async def an_answered_one(workspace: Workspace) -> None:
    """A question that came to a department, and came again, with a ticket of its own."""
    by = by_system(workspace)
    asked = await a_conversation(workspace, team=await a_team(workspace, line=Line.SUPPORT))
    async with working(asked.id, by=by) as conversation:
        await close(conversation, by=by, ticket=A_TICKET)
    await reopen(asked.id, by=by)
    async with working(asked.id, by=by) as conversation:
        await close(conversation, by=by)


async def a_known_one(workspace: Workspace) -> None:
    """A contact with a value of every kind."""
    values = {
        FieldKind.TEXT: "Lima",
        FieldKind.NUMBER: "-1.5",
        FieldKind.DATE: "2026-11-22",
        FieldKind.CHOICE: "S",
    }
    fields = [
        await a_contact_field(workspace, kind=kind, choices=["S"] if kind == "CHOICE" else [])
        for kind in values
    ]
    given = [(field.id, values[field.kind]) for field in fields]
    await Contact.add(by=by_system(workspace), name="Ada", values=given)


async def an_owned_one(workspace: Workspace, *, with_bot: bool) -> None:
    """It waits with the bot, or for its owner, who is away."""
    channel = await a_channel(workspace, bot=with_bot)
    await a_contact(channel, owner_agent=await an_agent(workspace, connected=False))
    await a_message(channel, sender="ada")


class Undone(Exception):
    """Rolls a transaction back."""


async def seen_after(corruption: str, promises: Iterable[Invariant]) -> set[str]:
    """The promises that verify finds broken, in a transaction that then never was."""
    found: set[str] = set()
    try:
        async with tx() as transaction:
            await transaction.execute(corruption)
            found |= {v.invariant for v in await violations_in(transaction, promises)}
            raise Undone
    except Undone:
        return found


@pytest.mark.parametrize(
    ("broken", "corruption"),
    CORRUPTIONS,
    ids=[f"{n}-{b if isinstance(b, str) else b.promise}" for n, (b, _) in enumerate(CORRUPTIONS)],
)
async def test_a_broken_promise_is_seen(
    office: Workspace, broken: Invariant | str, corruption: str
) -> None:
    promises = [*verify.ALWAYS, invariant.NO_IDLE_CAPACITY]
    name = broken if isinstance(broken, str) else broken.promise

    assert await seen_after(corruption, promises) >= {name}


def test_every_promise_is_tried() -> None:
    tried = {broken for broken, _ in CORRUPTIONS if isinstance(broken, Invariant)}

    assert tried == {*verify.ALWAYS, invariant.NO_IDLE_CAPACITY}


async def test_a_tree_may_be_ten_deep(workspace: Workspace) -> None:
    team = await a_team(workspace)
    for _ in range(9):
        team = await a_team(workspace, parent=team)

    assert await violations() == []


@pytest.mark.leaves_violations
async def test_the_report_is_bounded_and_of_one_form(workspace: Workspace) -> None:
    for _ in range(verify.BREACHES_MAX + 5):
        await an_agent(workspace)
    await Agent.all().update(load=3)

    found = await violations()

    assert len(found) == verify.BREACHES_MAX
    assert {violation.invariant for violation in found} == {invariant.LOAD_COUNTS_ASSIGNED.promise}
    assert all("has load 3 and holds 0" in violation.detail for violation in found)


@pytest.mark.leaves_violations
async def test_what_a_running_drain_will_settle_can_be_left_out(
    workspace: Workspace, clock: Clock
) -> None:
    department = await a_team(workspace, line=Line.SUPPORT)
    channel = await a_channel(workspace, team=department)
    await an_agent(workspace, teams=[department])
    await a_conversation(workspace, channel=channel)
    async with tx() as transaction:
        await _distribute_by_load(transaction)

    assert [violation.invariant for violation in await violations()] == [
        invariant.NO_IDLE_CAPACITY.promise
    ]
    assert await violations(settled=False) == []


async def _distribute_by_load(transaction: Transaction) -> None:
    await transaction.execute("UPDATE teams SET distribution = 'LEAST_OPEN' WHERE NOT is_todos")
