"""Pages of the log: what a filter lets through, without a hole, however far apart it lies."""

import asyncio
from collections.abc import AsyncIterator
from random import Random
from uuid import UUID, uuid4

import pytest

from models import Workspace, event, log, log_page
from models.access import ActorKind
from models.database import encode, fetch, fetchval, tx
from models.errors import InvalidCursor
from models.event import Kind
from models.log import Event, Filter, Position
from models.log_page import LogPage, page
from models.retention import EVENT_RETENTION_DAYS, forget_old
from tests.conftest import Clock
from tests.factories import (
    a_channel,
    a_contact,
    a_conversation,
    a_team,
    a_ticket,
    a_workspace,
    an_agent,
    by_system,
)

KINDS = (Kind.IDLE_REMINDED, Kind.WEBHOOK_REQUESTED, Kind.SNIPPET_CREATED, Kind.TAG_CREATED)
EVENTS = 150


@pytest.fixture
async def filters(workspace: Workspace) -> list[Filter]:
    """Filters of every kind and mixture, and a log in which all of them have something."""
    chance = Random(5)
    agents = [(await an_agent(workspace)).id for _ in range(2)]
    queues = [(await a_team(workspace)).id for _ in range(2)]
    conversation = await a_conversation(workspace)
    requester = await a_contact(await a_channel(workspace))
    tickets = [(await a_ticket(requester)).id for _ in range(2)]
    ids: dict[str, list[UUID]] = {
        "conversation_id": [conversation.id],
        "queue_id": queues,
        "agent_id": agents,
        "ticket_id": tickets,
        "own_of": agents,
    }
    await log_of(workspace, ids, chance)
    return [a_filter(ids, chance) for _ in range(40)]


def a_filter(ids: dict[str, list[UUID]], chance: Random) -> Filter:
    given = {name: chance.choice(some) for name, some in ids.items() if chance.random() < 0.3}
    kinds = chance.sample(KINDS, chance.randint(0, 2)) if chance.random() < 0.5 else None
    return Filter(kinds=kinds, **given)


async def log_of(workspace: Workspace, ids: dict[str, list[UUID]], chance: Random) -> None:
    """Rows of the log alone: nothing happened to what they are about."""

    def perhaps(name: str) -> UUID | None:
        return chance.choice([None, None, *ids[name]])

    rows = []
    for _ in range(EVENTS):
        ticket, from_ticket = perhaps("ticket_id"), perhaps("ticket_id")
        moved = from_ticket is not None and from_ticket != ticket
        rows.append(
            {
                "kind": chance.choice([*KINDS, "UNHEARD_OF"]),
                "actor_kind": chance.choice(list(ActorKind)),
                "actor_id": perhaps("agent_id"),
                "conversation_id": perhaps("conversation_id"),
                "from_queue_id": perhaps("queue_id"),
                "to_queue_id": perhaps("queue_id"),
                "from_agent_id": perhaps("agent_id"),
                "to_agent_id": perhaps("agent_id"),
                "ticket_id": ticket,
                "data": {"from_ticket": from_ticket} if moved else {},
            }
        )
    await fetch(
        """
        INSERT INTO events SELECT (jsonb_populate_record(NULL::events, r.fact || jsonb_build_object(
            'workspace_id', $1::uuid, 'seq', h.seq + r.place, 'logged_at', relevo_now()))).*
        FROM jsonb_array_elements($2::text::jsonb) WITH ORDINALITY AS r(fact, place),
             (SELECT max(seq) AS seq FROM events WHERE workspace_id = $1) h
        """,
        workspace.id,
        encode(rows),
    )


async def pages(
    workspace: Workspace, wanted: Filter, *, size: int, backward: bool = False
) -> AsyncIterator[LogPage]:
    """One after the other, as a caller goes on from where each of them says."""
    cursor = None
    while True:
        way = {"before": cursor} if backward else {"after": cursor}
        found = await page(workspace.id, wanted, size=size, backward=backward, **way)
        yield found
        if not found.is_more:
            return
        ends = [found.position_of(one) for one in found.events[:: -1 if backward else 1]]
        cursor = (found.looked_to or ends[-1]).cursor()


async def the_log(workspace: Workspace) -> list[Event]:
    return await log.read(workspace.id, 0)


@pytest.mark.parametrize("backward", [False, True])
@pytest.mark.parametrize("walk", [20, log_page.WALK_SIZE_MAX])
async def test_pages_have_what_the_filter_holds_of_and_nothing_twice(
    workspace: Workspace,
    filters: list[Filter],
    monkeypatch: pytest.MonkeyPatch,
    backward: bool,
    walk: int,
) -> None:
    monkeypatch.setattr(log_page, "WALK_SIZE_MAX", walk)
    everything = await the_log(workspace)
    found_any = 0

    for wanted in filters:
        found = []
        async for each in pages(workspace, wanted, size=7, backward=backward):
            assert len(each.events) <= 7
            found = [*each.events, *found] if backward else [*found, *each.events]
        assert found == [one for one in everything if wanted.holds(one)], wanted
        found_any += bool(found)

    assert found_any > len(filters) / 2


async def test_what_is_not_filtered_has_no_hole(workspace: Workspace) -> None:
    for _ in range(12):
        await a_team(workspace)

    found = [one async for each in pages(workspace, Filter(), size=5) for one in each.events]

    assert [one.seq for one in found] == list(range(1, 13))


