"""Random walks: whoever joins, stalls, leaves and comes back is given the log, and nothing else.

Beside every follower stands what it should have been given, taken from the log itself by plainer
means: no keys, no rings, no indexes.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field
from random import Random
from uuid import UUID

import pytest

from models import Agent, Conversation, Membership, Team, Workspace, log, ring, stream, subscription
from models.access import Actor
from models.database import fetch
from models.decision import Availability
from models.errors import DomainError, NotFound
from models.event import Kind
from models.event_key import changes_staff
from models.log import Event
from models.retention import EVENT_RETENTION_DAYS, forget_old
from models.scope.base import Scope
from models.scope.conversation import moves
from models.stream import Reader
from models.subscription import (
    ConversationScope,
    InboxScope,
    Item,
    Logged,
    LogScope,
    QueueScope,
    Reset,
    Snapshot,
    TeamScope,
    subscribe,
)
from models.transfer import transfer
from tests.conftest import Clock
from tests.factories import (
    a_channel,
    a_message,
    a_team,
    a_workspace,
    an_agent,
    as_agent,
    by_system,
    working,
)

STEPS = 90
FOLLOWERS_MAX = 14


@pytest.fixture(autouse=True)
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small limits, so that all of them are met; and no wake-up ever arrives."""
    monkeypatch.setattr(ring, "RING_SIZE_MAX", 6)
    monkeypatch.setattr(ring, "TAKE_SIZE_MAX", 3)
    monkeypatch.setattr(log, "READ_SIZE_MAX", 7)
    monkeypatch.setattr(log, "SCAN_SIZE_MAX", 11)
    monkeypatch.setattr(stream, "LOOK_SECONDS", 0.005)
    monkeypatch.setattr(subscription, "MARK_SECONDS", 0.005)


@dataclass
class Office:
    """One workspace, and everything that was ever logged in it."""

    workspace: Workspace
    teams: list[Team] = field(default_factory=list)
    agents: list[Agent] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)

    async def found(self) -> "Office":
        self.agents = [await an_agent(self.workspace) for _ in range(3)]
        self.teams = [await a_team(self.workspace, members=self.agents[:2]) for _ in range(2)]
        self.channels = [await a_channel(self.workspace, team=team) for team in self.teams]
        for channel in self.channels:
            await a_message(channel)
        await self.note()
        return self

    @property
    def boss(self) -> Actor:
        return by_system(self.workspace)

    async def note(self) -> None:
        """Keep what was logged before anybody forgets it."""
        while found := await log.read(self.workspace.id, len(self.events)):
            self.events += found

    async def conversations(self) -> list[Conversation]:
        return await Conversation.filter(workspace_id=self.workspace.id).order_by("opened_at")


@dataclass(eq=False)
class Watcher:
    """One subscriber, and what it was given since it began, or began anew."""

    office: Office
    scope: Scope
    by: Actor
    since: int = 0
    at: int = 0
    given: list[int] = field(default_factory=list)
    cursor: str | None = None
    is_over: bool = False
    may_read: asyncio.Event = field(default_factory=asyncio.Event)
    moved: asyncio.Event = field(default_factory=asyncio.Event)

    def connect(self, reader: Reader) -> None:
        self.may_read.set()
        self.task = asyncio.create_task(self._watch(reader))

    async def _watch(self, reader: Reader) -> None:
        try:
            async for item in subscribe(reader, self.scope, by=self.by, after=self.cursor):
                await self.may_read.wait()
                self._take(item)
        except NotFound:
            pass
        self.is_over = True
        self.moved.set()

    def _take(self, item: Item) -> None:
        assert item.position.seq >= self.at or isinstance(item, (Reset, Snapshot))
        if isinstance(item, Snapshot):
            self.since, self.given = item.position.seq, []
        elif isinstance(item, Logged):
            self.given.append(item.event.seq)
            assert item.event.workspace_id == self.office.workspace.id
        self.at, self.cursor = item.position.seq, item.position.cursor()
        self.moved.set()

    async def disconnect(self) -> None:
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)

    async def caught_up(self) -> None:
        self.may_read.set()
        while not self.is_over and self.at < len(self.office.events):
            self.moved.clear()
            await self.moved.wait()

    def may_have_lost_sight(self) -> bool:
        """Whether something happened that can have ended this stream, or kept it from beginning."""
        agent = self.by.agent_id
        one = getattr(self.scope, "conversation_id", None)
        return any(
            e.kind is Kind.MEMBER_REMOVED and e.from_agent_id == agent
            if e.conversation_id is None
            else e.conversation_id == one and moves(e)
            for e in self.office.events
            if e.seq > self.since
        )

    def expected(self) -> list[int]:
        return [e.seq for e in belonging(self.scope, self.office) if e.seq > self.since]


