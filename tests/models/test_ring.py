"""The ring of a workspace: who is told of what, and who has to read elsewhere."""

import asyncio
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models import ring as rings
from models.access import ActorKind
from models.event import Kind
from models.event_key import STAFF, TREE, WORKSPACE, Key, access_keys, keys_of
from models.log import Event, Head
from models.ring import Follower, Gap, LogBroken, ResetReason, Ring

NOW = datetime(2026, 1, 1, tzinfo=UTC)
IDS = [UUID(int=number) for number in range(1, 40)]
QUEUE, OTHER_QUEUE, AGENT, OTHER_AGENT, TEAM, CONVERSATION, TICKET, OTHER_TICKET, TOKEN = IDS[:9]
HEAD = Head(UUID(int=99), 0, 0, NOW, UUID(int=98), NOW)
A_FACT = Event(
    workspace_id=UUID(int=97),
    seq=0,
    kind=Kind.WORKSPACE_UPDATED,
    logged_at=NOW,
    actor_kind=ActorKind.SYSTEM,
    actor_id=None,
    conversation_id=None,
    contact_id=None,
    channel_id=None,
    message_id=None,
    from_queue_id=None,
    to_queue_id=None,
    from_agent_id=None,
    to_agent_id=None,
    from_team_id=None,
    to_team_id=None,
    ticket_id=None,
    data={},
)


def of_queue(seq: int, queue_id: UUID = QUEUE) -> Event:
    return replace(A_FACT, seq=seq, to_queue_id=queue_id)


def seqs(events: list[Event] | None) -> list[int]:
    assert events is not None
    return [event.seq for event in events]


def in_queue(id: UUID) -> Key:
    return ("queue", id)


HELD = {"conversation_id": CONVERSATION, "from_agent_id": AGENT, "to_agent_id": AGENT}
ABOUT_IT: set[Key] = {("conversation", CONVERSATION), ("agent", AGENT), ("own", AGENT)}


@pytest.mark.parametrize(
    ("kind", "facts", "keys"),
    [
        (Kind.NOTE_ADDED, {"contact_id": TOKEN}, {("contact", TOKEN)}),
        (
            Kind.CONVERSATION_QUEUED,
            {"from_queue_id": QUEUE, "to_queue_id": OTHER_QUEUE},
            {("queue", QUEUE), ("queue", OTHER_QUEUE)},
        ),
        (
            Kind.TICKET_LINKED,
            {"ticket_id": TICKET, "data": {"from_ticket": str(OTHER_TICKET)}},
            {("ticket", TICKET), ("ticket", OTHER_TICKET)},
        ),
        # A conversation's team is where it is, not what the event is about.
        (
            Kind.NOTE_ADDED,
            {"conversation_id": CONVERSATION, "to_team_id": TEAM},
            {("conversation", CONVERSATION)},
        ),
        (Kind.MEMBERS_REORDERED, {"to_team_id": TEAM}, {("team", TEAM)}),
        (
            Kind.AGENT_CONNECTED,
            {"to_agent_id": AGENT},
            {("agent", AGENT), ("own", AGENT), ("staff", AGENT), STAFF},
        ),
        # Its holder stays the same: a message changes no load, a snooze does.
        (Kind.MESSAGE_SENT, HELD, ABOUT_IT),
        (Kind.CONVERSATION_SNOOZED, HELD, {*ABOUT_IT, ("staff", AGENT), STAFF}),
        (
            Kind.NOTE_ADDED,
            {"actor_kind": ActorKind.AGENT, "actor_id": AGENT},
            {("own", AGENT)},
        ),
        (
            Kind.CONVERSATION_ASSIGNED,
            HELD | {"from_agent_id": None},
            {*ABOUT_IT, ("staff", AGENT), STAFF},
        ),
    ],
)
def test_an_event_is_filed_under_what_it_concerns(
    kind: Kind, facts: dict[str, Any], keys: set[Key]
) -> None:
    event = replace(A_FACT, kind=kind, **facts)

    assert keys_of(event) == {WORKSPACE, ("kind", kind), *keys}