async def test_a_rare_filter_says_how_far_it_looked(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_page, "WALK_SIZE_MAX", 5)
    for _ in range(12):
        await a_team(workspace)
    wanted = Filter(kinds=[Kind.TAG_CREATED])

    found = [each async for each in pages(workspace, wanted, size=5)]

    looked = [each.looked_to.seq for each in found if each.looked_to]
    assert [each.events for each in found] == [[]] * 3
    assert [each.is_more for each in found] == [True, True, False]
    assert looked == [5, 10, 12]


async def test_nothing_is_walked_along_what_belongs_to_others(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_page, "WALK_SIZE_MAX", 1)
    rival = await a_workspace("Rival")
    await a_team(workspace)
    agent = await an_agent(rival)
    conversation = await a_conversation(rival, team=await a_team(rival), holder=agent)
    assert conversation.team_id is not None

    for foreign in (
        Filter(agent_id=agent.id),
        Filter(own_of=agent.id),
        Filter(queue_id=conversation.team_id),
        Filter(conversation_id=conversation.id),
        Filter(ticket_id=uuid4()),
    ):
        found = await page(workspace.id, foreign, size=5)
        assert (found.events, found.is_more) == ([], False), foreign


# -- Beside what is forgotten


@pytest.fixture
async def forgotten(workspace: Workspace, clock: Clock) -> Workspace:
    """A workspace of which the log begins after its fourth event, a team's."""
    team = await a_team(workspace)
    conversation = await a_conversation(workspace, team=team)
    assert conversation.team_id == team.id
    await clock.travel(days=EVENT_RETENTION_DAYS, seconds=1)
    await a_team(workspace)
    await a_team(workspace)
    while await forget_old(100):
        pass
    return workspace


async def cursor_at(workspace: Workspace, seq: int) -> str:
    head = await log.head(workspace.id)
    return Position(head.epoch, seq, head.at).cursor()


@pytest.mark.parametrize("way", ["after", "before"])
async def test_a_cursor_before_the_floor_says_where_to_go_on(
    forgotten: Workspace, way: str
) -> None:
    head = await log.head(forgotten.id)

    with pytest.raises(InvalidCursor) as refusal:
        await page(forgotten.id, Filter(), size=5, **{way: await cursor_at(forgotten, 1)})

    assert refusal.value.facts["reason"] == "TOO_OLD"
    go_on = str(refusal.value.facts["goOnAfter"])
    rest = await page(forgotten.id, Filter(), size=5, after=go_on)
    assert [one.seq for one in rest.events] == [head.floor_seq + 1, head.floor_seq + 2]
    assert rest.looked_to == head.position


async def test_who_changed_what_is_read_from_before_the_floor(forgotten: Workspace) -> None:
    wanted = Filter(kinds=[Kind.TEAM_CREATED, Kind.TEAM_UPDATED])
    head = await log.head(forgotten.id)

    whole = await page(forgotten.id, wanted, size=5)
    rest = await page(forgotten.id, wanted, size=5, after=await cursor_at(forgotten, 1))
    back = await page(forgotten.id, wanted, size=5, backward=True)

    seqs = [one.seq for one in whole.events]
    assert seqs == [1, head.floor_seq + 1, head.floor_seq + 2]
    assert [one.seq for one in rest.events] == seqs[1:]
    assert back.events == whole.events


@pytest.mark.parametrize("kinds", [None, [Kind.TEAM_CREATED, Kind.CONVERSATION_OPENED]])
@pytest.mark.parametrize("backward", [False, True])
async def test_what_is_not_kept_begins_at_the_floor(
    forgotten: Workspace, kinds: list[Kind] | None, backward: bool
) -> None:
    head = await log.head(forgotten.id)

    found = await page(forgotten.id, Filter(kinds=kinds), size=50, backward=backward)

    assert [one.seq for one in found.events] == [head.floor_seq + 1, head.floor_seq + 2]
    assert not found.is_more


async def test_a_cursor_of_another_history_is_told_as_one(workspace: Workspace) -> None:
    await a_team(workspace)
    cursor = await cursor_at(workspace, 1)
    await fetch("UPDATE logs SET epoch = gen_random_uuid()")

    with pytest.raises(InvalidCursor) as refusal:
        await page(workspace.id, Filter(), size=5, after=cursor)

    assert refusal.value.facts["reason"] == "OTHER_HISTORY"


async def test_whoever_asks_now_and_then_for_what_is_rare_never_comes_too_late(
    workspace: Workspace, clock: Clock
) -> None:
    wanted = Filter(kinds=[Kind.CONVERSATION_CLOSED])
    cursor = None

    for _ in range(4):
        await a_team(workspace)
        await a_conversation(workspace)
        found = await page(workspace.id, wanted, size=5, after=cursor)
        assert found.looked_to is not None
        cursor = found.looked_to.cursor()
        await clock.travel(days=EVENT_RETENTION_DAYS - 1)
        while await forget_old(100):
            pass

    assert await fetchval("SELECT floor_seq FROM logs") > 0


async def test_no_page_has_a_hole_while_its_log_is_being_forgotten(
    workspace: Workspace, clock: Clock
) -> None:
    async with tx():
        for _ in range(300):
            event.record(Kind.IDLE_REMINDED, by=by_system(workspace))
    await clock.travel(days=EVENT_RETENTION_DAYS, seconds=1)
    begins: list[int] = []

    async def forget() -> None:
        while await forget_old(5):
            pass

    async def read() -> None:
        while not forgetting.done():
            seqs = [one.seq for one in (await page(workspace.id, Filter(), size=40)).events]
            assert seqs == list(range(seqs[0], seqs[0] + len(seqs)))
            begins.append(seqs[0])

    forgetting = asyncio.create_task(forget())
    await asyncio.gather(forgetting, read(), read())

    assert len(set(begins)) > 3
    assert (await log.head(workspace.id)).floor_seq == 299
