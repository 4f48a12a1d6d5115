"""What reports are computed from: figures, stays in queues, availability, as it happened."""

from importlib import import_module
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest

from models import Agent, Channel, Team, Workspace, bot, closing, departure, idle, snooze
from models.access import Actor, ActorKind, Role
from models.agent import LEASE_SECONDS, lapse_presence
from models.base import IdlePeriod, Line
from models.closure import ClosingReason
from models.database import Transaction, attempt, fetch, fetchval, tx
from models.decision import Availability, Distribution
from models.errors import ConversationClosed
from models.event import Kind
from models.line_change import set_line
from models.opening import open_by_hand
from models.reopening import reopen
from models.report.figure import Measure, figures
from models.routing import hand_off
from models.transfer import transfer
from models.workflow.definition import AssignStep, Trigger
from models.workflow.run import start_by_hand
from tests.conftest import Clock, ConnectedTo, CopyOfDatabase
from tests.factories import (
    a_channel,
    a_contact,
    a_conversation,
    a_message,
    a_team,
    a_workspace,
    an_agent,
    as_agent,
    as_integration,
    by_system,
    confirmed,
    working,
)
from tests.published import published

ADA, BOB, TEAM, OTHER, REASON, HOLD, ID = (uuid4() for _ in range(7))
BY_ADA = {"actor_kind": ActorKind.AGENT, "actor_id": ADA}
BY_SYSTEM = {"actor_kind": ActorKind.SYSTEM}
BY_WORKFLOW = {"actor_kind": ActorKind.WORKFLOW, "actor_id": OTHER}
FOR_BOB = {"actor_kind": ActorKind.INTEGRATION, "actor_id": OTHER, "data": {"on_behalf_of": BOB}}
FROM_ADA = {"conversation_id": ID, "from_agent_id": ADA, "from_team_id": TEAM}
LOST = {"measure": "UNASSIGNED", "team_id": TEAM, "agent_id": ADA}
IN_TEAM = {"from_team_id": TEAM, "to_team_id": TEAM}
WITH_ADA = {"from_agent_id": ADA, "to_agent_id": ADA, **IN_TEAM}


