"""The newest events of one workspace, by what they are filed under, and who waits for which.

A follower holds a position and the keys it follows, nothing else: nothing per follower can grow. An
event costs its keys and those whom it concerns; whoever follows something quiet is never woken.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from enum import StrEnum

from models.event_key import Key, keys_of
from models.log import Event, Head, Position

RING_SIZE_MAX = 2_048
TAKE_SIZE_MAX = 500


class LogBroken(Exception):
    """The log does not go on with the next number: a promise of the database is broken."""


class ResetReason(StrEnum):
    """Why a stream could not go on from where it was."""

    TOO_OLD = "TOO_OLD"
    OTHER_HISTORY = "OTHER_HISTORY"
    FELL_BEHIND = "FELL_BEHIND"


class Gap(Exception):
    """What follows a position cannot be told any more: whoever follows has to start again."""

    def __init__(self, reason: ResetReason) -> None:
        super().__init__(reason.value)
        self.reason = reason


def require_contiguous(last: int, events: Sequence[Event]) -> None:
    """Raise LogBroken unless these ordered events follow a number without a hole."""
    if events and events[-1].seq != last + len(events):
        raise LogBroken(f"The log has a hole after {last}: {events[-1].seq} came too early.")


class Track:
    """The newest events of one key that somebody follows; none is missing after its floor."""

    __slots__ = ("events", "floor", "followers")

    def __init__(self, floor: int) -> None:
        self.floor = floor
        self.events: deque[Event] = deque()
        self.followers: set[Follower] = set()


class Ring:
    """The newest events of one workspace that concern anybody here."""

    def __init__(self, head: Head) -> None:
        self.head = head
        self.last = head.seq
        self.last_at = head.at
        # Where it was last found to be the same history.
        self.server = head.server
        self.followers: set[Follower] = set()
        self.ended: LogBroken | Gap | None = None
        self._tracks: dict[Key, Track] = {}
        self._events: deque[tuple[Event, list[Track]]] = deque()

    @property
    def position(self) -> Position:
        return Position(self.head.epoch, self.last, self.last_at)

    def add(self, events: Iterable[Event]) -> None:
        """Go on with what was logged next, and wake whom it concerns; raises LogBroken."""
        grown: set[Track] = set()
        try:
            for event in events:
                if event.seq > self.last:
                    require_contiguous(self.last, [event])
                    grown.update(self._file(event))
        finally:
            for track in grown:
                for follower in track.followers:
                    follower.notice(track)

    def end(self, error: "LogBroken | Gap") -> None:
        """End every follower with an error: to go on would be to lose events silently."""
        self.ended = error
        for follower in self.followers:
            follower.wake()

    def track(self, key: Key) -> Track:
        """What a key's events are kept in from now on."""
        return self._tracks.setdefault(key, Track(self.last))

    def drop(self, key: Key) -> None:
        """Keep no more of a key that nobody follows."""
        del self._tracks[key]

    def _file(self, event: Event) -> list[Track]:
        self.last, self.last_at = event.seq, event.logged_at
        tracks = [self._tracks[key] for key in keys_of(event) if key in self._tracks]
        if tracks:
            for track in tracks:
                track.events.append(event)
            self._events.append((event, tracks))
            while len(self._events) > RING_SIZE_MAX:
                self._forget()
        return tracks

    def _forget(self) -> None:
        oldest, tracks = self._events.popleft()
        for track in tracks:
            track.events.popleft()
            track.floor = oldest.seq


class Follower:
    """Who waits for the events of some keys, and up to where it was given them."""

    def __init__(self, ring: Ring, keys: Iterable[Key], after: int) -> None:
        self.ring = ring
        self.seq = after
        self._tracks: dict[Key, Track] = {}
        self._ready: set[Track] = set()
        self._waiting: asyncio.Future[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        ring.followers.add(self)
        self.follow(keys)
        self.rewind(after)

    def follow(self, keys: Iterable[Key]) -> None:
        """Wait for the events of these keys from now on, and for no others."""
        wanted = set(keys)
        for key in self._tracks.keys() - wanted:
            self._leave(key)
        for key in wanted - self._tracks.keys():
            track = self._tracks[key] = self.ring.track(key)
            track.followers.add(self)

    def rewind(self, seq: int) -> None:
        """Go on from a number, wherever that is to be read."""
        self.seq = seq
        self._ready = set(self._tracks.values()) if seq < self.ring.last else set()

    def take(self) -> list[Event] | None:
        """What came since, in order; None when that is to be read elsewhere, until the ring's last.

        Raises LogBroken, Gap.
        """
        behind = self._is_behind
        if self.ring.ended is not None and (behind or not self._ready):
            raise self.ring.ended
        if behind:
            return None
        events = self._new()
        if len(events) > TAKE_SIZE_MAX:
            events = events[:TAKE_SIZE_MAX]
            self.seq = events[-1].seq
        else:
            self._ready.clear()
            self.seq = max(self.seq, self.ring.last)
        return events

    def is_overtaken(self, by: Callable[[Event], bool]) -> bool:
        """Whether such an event came since the last that were taken; also when nobody can tell."""
        return self._is_behind or any(map(by, self._new()))

    @property
    def _is_behind(self) -> bool:
        for track in self._ready:  # noqa: SIM110 - a crowd asks, and a generator costs much of it
            if track.floor > self.seq:
                return True
        return False

    def _new(self) -> list[Event]:
        found: list[Event] = []
        for track in self._ready:
            for event in reversed(track.events):
                if event.seq <= self.seq:
                    break
                found.append(event)
        if len(found) < 2:
            return found
        by_seq = {event.seq: event for event in found}
        return [by_seq[seq] for seq in sorted(by_seq)]

    async def wait(self, until: float | None) -> None:
        """Until there is something to take, or until a time of the loop's clock."""
        if self._ready or self.ring.ended is not None:
            return
        loop = asyncio.get_running_loop()
        self._waiting = loop.create_future()
        if until is not None:
            self._call_at(loop, until)
        try:
            await self._waiting
        finally:
            self._waiting = None

    def _call_at(self, loop: asyncio.AbstractEventLoop, until: float) -> None:
        """Most waits end long before: a timer that comes too early costs less than one for each."""
        if self._timer is not None and loop.time() < self._timer.when() <= until:
            return
        if self._timer is not None:
            self._timer.cancel()
        self._timer = loop.call_at(until, self.wake)

    def notice(self, track: Track) -> None:
        self._ready.add(track)
        self.wake()

    def wake(self) -> None:
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(None)

    def leave(self) -> None:
        """Follow nothing any more."""
        for key in list(self._tracks):
            self._leave(key)
        self.ring.followers.discard(self)
        if self._timer is not None:
            self._timer.cancel()

    def _leave(self, key: Key) -> None:
        track = self._tracks.pop(key)
        track.followers.discard(self)
        self._ready.discard(track)
        if not track.followers:
            self.ring.drop(key)
