"""What is older than the replay window is forgotten; who changed what was set up is not."""

import asyncio
from contextvars import Context

import pytest

from models import Workspace, event, log
from models.database import fetch, fetchval, tx
from models.event import AUDIT, Kind
from models.log import Position
from models.retention import EVENT_RETENTION_DAYS, forget_old
from models.stream import Reader
from models.subscription import LogScope, Reset, ResetReason, Resumed, Snapshot, subscribe
from tests.conftest import Clock
from tests.factories import (
    a_conversation,
    a_team,
    a_workspace,
    an_agent,
    as_agent,
    by_system,
    working,
)

TRAFFIC = Kind.IDLE_REMINDED
SET_UP = Kind.SNIPPET_CREATED


async def log_of(workspace: Workspace, *kinds: Kind) -> None:
    """One event each, in one transaction."""
    async with tx():
        for kind in kinds:
            event.record(kind, by=by_system(workspace))


async def kept(workspace: Workspace) -> list[tuple[int, str]]:
    rows = await fetch(
        "SELECT seq, kind FROM events WHERE workspace_id = $1 ORDER BY seq", workspace.id
    )
    return [(row["seq"], row["kind"]) for row in rows]


async def forgotten(batch_size: int = 100) -> int:
    total = 0
    while count := await forget_old(batch_size):
        total += count
    return total


@pytest.fixture
async def workspace(database: str) -> Workspace:
    """A workspace whose log begins with nothing but what a test puts there."""
    workspace = await a_workspace()
    assert await fetchval("SELECT count(*) FROM events") == 0
    return workspace


async def test_what_is_older_than_the_window_is_forgotten_to_the_instant(
    workspace: Workspace, clock: Clock
) -> None:
    await clock.stop()
    await log_of(workspace, TRAFFIC)
    await clock.travel(seconds=1)
    await log_of(workspace, TRAFFIC, TRAFFIC)
    await clock.travel(days=EVENT_RETENTION_DAYS)

    assert await forgotten() == 1

    head = await log.head(workspace.id)
    assert (head.floor_seq, head.seq) == (1, 3)
    assert await kept(workspace) == [(2, TRAFFIC), (3, TRAFFIC)]


async def test_who_changed_what_was_set_up_is_kept_below_the_floor(
    workspace: Workspace, clock: Clock
) -> None:
    await log_of(workspace, SET_UP, TRAFFIC, TRAFFIC, SET_UP, TRAFFIC)
    await clock.travel(days=EVENT_RETENTION_DAYS, seconds=1)
    await log_of(workspace, TRAFFIC)

    assert await forgotten() == 5

    assert await kept(workspace) == [(1, SET_UP), (4, SET_UP), (6, TRAFFIC)]
    assert (await log.head(workspace.id)).floor_seq == 5


async def test_the_newest_event_stays_and_the_numbers_go_on_from_it(
    workspace: Workspace, clock: Clock
) -> None:
    await log_of(workspace, TRAFFIC, TRAFFIC, TRAFFIC)
    before = await log.head(workspace.id)
    await clock.travel(days=400)

    assert await forgotten() == 2

    head = await log.head(workspace.id)
    assert (head.floor_seq, head.seq, head.at) == (2, 3, before.at)
    assert head.holds(before.position)
    await log_of(workspace, TRAFFIC)
    assert await kept(workspace) == [(3, TRAFFIC), (4, TRAFFIC)]


async def test_logs_with_nothing_to_forget_keep_no_other_waiting(
    workspace: Workspace, clock: Clock
) -> None:
    for number in range(3):
        await log_of(await a_workspace(f"Of one old event {number}"), TRAFFIC)
    await clock.travel(days=1)
    await log_of(workspace, TRAFFIC, TRAFFIC)
    await clock.travel(days=400)

    assert [await forget_old(1) for _ in range(2)] == [1, 0]

    assert await kept(workspace) == [(2, TRAFFIC)]
    assert await fetchval("SELECT count(*) FROM events") == 4


async def test_a_batch_is_bounded_and_takes_the_oldest_first(
    workspace: Workspace, clock: Clock
) -> None:
    rival = await a_workspace("Rival")
    await log_of(rival, *[TRAFFIC] * 5)
    await clock.travel(seconds=1)
    await log_of(workspace, *[TRAFFIC] * 5)
    await clock.travel(days=EVENT_RETENTION_DAYS, seconds=1)

    batches = [await forget_old(3) for _ in range(4)]

    assert batches == [3, 3, 2, 0]
    floors = [(await log.head(owner.id)).floor_seq for owner in (rival, workspace)]
    assert floors == [4, 4]


async def test_the_first_batch_of_many_is_of_the_oldest_log(
    workspace: Workspace, clock: Clock
) -> None:
    rival = await a_workspace("Rival")
    await log_of(rival, *[TRAFFIC] * 5)
    await clock.travel(seconds=1)
    await log_of(workspace, *[TRAFFIC] * 5)
    await clock.travel(days=EVENT_RETENTION_DAYS, seconds=1)

    await forget_old(3)

    assert (await log.head(rival.id)).floor_seq == 3
    assert (await log.head(workspace.id)).floor_seq == 0


