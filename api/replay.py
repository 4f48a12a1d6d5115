"""Plays a recorded day against a running server, through its public API only."""

import asyncio
import time
import zlib
from collections.abc import Awaitable, Callable, Iterable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import uvloop
from rich.console import Console

from api.recording import UNREADABLE, BrokenLine, Line, recording
from api.replay_client import Client, Refused, ServerGone, Sleep, Transient, Unplayable
from api.replay_dialogues import Dialogues, MayNotReceive
from api.replay_log import newest_event, routes_after
from api.replay_report import Tally, progress, report, say
from api.replay_setup import Owners, Setup, set_up
from api.replay_workspace import Workspace, beat, put_to_work

# A third of the shortest usual presence lease: two beats may be lost.
BEAT_SECONDS = 20.0
# A sender's backlog: enough to keep it busy, and no more of the day in memory.
BACKLOG_MAX = 64
BROKEN_LINES_TOLD_MAX = 20
AS_IT_IS = Setup()
TOKEN_REFUSALS = {"UNAUTHENTICATED", "FORBIDDEN", "HTTP_401", "HTTP_403"}

Backlog = asyncio.Queue[tuple[Line, str] | None]


def replay(
    file: Path,
    *,
    url: str,
    token: str,
    speed: float,
    senders: int,
    console: Console,
    setup: Setup = AS_IT_IS,
) -> int:
    """The exit code: 1 when anything was refused, broken or cut short, 2 when nothing could begin.

    `speed` is how many times faster than recorded, 0 as fast as it goes.
    """
    day = Replay(file, url, token, speed, senders, console, setup)
    try:
        uvloop.run(day.run())
    except Unplayable as reason:
        say(console, str(reason))
        return 2
    except KeyboardInterrupt:
        day.tally.stopped = "interrupted"
    except ServerGone as gone:
        day.tally.stopped = str(gone)
    report(day.tally, day.agent_names, console)
    return 1 if day.tally.went_wrong else 0


@dataclass(slots=True)
class Pacer:
    """Tells when a line is due, counted from the first one."""

    speed: float
    now: Callable[[], float]
    sleep: Sleep
    _origin: tuple[float, float] | None = None

    async def wait_for(self, at: float) -> None:
        if not self.speed:
            return
        if self._origin is None:
            self._origin = (self.now(), at)
        began, first = self._origin
        ahead = began + (at - first) / self.speed - self.now()
        if ahead > 0:
            await self.sleep(ahead)


