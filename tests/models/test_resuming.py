"""Wherever a stream begins or breaks: nothing missing, nothing twice, or a fresh start."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from dataclasses import replace
from datetime import timedelta
from uuid import UUID, uuid4

import pytest

from models import Team, Workspace, event, log, ring, stream, subscription
from models.access import Actor
from models.database import fetch, tx
from models.event import Kind
from models.log import Filter, Head, Position
from models.retention import EVENT_RETENTION_DAYS, forget_old
from models.stream import Reader
from models.subscription import (
    InboxScope,
    Item,
    Logged,
    LogScope,
    Mark,
    QueueScope,
    Reset,
    ResetReason,
    Snapshot,
    subscribe,
)
from tests.conftest import Clock
from tests.factories import a_team, a_workspace, an_agent, by_system

# Where a cursor stands, of a log that was forgotten up to 10, kept in the ring from 16, and is
# at 20.
FLOOR, RING, HEAD = 10, 16, 20


@pytest.fixture
async def reader(database: str) -> AsyncIterator[Reader]:
    reader = Reader()
    reader.start()
    yield reader
    await reader.stop()


@pytest.fixture
async def workspace(database: str) -> Workspace:
    """A workspace with an empty log."""
    return await a_workspace()


async def traffic(workspace: Workspace, count: int, **places: object) -> None:
    async with tx():
        for _ in range(count):
            event.record(Kind.IDLE_REMINDED, by=by_system(workspace), **places)  # type: ignore[arg-type]  # ids


def staying(team: Team) -> dict[str, UUID]:
    return {"from_queue_id": team.id, "to_queue_id": team.id}


def told(items: list[Item]) -> list[int | str]:
    """Numbers of events, and names of the rest."""
    return [
        item.event.seq if isinstance(item, Logged) else type(item).__name__.lower()
        for item in items
    ]


async def take(items: AsyncIterator[Item], count: int) -> list[Item]:
    return [await anext(items) for _ in range(count)]


async def forget(workspace: Workspace, clock: Clock) -> None:
    await clock.travel(days=EVENT_RETENTION_DAYS + 1)
    while await forget_old(1_000):
        pass


@pytest.mark.parametrize(
    ("at", "begins"),
    [
        (None, ["snapshot"]),
        (HEAD, ["resumed"]),
        (HEAD - 1, ["resumed", 20]),
        (RING, ["resumed", 17, 18, 19, 20]),
        (RING - 1, ["resumed", *range(16, 21)]),
        (FLOOR + 1, ["resumed", *range(12, 21)]),
        (FLOOR, ["resumed", *range(11, 21)]),
        (FLOOR - 1, ["reset TOO_OLD", "snapshot"]),
        (0, ["reset TOO_OLD", "snapshot"]),
        (HEAD + 1, ["reset OTHER_HISTORY", "snapshot"]),
        ("other epoch", ["reset OTHER_HISTORY", "snapshot"]),
        ("other workspace", ["reset OTHER_HISTORY", "snapshot"]),
    ],
)
async def test_a_cursor_goes_on_or_begins_anew(
    workspace: Workspace,
    reader: Reader,
    clock: Clock,
    monkeypatch: pytest.MonkeyPatch,
    at: int | str | None,
    begins: list[int | str],
) -> None:
    monkeypatch.setattr(ring, "RING_SIZE_MAX", HEAD - RING)
    monkeypatch.setattr(log, "READ_SIZE_MAX", 3)
    boss = by_system(workspace)
    await traffic(workspace, FLOOR)
    await forget(workspace, clock)
    # The newest is never forgotten, but by this test.
    await fetch("DELETE FROM events")
    await fetch("UPDATE logs SET floor_seq = $1", FLOOR)
    # Somebody else follows the same, so that there is a ring.
    async with aclosing(subscribe(reader, LogScope(), by=boss)) as other:
        await anext(other)
        await traffic(workspace, HEAD - FLOOR)
        await take(other, HEAD - FLOOR)

        cursor = await _cursor(workspace, at)
        async with aclosing(subscribe(reader, LogScope(), by=boss, after=cursor)) as items:
            found = await take(items, len(begins))
            await traffic(workspace, 1)
            [later] = await take(items, 1)

    assert [
        f"reset {item.reason}" if isinstance(item, Reset) else told([item])[0] for item in found
    ] == begins
    assert told([later]) == [HEAD + 1]


async def _cursor(workspace: Workspace, at: int | str | None) -> str | None:
    head = await log.head(workspace.id)
    match at:
        case None:
            return None
        case "other epoch":
            return Position(uuid4(), head.seq, head.at).cursor()
        case "other workspace":
            return (await log.head((await a_workspace("Rival")).id)).position.cursor()
        case _:
            assert isinstance(at, int)
            return Position(head.epoch, at, head.at).cursor()


async def test_whoever_is_slow_is_given_what_the_ring_forgot(
    workspace: Workspace, reader: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ring, "RING_SIZE_MAX", 2)
    team, boss = await a_team(workspace), by_system(workspace)
    mine = staying(team)
    fast = subscribe(reader, LogScope(), by=boss)
    slow = subscribe(reader, QueueScope(team.id), by=boss)
    await anext(fast)
    await anext(slow)
    await traffic(workspace, 1, **mine)
    [first] = await take(slow, 1)
    seq = first.position.seq

    for _ in range(5):
        await traffic(workspace, 1, **mine)
        await traffic(workspace, 1)
    await take(fast, 11)

    assert told([first, *await take(slow, 5)]) == [seq, *range(seq + 1, seq + 10, 2)]
    await fast.aclose()
    await slow.aclose()


async def test_a_queue_catches_up_by_its_own_events(
    workspace: Workspace, reader: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However busy the rest of the workspace is: by statements of its own, not by the log."""
    team, other = await a_team(workspace), await a_team(workspace)
    head = await log.head(workspace.id)
    await traffic(workspace, 1, **staying(team))
    await traffic(workspace, 3_000, **staying(other))
    await traffic(workspace, 1, **staying(team))
    statements: list[str] = []
    real = log.read_arms

    async def counted(*arguments: object, **options: object) -> object:
        statements.append("read")
        return await real(*arguments, **options)  # type: ignore[arg-type]  # passed on

    monkeypatch.setattr(log, "read_arms", counted)
    # The ring is at the head, so that the follower is far behind it.
    async with aclosing(subscribe(reader, LogScope(), by=by_system(workspace))) as other_items:
        await anext(other_items)
        cursor = head.position.cursor()
        scope = QueueScope(team.id)
        async with aclosing(
            subscribe(reader, scope, by=by_system(workspace), after=cursor)
        ) as items:
            found = await take(items, 3)

    assert told(found) == ["resumed", head.seq + 1, head.seq + 3_002]
    assert len(statements) == 1


