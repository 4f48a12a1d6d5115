"""Sweeps: what is due by the database's clock, done in batches by whichever worker comes first.

Timers are rows, so nothing here knows when anything is due: the database tells, once for all their
kinds, which comes next, and is asked again then, or a second later. Any number of workers may ask
at the same time. A sweep that fails is tried again; what it did before is committed. Of the clock
of this machine nothing is used but how fast it goes.
"""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial

import structlog

from models import (
    agent,
    answer_timeout,
    idempotency,
    idle,
    idle_reminder,
    queue,
    retention,
    snooze,
    statistics,
    timer,
)
from models.database import retrying, tx
from models.timer import Timer
from models.workflow import advance, assigning

# How far ahead the next timers are asked for, and how often at most.
LOOK_EVERY_SECONDS = 1.0
LOOK_SECONDS_MIN = 0.05
# By how much longer than a look took the next one waits at least: however much it has to read,
# looking never keeps the database busy.
LOOK_REST = 4.0
# What is due is swept when the look says so; this is for when looking fails.
TIMERS_EVERY_SECONDS = 5.0
IDLE_BATCH_SIZE = 500
REMINDER_BATCH_SIZE = 500
SNOOZE_BATCH_SIZE = 500
ANSWER_BATCH_SIZE = 500
PRESENCE_BATCH_SIZE = 500
# Every trigger goes on with its runs by itself; this does with what it left, and when limits pass.
RUNS_EVERY_SECONDS = 1.0
RUNS_BATCH_SIZE = 500
# What no run of the workflow is going for is let go at its end; this repairs what a race left.
LOST_EVERY_SECONDS = 3.0
# Every cause drains by itself after its commit; this repairs what a crash cut off.
DRAIN_EVERY_SECONDS = 3.0
DRAIN_TEAMS_MAX = 10_000
FORGET_EVERY_SECONDS = 60.0
# One batch a minute keeps up with 800 commands a second, more than one log can number.
FORGET_BATCH_SIZE = 50_000
STATISTICS_EVERY_SECONDS = 1.0
EVENTS_EVERY_SECONDS = 60.0
# Together 4,000 events a second, more than is ever logged; a backlog of any size leaves commands
# most of the disk.
EVENTS_BATCH_SIZE = 2_000
EVENTS_PAUSE_SECONDS = 0.5

RETRY_SECONDS = 0.5
RETRY_SECONDS_MAX = 4.0
REPORT_EVERY_SECONDS = 60.0
BURST_ROUNDS_MAX = 10_000
# In a burst the sweeps take turns, so that a long one holds up no other.
BURST_BATCHES_MAX = 4

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Sweep:
    """One kind of due work: `batch` does at most so many and returns how many it did.

    What is in no hurry pauses between batches.
    """

    name: str
    batch: Callable[[int], Awaitable[int]]
    batch_size: int
    every_seconds: float
    pause_seconds: float = 0.0


async def _forget_keys(batch_size: int) -> int:
    async with tx() as transaction:
        await idempotency.forget_old(transaction, batch_size)
    return 0  # forgetting is nobody's news


async def _look_at_statistics(batch_size: int) -> int:
    await statistics.look_again(batch_size)
    return 0  # nor is this


SWEEPS = (
    Sweep(Timer.REMINDED, idle_reminder.remind_idle, REMINDER_BATCH_SIZE, TIMERS_EVERY_SECONDS),
    Sweep(Timer.IDLE_CLOSED, idle.close_idle, IDLE_BATCH_SIZE, TIMERS_EVERY_SECONDS),
    Sweep(Timer.WOKEN, snooze.wake_due, SNOOZE_BATCH_SIZE, TIMERS_EVERY_SECONDS),
    Sweep(
        Timer.ANSWERS_LAPSED, answer_timeout.lapse_answers, ANSWER_BATCH_SIZE, TIMERS_EVERY_SECONDS
    ),
    Sweep(Timer.PRESENCE_LAPSED, agent.lapse_presence, PRESENCE_BATCH_SIZE, TIMERS_EVERY_SECONDS),
    Sweep(Timer.STEPS_TAKEN, advance.go_on_due, RUNS_BATCH_SIZE, RUNS_EVERY_SECONDS),
    Sweep("let_go", assigning.let_go_of_lost, RUNS_BATCH_SIZE, LOST_EVERY_SECONDS),
    Sweep(Timer.DRAINED, queue.drain_all, DRAIN_TEAMS_MAX, DRAIN_EVERY_SECONDS),
    Sweep("keys_forgotten", _forget_keys, FORGET_BATCH_SIZE, FORGET_EVERY_SECONDS),
    Sweep("statistics", _look_at_statistics, statistics.TABLES_MAX, STATISTICS_EVERY_SECONDS),
    Sweep(
        "events_forgotten",
        retention.forget_old,
        EVENTS_BATCH_SIZE,
        EVENTS_EVERY_SECONDS,
        EVENTS_PAUSE_SECONDS,
    ),
)