@pytest.mark.parametrize(
    ("fact", "expected"),
    [
        (
            {"kind": Kind.CONVERSATION_OPENED, **BY_SYSTEM, "to_team_id": TEAM}
            | {"data": {"rule": "TODOS"}},
            [{"measure": "OPENED", "team_id": TEAM, "detail": "TODOS"}],
        ),
        (
            {"kind": Kind.CONVERSATION_OPENED, **BY_ADA, "data": {"rule": "OPENED_BY_HAND"}},
            [{"measure": "OPENED", "agent_id": ADA, "detail": "OPENED_BY_HAND"}],
        ),
        (
            {"kind": Kind.CONVERSATION_ASSIGNED, **BY_SYSTEM, **IN_TEAM, "to_agent_id": ADA}
            | {"data": {"rule": "PICKED", "assignment": HOLD}},
            [{"measure": "ASSIGNED", "team_id": TEAM, "agent_id": ADA, "detail": "PICKED"}],
        ),
        (
            {"kind": Kind.CONVERSATION_REOPENED, **BY_SYSTEM, **IN_TEAM, "to_agent_id": ADA}
            | {"data": {"rule": "STICKY", "assignment": HOLD}},
            [
                {"measure": "REOPENED", "team_id": TEAM, "agent_id": ADA, "detail": "STICKY"},
                {"measure": "ASSIGNED", "team_id": TEAM, "agent_id": ADA, "detail": "STICKY"},
            ],
        ),
        (
            {"kind": Kind.CONVERSATION_TRANSFERRED, **BY_SYSTEM, **FROM_ADA}
            | {"to_team_id": TEAM, "to_agent_id": BOB}
            | {"data": {"rule": "TRANSFERRED", "assignment": HOLD}},
            [
                {"measure": "TRANSFERRED", "team_id": TEAM, "agent_id": ADA, "detail": "AGENT"},
                {"measure": "ASSIGNED", "team_id": TEAM, "agent_id": BOB, "detail": "TRANSFERRED"},
            ],
        ),
        (
            {"kind": Kind.CONVERSATION_TRANSFERRED, **BY_SYSTEM, **FROM_ADA}
            | {"to_team_id": OTHER, "to_queue_id": OTHER},
            [{"measure": "TRANSFERRED", "team_id": TEAM, "agent_id": ADA, "detail": "TEAM"}],
        ),
        (
            {"kind": Kind.CONVERSATION_UNASSIGNED, **BY_SYSTEM, **FROM_ADA, "to_team_id": TEAM}
            | {"data": {"rule": "ANSWER_TIMEOUT"}},
            [{**LOST, "detail": "ANSWER_TIMEOUT"}],
        ),
        (
            {"kind": Kind.CONVERSATION_ASSIGNED, **BY_SYSTEM, **FROM_ADA, "to_team_id": TEAM}
            | {"to_agent_id": BOB, "data": {"rule": "ASSIGNED_BY_HAND", "assignment": HOLD}},
            [
                {**LOST, "detail": "ASSIGNED_BY_HAND"},
                {"measure": "ASSIGNED", "team_id": TEAM, "agent_id": BOB}
                | {"detail": "ASSIGNED_BY_HAND"},
            ],
        ),
        (
            {"kind": Kind.CONVERSATION_ASSIGNED, **BY_SYSTEM, **FROM_ADA, **WITH_ADA}
            | {"data": {"rule": "ASSIGNED_BY_HAND", "assignment": HOLD}},
            [
                {"measure": "ASSIGNED", "team_id": TEAM, "agent_id": ADA}
                | {"detail": "ASSIGNED_BY_HAND"},
            ],
        ),
        (
            {"kind": Kind.CONVERSATION_QUEUED, **BY_WORKFLOW, **FROM_ADA}
            | {"to_team_id": OTHER, "to_queue_id": OTHER, "data": {"rule": "WORKFLOW"}},
            [{**LOST, "detail": "WORKFLOW"}],
        ),
        ({"kind": Kind.BOT_RESUMED, **BY_SYSTEM, **FROM_ADA, "to_team_id": TEAM}, [LOST]),
        ({"kind": Kind.CONVERSATION_UNASSIGNED, **BY_SYSTEM, "conversation_id": ID}, []),
        ({"kind": Kind.AGENT_DEACTIVATED, **BY_SYSTEM, "from_agent_id": ADA}, []),
        (
            {"kind": Kind.BOT_PAUSED, **BY_ADA, **IN_TEAM, "to_agent_id": ADA}
            | {"data": {"rule": "BOT_PAUSED", "assignment": HOLD}},
            [{"measure": "ASSIGNED", "team_id": TEAM, "agent_id": ADA, "detail": "BOT_PAUSED"}],
        ),
        (
            {"kind": Kind.CONVERSATION_CLOSED, **BY_ADA, "from_agent_id": BOB, **IN_TEAM}
            | {"conversation_id": ID}
            | {"data": {"cause": "AGENT", "reason": REASON, "resolution_seconds": 0}},
            [
                {"measure": "CLOSED", "team_id": TEAM, "agent_id": BOB, "reason_id": REASON}
                | {"seconds": 0, "detail": "AGENT"}
            ],
        ),
        (
            {"kind": Kind.CONVERSATION_CLOSED, **BY_SYSTEM}
            | {"data": {"cause": "INACTIVE", "resolution_seconds": 7}},
            [{"measure": "CLOSED", "seconds": 7, "detail": "INACTIVE"}],
        ),
        (
            {"kind": Kind.MESSAGE_RECEIVED, "actor_kind": ActorKind.CONTACT, **WITH_ADA},
            [{"measure": "MESSAGE_RECEIVED", "team_id": TEAM, "agent_id": ADA}],
        ),
        (
            {"kind": Kind.MESSAGE_SENT, **BY_ADA, **IN_TEAM, "to_agent_id": BOB},
            [{"measure": "MESSAGE_SENT", "team_id": TEAM, "agent_id": ADA}],
        ),
        (
            {"kind": Kind.MESSAGE_SENT, **BY_ADA, **IN_TEAM, "data": {"first_response_seconds": 0}},
            [
                {"measure": "MESSAGE_SENT", "team_id": TEAM, "agent_id": ADA},
                {"measure": "FIRST_RESPONSE", "team_id": TEAM, "agent_id": ADA, "seconds": 0},
            ],
        ),
        (
            {"kind": Kind.MESSAGE_SENT, **FOR_BOB, **WITH_ADA},
            [{"measure": "MESSAGE_SENT", "team_id": TEAM, "agent_id": BOB}],
        ),
        (
            {"kind": Kind.MESSAGE_SENT, **BY_WORKFLOW, **WITH_ADA},
            [{"measure": "MESSAGE_SENT", "team_id": TEAM}],
        ),
        (
            {"kind": Kind.NOTE_ADDED, **BY_ADA, **IN_TEAM},
            [{"measure": "NOTE_ADDED", "team_id": TEAM, "agent_id": ADA}],
        ),
        ({"kind": Kind.CONTACT_CREATED, **BY_ADA}, [{"measure": "CONTACT_CREATED"}]),
        ({"kind": Kind.CONVERSATION_QUEUED, **BY_SYSTEM, "to_queue_id": TEAM}, []),
        ({"kind": Kind.CONVERSATION_SNOOZED, **BY_ADA, **WITH_ADA}, []),
        ({"kind": Kind.TEAM_CREATED, **BY_ADA, "to_team_id": TEAM}, []),
    ],
)
def test_an_event_counts_as(fact: dict[str, Any], expected: list[dict[str, Any]]) -> None:
    assert figures(fact) == expected


