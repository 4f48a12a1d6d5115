"""Live delivery: nothing is lost, repeated or shown to whoever may no longer see it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import replace
from typing import Any
from uuid import uuid4

import pytest

from models import Membership, Workspace, event, log, ring, stream, subscription
from models.access import Role
from models.database import fetch, tx
from models.errors import InvalidCursor, NotFound, Unauthenticated
from models.event import Kind
from models.event_key import WORKSPACE
from models.log import Position
from models.look import Look
from models.ring import LogBroken
from models.stream import Reader
from models.subscription import (
    ConversationScope,
    InboxScope,
    Item,
    Logged,
    LogScope,
    QueueScope,
    Reset,
    ResetReason,
    Resumed,
    Snapshot,
    subscribe,
)
from models.token import Token, actor_of
from models.transfer import transfer
from tests.factories import (
    a_channel,
    a_conversation,
    a_message,
    a_team,
    a_workspace,
    an_agent,
    as_agent,
    by_system,
    working,
)


@pytest.fixture
async def reader(database: str) -> AsyncIterator[Reader]:
    reader = Reader()
    reader.start()
    yield reader
    await reader.stop()


async def record(workspace: Workspace, count: int, reader: Reader | None = None) -> None:
    for _ in range(count):
        async with tx():
            event.record(Kind.WORKSPACE_UPDATED, by=by_system(workspace))
        if reader is not None:
            reader.wake(workspace.id)


async def followed(reader: Reader, workspace: Workspace, after: int, until: int) -> list[int]:
    """The numbers that a follower is given, up to one."""
    seen: list[int] = []
    head = await log.head(workspace.id)
    everything = LogScope()
    async with aclosing(reader.follow(workspace.id, everything, after=after, head=head)) as batches:
        async for batch in batches:
            seen += [e.seq for e in batch]
            if seen[-1] >= until:
                return seen
    return seen


async def take(items: AsyncIterator[Item], count: int) -> list[Item]:
    return [await anext(items) for _ in range(count)]


def kinds(items: list[Item]) -> list[Any]:
    return [item.event.kind if isinstance(item, Logged) else type(item) for item in items]


async def test_followers_get_every_event_once_in_order(
    workspace: Workspace, reader: Reader
) -> None:
    await record(workspace, 5)

    seen, _ = await asyncio.gather(
        asyncio.gather(*[followed(reader, workspace, after, 60) for after in (0, 3, 5, 5)]),
        record(workspace, 55, reader),
    )

    assert seen == [list(range(after + 1, 61)) for after in (0, 3, 5, 5)]


async def test_without_any_wake_up_it_shows_by_itself(workspace: Workspace, reader: Reader) -> None:
    following = asyncio.create_task(followed(reader, workspace, 0, 1))

    await record(workspace, 1)

    assert await following == [1]


async def test_who_is_behind_the_ring_reads_from_the_database(
    workspace: Workspace, reader: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ring, "RING_SIZE_MAX", 4)
    monkeypatch.setattr(log, "READ_SIZE_MAX", 3)
    ahead = asyncio.create_task(followed(reader, workspace, 0, 30))
    await record(workspace, 30, reader)
    await ahead

    assert await followed(reader, workspace, 0, 30) == list(range(1, 31))


async def test_a_new_ring_is_not_given_what_was_read_for_the_one_before(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A look is under way while its ring ends and another begins further back."""
    reader, asked, answer = Reader(), asyncio.Event(), asyncio.Event()
    real = stream.look

    async def slow(after: Any) -> Look:
        asked.set()
        await answer.wait()
        return await real(after)

    await record(workspace, 5)
    head = await log.head(workspace.id)
    further_back = replace(head, seq=2)
    monkeypatch.setattr(stream, "look", slow)
    with reader.following(workspace.id, {WORKSPACE}, after=4, head=replace(head, seq=4)):
        looking = asyncio.create_task(reader._look())
        await asked.wait()
    with reader.following(workspace.id, {WORKSPACE}, after=2, head=further_back) as follower:
        answer.set()
        await looking
        assert follower.ring.last == 2
        await reader._look()
        assert follower.ring.last == 5


@pytest.mark.leaves_violations
async def test_a_hole_in_a_log_ends_its_own_followers_and_nobody_elses(
    workspace: Workspace, reader: Reader
) -> None:
    other = await a_workspace("Other")
    head, elsewhere = await log.head(workspace.id), await log.head(other.id)
    await record(workspace, 3)
    await fetch(
        "DELETE FROM events WHERE workspace_id = $1 AND seq = $2", workspace.id, head.seq + 2
    )

    with pytest.raises(LogBroken):
        await followed(reader, workspace, head.seq, head.seq + 3)

    await record(other, 1)
    assert await followed(reader, other, elsewhere.seq, elsewhere.seq + 1) == [elsewhere.seq + 1]


