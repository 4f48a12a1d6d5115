"""Child processes that neither the terminal reaches nor their parent leaves behind."""

import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, NamedTuple

START_SECONDS_MAX = 120  # recovery after a crash may have to read max_wal_size, 1 GB
STOP_SECONDS_MAX = 10
PROBE_SECONDS = 0.02
PR_SET_PDEATHSIG = 1
STDERR = 2
SIGNALS_TO_HEAR = (signal.SIGINT, signal.SIGQUIT, signal.SIGTERM, signal.SIGHUP)


class Unusable(Exception):
    """Something outside the program has to change first; the message says what, in one line."""


class Account(NamedTuple):
    """The user that a child runs as when this process is root and the child refuses to be."""

    uid: int
    gid: int


@dataclass
class Child:
    """A process out of the terminal's reach that does not outlive its parent.

    On Linux the kernel ends it by `death_signal` with the *thread* that started it, so start it
    from the main thread; elsewhere it may stay behind. Without `log` it writes to stderr.
    """

    name: str
    command: tuple[str | Path, ...]
    log: Path | None = None
    environment: Mapping[str, str] | None = None
    account: Account | None = None
    stop_signal: signal.Signals = signal.SIGTERM
    death_signal: signal.Signals = signal.SIGKILL
    process: subprocess.Popen[bytes] | None = None
    log_bytes_before: int = 0

    def start(self) -> None:
        """Raises OSError when the program cannot be run."""
        with ExitStack() as stack:
            output: IO[bytes] | int = STDERR
            if self.log:
                output = stack.enter_context(open(self.log, "ab", opener=private))
                self.log_bytes_before = output.tell()
            self.process = subprocess.Popen(  # noqa: S603 - the commands are ours
                self.command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env=self.environment,
                start_new_session=True,
                umask=0o077,
                user=self.account.uid if self.account else None,
                group=self.account.gid if self.account else None,
                extra_groups=[] if self.account else None,
                preexec_fn=_tether(self.death_signal),  # noqa: PLW1509 - bare system calls
            )

    def ended(self) -> int | None:
        """The exit code, negative for a signal; None while it runs."""
        return self.process.poll() if self.process else None

    def ask_to_stop(self) -> None:
        if self.process:
            self.process.send_signal(self.stop_signal)

    def wait(self) -> None:
        """Until it has ended, by force after STOP_SECONDS_MAX."""
        if self.process is None:
            return
        try:
            self.process.wait(STOP_SECONDS_MAX)
        except subprocess.TimeoutExpired:
            with suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()

    def last_words(self) -> str:
        """Its last line since its last start, and where the others are, for whoever has to help."""
        if self.log is None:
            return "its output is above"
        said = self.log.read_bytes()[self.log_bytes_before :] if self.log.exists() else b""
        lines = said.decode(errors="replace").splitlines()
        last = next((line.strip() for line in reversed(lines) if line.strip()), "it said nothing")
        return f"{last} ({self.log})"


@contextmanager
def started(child: Child, ready: Callable[[], bool]) -> Iterator[None]:
    """Raises Unusable when it ends, or takes too long, before it is ready."""
    try:
        child.start()
        deadline = time.monotonic() + START_SECONDS_MAX
        while not ready():
            if child.ended() or time.monotonic() > deadline:
                raise Unusable(f"{child.name} did not start: {child.last_words()}")
            time.sleep(PROBE_SECONDS)
        yield
    finally:
        child.ask_to_stop()
        child.wait()


def private(path: str, flags: int) -> int:
    """An opener for files that only their owner reads."""
    return os.open(path, flags, mode=0o600)


def _tether(death_signal: signal.Signals) -> Callable[[], None] | None:
    """Makes the new process listen to signals, and asks the kernel to end it with this one."""
    libc = ctypes.CDLL(None) if sys.platform.startswith("linux") else None
    parent = os.getpid()

    def tether() -> None:
        # A shell starts what it runs in the background with some ignored, and that is inherited.
        for number in SIGNALS_TO_HEAR:
            signal.signal(number, signal.SIG_DFL)
        if libc is None:
            return
        libc.prctl(PR_SET_PDEATHSIG, death_signal)
        if os.getppid() != parent:  # it died before the kernel was asked
            os._exit(1)

    return tether