async def counted(*measures: Measure) -> list[tuple[Any, ...]]:
    """Agent, seconds and detail of what was counted, in its order."""
    rows = await fetch(
        "SELECT agent_id, seconds, detail FROM figures WHERE measure = ANY($1) ORDER BY at, seq",
        [measure.value for measure in measures],
    )
    return [tuple(row) for row in rows]


async def stays() -> list[tuple[Any, ...]]:
    rows = await fetch(
        "SELECT team_id, extract(epoch FROM left_at - entered_at)::int, ending FROM queue_stays"
        " ORDER BY entered_at, left_at"
    )
    return [tuple(row) for row in rows]


async def intervals(agent: Agent) -> list[tuple[Any, ...]]:
    rows = await fetch(
        "SELECT availability, accepts_new, extract(epoch FROM ended_at - started_at)::int"
        " FROM availability_intervals WHERE agent_id = $1 ORDER BY started_at, ended_at",
        agent.id,
    )
    return [tuple(row) for row in rows]


@pytest.fixture
async def team(workspace: Workspace) -> Team:
    return await a_team(workspace)


@pytest.fixture
async def channel(workspace: Workspace, team: Team) -> Channel:
    return await a_channel(workspace, team=team)


@pytest.fixture
async def agent(workspace: Workspace, team: Team, clock: Clock) -> Agent:
    """Nothing takes any time but what a test says."""
    await clock.stop()
    return await an_agent(workspace, teams=[team])


async def say(id: UUID, agent: Agent) -> None:
    async with working(id, by=as_agent(agent)) as conversation:
        await conversation.send("Hello.", by=as_agent(agent))


async def close(id: UUID, *, by: Actor, reason: ClosingReason | None = None) -> None:
    async with working(id, by=by) as conversation:
        await closing.close(conversation, by=by, reason_id=reason.id if reason else None)