@dataclass(slots=True)
class Replay:
    """One playing of one file; `now` and `sleep` are the clock that paces and retries it."""

    file: Path
    url: str
    token: str
    speed: float
    senders: int
    console: Console
    setup: Setup = AS_IT_IS
    now: Callable[[], float] = time.perf_counter
    sleep: Sleep = asyncio.sleep
    tally: Tally = field(default_factory=Tally)
    agent_names: dict[str, str] = field(default_factory=dict)
    _substituted: set[str] = field(default_factory=set)

    async def run(self) -> None:
        """Fill the tally; raises Unplayable while the server has taken no message yet."""
        async with AsyncExitStack() as stack:
            lines = self._open(stack)
            client = await stack.enter_async_context(self._client())
            workspace = await self._load(client)
            self.agent_names = workspace.agent_names
            owners = await set_up(client, workspace, self.setup)
            before = await newest_event(client)
            for agent in workspace.workers:
                await self._counted(put_to_work(client, agent))
            await self._play(lines, client, workspace, owners)
            if before is not None and not self.tally.stopped:
                after = await newest_event(client) or before
                self.tally.events = after.seq - before.seq
                self.tally.routes = await routes_after(client, before)

    def _open(self, stack: AsyncExitStack) -> Iterable[Line | BrokenLine]:
        if self.speed < 0 or self.senders < 1:
            raise Unplayable("The speed is 0 or more, and there is at least one sender.")
        try:
            return stack.enter_context(recording(self.file))
        except UNREADABLE as error:
            raise Unplayable(f"Cannot read {self.file}: {error}") from error

    def _client(self) -> Client:
        try:
            # One connection more than senders: the heartbeat must not wait behind them.
            return Client(self.url, self.token, connections_max=self.senders + 1, sleep=self.sleep)
        except (httpx.InvalidURL, UnicodeError) as error:
            raise Unplayable(f"Cannot use the address or the token: {error}") from error

    async def _load(self, client: Client) -> Workspace:
        try:
            return await Workspace.load(client)
        except Transient as failure:
            raise Unplayable(f"Cannot reach {self.url} ({failure})") from failure
        except Refused as refusal:
            what = "the token" if refusal.code in TOKEN_REFUSALS else "the first queries"
            raise Unplayable(f"{self.url} refused {what} ({refusal})") from refusal

    async def _play(
        self,
        lines: Iterable[Line | BrokenLine],
        client: Client,
        workspace: Workspace,
        owners: Owners,
    ) -> None:
        bots = frozenset(workspace.channels[name].id for name in self.setup.bots)
        reasons = workspace.closing_reasons
        dialogues = Dialogues(client, self.tally, reasons, owners, bots, self.now)
        began = self.now()
        forbidden = None
        try:
            with progress(self.console, self.file) as advance:
                async with asyncio.TaskGroup() as group:
                    beating = group.create_task(self._keep_beating(client, workspace.workers))
                    backlogs: list[Backlog] = [
                        asyncio.Queue(BACKLOG_MAX) for _ in range(self.senders)
                    ]
                    sending = [
                        group.create_task(_send(backlog, dialogues, advance))
                        for backlog in backlogs
                    ]
                    await self._feed(lines, workspace, owners, backlogs, advance)
                    await asyncio.gather(*sending)
                    beating.cancel()
        except* ServerGone as gone:
            self.tally.stopped = str(gone.exceptions[0])
        except* MayNotReceive as refusals:
            forbidden = refusals.exceptions[0]
        finally:
            self.tally.duration_seconds = self.now() - began
            self.tally.still_open = len(dialogues.open)
        if forbidden:  # raised above, it would come in a group
            raise Unplayable(
                f"{self.url} takes no messages from this token ({forbidden}): use an integration "
                "token with the scope messages:receive, as `relevo demo` prints one"
            )

    async def _feed(
        self,
        lines: Iterable[Line | BrokenLine],
        workspace: Workspace,
        owners: Owners,
        backlogs: list[Backlog],
        advance: Callable[[], None],
    ) -> None:
        pacer = Pacer(self.speed, self.now, self.sleep)
        for line in lines:
            channel = self._channel(line, workspace)
            if channel is None or isinstance(line, BrokenLine):
                advance()
                continue
            await pacer.wait_for(line.at)
            # Here, where the lines are in order: the senders overtake each other.
            owners.meet((line.contact, channel))
            # By the channel played on, not the recorded one: two recorded channels may share it,
            # and the server keeps one open conversation for each contact and channel.
            sender = zlib.crc32(f"{line.contact}\0{channel}".encode()) % len(backlogs)
            await backlogs[sender].put((line, channel))
        for backlog in backlogs:
            await backlog.put(None)

    def _channel(self, line: Line | BrokenLine, workspace: Workspace) -> str | None:
        """The id of the channel to play the line on; none, and told, for a broken line."""
        if isinstance(line, BrokenLine):
            self._tell_broken(line)
            return None
        channel = workspace.place(line)
        if channel is None:
            self._tell_broken(BrokenLine(line.number, f"unknown channel {line.channel}"))
            return None
        if channel.name != line.channel and line.channel not in self._substituted:
            self._substituted.add(line.channel)
            say(self.console, f"No channel {line.channel}: playing it on {channel.name}.")
        return channel.id

    def _tell_broken(self, line: BrokenLine) -> None:
        self.tally.broken += 1
        if self.tally.broken <= BROKEN_LINES_TOLD_MAX:
            say(self.console, f"Line {line.number} skipped: {line.reason}")
        elif self.tally.broken == BROKEN_LINES_TOLD_MAX + 1:
            say(self.console, "More lines are broken; they are only counted from here on.")

    async def _keep_beating(self, client: Client, agents: list[str]) -> None:
        while True:
            # The real clock whatever the pace: leases lapse by the server's.
            await asyncio.sleep(BEAT_SECONDS)
            for agent in agents:
                await self._counted(beat(client, agent))

    async def _counted(self, presence: Awaitable[None]) -> None:
        try:
            await presence
        except Refused as refusal:
            self.tally.refused[f"presence {refusal.code}"] += 1


async def _send(backlog: Backlog, dialogues: Dialogues, advance: Callable[[], None]) -> None:
    while (placed := await backlog.get()) is not None:
        await dialogues.play(*placed)
        advance()