def belonging(scope: Scope, office: Office) -> list[Event]:
    """Every event of a scope that was ever logged."""
    about: dict[type, Callable[[Event], bool]] = {
        QueueScope: lambda e: scope.team_id in (e.from_queue_id, e.to_queue_id),  # type: ignore[attr-defined]
        ConversationScope: lambda e: e.conversation_id == scope.conversation_id,  # type: ignore[attr-defined]
        InboxScope: lambda e: scope.agent_id in (e.from_agent_id, e.to_agent_id),  # type: ignore[attr-defined]
        LogScope: lambda _: True,
    }
    if isinstance(scope, TeamScope):
        return of_team(scope.team_id, office.events)
    return [e for e in office.events if about[type(scope)](e)]


def of_team(id: UUID, events: list[Event]) -> list[Event]:
    members: set[UUID | None] = set()
    found = []
    for e in events:
        if e.conversation_id is None and id in (e.from_team_id, e.to_team_id):
            found.append(e)
            if e.kind is Kind.MEMBER_ADDED:
                members.add(e.to_agent_id)
            elif e.kind is Kind.MEMBER_REMOVED:
                members.discard(e.from_agent_id)
        elif changes_staff(e) and members & {e.from_agent_id, e.to_agent_id}:
            found.append(e)
    return found


class Walk:
    """What happens, step by step."""

    def __init__(self, seed: int, offices: list[Office], readers: list[Reader], clock: Clock):
        self.chance = Random(seed)
        self.offices = offices
        self.readers = readers
        self.clock = clock
        self.watchers: list[Watcher] = []
        self.left: list[Watcher] = []

    async def go(self) -> None:
        for _ in range(STEPS):
            steps = [self.write] * 6 + [self.join] * 3 + [self.leave, self.come_back, self.stall]
            step = self.chance.choice([*steps, self.staff, self.staff, self.settle])
            if self.chance.random() < 0.03:
                step = self.chance.choice([self.forget, self.restore])
            await step()
            for office in self.offices:
                await office.note()
        await self.settle()

    async def write(self) -> None:
        office = self.chance.choice(self.offices)
        conversation = self.chance.choice(await office.conversations())
        agent, team = self.chance.choice(office.agents), self.chance.choice(office.teams)
        try:
            match self.chance.randrange(5):
                case 0:
                    await a_message(self.chance.choice(office.channels))
                case 1:
                    await transfer(conversation.id, by=office.boss, to_team=team.id)
                case 2:
                    async with working(conversation.id, by=office.boss) as locked:
                        await locked.assign(agent.id, by=office.boss)
                case 3:
                    to = self.chance.choice(list(Availability))
                    await Agent.set_availability(agent.id, by=office.boss, availability=to)
                case _:
                    async with working(conversation.id, by=office.boss) as locked:
                        await locked.note("Hm.", by=office.boss)
        except DomainError:
            pass

    async def staff(self) -> None:
        office = self.chance.choice(self.offices)
        agent, team = self.chance.choice(office.agents), self.chance.choice(office.teams)
        if await Membership.exists(team_id=team.id, agent_id=agent.id):
            await Membership.remove(by=office.boss, team=team, agent_id=agent.id)
        else:
            await Membership.add(by=office.boss, team=team, agent_id=agent.id)

    async def join(self) -> None:
        if len(self.watchers) >= FOLLOWERS_MAX:
            return
        office = self.chance.choice(self.offices)
        agent = self.chance.choice(office.agents)
        team = self.chance.choice(office.teams)
        scope: Scope = self.chance.choice(
            [
                QueueScope(team.id),
                TeamScope(team.id),
                InboxScope(agent.id),
                ConversationScope(self.chance.choice(await office.conversations()).id),
                LogScope(),
            ]
        )
        by = office.boss if isinstance(scope, LogScope) else as_agent(agent)
        self._begin(Watcher(office, scope, by))

    def _begin(self, watcher: Watcher) -> None:
        watcher.connect(self.chance.choice(self.readers))
        self.watchers.append(watcher)

    async def leave(self) -> None:
        if self.watchers:
            watcher = self.watchers.pop(self.chance.randrange(len(self.watchers)))
            await watcher.disconnect()
            if not watcher.is_over:
                self.left.append(watcher)

    async def come_back(self) -> None:
        if self.left:
            self._begin(self.left.pop())

    async def stall(self) -> None:
        for watcher in self.watchers:
            if self.chance.random() < 0.5:
                watcher.may_read.clear()

    async def forget(self) -> None:
        await self.clock.travel(days=EVENT_RETENTION_DAYS + 1)
        await forget_old(self.chance.randrange(1, 60))

    async def restore(self) -> None:
        office = self.chance.choice(self.offices)
        await fetch("UPDATE logs SET epoch = gen_random_uuid() WHERE workspace_id = $1",
                    office.workspace.id)  # fmt: skip

    async def settle(self) -> None:
        """Whoever is connected has been given everything, or may see no more."""
        for office in self.offices:
            await office.note()
        for watcher in list(self.watchers):
            await watcher.caught_up()
            if watcher.is_over:
                assert watcher.task.exception() is None
                assert watcher.expected()[: len(watcher.given)] == watcher.given
                assert watcher.at == 0 or watcher.may_have_lost_sight()
                self.watchers.remove(watcher)
            else:
                assert watcher.given == watcher.expected(), watcher.scope


