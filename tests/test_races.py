"""Eight processes work the same conversations at once; the same checks fail without the locks."""

import asyncio
import json
import sys
from asyncio.subprocess import PIPE, Process
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from models import database
from models.decision import Distribution
from models.verify import violations
from tests.conftest import ConnectedTo, CopyOfDatabase
from tests.factories import a_channel, a_conversation, a_team, a_workspace, an_agent

RACER = Path(__file__).parent / "racer.py"
PROCESSES = 8
CONVERSATIONS = 50
AGENTS = 6
CAPACITY = 5


async def arrange() -> None:
    """Fifty conversations, a queue to pick from, one that distributes, too few agents."""
    workspace = await a_workspace()
    manual = await a_team(workspace)
    automatic = await a_team(workspace, distribution=Distribution.LEAST_OPEN)
    for _ in range(AGENTS):
        await an_agent(workspace, capacity=CAPACITY, teams=[manual, automatic])
    channel = await a_channel(workspace, team=manual)
    for _ in range(CONVERSATIONS):
        await a_conversation(workspace, channel=channel)


async def race(
    url: str, *, processes_max: int = PROCESSES, locked: bool, racer: Path = RACER
) -> list[Any]:
    """Let the processes loose; returns what their commands said they had done."""
    processes = [await _racer(racer, url, seed, locked=locked) for seed in range(processes_max)]
    try:
        for process in processes:
            assert process.stdout is not None
            assert await process.stdout.readline() == b'"ready"\n'
        said = await asyncio.gather(*[process.communicate(b"go\n") for process in processes])
    finally:
        for process in processes:
            if process.returncode is None:
                process.kill()
    assert [process.returncode for process in processes] == [0] * processes_max
    return [json.loads(line) for out, _ in said for line in out.splitlines()]


async def _racer(racer: Path, url: str, seed: int, *, locked: bool) -> Process:
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-P", racer, url, str(seed), "locked" if locked else "unlocked"),
        stdin=PIPE,
        stdout=PIPE,
        cwd=RACER.parent.parent,
        env={"PYTHONPATH": str(RACER.parent.parent)},
    )


async def problems(said: list[Any]) -> list[str]:
    """What the database and the log say against one holder each, within everyone's capacity."""
    found = [violation.invariant for violation in await violations()]
    return found + await _not_as_said(said) + await _against_the_log()


async def _not_as_said(said: list[Any]) -> list[str]:
    rows = await database.fetch(
        "SELECT rule, conversation_id, agent_id FROM assignments"
        " WHERE decision -> 'candidates' = '[]' AND rule <> 'REOPENED'"
    )
    kept = Counter((row[0], str(row[1]), str(row[2])) for row in rows)
    told = Counter((rule, conversation, agent) for rule, conversation, agent in said)
    return [f"{key}: told {told[key]}, kept {kept[key]}" for key in (told - kept) + (kept - told)]


async def _against_the_log() -> list[str]:
    """Go through the log and watch who holds what: agents are locked while they are numbered."""
    holders: dict[Any, Any] = {}
    counted: dict[Any, Any] = {}
    found = []
    for row in await database.fetch("SELECT * FROM events ORDER BY seq"):
        conversation, before, after = (
            row[name] for name in ("conversation_id", "from_agent_id", "to_agent_id")
        )
        if conversation is None:
            continue
        if holders.get(conversation) != before:
            found.append(f"{row['seq']}: held by {holders.get(conversation)}, not {before}")
        rule = json.loads(row["data"] or "{}").get("rule")
        automatic = row["kind"] == "CONVERSATION_ASSIGNED" and row["actor_kind"] == "SYSTEM"
        limited = rule == "PICKED" or (automatic and rule != "ASSIGNED_BY_HAND")
        if limited and list(counted.values()).count(after) >= CAPACITY:
            found.append(f"{row['seq']}: beyond the capacity of {after}")
        holders[conversation] = after
        counted[conversation] = None if row["kind"] == "CONVERSATION_SNOOZED" else after
    return found


@pytest.mark.timeout(120)
async def test_of_many_processes_one_gets_each_conversation(pool: str, database: str) -> None:
    await arrange()

    said = await race(pool, locked=True)

    assert len(said) > CONVERSATIONS
    assert await problems(said) == []


@pytest.mark.timeout(120)
@pytest.mark.leaves_violations
async def test_without_locks_the_same_race_is_lost(
    copy_of_database: CopyOfDatabase, connected_to: ConnectedTo
) -> None:
    async with copy_of_database("unlocked") as url, connected_to(url):
        await arrange()
        await database.fetch("DROP INDEX assignments_one_open_per_conversation")

        said = await race(url, processes_max=4, locked=False)

        assert await problems(said) != []