@pytest.mark.parametrize(
    ("wanted", "reads"),
    [(Filter(kinds=[Kind.NOTE_ADDED]), 4), (Filter(kinds=[Kind.WORKSPACE_UPDATED]), 4)],
)
async def test_what_has_no_index_is_read_by_windows(
    workspace: Workspace,
    reader: Reader,
    monkeypatch: pytest.MonkeyPatch,
    wanted: Filter,
    reads: int,
) -> None:
    monkeypatch.setattr(log, "SCAN_SIZE_MAX", 10)
    await traffic(workspace, 35)
    head = await log.head(workspace.id)
    found, seq, count = [], 0, 0
    while seq < head.seq:
        events, seq = await log.read_arms(workspace.id, wanted.arms, seq, head.seq)
        found += events
        count += 1

    assert (found, count) == ([], reads)


# -- In the middle of a stream


async def streaming(reader: Reader, workspace: Workspace) -> tuple[AsyncIterator[Item], Head]:
    items = subscribe(reader, LogScope(), by=by_system(workspace))
    assert isinstance(await anext(items), Snapshot)
    return items, await log.head(workspace.id)


async def restored(workspace: Workspace, _clock: Clock) -> None:
    await fetch("UPDATE logs SET epoch = gen_random_uuid() WHERE workspace_id = $1", workspace.id)


async def forgotten(workspace: Workspace, clock: Clock) -> None:
    await traffic(workspace, 5)
    await forget(workspace, clock)


@pytest.mark.parametrize(
    ("happens", "reason"),
    [(restored, ResetReason.OTHER_HISTORY), (forgotten, ResetReason.FELL_BEHIND)],
)
async def test_a_stream_that_cannot_go_on_begins_anew_and_goes_on(
    workspace: Workspace,
    clock: Clock,
    happens: Callable[[Workspace, Clock], object],
    reason: ResetReason,
) -> None:
    """Though nobody asked: the cursor was good when the stream began."""
    reader = Reader()
    await traffic(workspace, 3)
    items, _ = await streaming(reader, workspace)
    following = asyncio.create_task(anext(items))
    await asyncio.sleep(0)

    await happens(workspace, clock)  # type: ignore[misc]  # a table of them
    reader.start()
    reset = await following
    opening = await anext(items)
    await traffic(workspace, 1)
    later = await anext(items)

    assert isinstance(reset, Reset)
    assert reset.reason is reason
    assert isinstance(opening, Snapshot)
    assert reset.position == opening.position
    assert isinstance(later, Logged)
    assert later.event.seq == opening.position.seq + 1
    await items.aclose()  # type: ignore[attr-defined]  # generators
    await reader.stop()