@pytest.mark.parametrize(
    ("event", "keys"),
    [
        (replace(A_FACT, kind=Kind.TOKEN_REVOKED, data={"token": str(TOKEN)}), {("access", TOKEN)}),
        (replace(A_FACT, kind=Kind.MEMBER_REMOVED, from_agent_id=AGENT), {("access", AGENT)}),
        (replace(A_FACT, kind=Kind.AGENT_UPDATED, to_agent_id=AGENT), {("access", AGENT)}),
        (replace(A_FACT, kind=Kind.TEAM_CREATED), {TREE}),
        (replace(A_FACT, kind=Kind.TEAM_DELETED), {TREE}),
        (replace(A_FACT, kind=Kind.TEAM_UPDATED, data={"parent_id": None}), {TREE}),
        (replace(A_FACT, kind=Kind.TEAM_UPDATED, data={"max_open": 3}), set()),
        (replace(A_FACT, kind=Kind.MESSAGE_SENT, to_agent_id=AGENT), set()),
        # What a newer version logs may move anybody's.
        (replace(A_FACT, kind=Kind.OTHER, to_agent_id=AGENT), {TREE, ("access", AGENT)}),
    ],
)
def test_an_event_says_whose_access_it_may_move(event: Event, keys: set[Key]) -> None:
    assert access_keys(event) == keys
    assert keys <= keys_of(event)


def test_an_event_has_twenty_keys_at_most() -> None:
    ids = {name: IDS[place] for place, name in enumerate(Event.__slots__) if name.endswith("_id")}
    everything = replace(A_FACT, **ids, kind=Kind.OTHER, data={"from_ticket": str(TICKET)})

    assert len(keys_of(everything)) <= 20


async def test_whoever_follows_something_quiet_is_never_woken() -> None:
    ring = Ring(HEAD)
    follower = Follower(ring, [in_queue(QUEUE)], 0)
    waiting = asyncio.create_task(follower.wait(None))
    await asyncio.sleep(0)

    ring.add([of_queue(seq, OTHER_QUEUE) for seq in range(1, 100)])
    await asyncio.sleep(0)

    assert not waiting.done()
    # Its position is the ring's all the same, and nothing was read for that.
    assert (follower.take(), follower.seq) == ([], 99)
    ring.add([of_queue(100)])
    await waiting
    assert seqs(follower.take()) == [100]


def test_nothing_is_kept_of_what_nobody_follows() -> None:
    ring = Ring(HEAD)
    follower = Follower(ring, [in_queue(QUEUE)], 0)

    ring.add([of_queue(1), of_queue(2, OTHER_QUEUE)])
    assert len(ring._events) == 1
    follower.leave()
    ring.add([of_queue(3)])

    assert (ring._tracks, len(ring._events), ring.followers) == ({}, 1, set())


def test_whoever_fell_behind_the_ring_has_to_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rings, "RING_SIZE_MAX", 3)
    ring = Ring(HEAD)
    busy, quiet = Follower(ring, [in_queue(QUEUE)], 0), Follower(ring, [in_queue(OTHER_QUEUE)], 0)

    ring.add([of_queue(1, OTHER_QUEUE), *(of_queue(seq) for seq in range(2, 5))])

    assert seqs(busy.take()) == [2, 3, 4]
    assert quiet.take() is None
    quiet.rewind(4)
    assert (quiet.take(), quiet.seq) == ([], 4)


def test_whoever_comes_later_than_an_event_reads_it() -> None:
    """A key's events are kept from when somebody follows it: what was before is read elsewhere."""
    ring = Ring(HEAD)
    ring.add([of_queue(1), of_queue(2)])

    assert Follower(ring, [in_queue(QUEUE)], 1).take() is None
    assert Follower(ring, [in_queue(QUEUE)], 2).take() == []


def test_a_follower_ahead_of_the_ring_is_not_given_what_it_knows() -> None:
    ring = Ring(HEAD)
    ahead = Follower(ring, [in_queue(QUEUE)], 2)

    ring.add([of_queue(1), of_queue(2), of_queue(3)])

    assert seqs(ahead.take()) == [3]


def test_an_event_of_two_followed_keys_is_given_once() -> None:
    ring = Ring(HEAD)
    follower = Follower(ring, [in_queue(QUEUE), in_queue(OTHER_QUEUE)], 0)

    ring.add([replace(A_FACT, seq=1, from_queue_id=QUEUE, to_queue_id=OTHER_QUEUE)])

    assert seqs(follower.take()) == [1]


def test_a_long_batch_is_given_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rings, "TAKE_SIZE_MAX", 2)
    ring = Ring(HEAD)
    follower = Follower(ring, [WORKSPACE], 0)
    ring.add([replace(A_FACT, seq=seq) for seq in range(1, 6)])

    assert [seqs(follower.take()) for _ in range(4)] == [[1, 2], [3, 4], [5], []]


