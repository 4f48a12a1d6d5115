"""The log: numbers without holes, in the order of the commits, and cursors that keep."""

import asyncio
import base64
from collections import defaultdict
from contextlib import suppress
from datetime import UTC, datetime
from random import Random
from uuid import UUID, uuid4

import pytest

from models import Conversation, Workspace, event, log
from models.access import Actor
from models.base import Line
from models.conversation import Status
from models.database import fetch, snapshot, tx
from models.errors import DomainError, InvalidCursor, NotFound
from models.event import Kind
from models.log import Position
from models.look import look as look_at
from models.team import Team
from models.transfer import transfer
from tests.factories import (
    a_channel,
    a_conversation,
    a_team,
    a_workspace,
    an_agent,
    as_agent,
    by_system,
    working,
)

WRITERS = 8


class Undone(Exception):
    """Rolls a transaction back."""


async def numbers(workspace: Workspace) -> list[int]:
    rows = await fetch("SELECT seq FROM events WHERE workspace_id = $1 ORDER BY seq", workspace.id)
    return [row["seq"] for row in rows]


async def test_numbers_have_no_holes_whatever_rolls_back(workspace: Workspace) -> None:
    chance = Random(7)
    rival = await a_workspace("Rival")
    kept = 0

    async def write() -> None:
        nonlocal kept
        for _ in range(25):
            undo, both = chance.random() < 0.3, chance.random() < 0.3
            try:
                async with tx():
                    for by in [by_system(workspace), *([by_system(rival)] if both else [])]:
                        event.record(Kind.WORKSPACE_UPDATED, by=by)
                    await asyncio.sleep(0)
                    if undo:
                        raise Undone
                kept += 1
            except Undone:
                pass

    await asyncio.gather(*[write() for _ in range(WRITERS)])

    assert kept > WRITERS
    assert await numbers(workspace) == list(range(1, kept + 1))


async def test_what_one_transaction_records_is_numbered_in_a_row(workspace: Workspace) -> None:
    channel = await a_channel(workspace)
    agent = await an_agent(workspace)
    conversation = await a_conversation(workspace, channel=channel)
    before = len(await numbers(workspace))

    async with working(conversation.id, by=as_agent(agent)) as held:
        await held.pick(by=as_agent(agent))
        await held.refresh_from_db()
        await held.send("Hello!", by=as_agent(agent))

    assert [e.kind for e in await log.read(workspace.id, before)] == [
        Kind.CONVERSATION_ASSIGNED,
        Kind.MESSAGE_SENT,
    ]


async def test_nothing_is_recorded_outside_of_a_transaction(workspace: Workspace) -> None:
    with pytest.raises(RuntimeError):
        event.record(Kind.WORKSPACE_UPDATED, by=by_system(workspace))


async def test_the_log_goes_on_from_its_floor(workspace: Workspace) -> None:
    await fetch("UPDATE logs SET floor_seq = 40 WHERE workspace_id = $1", workspace.id)

    async with tx():
        event.record(Kind.WORKSPACE_UPDATED, by=by_system(workspace))

    head = await log.head(workspace.id)
    assert await numbers(workspace) == [41]
    assert (head.floor_seq, head.seq) == (40, 41)
    assert head.holds(Position(head.epoch, 40, head.at))
    assert not head.holds(Position(head.epoch, 39, head.at))


async def test_reading_several_logs_gives_what_is_new_in_each(workspace: Workspace) -> None:
    rival = await a_workspace("Rival")
    for owner in (workspace, rival):
        await a_team(owner)
        await a_team(owner)

    heads = await log.heads([workspace.id, rival.id])
    asked = {id: (last, heads[id].history) for id, last in ((workspace.id, 1), (rival.id, 0))}

    found = await look_at(asked)

    assert {id: [e.seq for e in events] for id, events in found.events.items()} == {
        workspace.id: [2],
        rival.id: [1, 2],
    }
    assert (found.strayed, found.is_all) == (frozenset(), True)


async def test_a_log_that_is_another_one_or_forgot_is_not_read_on(workspace: Workspace) -> None:
    other, gone = await a_workspace("Other"), uuid4()
    for owner in (workspace, other, other):
        await a_team(owner)
    # Who changed what was set up is kept, below the floor too.
    await fetch("UPDATE logs SET floor_seq = 1 WHERE workspace_id = $1", other.id)
    history = (await log.head(other.id)).history

    found = await look_at({workspace.id: (0, uuid4()), other.id: (0, history), gone: (0, uuid4())})

    assert (dict(found.events), found.strayed) == ({}, {workspace.id, other.id, gone})


async def test_an_event_keeps_what_its_kind_carries(workspace: Workspace) -> None:
    agent = await an_agent(workspace)
    conversation = await a_conversation(workspace, holder=agent)

    (assigned,) = [
        e for e in await log.read(workspace.id, 0) if e.kind is Kind.CONVERSATION_ASSIGNED
    ]

    assert assigned.conversation_id == conversation.id
    assert assigned.to_agent_id == agent.id
    assert set(assigned.data) == {"rule", "assignment"}


