"""A process of its own that works the same conversations as its rivals (see test_races.py).

It is told what to do by its arguments, says "ready" when it is connected, starts at the first
line of its input, and prints what its commands returned, a line of JSON each.
"""

import asyncio
import json
import random
import sys
from collections.abc import Awaitable, Callable
from typing import Any
from uuid import UUID

from tortoise.queryset import QuerySet

from models import Agent, Conversation, Team, database
from models.access import Actor, ActorKind, Role
from models.database import Transaction, retrying, tx
from models.errors import DomainError

TASKS = 3
ROUNDS = 25
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

    Transaction.__init__ = init  # type: ignore[method-assign]
    QuerySet.select_for_update = lambda self, **_: self  # type: ignore[assignment,method-assign,misc]


class Racer:
    """One process's hands: every command is one that a client could send."""

    def __init__(self, seed: int, agents: list[Agent], teams: list[Team], ids: list[UUID]) -> None:
        self.choose = random.Random(seed)  # noqa: S311 - a race
        self.agents = agents
        self.teams = teams
        self.ids = ids

    async def storm(self) -> None:
        """Everybody picks everything, in the same order."""
        for id in self.ids:
            agent = self.choose.choice(self.agents)
            await self._try("PICKED", id, agent.id, lambda id=id, a=agent: _pick(id, _as(a)))

    async def mix(self) -> None:
        for _ in range(ROUNDS):
            id, agent = self.choose.choice(self.ids), self.choose.choice(self.agents)
            boss = Actor.system(agent.workspace_id)
            await self.choose.choice(
                [
                    lambda: self._try("PICKED", id, agent.id, lambda: _pick(id, _as(agent))),
                    lambda: self._try(
                        "ASSIGNED_BY_HAND", id, agent.id, lambda: _assign(id, agent.id, boss)
                    ),
                    lambda: self._try(
                        "TRANSFERRED",
                        id,
                        agent.id,
                        lambda: Conversation.transfer(id, by=boss, to_agent=agent.id),
                    ),
                    lambda: self._try(
                        None,
                        id,
                        None,
                        lambda: Conversation.transfer(
                            id, by=boss, to_team=self.choose.choice(self.teams).id
                        ),
                    ),
                    lambda: self._try(None, id, None, lambda: _unassign(id, boss)),
                    lambda: self._try(None, id, None, lambda: _close(id, boss)),
                    lambda: self._try(None, id, None, lambda: Conversation.reopen(id, by=boss)),
                ]
            )()

    async def _try(
        self,
        rule: str | None,
        id: UUID,
        agent_id: UUID | None,
        command: Callable[[], Awaitable[object]],
    ) -> None:
        try:
            await retrying(command)
        except DomainError:
            return
        if rule is not None:
            print(json.dumps([rule, str(id), str(agent_id)]), flush=True)  # noqa: T201


def _as(agent: Agent) -> Actor:
    return Actor(ActorKind.AGENT, agent.workspace_id, agent.id, Role.AGENT)


async def _pick(id: UUID, by: Actor) -> None:
    async with tx():
        await (await Conversation.locked(id, by=by)).pick(by=by)


async def _assign(id: UUID, agent_id: UUID, by: Actor) -> None:
    async with tx():
        await (await Conversation.locked(id, by=by)).assign(agent_id, by=by)


async def _unassign(id: UUID, by: Actor) -> None:
    async with tx():
        await (await Conversation.locked(id, by=by)).unassign(by=by)


async def _close(id: UUID, by: Actor) -> None:
    async with tx():
        await (await Conversation.locked(id, by=by)).close(by=by)


async def main(database_url: str, seed: int, locked: str) -> None:
    if locked == "unlocked":
        without_locks()
    await database.connect(database_url, pool_max=TASKS + 1)
    agents = await Agent.all().order_by("email")
    ids = [c.id for c in await Conversation.all().order_by("opened_at")]
    teams = await Team.filter(is_todos=False)
    racers = [Racer(seed * TASKS + n, agents, teams, ids) for n in range(TASKS)]
    print("ready", flush=True)  # noqa: T201
    await asyncio.to_thread(sys.stdin.readline)
    for stage in (Racer.storm, Racer.mix):
        outcomes = await asyncio.gather(*map(stage, racers), return_exceptions=locked != "locked")
        for outcome in outcomes:
            if isinstance(outcome, Exception):
                print(repr(outcome), file=sys.stderr)  # noqa: T201
    await database.close()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2]), sys.argv[3]))
