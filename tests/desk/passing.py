"""Time on both desks: what runs out, grows idle or is noticed when somebody looks."""

from datetime import timedelta
from functools import partial
from typing import Any

from hypothesis import strategies as st

from models import agent, idle, snooze
from tests.desk import working
from tests.desk.machine import (
    BATCH,
    EDGE,
    SOME_TIME,
    WHICH,
    Machine,
    does,
)
from tests.desk.queues import MICROSECOND
from tests.desk.rows import Talk


class Passing(Machine):
    """Time passes, and workers look at the end of it."""

    @does(3, time=SOME_TIME, staying=st.sampled_from(["everybody", "nobody", "ann", "ben"]))
    def time_passes(self, time: timedelta, staying: str) -> None:
        """What the workers do at its end is part of the step."""
        people = list(self.desk.people.values())
        there = [
            person.id
            for person in people
            if self.desk.is_connected(person)
            and staying
            in ("everybody", *(n for n, id in self.office.people.items() if id == person.id))
        ]
        self.go_to(self.desk.now + time, there)
        self.both(lambda: None, partial(agent.lapse_presence, BATCH))

    @does(3, when=lambda self: self.ends_of_waits(), which=WHICH, edge=EDGE)
    def wait_runs_out(self, which: int, edge: int) -> None:
        """For an owner: just before, at, or just after its end."""
        ends = self.ends_of_waits()
        self.go_to(ends[which % len(ends)] + (edge - 1) * MICROSECOND)
        self.both(lambda: None, partial(agent.lapse_presence, BATCH))

    @does(
        3,
        when=lambda self: any(working.idle_at(self.desk, t) for t in self.desk.talks),
        which=WHICH,
        edge=EDGE,
    )
    def grows_idle(self, which: int, edge: int) -> None:
        """Just before, at, or just after the end of the period."""
        ends = [at for t in self.desk.talks if (at := working.idle_at(self.desk, t))]
        self.go_to(ends[which % len(ends)] + (edge - 1) * MICROSECOND)
        self.idle_ones_close()

    @does(
        2,
        when=lambda self: working.idle(self.desk),
    )
    def idle_ones_close(self) -> None:
        """In one batch, or one by one where the order would be open."""
        for _ in range(len(self.desk.talks) + 1):
            due: list[Talk] = []
            self.both(
                lambda due=due: due.extend(self._close_idle()),
                lambda: idle.close_idle(self._batch),
            )
            if not due:
                break

    def _close_idle(self) -> list[Talk]:
        due = working.idle(self.desk)
        of_customers = {(talk.customer, talk.line) for talk in due}
        # Two that close at the same instant would leave open which of them was the last.
        self._batch = BATCH if len(of_customers) == len(due) else 1
        closed = due[: self._batch]
        working.close_idle(self.desk, closed)
        return closed

    @does(3, when=lambda self: self.ends_of_snoozes(), which=WHICH, edge=EDGE)
    def snooze_ends(self, which: int, edge: int) -> None:
        """Just before, at, or just after its time."""
        ends = self.ends_of_snoozes()
        self.go_to(ends[which % len(ends)] + (edge - 1) * MICROSECOND)
        self.both(partial(working.wake_due, self.desk), partial(snooze.wake_due, BATCH))

    def ends_of_snoozes(self) -> list[Any]:
        return [talk.snoozed_until for talk in self.desk.talks if talk.snoozed_until]

    def ends_of_waits(self) -> list[Any]:
        kept = [talk for talk in self.desk.talks if talk.is_reserved(self.desk.now)]
        return [talk.reserved_until for talk in kept if talk.reserved_until]