@pytest.mark.parametrize("error", [LogBroken("a hole"), Gap(ResetReason.FELL_BEHIND)])
async def test_what_ends_a_ring_is_told_after_what_came_before(error: Exception) -> None:
    ring = Ring(HEAD)
    follower = Follower(ring, [WORKSPACE], 0)
    ring.add([replace(A_FACT, seq=1)])

    ring.end(error)  # type: ignore[arg-type]  # one of both

    assert seqs(follower.take()) == [1]
    await follower.wait(None)
    with pytest.raises(type(error)):
        follower.take()


def test_a_hole_gives_what_came_before_it() -> None:
    ring = Ring(HEAD)
    follower = Follower(ring, [WORKSPACE], 0)

    with pytest.raises(LogBroken):
        ring.add([replace(A_FACT, seq=1), replace(A_FACT, seq=3)])

    assert seqs(follower.take()) == [1]


async def test_a_wait_ends_at_its_time_and_one_timer_serves_many() -> None:
    ring = Ring(HEAD)
    follower = Follower(ring, [WORKSPACE], 0)
    loop = asyncio.get_running_loop()

    await follower.wait(loop.time())
    first = follower._timer
    for seq in range(1, 4):
        waiting = asyncio.create_task(follower.wait(loop.time() + 60))
        await asyncio.sleep(0)
        ring.add([replace(A_FACT, seq=seq)])
        await waiting
        follower.take()

    second = follower._timer
    assert second is not None
    assert second is not first
    waiting = asyncio.create_task(follower.wait(loop.time() + 90))
    await asyncio.sleep(0)
    assert follower._timer is second
    sooner = asyncio.create_task(follower.wait(loop.time()))
    await sooner
    waiting.cancel()


QUEUES = IDS[20:24]
STEP = st.one_of(
    st.tuples(st.just("log"), st.lists(st.sampled_from(QUEUES), min_size=1, max_size=6)),
    st.tuples(st.just("join"), st.sets(st.sampled_from(QUEUES), min_size=1)),
    st.tuples(st.just("leave"), st.integers(0, 5)),
    st.tuples(st.just("take"), st.integers(0, 5)),
)


@dataclass(eq=False)
class Reading:
    """A follower of some queues, and what it was given since a number."""

    ring: Ring
    queues: set[UUID]
    start: int
    given: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.follower = Follower(self.ring, map(in_queue, self.queues), self.start)

    def expected(self, logged: list[Event]) -> list[int]:
        return [e.seq for e in logged if e.seq > self.start and e.to_queue_id in self.queues]

    def catch_up(self, logged: list[Event]) -> None:
        while True:
            after = self.follower.seq
            events = self.follower.take()
            if events is None:
                self.given += [seq for seq in self.expected(logged) if seq > after]
                self.follower.rewind(self.ring.last)
            else:
                self.given += seqs(events)
            if not self.follower._ready:
                return


class Walk:
    """A ring that grows, and those who join and leave."""

    def __init__(self) -> None:
        self.ring = Ring(HEAD)
        self.logged: list[Event] = []
        self.readings: list[Reading] = []

    def log(self, queues: list[UUID]) -> None:
        start = len(self.logged) + 1
        new = [of_queue(start + place, id) for place, id in enumerate(queues)]
        self.logged += new
        self.ring.add(new)

    def join(self, queues: set[UUID]) -> None:
        self.readings.append(Reading(self.ring, queues, max(0, self.ring.last - 3)))

    def take(self, which: int) -> Reading | None:
        if not self.readings:
            return None
        reading = self.readings[which % len(self.readings)]
        reading.catch_up(self.logged)
        return reading

    def leave(self, which: int) -> None:
        if reading := self.take(which):
            reading.follower.leave()
            self.readings.remove(reading)


@settings(max_examples=200, deadline=None)
@given(size=st.integers(1, 5), steps=st.lists(STEP, max_size=40))
def test_what_is_given_or_to_be_read_is_all_of_it(size: int, steps: list[tuple[str, Any]]) -> None:
    """Whatever the order of joining, leaving, growing and forgetting: each event once, in order."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(rings, "RING_SIZE_MAX", size)
        patched.setattr(rings, "TAKE_SIZE_MAX", 2)
        walk = Walk()
        for action, what in steps:
            getattr(walk, action)(what)
        for reading in walk.readings:
            reading.catch_up(walk.logged)

        assert [reading.given for reading in walk.readings] == [
            reading.expected(walk.logged) for reading in walk.readings
        ]
        assert len(walk.ring._events) <= size
