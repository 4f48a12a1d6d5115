"""Queues: the ordered waiting conversations of a team, and how they are given out.

No polling stands between a cause and its assignment: whatever frees or adds something asks for a
drain with `follow`, which runs directly after its commit; a sweeper repeats drains that a crash
left out.
"""

from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from uuid import UUID

from models import distribution, reservation
from models.database import Transaction, fetch, retrying, tx
from models.distribution import Distributed, waiting_queues

BATCHES_MAX = 1_000
BATCHES_BEFORE_HANDING_OVER = 4
# Where workers look for jobs; both sides of it are composition roots that never meet.
JOBS_QUEUE = "relevo:jobs"


@dataclass(slots=True)
class Freed:
    """What a transaction made room for; drained once, after its commit."""

    teams: set[UUID] = field(default_factory=set)
    agents: set[UUID] = field(default_factory=set)
    returned: set[UUID] = field(default_factory=set)

    async def __call__(self) -> None:
        """A few batches at once; a long rest goes to whoever takes over, if somebody does.

        Owners who came back get what waits for them first: it is theirs already.
        """
        await reservation.honour(self.returned)
        pending = await waiting_queues(list(self.teams), list(self.agents))
        batches_max = BATCHES_MAX if _take_over is None else BATCHES_BEFORE_HANDING_OVER
        _, rest = await _drain(pending, batches_max)
        if rest and _take_over is not None:
            await _take_over(rest)


_take_over: Callable[[list[UUID]], Awaitable[None]] | None = None


def hand_over_to(worker: Callable[[list[UUID]], Awaitable[None]] | None) -> None:
    """Let somebody else finish drains that a command began (composition roots only)."""
    global _take_over  # noqa: PLW0603 - one per process, set while it starts
    _take_over = worker


def follow(
    transaction: Transaction,
    *,
    teams: Iterable[UUID] = (),
    agents: Iterable[UUID] = (),
    returned: Iterable[UUID] = (),
) -> None:
    """After the commit, drain these teams' queues and every queue these agents draw from.

    Owners who may have `returned` get what is reserved for them.
    """
    freed = transaction.followers.setdefault("queue.drain", Freed())
    freed.teams.update(teams)
    freed.agents.update(agents)
    freed.returned.update(returned)


async def drain(*, teams: Iterable[UUID] = (), agents: Iterable[UUID] = ()) -> int:
    """Give out what waits until nobody is eligible or nobody waits; returns how many were given.

    Each batch is a transaction of its own, so that nobody waits longer than for one.
    """
    given, _ = await _drain(await waiting_queues(list(teams), list(agents)), BATCHES_MAX)
    return given


async def _drain(pending: list[UUID], batches_max: int) -> tuple[int, list[UUID]]:
    """How many were given, and the queues that may have more to give."""
    given = 0
    for _ in range(batches_max):
        if not pending:
            break
        distributed = await retrying(partial(_drain_once, pending))
        given += len(distributed.given)
        pending = [*pending, *distributed.rivals]
        # Asked again: what a picker held while we waited for it made a batch look like the last.
        pending = await waiting_queues(
            [team for team in pending if team not in distributed.done], []
        )
    return given, pending


async def drain_all(limit: int) -> int:
    """Drain the automatic queues in which somebody waits: what crashes left undone.

    Some of them, in any order, when there are more than `limit`: none starves.
    """
    rows = await fetch(
        f"""
        SELECT t.workspace_id, t.id FROM teams t
        WHERE t.is_active AND {distribution.SOMEBODY_WAITS}
        ORDER BY random() LIMIT $1
        """,  # noqa: S608 - a constant
        limit,
    )
    by_workspace: dict[UUID, list[UUID]] = {}
    for row in rows:
        by_workspace.setdefault(row["workspace_id"], []).append(row["id"])
    works: list[Callable[[], Awaitable[int]]] = [partial(_honour_all, limit)]
    works += [partial(drain, teams=teams) for teams in by_workspace.values()]
    given = 0
    failures: list[Exception] = []
    for work in works:
        try:
            given += await work()
        except Exception as error:  # noqa: BLE001 - one workspace holds up no other
            failures.append(error)
    if failures:
        raise ExceptionGroup("Some workspaces were not drained.", failures)
    return given


async def _honour_all(limit: int) -> int:
    return await reservation.honour(await reservation.owners_who_are_back(limit))


async def _drain_once(team_ids: Sequence[UUID]) -> Distributed:
    async with tx() as transaction:
        return await distribution.distribute(transaction, team_ids)