class Sweeper:
    """Repeats every sweep on its own, so that one that fails or takes long delays no other."""

    def __init__(self, sweeps: Sequence[Sweep] = SWEEPS) -> None:
        self.swept: Counter[str] = Counter()
        self.total: Counter[str] = Counter()
        self._sweeps = sweeps
        self._woken = {sweep.name: asyncio.Event() for sweep in sweeps}
        self._failures: Counter[str] = Counter()
        self._stopping = asyncio.Event()
        self._timers = [Timer(sweep.name) for sweep in sweeps if sweep.name in set(Timer)]

    async def run(self) -> None:
        """Sweep until `stop`; whatever goes wrong is told and tried again."""
        async with asyncio.TaskGroup() as group:
            for sweep in self._sweeps:
                group.create_task(self._repeat(sweep))
            group.create_task(self._report())
            if self._timers:
                group.create_task(self._look_ahead())
        self._tell()

    async def burst(self) -> None:
        """Sweep until nothing is due; one that fails stops no other, and is raised at the end."""
        failures: dict[str, Exception] = {}
        for _ in range(BURST_ROUNDS_MAX):
            done = [await self._take_turn_in_burst(sweep, failures) for sweep in self._sweeps]
            if self.is_stopping or not any(done):
                break
        self._tell()
        if failures:
            raise ExceptionGroup("Some sweeps failed.", list(failures.values()))

    def wake(self) -> None:
        """Sweep at once, except what failed lately: that keeps its back-off."""
        for name, woken in self._woken.items():
            if not self._failures[name]:
                woken.set()

    def stop(self) -> None:
        """Let the running batches finish, and `run` return."""
        self._stopping.set()
        for woken in self._woken.values():
            woken.set()

    @property
    def failing(self) -> list[str]:
        """The sweeps that failed when they were tried last."""
        return sorted(+self._failures)

    @property
    def is_stopping(self) -> bool:
        return self._stopping.is_set()

    async def _repeat(self, sweep: Sweep) -> None:
        while not self.is_stopping:
            seconds = sweep.every_seconds
            try:
                await self._sweep(sweep)
                self._failures[sweep.name] = 0
            except Exception as error:  # noqa: BLE001 - an outage must end, not the worker
                seconds = self._failed(sweep, error)
            await _wait(self._woken[sweep.name], seconds)
            self._woken[sweep.name].clear()

    async def _sweep(self, sweep: Sweep) -> None:
        while not self.is_stopping and await self._take(sweep) >= sweep.batch_size:
            if sweep.pause_seconds:
                await _wait(self._stopping, sweep.pause_seconds)

    async def _take_turn_in_burst(self, sweep: Sweep, failures: dict[str, Exception]) -> int:
        if sweep.name in failures:
            return 0
        try:
            return await retrying(partial(self._take_turn, sweep))
        except Exception as error:  # noqa: BLE001 - raised when the others have had their turns
            log.warning("sweep failed", sweep=sweep.name, error=repr(error))
            failures[sweep.name] = error
            return 0

    async def _take_turn(self, sweep: Sweep) -> int:
        total = 0
        for _ in range(BURST_BATCHES_MAX):
            count = 0 if self.is_stopping else await self._take(sweep)
            total += count
            if count < sweep.batch_size:
                break
            if sweep.pause_seconds:
                await _wait(self._stopping, sweep.pause_seconds)
        return total

    async def _take(self, sweep: Sweep) -> int:
        count = await sweep.batch(sweep.batch_size)
        self.swept[sweep.name] += count
        self.total[sweep.name] += count
        return count

    async def _look_ahead(self) -> None:
        """Wake each sweep when the first of its timers is due."""
        loop = asyncio.get_running_loop()
        while not self.is_stopping:
            due, began = [], loop.time()
            # Whatever is wrong with the database, the sweeps say so, and sweep without this.
            with suppress(Exception):
                for first in await timer.first_due(LOOK_EVERY_SECONDS):
                    if first.timer in self._timers and not self._failures[first.timer]:
                        loop.call_later(max(0.0, first.seconds), self._woken[first.timer].set)
                        due.append(first.seconds)
            await _wait(self._stopping, next_look(took=loop.time() - began, due=due))

    def _failed(self, sweep: Sweep, error: Exception) -> float:
        """In how many seconds to try again."""
        seconds = min(RETRY_SECONDS * 2.0 ** self._failures[sweep.name], RETRY_SECONDS_MAX)
        self._failures[sweep.name] += 1
        log.warning("sweep failed", sweep=sweep.name, error=repr(error), again_in_seconds=seconds)
        return seconds

    async def _report(self) -> None:
        while not self.is_stopping:
            self._tell()
            await _wait(self._stopping, REPORT_EVERY_SECONDS)

    def _tell(self) -> None:
        """One line with what was swept since the last one, if anything was."""
        if counts := +self.swept:
            log.info("swept", **counts)
        self.swept.clear()


def next_look(*, took: float, due: Sequence[float]) -> float:
    """In how many seconds to look again: when the first one found is due, after a rest."""
    return max(LOOK_SECONDS_MIN, LOOK_REST * took, min([LOOK_EVERY_SECONDS, *due]))


async def _wait(event: asyncio.Event, seconds: float) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await event.wait()