async def test_whoever_is_slower_than_the_replay_window_begins_anew(
    workspace: Workspace, reader: Reader, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ring, "RING_SIZE_MAX", 2)
    slow, _ = await streaming(reader, workspace)
    fast, _ = await streaming(reader, workspace)
    await traffic(workspace, 1)
    assert told([await anext(slow)]) == [1]

    await traffic(workspace, 9)
    assert told(await take(fast, 10)) == list(range(1, 11))
    await forget(workspace, clock)
    found = await take(slow, 2)
    await traffic(workspace, 1)

    assert told(found) == ["reset", "snapshot"]
    assert isinstance(found[0], Reset)
    assert found[0].reason is ResetReason.FELL_BEHIND
    assert told([await anext(slow)]) == [11]
    await slow.aclose()  # type: ignore[attr-defined]  # generators
    await fast.aclose()  # type: ignore[attr-defined]  # generators


@pytest.mark.leaves_violations
@pytest.mark.parametrize("is_shorter", [True, False])
async def test_after_another_server_answers_the_history_is_compared(
    workspace: Workspace, is_shorter: bool
) -> None:
    """A restore keeps the log's own epoch, but may end before what was told already."""
    reader = Reader()
    await traffic(workspace, 5)
    items, head = await streaming(reader, workspace)
    following = asyncio.create_task(anext(items))
    await asyncio.sleep(0)
    followed = reader._rings[workspace.id]
    followed.server = head.server - timedelta(hours=1)

    if is_shorter:
        await fetch("DELETE FROM events WHERE workspace_id = $1 AND seq > 3", workspace.id)
    await traffic(workspace, 1)
    reader.start()
    found = await following

    if is_shorter:
        assert isinstance(found, Reset)
        assert found.reason is ResetReason.OTHER_HISTORY
    else:
        assert told([found]) == [6]
        assert followed.server == head.server
    await items.aclose()  # type: ignore[attr-defined]  # generators
    await reader.stop()


async def test_a_lost_connection_is_a_delay(
    workspace: Workspace, reader: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream, "RETRY_SECONDS", 0.0)
    monkeypatch.setattr(ring, "RING_SIZE_MAX", 1)
    failures = iter([ConnectionResetError, ConnectionResetError])
    real_look, real_read = stream.look, log.read_arms

    async def failing(real: Callable[..., object], *arguments: object, **options: object) -> object:
        for failure in failures:
            raise failure
        return await real(*arguments, **options)  # type: ignore[misc]  # passed on

    items, _ = await streaming(reader, workspace)
    monkeypatch.setattr(stream, "look", lambda *args: failing(real_look, *args))
    monkeypatch.setattr(log, "read_arms", lambda *args, **more: failing(real_read, *args, **more))
    await traffic(workspace, 5)
    reader.wake(None)
    found = await take(items, 1)
    failures = iter([ConnectionResetError, TimeoutError])
    found += await take(items, 4)

    assert told(found) == [1, 2, 3, 4, 5]
    await items.aclose()  # type: ignore[attr-defined]  # generators


# -- Marks


async def test_a_quiet_stream_is_told_where_the_log_stands(
    workspace: Workspace, reader: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(subscription, "MARK_SECONDS", 0.01)
    agent, boss = await an_agent(workspace), by_system(workspace)
    scope = InboxScope(agent.id)
    by = Actor(boss.kind, workspace.id, agent.id, agent.role)
    by = replace(by, kind=type(by.kind).AGENT)
    items = subscribe(reader, scope, by=by)
    opening = await anext(items)
    await traffic(workspace, 3)
    reader.wake(workspace.id)

    mark = await anext(items)

    # Once, for nothing else happened; then the position resumes as any other does.
    assert isinstance(mark, Mark)
    assert mark.position.seq > opening.position.seq
    quiet = asyncio.create_task(anext(items))
    done, _ = await asyncio.wait([quiet], timeout=0.05)
    assert not done
    await traffic(workspace, 1, to_agent_id=agent.id)
    reader.wake(workspace.id)
    assert isinstance(await quiet, Logged)
    await items.aclose()
    async with aclosing(subscribe(reader, scope, by=by, after=mark.position.cursor())) as again:
        assert told(await take(again, 2)) == ["resumed", mark.position.seq + 1]


async def test_two_workspaces_never_mix(workspace: Workspace, reader: Reader) -> None:
    rival = await a_workspace("Rival")
    owners = (workspace, rival)
    streams = [subscribe(reader, LogScope(), by=by_system(owner)) for owner in owners]
    for items in streams:
        await anext(items)

    await asyncio.gather(*[traffic(owner, 1) for _ in range(20) for owner in owners])

    for owner, items in zip(owners, streams, strict=True):
        found = await take(items, 20)
        assert told(found) == list(range(1, 21))
        assert {item.event.workspace_id for item in found if isinstance(item, Logged)} == {owner.id}
        await items.aclose()