async def test_a_log_that_another_worker_is_at_is_passed_over(
    workspace: Workspace, clock: Clock
) -> None:
    await log_of(workspace, *[TRAFFIC] * 5)
    await clock.travel(days=EVENT_RETENTION_DAYS, seconds=1)

    async with tx():
        await fetch("SELECT FROM logs WHERE workspace_id = $1 FOR NO KEY UPDATE", workspace.id)
        # As in another process: outside of this transaction.
        other = await asyncio.create_task(forget_old(100), context=Context())

    assert other == 0
    assert await forget_old(100) == 4


async def test_several_workers_and_many_writers_leave_no_hole(
    workspace: Workspace, clock: Clock
) -> None:
    rivals = [workspace, *[await a_workspace(f"Rival {number}") for number in range(3)]]
    for owner in rivals:
        await log_of(owner, *[TRAFFIC, SET_UP] * 20)
    await clock.travel(days=EVENT_RETENTION_DAYS, seconds=1)

    async def forget() -> int:
        return sum([await forget_old(7) for _ in range(25)])

    async def write(owner: Workspace) -> int:
        for _ in range(10):
            await log_of(owner, TRAFFIC)
        return 0

    done = await asyncio.gather(forget(), forget(), forget(), *map(write, rivals))

    assert sum(done) + await forgotten() == 40 * len(rivals)
    for owner in rivals:
        head = await log.head(owner.id)
        assert (head.floor_seq, head.seq) == (40, 50)
        events = await log.read(owner.id, head.floor_seq)
        assert [one.seq for one in events] == list(range(41, 51))
        assert len(await kept(owner)) == 20 + 10


async def test_a_position_that_is_forgotten_is_no_longer_held(
    workspace: Workspace, clock: Clock
) -> None:
    await log_of(workspace, TRAFFIC)
    position = (await log.head(workspace.id)).position
    await log_of(workspace, TRAFFIC, TRAFFIC, TRAFFIC)
    await clock.travel(days=EVENT_RETENTION_DAYS, seconds=1)

    await forgotten()

    head = await log.head(workspace.id)
    assert not head.holds(position)
    assert head.holds(head.floor)
    assert head.holds(Position(head.epoch, head.seq, head.at))


async def test_a_follower_who_comes_back_too_late_is_told_so_and_starts_afresh(
    workspace: Workspace, clock: Clock
) -> None:
    boss, reader = by_system(workspace), Reader()
    await log_of(workspace, TRAFFIC)
    old = (await log.head(workspace.id)).position.cursor()
    await log_of(workspace, TRAFFIC, TRAFFIC)
    await clock.travel(days=EVENT_RETENTION_DAYS, seconds=1)
    held = subscribe(reader, LogScope(), by=boss, after=old)
    assert isinstance(await anext(held), Resumed)
    await held.aclose()

    await forgotten()

    late = subscribe(reader, LogScope(), by=boss, after=old)
    reset, opening = await anext(late), await anext(late)
    await late.aclose()
    assert isinstance(reset, Reset)
    assert reset.reason is ResetReason.TOO_OLD
    assert isinstance(opening, Snapshot)
    assert opening.position == (await log.head(workspace.id)).position


async def test_what_has_tables_of_its_own_outlives_its_events(
    workspace: Workspace, clock: Clock
) -> None:
    agent = await an_agent(workspace)
    team = await a_team(workspace, members=[agent])
    conversation = await a_conversation(workspace, team=team, holder=agent)
    by = as_agent(agent)
    async with working(conversation.id, by=by) as held:
        await held.send("Hello!", by=by)
    tables = ("conversations", "messages", "assignments", "figures", "queue_stays")
    before = [await fetchval(f"SELECT count(*) FROM {table}") for table in tables]
    await clock.travel(days=EVENT_RETENTION_DAYS, seconds=1)
    await a_team(workspace)

    await forgotten()

    assert [await fetchval(f"SELECT count(*) FROM {table}") for table in tables] == before
    kinds = {kind for _, kind in await kept(workspace)}
    assert kinds <= {kind.value for kind in AUDIT}


# What the desk does all day, by the beginnings of the kinds' names.
TRAFFIC_KINDS = (
    *("CONVERSATION_", "MESSAGE_", "NOTE_", "TICKET_", "BOT_", "IDLE_", "WORKFLOW_RUN_"),
    *("CONTACT_CREATED", "CONTACT_UPDATED", "CONTACT_TAGGED", "CONTACT_UNTAGGED"),
    *("AGENT_AVAILABILITY_CHANGED", "AGENT_CONNECTED", "AGENT_DISCONNECTED"),
    *("WEBHOOK_REQUESTED", "OTHER"),
)


def test_every_kind_is_traffic_or_kept() -> None:
    assert {kind for kind in Kind if kind.startswith(TRAFFIC_KINDS)} == set(Kind) - AUDIT
