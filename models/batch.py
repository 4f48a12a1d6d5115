"""Batches of what is due: one transaction each, but for what cannot be done.

One conversation whose turn always fails would stop all that are due after it, in every workspace.
"""

from collections.abc import Awaitable, Callable
from uuid import UUID

import asyncpg
import structlog

from models.database import Transaction, is_retryable, tx
from models.errors import Busy, OutcomeUnknown

# Locks what is due first, or of these what nobody else works on; says what.
Lock = Callable[[Transaction, list[UUID] | None], Awaitable[list[UUID]]]
# Does what of it is still due; says how much.
Do = Callable[[Transaction, list[UUID]], Awaitable[int]]

# The whole installation has these, and no part of a batch is to blame.
_PASSING = (Busy, OutcomeUnknown, OSError, TimeoutError)

log = structlog.get_logger(__name__)


async def run(lock: Lock, do: Do) -> int:
    """Do what `lock` finds, all at once; where that fails, in halves, so that one stops no other.

    Returns how much was done. What cannot be done is told, and is raised when nothing else was
    due.
    """
    tried: list[UUID] = []
    try:
        async with tx() as transaction:
            tried = await lock(transaction, None)
            return await do(transaction, tried)
    except Exception as error:
        if len(tried) < 2 or _is_passing(error):
            raise
    total, failures = await _run_halves(tried, lock, do)
    if failures and not total:
        raise ExceptionGroup("What is due fails.", failures)
    return total


def locking(first: str, batch_size: int) -> Lock:
    """By a statement that locks the ids of the conversations due first, `$1` at most."""

    async def lock(transaction: Transaction, only: list[UUID] | None) -> list[UUID]:
        if only is not None:
            return await lock_free(transaction, only)
        return [row["id"] for row in await transaction.fetch(first, batch_size)]

    return lock


async def lock_free(transaction: Transaction, ids: list[UUID]) -> list[UUID]:
    """Lock those of these conversations that nobody works on."""
    rows = await transaction.fetch(
        "SELECT id FROM conversations WHERE id = ANY($1) FOR NO KEY UPDATE SKIP LOCKED", ids
    )
    return [row["id"] for row in rows]


async def _run_halves(ids: list[UUID], lock: Lock, do: Do) -> tuple[int, list[Exception]]:
    middle = len(ids) // 2
    first, first_failures = await _run_part(ids[:middle], lock, do)
    second, second_failures = await _run_part(ids[middle:], lock, do)
    return first + second, first_failures + second_failures


async def _run_part(ids: list[UUID], lock: Lock, do: Do) -> tuple[int, list[Exception]]:
    """How many of them were done, and why others could not be."""
    try:
        async with tx() as transaction:
            return await do(transaction, await lock(transaction, ids)), []
    except Exception as error:
        if _is_passing(error):
            raise
        if len(ids) == 1:
            log.error("due, but it fails", id=str(ids[0]), error=repr(error))
            return 0, [error]
    return await _run_halves(ids, lock, do)


def _is_passing(error: Exception) -> bool:
    # A row that is locked for long is of one part.
    if isinstance(error, asyncpg.LockNotAvailableError):
        return False
    return is_retryable(error) or isinstance(error, _PASSING)