# -- Cursors


@pytest.mark.parametrize("seq", [0, 1, 2**40])
def test_a_cursor_comes_back_as_it_went(seq: int) -> None:
    position = Position(uuid4(), seq, datetime(2026, 3, 1, 12, 0, 0, 123_000, tzinfo=UTC))

    assert Position.of_cursor(position.cursor()) == position


VALID = Position(UUID(int=1), 7, datetime(2026, 3, 1, tzinfo=UTC)).cursor()
LATE = base64.urlsafe_b64encode(b"log1" + b"\xff" * 32).decode()


@pytest.mark.parametrize(
    "tampered",
    [
        "",
        "x",
        "é",
        VALID[:-4],
        VALID + "AAAA",
        "AAAA" + VALID[4:],
        VALID[:8] + "*" + VALID[9:],
        LATE,
    ],
)
def test_what_is_no_cursor_is_refused(tampered: str) -> None:
    with pytest.raises(InvalidCursor):
        Position.of_cursor(tampered)


async def test_each_history_has_its_own_epoch(workspace: Workspace) -> None:
    before, again = await log.head(workspace.id), await log.head(workspace.id)

    await fetch("UPDATE logs SET epoch = gen_random_uuid() WHERE workspace_id = $1", workspace.id)

    after = await log.head(workspace.id)
    assert again.holds(before.position)
    assert not after.holds(before.position)


async def test_another_history_is_begun_for_one_workspace_or_for_all(workspace: Workspace) -> None:
    rival = await a_workspace("Rival")
    ours, theirs = await log.head(workspace.id), await log.head(rival.id)

    assert await log.begin_other_history("Rival") == 1

    assert (await log.head(workspace.id)).holds(ours.position)
    assert not (await log.head(rival.id)).holds(theirs.position)
    assert await log.begin_other_history() == 2
    assert not (await log.head(workspace.id)).holds(ours.position)


async def test_another_history_of_nobody_is_not_begun(workspace: Workspace) -> None:
    with pytest.raises(NotFound):
        await log.begin_other_history("Nobody")


# -- A snapshot is the sum of the events before it


async def fold(workspace: Workspace, until: int) -> dict[UUID, set[UUID]]:
    """Which conversations wait in which queue, told by the events alone."""
    queues: dict[UUID, set[UUID]] = defaultdict(set)
    for row in await fetch(
        "SELECT conversation_id, from_queue_id, to_queue_id FROM events"
        " WHERE workspace_id = $1 AND seq <= $2 AND conversation_id IS NOT NULL ORDER BY seq",
        workspace.id,
        until,
    ):
        if row["from_queue_id"]:
            assert row["conversation_id"] in queues[row["from_queue_id"]]
            queues[row["from_queue_id"]].discard(row["conversation_id"])
        if row["to_queue_id"]:
            queues[row["to_queue_id"]].add(row["conversation_id"])
    return {team_id: waiting for team_id, waiting in queues.items() if waiting}


async def test_every_snapshot_is_the_sum_of_the_events_before_it(workspace: Workspace) -> None:
    teams = [await a_team(workspace, line=line) for line in (Line.SALES, Line.SUPPORT)]
    agent = await an_agent(workspace, capacity=1_000)
    channel = await a_channel(workspace, team=teams[0])
    ids = [(await a_conversation(workspace, channel=channel)).id for _ in range(10)]
    chance = Random(3)
    looking = [asyncio.create_task(look(workspace, 100)) for _ in range(2)]

    async def work() -> None:
        while not all(task.done() for task in looking):
            with suppress(DomainError):
                await something(chance, ids, teams, by_system(workspace), agent.id)

    await asyncio.gather(work(), work(), work())

    snapshots = [seen for task in looking for seen in task.result()]
    assert len({seq for seq, _ in snapshots}) > 20
    for seq, queues in snapshots:
        assert await fold(workspace, seq) == queues


async def look(workspace: Workspace, times: int) -> list[tuple[int, dict[UUID, set[UUID]]]]:
    """Positions of the log, and who waited where at each."""
    seen = []
    for _ in range(times):
        queues: dict[UUID, set[UUID]] = defaultdict(set)
        async with snapshot() as transaction:
            for conversation in await Conversation.filter(status=Status.QUEUED):
                assert conversation.team_id is not None
                queues[conversation.team_id].add(conversation.id)
            head = await log.head(workspace.id, transaction)
        seen.append((head.seq, dict(queues)))
    return seen


async def something(
    chance: Random, ids: list[UUID], teams: list[Team], boss: Actor, agent_id: UUID
) -> None:
    id, verb = chance.choice(ids), chance.choice(("assign", "unassign", "transfer", "note"))
    if verb == "transfer":
        await transfer(id, by=boss, to_team=chance.choice(teams).id)
        return
    async with working(id, by=boss) as conversation:
        if verb == "assign":
            await conversation.assign(agent_id, by=boss)
        elif verb == "unassign":
            await conversation.unassign(by=boss)
        else:
            await conversation.note("Hm.", by=boss)