async def test_a_first_response_is_counted_once_and_a_reopening_restarts_the_clock(
    workspace: Workspace, channel: Channel, agent: Agent, clock: Clock
) -> None:
    conversation = await a_conversation(workspace, channel=channel, holder=agent)
    await clock.travel(seconds=90)
    await say(conversation.id, agent)
    await clock.travel(seconds=10)
    await say(conversation.id, agent)
    await close(conversation.id, by=as_agent(agent))
    await clock.travel(hours=1)
    await reopen(conversation.id, by=as_agent(agent))
    await clock.travel(seconds=5)
    await say(conversation.id, agent)
    await clock.travel(seconds=2)
    await close(conversation.id, by=as_agent(agent))

    assert await counted(Measure.FIRST_RESPONSE) == [(agent.id, 90, None), (agent.id, 5, None)]
    assert await counted(Measure.CLOSED) == [(agent.id, 100, "AGENT"), (agent.id, 7, "AGENT")]
    assert await counted(Measure.REOPENED) == [(agent.id, None, "REOPENED")]


async def test_a_customer_who_comes_back_restarts_the_clock(
    workspace: Workspace, channel: Channel, agent: Agent, clock: Clock
) -> None:
    conversation = await a_conversation(workspace, channel=channel, holder=agent, sender="ada")
    await say(conversation.id, agent)
    await close(conversation.id, by=as_agent(agent))
    await clock.travel(days=1)
    await a_message(channel, sender="ada")
    await clock.travel(seconds=20)
    await say(conversation.id, agent)

    assert await counted(Measure.FIRST_RESPONSE) == [(agent.id, 0, None), (agent.id, 20, None)]
    assert await counted(Measure.REOPENED) == [(agent.id, None, "STICKY")]


async def test_a_snooze_stops_no_clock(
    workspace: Workspace, channel: Channel, agent: Agent, clock: Clock
) -> None:
    conversation = await a_conversation(workspace, channel=channel, holder=agent)
    async with working(conversation.id, by=as_agent(agent)) as held:
        await snooze.begin(held, by=as_agent(agent))
    await clock.travel(seconds=60)
    await say(conversation.id, agent)

    assert await counted(Measure.FIRST_RESPONSE) == [(agent.id, 60, None)]


async def test_only_a_person_responds(
    workspace: Workspace, channel: Channel, agent: Agent, clock: Clock
) -> None:
    conversation = await a_conversation(workspace, channel=channel, holder=agent)
    by = as_integration(workspace, "conversations:read", "conversations:write")
    async with working(conversation.id, by=by) as held:
        await held.send("Somebody will be with you.", by=by)
        await held.note("A script was here.", by=by)
    await clock.travel(seconds=30)
    async with working(conversation.id, by=by) as held:
        await held.send("Hello.", by=by, on_behalf_of=agent.id)

    assert await counted(Measure.FIRST_RESPONSE) == [(agent.id, 30, None)]
    assert await counted(Measure.MESSAGE_SENT) == [(None, None, None), (agent.id, None, None)]
    assert await counted(Measure.NOTE_ADDED) == [(None, None, None)]


async def test_a_closing_counts_with_its_reason_for_the_team_that_had_it(
    workspace: Workspace, team: Team, channel: Channel, agent: Agent
) -> None:
    reason = await ClosingReason.add(by=by_system(workspace), name="Sold")
    conversation = await a_conversation(workspace, channel=channel, holder=agent)
    await close(conversation.id, by=by_system(workspace), reason=reason)

    rows = await fetch("SELECT * FROM figures WHERE measure = 'CLOSED'")

    assert rows[0]["team_id"] == team.id
    assert rows[0]["agent_id"] == agent.id
    assert rows[0]["channel_id"] == channel.id
    assert rows[0]["reason_id"] == reason.id
    assert rows[0]["detail"] == "INTEGRATION"


async def test_an_idle_closing_counts_as_one(
    workspace: Workspace, channel: Channel, agent: Agent, clock: Clock
) -> None:
    await confirmed(Workspace.change, by=by_system(workspace), idle_period_days=IdlePeriod.ONE_DAY)
    await a_conversation(workspace, channel=channel, holder=agent)
    await clock.travel(days=1)
    await idle.close_idle(10)

    assert await counted(Measure.CLOSED) == [(agent.id, 86_400, "INACTIVE")]


