"""Supervision: children are started again when they end, and all end together."""

import select
import signal
import socket
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from types import FrameType
from typing import Self

from api.child import Child, Unusable

READY_SECONDS_MAX = 60
LOOK_SECONDS = 1.0
PROBE_SECONDS = 0.05
PAUSE_SECONDS_MIN = 0.25
PAUSE_SECONDS_MAX = 10.0
SOON_SECONDS = 30.0
HOPELESS_ENDS = 3
HOPELESS_SECONDS = 10.0


class Signals:
    """Turns the signals that end a program into a wish, which waits until somebody looks.

    Nothing is ever interrupted half-way, and a second signal changes nothing.
    """

    def __init__(self) -> None:
        self.stopping = False

    def __enter__(self) -> Self:
        self._receiver, self._sender = socket.socketpair()
        self._sender.setblocking(False)  # noqa: FBT003 - a signal handler must never wait for room
        signal.set_wakeup_fd(self._sender.fileno(), warn_on_full_buffer=False)
        handlers = dict.fromkeys((signal.SIGINT, signal.SIGTERM, signal.SIGHUP), self._stop)
        handlers[signal.SIGCHLD] = self._notice
        self._previous = {number: signal.signal(number, do) for number, do in handlers.items()}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(-1)
        self._receiver.close()
        self._sender.close()

    def wait(self, seconds: float) -> None:
        """Returns early when a signal arrives, that of a child's end included."""
        if select.select([self._receiver], [], [], seconds)[0]:
            self._receiver.recv(4096)

    def _stop(self, _number: int, _frame: FrameType | None) -> None:
        self.stopping = True

    def _notice(self, _number: int, _frame: FrameType | None) -> None:
        """Without a handler of Python's own, the end of a child would not wake `wait`."""


@dataclass
class _Watch:
    """One child and how often it ended lately."""

    child: Child
    ends: deque[float] = field(default_factory=lambda: deque(maxlen=HOPELESS_ENDS))
    pause: float = PAUSE_SECONDS_MIN
    restart_at: float | None = None

    def look(self, now: float, report: Callable[[str], None]) -> None:
        """Notice that it ended, and start it again once its pause is over."""
        if self.restart_at is None and (code := self.child.ended()) is not None:
            pause = self._next_pause(now)
            self.restart_at = now + pause
            report(
                f"{self.child.name} ended (exit code {code}), starting it again in "
                f"{pause:g} s: {self.child.last_words()}"
            )
        if self.restart_at is not None and now >= self.restart_at:
            self.restart_at = None
            self.child.start()

    def is_hopeless(self, now: float) -> bool:
        return len(self.ends) == HOPELESS_ENDS and now - self.ends[0] < HOPELESS_SECONDS

    def _next_pause(self, now: float) -> float:
        """Doubles with each end that follows soon upon the one before."""
        recent = self.ends and now - self.ends[-1] < SOON_SECONDS
        self.pause = min(2 * self.pause, PAUSE_SECONDS_MAX) if recent else PAUSE_SECONDS_MIN
        self.ends.append(now)
        return self.pause


def supervise(
    children: Sequence[Child],
    signals: Signals,
    *,
    is_ready: Callable[[], bool],
    on_ready: Callable[[], None],
    report: Callable[[str], None],
    watched: Sequence[Child] = (),
) -> None:
    """Run the children until a signal asks to stop, then end them, all at once.

    A child that ends is started again after a pause; so is one of `watched`, which run already
    and are left running. Raises Unusable when there is no hope of ever becoming ready.
    """
    watches = [_Watch(child) for child in (*watched, *children)]
    try:
        for child in children:
            child.start()
        if _become_ready(watches, signals, is_ready, report):
            on_ready()
        while not signals.stopping:
            signals.wait(_look(watches, report))
        report("stopping")
    finally:
        for child in children:
            child.ask_to_stop()
        for child in children:
            child.wait()


def _become_ready(
    watches: Sequence[_Watch],
    signals: Signals,
    is_ready: Callable[[], bool],
    report: Callable[[str], None],
) -> bool:
    deadline = time.monotonic() + READY_SECONDS_MAX
    while not signals.stopping:
        _look(watches, report)
        if is_ready():
            return True
        _require_hope(watches, deadline)
        signals.wait(PROBE_SECONDS)
    return False


def _look(watches: Sequence[_Watch], report: Callable[[str], None]) -> float:
    """Look after every child; in how many seconds to do so again at the latest."""
    now = time.monotonic()
    for watch in watches:
        watch.look(now, report)
    due = [watch.restart_at - now for watch in watches if watch.restart_at is not None]
    return max(0.0, min([*due, LOOK_SECONDS]))


def _require_hope(watches: Sequence[_Watch], deadline: float) -> None:
    now = time.monotonic()
    for watch in watches:
        if watch.is_hopeless(now):
            name, reason = watch.child.name, watch.child.last_words()
            raise Unusable(f"{name} ended {HOPELESS_ENDS} times while starting: {reason}")
    if now > deadline:
        reasons = "; ".join(f"{each.child.name}: {each.child.last_words()}" for each in watches)
        raise Unusable(f"not ready after {READY_SECONDS_MAX} s ({reasons})")