async def test_what_a_newer_version_logs_stops_no_reader(
    workspace: Workspace, reader: Reader
) -> None:
    head = await log.head(workspace.id)
    await record(workspace, 2)
    await fetch(
        "UPDATE events SET kind = 'UNHEARD_OF' WHERE workspace_id = $1 AND seq = $2",
        workspace.id,
        head.seq + 1,
    )

    found = await log.read(workspace.id, head.seq)

    assert [logged.kind for logged in found] == [Kind.OTHER, Kind.WORKSPACE_UPDATED]
    assert await followed(reader, workspace, head.seq, head.seq + 2) == [head.seq + 1, head.seq + 2]


async def test_only_the_followed_workspaces_are_woken(workspace: Workspace) -> None:
    reader = Reader()

    reader.wake(workspace.id)

    assert not reader._wake.is_set()


# -- Subscriptions


async def test_a_queue_shows_its_state_and_then_its_events(
    workspace: Workspace, reader: Reader
) -> None:
    team = await a_team(workspace)
    agent = await an_agent(workspace, teams=[team])
    first = await a_conversation(workspace, team=team)

    async with aclosing(subscribe(reader, QueueScope(team.id), by=as_agent(agent))) as items:
        opening = await anext(items)
        second = await a_conversation(workspace, team=team)
        async with working(first.id, by=as_agent(agent)) as conversation:
            await conversation.pick(by=as_agent(agent))
        later = await take(items, 2)

    assert isinstance(opening, Snapshot)
    assert ([row["id"] for row in opening.conversations], opening.is_complete) == ([first.id], True)
    assert [(i.event.kind, i.event.conversation_id) for i in later if isinstance(i, Logged)] == [
        (Kind.CONVERSATION_QUEUED, second.id),
        (Kind.CONVERSATION_ASSIGNED, first.id),
    ]


