"""Connections that can be given back to the pool at any moment."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import asyncpg


class Settled(asyncpg.Connection):
    """A connection that is never given back in the middle of a statement.

    asyncpg prepares a statement without ending the protocol's implicit transaction, for it is about
    to run it. Cancelled in between it leaves that open, with locks and a snapshot, and its own
    status says nothing of it; whoever had the connection next would be inside.
    """

    is_interrupted = False

    async def execute(self, *args: Any, **options: Any) -> str:
        with self._noting_interruption():
            return await super().execute(*args, **options)

    async def _execute(self, *args: Any, **options: Any) -> Any:
        with self._noting_interruption():
            return await super()._execute(*args, **options)  # type: ignore[misc]  # not in its stubs

    @contextmanager
    def _noting_interruption(self) -> Iterator[None]:
        try:
            yield
        except (asyncio.CancelledError, TimeoutError):
            self.is_interrupted = True
            raise

    async def settle(self) -> None:
        """End what an interrupted statement left behind."""
        if self.is_interrupted:
            # Any simple query does, and this one does nothing else.
            await super().execute("")
            self.is_interrupted = False