@asynccontextmanager
async def reading(count: int) -> AsyncGenerator[list[Reader], None]:
    readers = [Reader() for _ in range(count)]
    for reader in readers:
        reader.start()
    yield readers
    for reader in readers:
        await reader.stop()


@pytest.mark.parametrize("seed", range(6))
async def test_every_follower_is_given_the_log(database: str, clock: Clock, seed: int) -> None:
    offices = [await Office(await a_workspace(name)).found() for name in ("Acme", "Rival")]
    async with reading(2) as readers:
        walk = Walk(seed, offices, readers, clock)
        try:
            await walk.go()
        finally:
            for watcher in walk.watchers:
                await watcher.disconnect()


# -- Snapshots


async def test_a_snapshot_with_what_was_logged_since_is_the_present_state(
    workspace: Workspace,
) -> None:
    """However many commit meanwhile: state and position are of one instant."""
    reader = Reader()
    team, boss = await a_team(workspace), by_system(workspace)
    agent = await an_agent(workspace, teams=[team], capacity=100)
    channel = await a_channel(workspace, team=team)
    # Each is moved once: no later event would hide that one was missed.
    ids = [(await a_message(channel)).conversation_id for _ in range(80)]

    async def assign(these: list[UUID]) -> None:
        for id in these:
            async with working(id, by=boss) as conversation:
                await conversation.assign(agent.id, by=boss)

    async def watch(writing: asyncio.Future[list[None]]) -> AsyncIterator[Item]:
        while not writing.done():
            async with aclosing(subscribe(reader, QueueScope(team.id), by=boss)) as items:
                yield await anext(items)

    writing = asyncio.gather(*[assign(ids[start::4]) for start in range(4)])
    found = [item async for item in watch(writing) if isinstance(item, Snapshot)]

    assert len(found) > 10
    final = {c.id: c.version for c in await Conversation.filter(team_id=team.id)}
    for snapshot in found:
        since = await everything_after(workspace, snapshot.position.seq)
        assert folded(snapshot, since, team.id) == set()
        assert all(row["version"] < final[row["id"]] for row in snapshot.conversations)


def folded(snapshot: Snapshot, since: list[Event], queue_id: UUID) -> set[UUID | None]:
    """Who waits after these events, of those who waited in a snapshot."""
    found: set[UUID | None] = {row["id"] for row in snapshot.conversations}
    for each in since:
        if each.to_queue_id == queue_id:
            found.add(each.conversation_id)
        elif each.from_queue_id == queue_id:
            found.discard(each.conversation_id)
    return found


async def everything_after(workspace: Workspace, seq: int) -> list[Event]:
    found: list[Event] = []
    while batch := await log.read(workspace.id, found[-1].seq if found else seq):
        found += batch
    return found