async def test_a_snapshot_says_when_there_is_more(
    workspace: Workspace, reader: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(subscription, "SNAPSHOT_SIZE_MAX", 2)
    team = await a_team(workspace)
    ids = [(await a_conversation(workspace, team=team)).id for _ in range(3)]

    async with aclosing(subscribe(reader, QueueScope(team.id), by=by_system(workspace))) as items:
        opening = await anext(items)

    assert isinstance(opening, Snapshot)
    assert ([row["id"] for row in opening.conversations], opening.is_complete) == (ids[:2], False)


async def test_a_cursor_goes_on_in_another_process_without_hole_or_repetition(
    workspace: Workspace, reader: Reader
) -> None:
    conversation = await a_conversation(workspace)
    scope, boss = ConversationScope(conversation.id), by_system(workspace)

    async def note() -> None:
        async with working(conversation.id, by=boss) as locked:
            await locked.note("Hm.", by=boss)

    seen: list[int] = []
    async with aclosing(subscribe(reader, scope, by=boss)) as items:
        cursor = (await anext(items)).position.cursor()
        start = Position.of_cursor(cursor).seq
    for _ in range(4):
        await note()
        another = Reader()
        another.start()
        async with aclosing(subscribe(another, scope, by=boss, after=cursor)) as items:
            assert isinstance(await anext(items), Resumed)
            await note()
            for _ in range(2):
                item = await anext(items)
                seen.append(item.position.seq)
                cursor = item.position.cursor()
        await another.stop()

    assert seen == list(range(start + 1, start + 9))


async def test_an_inbox_follows_what_its_agent_holds(workspace: Workspace, reader: Reader) -> None:
    agent = await an_agent(workspace)
    held = await a_conversation(workspace, holder=agent)

    async with aclosing(subscribe(reader, InboxScope(agent.id), by=as_agent(agent))) as items:
        opening = await anext(items)
        async with working(held.id, by=as_agent(agent)) as conversation:
            await conversation.unassign(by=as_agent(agent))
        later = await anext(items)

    assert isinstance(opening, Snapshot)
    assert [row["id"] for row in opening.conversations] == [held.id]
    assert kinds([later]) == [Kind.CONVERSATION_UNASSIGNED]


@pytest.mark.parametrize("scope", ["queue", "conversation", "inbox"])
async def test_what_may_not_be_seen_is_not_found(
    workspace: Workspace, reader: Reader, scope: str
) -> None:
    team = await a_team(workspace)
    agent, stranger = await an_agent(workspace, teams=[team]), await an_agent(workspace)
    conversation = await a_conversation(workspace, team=team)
    scopes: dict[str, subscription.Scope] = {
        "queue": QueueScope(team.id),
        "conversation": ConversationScope(conversation.id),
        "inbox": InboxScope(agent.id),
    }
    rival = await an_agent(await a_workspace("Rival"), role=Role.ADMIN)

    for by in (stranger, rival):
        with pytest.raises(NotFound):
            await anext(subscribe(reader, scopes[scope], by=as_agent(by)))


async def test_losing_the_membership_ends_the_stream_at_that_event(
    workspace: Workspace, reader: Reader
) -> None:
    team = await a_team(workspace)
    agent = await an_agent(workspace, teams=[team])
    channel = await a_channel(workspace, team=team)
    items = subscribe(reader, QueueScope(team.id), by=as_agent(agent))
    await anext(items)
    await a_message(channel)
    await Membership.remove(by=by_system(workspace), team=team, agent_id=agent.id)
    await a_message(channel)

    rest = [item async for item in items]

    assert kinds(rest) == [Kind.CONVERSATION_QUEUED]


async def test_access_lost_while_the_stream_opens_is_noticed(
    workspace: Workspace, reader: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    team = await a_team(workspace)
    agent = await an_agent(workspace, teams=[team])
    real = subscription._open

    async def while_opening(*arguments: Any) -> Any:
        await Membership.remove(by=by_system(workspace), team=team, agent_id=agent.id)
        return await real(*arguments)

    monkeypatch.setattr(subscription, "_open", while_opening)

    with pytest.raises(NotFound):
        await anext(subscribe(reader, QueueScope(team.id), by=as_agent(agent)))


async def test_a_conversation_moved_out_of_sight_ends_its_stream(
    workspace: Workspace, reader: Reader
) -> None:
    team, elsewhere = await a_team(workspace), await a_team(workspace)
    agent = await an_agent(workspace, teams=[team])
    conversation = await a_conversation(workspace, team=team)
    items = subscribe(reader, ConversationScope(conversation.id), by=as_agent(agent))
    await anext(items)

    await transfer(conversation.id, by=by_system(workspace), to_team=elsewhere.id)

    assert [item async for item in items] == []


async def test_a_revoked_token_ends_its_streams(workspace: Workspace, reader: Reader) -> None:
    token, secret = await Token.issue(
        by=by_system(workspace), name="Script", scopes=("conversations:read",)
    )
    by, _ = await actor_of(secret)
    team = await a_team(workspace)
    items = subscribe(reader, QueueScope(team.id), by=by)
    await anext(items)

    await Token.revoke(token.id, by=by_system(workspace))

    with pytest.raises(Unauthenticated):
        await anext(items)


@pytest.mark.parametrize("kind", ["other history", "too old", "of the future"])
async def test_a_cursor_that_is_of_no_use_is_answered_by_a_fresh_start(
    workspace: Workspace, reader: Reader, kind: str
) -> None:
    _, team = await a_team(workspace), await a_team(workspace)
    head = await log.head(workspace.id)
    position = {
        "other history": Position(uuid4(), 0, head.at),
        "too old": Position(head.epoch, 0, head.at),
        "of the future": Position(head.epoch, head.seq + 1_000, head.at),
    }[kind]
    if kind == "too old":
        await fetch("UPDATE logs SET floor_seq = 1 WHERE workspace_id = $1", workspace.id)
        await fetch("DELETE FROM events WHERE workspace_id = $1 AND seq = 1", workspace.id)

    async with aclosing(
        subscribe(reader, QueueScope(team.id), by=by_system(workspace), after=position.cursor())
    ) as items:
        reset, opening = await take(items, 2)

    assert isinstance(reset, Reset)
    assert isinstance(opening, Snapshot)
    assert reset.reason is (ResetReason.TOO_OLD if kind == "too old" else ResetReason.OTHER_HISTORY)
    assert reset.position == opening.position


async def test_a_cursor_of_another_workspace_is_another_history(
    workspace: Workspace, reader: Reader
) -> None:
    team = await a_team(workspace)
    foreign = await log.head((await a_workspace("Rival")).id)

    async with aclosing(
        subscribe(
            reader, QueueScope(team.id), by=by_system(workspace), after=foreign.position.cursor()
        )
    ) as items:
        reset = await anext(items)

    assert isinstance(reset, Reset)


async def test_what_is_no_cursor_is_refused_at_once(workspace: Workspace, reader: Reader) -> None:
    team = await a_team(workspace)

    with pytest.raises(InvalidCursor):
        await anext(subscribe(reader, QueueScope(team.id), by=by_system(workspace), after="x"))