async def test_a_conversation_opened_by_hand_counts_for_who_opened_it(
    workspace: Workspace, channel: Channel, agent: Agent
) -> None:
    boss = await an_agent(workspace, role=Role.OPERATOR)
    contact = await a_contact(channel)
    await open_by_hand(by=as_agent(boss), contact_id=contact.id, channel_id=channel.id)
    other = await a_contact(channel, sender="bob")
    await open_by_hand(
        by=as_integration(workspace, "conversations:write", "conversations:read", "contacts:read"),
        contact_id=other.id,
        channel_id=channel.id,
        on_behalf_of=agent.id,
    )

    opened = [(boss.id, None, "OPENED_BY_HAND"), (agent.id, None, "OPENED_BY_HAND")]
    assert await counted(Measure.OPENED) == opened
    assert await counted(Measure.ASSIGNED) == opened


async def test_nobody_waits_for_the_first_word_of_a_conversation_opened_by_hand(
    workspace: Workspace, channel: Channel, clock: Clock
) -> None:
    await clock.stop()
    boss = await an_agent(workspace, role=Role.OPERATOR)
    contact = await a_contact(channel, sender="ada")
    id = await open_by_hand(by=as_agent(boss), contact_id=contact.id, channel_id=channel.id)
    await say(id, boss)
    await a_message(channel, sender="ada")
    await clock.travel(seconds=5)
    await say(id, boss)
    assert await counted(Measure.FIRST_RESPONSE) == []

    await close(id, by=as_agent(boss))
    await a_message(channel, sender="ada")
    await clock.travel(seconds=6)
    await say(id, boss)

    assert await counted(Measure.FIRST_RESPONSE) == [(boss.id, 6, None)]


async def test_whatever_takes_a_conversation_from_its_agent_counts_once(
    workspace: Workspace, team: Team, channel: Channel, agent: Agent
) -> None:
    by = by_system(workspace)
    bob = await an_agent(workspace)
    other = await a_team(workspace, members=[bob])
    step = AssignStep(key="move", team_id=other.id, reassign=True)
    workflow = await published(workspace, step, trigger=Trigger.MANUAL)
    conversation = await a_conversation(workspace, channel=channel, holder=agent)
    async with working(conversation.id, by=by) as held:
        await held.assign(bob.id, by=by)
    async with working(conversation.id, by=by) as held:
        await snooze.begin(held, by=by)
    async with working(conversation.id, by=by) as held:
        await held.assign(bob.id, by=by)
    await start_by_hand(workflow, conversation.id, by=by)
    async with working(conversation.id, by=by) as waiting:
        await waiting.assign(agent.id, by=by)
    async with working(conversation.id, by=by) as held:
        await bot.resume(held, by=by)

    assert await counted(Measure.UNASSIGNED) == [
        (agent.id, None, "ASSIGNED_BY_HAND"),
        (bob.id, None, "WORKFLOW"),
        (agent.id, None, None),
    ]


async def test_a_figure_is_of_its_event_and_of_its_instant(
    workspace: Workspace, channel: Channel, agent: Agent
) -> None:
    conversation = await a_conversation(workspace, channel=channel, holder=agent)
    await say(conversation.id, agent)

    rows = await fetch(
        "SELECT f.measure, e.kind, f.at = e.logged_at AS is_then, f.channel_id = e.channel_id"
        " AND f.conversation_id = e.conversation_id AND f.contact_id = e.contact_id AS is_there"
        " FROM figures f JOIN events e USING (workspace_id, seq)"
        " WHERE f.conversation_id IS NOT NULL ORDER BY f.seq"
    )

    assert [row["measure"] for row in rows] == [
        "OPENED",
        "MESSAGE_RECEIVED",
        "ASSIGNED",
        "MESSAGE_SENT",
        "FIRST_RESPONSE",
    ]
    assert all(row["is_then"] and row["is_there"] for row in rows)


