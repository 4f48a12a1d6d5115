"""A process of its own that works the same conversations as its rivals (see test_races.py).

It is told what to do by its arguments, says "ready" when it is connected, starts at the first
line of its input, and prints what its commands returned, a line of JSON each.
"""

import asyncio
import json
import random
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import structlog
from tortoise.queryset import QuerySet

from models import Agent, Conversation, Team, database, snooze
from models.access import Actor, ActorKind, Role
from models.closing import close
from models.database import Transaction, retrying, tx
from models.errors import DomainError
from models.reopening import reopen
from models.transfer import transfer

TASKS = 3
ROUNDS = 30
LOCK = "FOR NO KEY UPDATE"


def without_locks() -> None:
    """Take away what the races are decided by, to see that the test can fail."""
    plain = Transaction.__init__

    def unlocked(run: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        async def call(statement: str, *arguments: object) -> Any:
            return await run(statement.replace(LOCK, ""), *arguments)

        return call

    def init(self: Transaction, connection: Any) -> None:
        plain(self, connection)
        for name in ("fetch", "fetchrow", "fetchval", "execute"):
            setattr(self, name, unlocked(getattr(self, name)))

    Transaction.__init__ = init  # type: ignore[method-assign]  # broken on purpose
    QuerySet.select_for_update = lambda self, **_: self  # type: ignore[method-assign]  # too


@dataclass(frozen=True)
class Commands:
    """What clients send for one conversation, each a transaction of its own.

    Those that give it to `agent` are named by the rule that their assignment is kept with.
    """

    id: UUID
    agent: Agent
    team: Team

    @property
    def boss(self) -> Actor:
        return Actor.system(self.agent.workspace_id)

    @asynccontextmanager
    async def _locked(self, by: Actor) -> AsyncIterator[Conversation]:
        async with tx():
            yield await Conversation.locked(self.id, by=by)

    async def picked(self) -> None:
        by = Actor(ActorKind.AGENT, self.agent.workspace_id, self.agent.id, Role.AGENT)
        async with self._locked(by) as conversation:
            await conversation.pick(by=by)

    async def assigned_by_hand(self) -> None:
        async with self._locked(self.boss) as conversation:
            await conversation.assign(self.agent.id, by=self.boss)

    async def transferred(self) -> None:
        await transfer(self.id, by=self.boss, to_agent=self.agent.id)

    async def to_team(self) -> None:
        await transfer(self.id, by=self.boss, to_team=self.team.id)

    async def unassign(self) -> None:
        async with self._locked(self.boss) as conversation:
            await conversation.unassign(by=self.boss)

    async def close(self) -> None:
        async with self._locked(self.boss) as conversation:
            await close(conversation, by=self.boss)

    async def reopen(self) -> None:
        await reopen(self.id, by=self.boss)

    async def snooze(self) -> None:
        async with self._locked(self.boss) as conversation:
            await snooze.begin(conversation, by=self.boss)

    async def wake(self) -> None:
        async with self._locked(self.boss) as conversation:
            await snooze.wake(conversation, by=self.boss)


GIVE = ("picked", "assigned_by_hand", "transferred")
MIX = (*GIVE, "to_team", "to_team", "unassign", "close", "reopen", "reopen", "snooze", "wake")


async def race(
    choose: random.Random, rounds: int, agents: list[Agent], teams: list[Team], ids: list[UUID]
) -> None:
    """Everybody picks everything in the same order; then everything at once."""
    mixed = [(choose.choice(ids), choose.choice(MIX)) for _ in range(rounds)]
    for id, name in [*((id, "picked") for id in ids), *mixed]:
        commands = Commands(id, choose.choice(agents), choose.choice(teams))
        try:
            await retrying(getattr(commands, name))
        except DomainError:
            continue
        if name in GIVE:
            tell([name.upper(), str(id), str(commands.agent.id)])


def tell(what: object) -> None:
    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.flush()


async def main(database_url: str, seed: int, locked: str) -> None:
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    if locked == "unlocked":
        without_locks()
    await database.connect(database_url, pool_max=TASKS + 1)
    agents = await Agent.all().order_by("email")
    ids = [c.id for c in await Conversation.all().order_by("opened_at")]
    teams = await Team.filter(is_todos=False)
    tell("ready")
    await asyncio.to_thread(sys.stdin.readline)
    # Without locks the first storm does the damage; what follows would only wait for deadlocks.
    rounds = ROUNDS if locked == "locked" else 0
    rivals = [random.Random(seed * TASKS + number) for number in range(TASKS)]
    outcomes = await asyncio.gather(
        *[race(choose, rounds, agents, teams, ids) for choose in rivals],
        return_exceptions=locked == "unlocked",
    )
    for outcome in filter(None, outcomes):
        sys.stderr.write(f"{outcome!r}\n")
    await database.close()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2]), sys.argv[3]))
