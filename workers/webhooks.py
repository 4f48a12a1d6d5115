"""Delivery of the log to webhooks: looks for what is owed, and gives turns to send it.

Any number of workers share the endpoints; whose turn it is, is a lease in the database. A hint
that a log has grown makes them look at once, and without one they look every second.
"""

import asyncio
from collections import Counter
from contextlib import suppress
from uuid import UUID

import structlog

from models.database import retrying
from models.webhook import lease
from models.webhook.client import Client, Outcome
from models.webhook.lease import Turn
from models.webhook.turn import Sending

# Requests under way at once in one worker; of one workspace; beside the first of each workspace,
# so that those who answer slowly leave room for whoever has none; and to endpoints that failed
# last.
SENDS_MAX = 64
WORKSPACE_SENDS_MAX = 16
FURTHER_SENDS_MAX = 32
FAILING_SENDS_MAX = 32

LOOK_SECONDS = 1.0
# Under load one look serves many commits.
COALESCE_SECONDS = 0.02
RETRY_SECONDS = 0.5
RETRY_SECONDS_MAX = 4.0
REPORT_EVERY_SECONDS = 60.0
# After a stop, for the requests under way; the rest of them is cut off, and repeated by others.
STOP_SECONDS = 3.0
# A burst begins no more requests after this, however much is owed.
BURST_SECONDS_MAX = 60.0

log = structlog.get_logger(__name__)


class Deliverer:
    """Takes turns at endpoints, each sent to on its own, so that a slow one delays no other."""

    def __init__(self, *, sends_max: int = SENDS_MAX) -> None:
        self.sent: Counter[str] = Counter()
        self._sends_max = sends_max
        self._turns: dict[asyncio.Task[bool], Turn] = {}
        self._grown: set[UUID] = set()
        self._anywhere = True
        # By the loop's clock: hints of some logs put off no look at the others.
        self._look_anywhere_at = 0.0
        self._something = asyncio.Event()
        self._failures = 0
        self._stopping = asyncio.Event()

    async def run(self) -> None:
        """Deliver until `stop`; whatever goes wrong is told and tried again."""
        reporting = asyncio.create_task(self._report())
        try:
            async with Client(connections_max=self._sends_max) as client:
                try:
                    while not self.is_stopping:
                        await self._wait()
                        await self._look_or_tell(client)
                finally:
                    await self._finish()
        finally:
            reporting.cancel()
            self._tell()

    async def burst(self) -> None:
        """Deliver until nothing is owed to an endpoint that would take it now, or until the time
        is over: then what is left is told.
        """
        ending = asyncio.get_running_loop().call_later(BURST_SECONDS_MAX, self.stop)
        async with Client(connections_max=self._sends_max) as client:
            try:
                await self._deliver_all(client)
            finally:
                ending.cancel()
                await self._finish()
        self._tell()
        if self.is_stopping:
            left = await lease.left()
            log.warning("webhooks left", webhooks=left.webhooks, events_behind=left.events_behind)

    async def _deliver_all(self, client: Client) -> None:
        while not self.is_stopping:
            self._anywhere = True
            taken = await retrying(lambda: self._look(client))
            under_way = set(self._turns)
            if under_way:
                await asyncio.wait(under_way)
            if not taken or (taken == len(under_way) and not any(it.result() for it in under_way)):
                break  # whatever broke would break again

    def wake(self, workspace_id: UUID | None) -> None:
        """A hint that a log has grown; None when any may have."""
        if workspace_id is None:
            self._anywhere = True
        else:
            self._grown.add(workspace_id)
        self._something.set()

    def stop(self) -> None:
        """Begin no more requests, and let `run` return."""
        self._stopping.set()
        self._something.set()

    @property
    def is_stopping(self) -> bool:
        return self._stopping.is_set()

    @property
    def _further(self) -> int:
        """How many turns there are beside the first of each workspace."""
        return len(self._turns) - len({turn.workspace_id for turn in self._turns.values()})

    async def _wait(self) -> None:
        """Until a log has grown, or it is time to look at all of them."""
        clock = asyncio.get_running_loop().time
        with suppress(TimeoutError):
            async with asyncio.timeout_at(self._look_anywhere_at):
                await self._something.wait()
            await asyncio.sleep(COALESCE_SECONDS)
        self._something.clear()
        if clock() >= self._look_anywhere_at:
            self._anywhere = True
            self._look_anywhere_at = clock() + LOOK_SECONDS

    async def _look_or_tell(self, client: Client) -> None:
        try:
            await self._look(client)
            self._failures = 0
        except Exception as error:  # noqa: BLE001 - an outage must end, not the worker
            seconds = min(RETRY_SECONDS * 2.0**self._failures, RETRY_SECONDS_MAX)
            self._failures += 1
            log.warning("webhooks not read", error=repr(error), again_in_seconds=seconds)
            with suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await self._stopping.wait()
            self.wake(None)

    async def _look(self, client: Client) -> int:
        """Take as many turns as there is room for; returns how many endpoints went on by it."""
        free = self._sends_max - len(self._turns)
        if free <= 0 or self.is_stopping:
            return 0  # the next turn that ends looks everywhere
        grown, self._grown = self._grown, set()
        anywhere, self._anywhere = self._anywhere, False
        failing = sum(turn.attempts > 0 for turn in self._turns.values())
        turns, passed = await lease.take(
            free,
            failing_max=FAILING_SENDS_MAX - failing,
            workspace_max=WORKSPACE_SENDS_MAX,
            further_max=FURTHER_SENDS_MAX - self._further,
            held=Counter(turn.workspace_id for turn in self._turns.values()),
            workspaces=None if anywhere else grown,
        )
        for turn in turns:
            task = asyncio.create_task(self._send(turn, client))
            self._turns[task] = turn
            task.add_done_callback(self._ended)
        if passed:
            self.wake(None)
        return len(turns) + passed

    async def _send(self, turn: Turn, client: Client) -> bool:
        """Whether the turn came to an end of its own; one that broke is taken again."""
        sending = Sending(turn, client)
        try:
            failure = await sending.run(lambda: self.is_stopping)
            self._count(turn, failure)
            return True
        except Exception as error:  # noqa: BLE001 - nothing is lost by it
            log.warning("webhook turn broke", webhook=str(turn.webhook_id), error=repr(error))
            return False
        finally:
            self.sent["requests"] += sending.sent

    def _count(self, turn: Turn, failure: Outcome | None) -> None:
        if failure is not None:
            self.sent["failures"] += 1
            log.debug("webhook failed", webhook=str(turn.webhook_id), failure=failure.failure)

    def _ended(self, task: "asyncio.Task[bool]") -> None:
        """Whoever waited for room comes next; what came meanwhile is looked for too.

        Whatever broke would break again at once: it waits for the look that comes anyway.
        """
        was_full = len(self._turns) >= self._sends_max or self._further >= FURTHER_SENDS_MAX
        turn = self._turns.pop(task)
        if was_full or task.cancelled() or task.result():
            self.wake(None if was_full else turn.workspace_id)

    async def _finish(self) -> None:
        """Let the requests under way end, then cut them off; what was accepted is kept."""
        if not self._turns:
            return
        _, late = await asyncio.wait(self._turns, timeout=STOP_SECONDS)
        for task in late:
            task.cancel()
        if late:
            await asyncio.wait(late)

    async def _report(self) -> None:
        while True:
            await asyncio.sleep(REPORT_EVERY_SECONDS)
            self._tell()

    def _tell(self) -> None:
        """One line with what was sent since the last one, if anything was."""
        if counts := +self.sent:
            log.info("webhooks sent", **counts)
        self.sent.clear()