@pytest.mark.parametrize("change", ["UPDATE figures SET seconds = 1", "DELETE FROM figures"])
async def test_figures_never_change(workspace: Workspace, channel: Channel, change: str) -> None:
    await a_message(channel)

    with pytest.raises(asyncpg.IntegrityConstraintViolationError):
        await fetch(change)


async def test_what_was_not_committed_is_not_counted(
    workspace: Workspace, channel: Channel, agent: Agent
) -> None:
    conversation = await a_conversation(workspace, channel=channel, holder=agent)
    by = as_agent(agent)
    async with tx() as transaction:
        async with working(conversation.id, by=by) as held:
            await held.note("This stays.", by=by)
        with pytest.raises(ConversationClosed):
            await _close_twice(transaction, conversation.id, by=by_system(workspace))

    assert await counted(Measure.CLOSED) == []
    assert len(await counted(Measure.NOTE_ADDED)) == 1


async def _close_twice(transaction: Transaction, id: UUID, *, by: Actor) -> None:
    async with attempt(transaction):
        await close(id, by=by)
        await close(id, by=by)


async def test_what_is_given_out_at_once_never_stayed(workspace: Workspace) -> None:
    automatic = await a_team(workspace, distribution=Distribution.LEAST_OPEN)
    await an_agent(workspace, teams=[automatic])
    await a_conversation(workspace, team=automatic)

    assert await stays() == []


async def test_a_stay_lasts_from_queue_to_queue_and_to_whoever_takes_it(
    workspace: Workspace, team: Team, channel: Channel, agent: Agent, clock: Clock
) -> None:
    other = await a_team(workspace, members=[agent])
    conversation = await a_conversation(workspace, channel=channel)
    await clock.travel(seconds=60)
    await transfer(conversation.id, by=by_system(workspace), to_team=other.id)
    await clock.travel(seconds=30)
    async with working(conversation.id, by=as_agent(agent)) as waiting:
        await waiting.pick(by=as_agent(agent))
    await clock.travel(seconds=9)
    async with working(conversation.id, by=as_agent(agent)) as held:
        await held.unassign(by=as_agent(agent))
    await clock.travel(seconds=3)
    await close(conversation.id, by=by_system(workspace))

    assert await stays() == [
        (team.id, 60, "MOVED"),
        (other.id, 30, "ASSIGNED"),
        (other.id, 3, "CLOSED"),
    ]


async def test_another_line_is_another_queue(
    workspace: Workspace, team: Team, channel: Channel, agent: Agent, clock: Clock
) -> None:
    support = await Team.get(workspace_id=workspace.id, is_todos=True, line=Line.SUPPORT)
    conversation = await a_conversation(workspace, channel=channel)
    await clock.travel(seconds=1)
    await set_line(conversation.id, Line.SUPPORT, by=by_system(workspace))

    assert await stays() == [(team.id, 1, "MOVED"), (support.id, None, None)]


async def test_several_steps_of_one_transaction_are_one_stay(
    workspace: Workspace, team: Team, channel: Channel, agent: Agent, clock: Clock
) -> None:
    other = await a_team(workspace)
    conversation = await a_conversation(workspace, channel=channel)
    await clock.travel(seconds=4)
    async with tx():
        await transfer(conversation.id, by=by_system(workspace), to_team=other.id)
        await transfer(conversation.id, by=by_system(workspace), to_team=team.id)
        async with working(conversation.id, by=as_agent(agent)) as waiting:
            await waiting.pick(by=as_agent(agent))

    assert await stays() == [(team.id, 4, "MOVED")]


async def test_what_the_bot_has_stays_in_no_queue_until_it_is_handed_over(
    workspace: Workspace, team: Team, agent: Agent
) -> None:
    conversation = await a_conversation(
        workspace, channel=await a_channel(workspace, team=team, bot=True)
    )
    assert await stays() == []

    await hand_off(conversation.id, by=as_integration(workspace, "messages:receive"))

    assert await stays() == [(team.id, None, None)]


