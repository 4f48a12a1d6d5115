"""Presence is a lease: several devices are one, and the last to fall silent disconnects."""

import asyncio
from datetime import datetime

import asyncpg
import orjson
import pytest

from models import Agent, Workspace
from models.access import Role
from models.agent import LEASE_SECONDS, lapse_presence
from models.database import credentials, fetch, fetchval
from models.decision import Availability
from models.errors import Forbidden, NotFound
from models.event import Kind
from tests.conftest import Clock
from tests.factories import a_workspace, an_agent, as_agent, as_integration

BATCH = 100


async def beat(agent: Agent, device: str = "browser") -> None:
    await Agent.beat(agent.id, by=as_agent(agent), device=device)


async def is_connected(agent: Agent) -> bool:
    return (await Agent.get(id=agent.id)).is_connected


async def told(kind: Kind) -> int:
    count: int = await fetchval("SELECT count(*) FROM events WHERE kind = $1", kind.value)
    return count


async def test_the_first_beat_connects_and_the_next_says_nothing(workspace: Workspace) -> None:
    agent = await an_agent(workspace, connected=False)

    for _ in range(3):
        await beat(agent)

    assert await is_connected(agent)
    assert await told(Kind.AGENT_CONNECTED) == 1


async def test_silence_for_a_lease_disconnects(workspace: Workspace, clock: Clock) -> None:
    agent = await an_agent(workspace)

    await clock.travel(seconds=LEASE_SECONDS - 5)
    assert await lapse_presence(BATCH) == 0
    await clock.travel(seconds=5)
    assert await lapse_presence(BATCH) == 1

    assert not await is_connected(agent)
    assert await lapse_presence(BATCH) == 0
    assert await told(Kind.AGENT_DISCONNECTED) == 1


async def test_a_beat_renews_the_lease(workspace: Workspace, clock: Clock) -> None:
    agent = await an_agent(workspace)
    for _ in range(3):
        await clock.travel(seconds=LEASE_SECONDS - 5)
        await beat(agent)

    assert await lapse_presence(BATCH) == 0


async def test_the_last_device_to_fall_silent_disconnects(
    workspace: Workspace, clock: Clock
) -> None:
    agent = await an_agent(workspace, connected=False)
    await beat(agent, "phone")
    await clock.travel(seconds=LEASE_SECONDS / 2)
    await beat(agent, "browser")
    await clock.travel(seconds=LEASE_SECONDS / 2)

    assert await lapse_presence(BATCH) == 0
    await clock.travel(seconds=LEASE_SECONDS / 2)
    assert await lapse_presence(BATCH) == 1


async def test_coming_back_finds_the_availability_as_it_was(
    workspace: Workspace, clock: Clock
) -> None:
    agent = await an_agent(workspace, availability=Availability.AWAY)
    await clock.travel(seconds=LEASE_SECONDS)
    await lapse_presence(BATCH)

    await beat(agent)

    back = await Agent.get(id=agent.id)
    assert (back.is_connected, back.availability) == (True, Availability.AWAY)


async def test_each_is_disconnected_once_however_many_sweep(
    workspace: Workspace, clock: Clock
) -> None:
    for _ in range(6):
        await an_agent(workspace)
    await clock.travel(seconds=LEASE_SECONDS)

    lapsed = await asyncio.gather(*[lapse_presence(2) for _ in range(6)])

    assert sum(lapsed) == await told(Kind.AGENT_DISCONNECTED)
    assert sum(lapsed) + await lapse_presence(BATCH) == 6


async def test_the_log_tells_since_when_an_agent_was_silent(
    workspace: Workspace, clock: Clock
) -> None:
    await clock.stop()
    agent = await an_agent(workspace)
    ends_at = await fetchval("SELECT expires_at FROM presence_leases")
    await clock.travel(hours=1)

    await beat(agent)

    rows = await fetch("SELECT kind, actor_kind, data FROM events ORDER BY seq DESC LIMIT 2")
    assert [(row["kind"], row["actor_kind"]) for row in rows] == [
        ("AGENT_CONNECTED", "AGENT"),
        ("AGENT_DISCONNECTED", "SYSTEM"),
    ]
    assert datetime.fromisoformat(orjson.loads(rows[1]["data"])["since"]) == ends_at
    assert await is_connected(agent)


async def test_the_last_lease_of_who_counts_as_connected_is_kept(
    workspace: Workspace, clock: Clock, database: str
) -> None:
    agent = await an_agent(workspace)
    await clock.travel(seconds=1)
    await beat(agent, "phone")
    await clock.travel(days=30)

    # Whoever holds the agent keeps the sweep from disconnecting it.
    holder = await asyncpg.connect(**credentials(database))
    async with holder.transaction():
        await holder.execute("SELECT FROM agents FOR NO KEY UPDATE")
        assert await lapse_presence(BATCH) == 0
    await holder.close()

    assert await fetchval("SELECT device FROM presence_leases") == "phone"


async def test_leases_that_ran_out_long_ago_are_forgotten(
    workspace: Workspace, clock: Clock
) -> None:
    agent = await an_agent(workspace)
    await beat(agent, "phone")
    await clock.travel(days=30)

    await lapse_presence(BATCH)

    assert await fetchval("SELECT count(*) FROM presence_leases") == 0


async def test_availability_that_is_as_it_was_says_nothing(workspace: Workspace) -> None:
    agent = await an_agent(workspace)
    before = await told(Kind.AGENT_AVAILABILITY_CHANGED)

    await Agent.set_availability(
        agent.id, by=as_agent(agent), availability=Availability.ONLINE, accepts_new=True
    )

    assert await told(Kind.AGENT_AVAILABILITY_CHANGED) == before


async def test_only_oneself_and_who_may_speaks_for_an_agent(workspace: Workspace) -> None:
    agent, colleague = [await an_agent(workspace) for _ in range(2)]
    boss = await an_agent(workspace, role=Role.OPERATOR)
    rival = await an_agent(await a_workspace("Rival"), role=Role.ADMIN)

    with pytest.raises(Forbidden):
        await Agent.beat(agent.id, by=as_agent(colleague), device="browser")
    with pytest.raises(NotFound):
        await Agent.beat(agent.id, by=as_agent(rival), device="browser")
    for by in (as_agent(boss), as_integration(workspace, "presence:write")):
        await Agent.set_availability(agent.id, by=by, availability=Availability.AWAY)