async def test_an_agents_day_is_told_by_its_intervals(workspace: Workspace, clock: Clock) -> None:
    await clock.stop()
    by = by_system(workspace)
    agent = await an_agent(workspace)
    await clock.travel(seconds=50)
    await Agent.set_availability(agent.id, by=by, accepts_new=False)
    await Agent.set_availability(agent.id, by=by, accepts_new=False)
    await clock.travel(seconds=5)
    await Agent.set_availability(agent.id, by=by, availability=Availability.AWAY)
    await clock.travel(seconds=LEASE_SECONDS)
    await lapse_presence(10)
    await clock.travel(seconds=7)
    await Agent.set_availability(agent.id, by=by, availability=Availability.ONLINE)
    await clock.travel(seconds=1)
    await Agent.beat(agent.id, by=by, device="phone")
    await clock.travel(seconds=2)
    await departure.deactivate(agent.id, by=by)
    await clock.travel(seconds=100)
    await departure.reactivate(agent.id, by=by)

    assert await intervals(agent) == [
        ("OFFLINE", True, 0),
        ("ONLINE", True, 50),
        ("ONLINE", False, 5),
        ("AWAY", False, LEASE_SECONDS - 55),
        ("OFFLINE", False, 55 + 8),
        ("ONLINE", False, 2),
        ("OFFLINE", False, None),
    ]


async def test_what_was_there_before_is_counted_afterwards(
    copy_of_database: CopyOfDatabase, connected_to: ConnectedTo
) -> None:
    """The migration, taken back and applied again, finds what the verbs had counted."""
    async with copy_of_database("before") as url, connected_to(url):
        await _a_day()
        counted = await fetch(_COUNTED)
        stayed = await fetch(_STAYED)
        async with tx() as transaction:
            for script in await _scripts():
                await transaction.execute(script)

        assert await fetch(_COUNTED) == counted
        assert await fetch(_STAYED) == stayed
        assert await fetchval("SELECT count(*) FROM conversations WHERE answered_at IS NOT NULL")
        assert await fetchval("SELECT count(*) FROM conversations WHERE reopened_at IS NOT NULL")


_COUNTED = """
    SELECT measure, conversation_id, contact_id, agent_id, team_id, reason_id, seconds,
           CASE WHEN measure <> 'CONTACT_CREATED' THEN channel_id END AS channel_id,
           CASE WHEN measure <> 'OPENED' THEN detail END AS detail
    FROM figures ORDER BY 1, 2, 3, 4, 7, 9
"""
_STAYED = """
    SELECT conversation_id, team_id, entered_at, left_at, ending FROM queue_stays ORDER BY 1, 3
"""


async def _a_day() -> None:
    """What a migration can tell of afterwards: conversations that are where they were."""
    workspace = await a_workspace()
    team = await a_team(workspace)
    agent = await an_agent(workspace, teams=[team])
    channel = await a_channel(workspace, team=team)
    await a_conversation(workspace, channel=channel)
    held = await a_conversation(workspace, channel=channel, holder=agent)
    await say(held.id, agent)
    await a_message(channel, sender="ada")
    again = await a_conversation(workspace, channel=channel, holder=agent, sender="ada")
    await say(again.id, agent)
    await say(again.id, agent)
    await close(again.id, by=as_agent(agent))
    await reopen(again.id, by=as_agent(agent))
    await say(again.id, agent)
    await transfer(again.id, by=as_agent(agent), to_team=team.id, reason="Look.")
    await close(again.id, by=by_system(workspace))
    contact = await a_contact(channel, sender="bob")
    boss = await an_agent(workspace, role=Role.OPERATOR)
    own = await open_by_hand(by=as_agent(boss), contact_id=contact.id, channel_id=channel.id)
    await say(own, boss)
    for holder in (agent, boss):
        async with working(own, by=by_system(workspace)) as held:
            await held.assign(holder.id, by=by_system(workspace))
    async with working(own, by=as_agent(boss)) as held:
        await held.unassign(by=as_agent(boss))


async def _scripts() -> list[str]:
    migration = import_module("migrations.models.13_20261122001300_history")
    return [await migration.downgrade(None), await migration.upgrade(None)]
