"""A whole installation as a person runs it: the real commands, as processes, on one folder."""

import json
import os
import secrets
import select
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import httpx
import psutil  # type: ignore[import-untyped]  # it comes without types

RELEVO = Path(sys.executable).with_name("relevo")
START_SECONDS_MAX = 40
STOP_SECONDS_MAX = 20
COMMAND_SECONDS_MAX = 30
ANSWER_SECONDS_MAX = 10
PATIENCE_SECONDS = 15
PROBE_SECONDS = 0.05
# Below those that systems choose for outgoing connections, of which tests open thousands.
PORTS = range(20_000, 32_000)

Result = TypeVar("Result")


def eventually(
    look: Callable[[], Result | None], *, seconds_max: float = PATIENCE_SECONDS
) -> Result:
    """What it finds once it finds something; the only place that sleeps."""
    deadline = time.monotonic() + seconds_max
    while not (found := look()):
        assert time.monotonic() < deadline, f"not within {seconds_max} s"
        time.sleep(PROBE_SECONDS)
    return found


@contextmanager
def a_home() -> Iterator[Path]:
    """Not in pytest's own folder: its next session would shut PostgreSQL's user out of that."""
    with tempfile.TemporaryDirectory(prefix="relevo-test-") as folder:
        yield Path(folder) / "home"


def environment(home: Path) -> dict[str, str]:
    """The servers that the tests themselves run on are not those of an installation."""
    ours = ("DATABASE_URL", "REDIS_URL")
    kept = {
        name: value
        for name, value in os.environ.items()
        if name not in ours and not name.startswith("RELEVO_")
    }
    return {**kept, "RELEVO_HOME": str(home), "COLUMNS": "200"}


def relevo(home: Path, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        (RELEVO, *arguments),
        env=environment(home),
        capture_output=True,
        text=True,
        check=False,
        timeout=COMMAND_SECONDS_MAX,
    )


def free_port() -> int:
    """One that nothing takes while the installation on it is stopped and started again."""
    while True:
        port = secrets.choice(PORTS)
        with suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port


def processes_of(home: Path) -> list[str]:
    """Every process that was started for this folder, works in it or names it."""
    return [
        f"{process.pid} {process.info['name']}"
        for process in psutil.process_iter(["name", "cmdline", "cwd", "environ"])
        if str(home)
        in "\n".join(
            (
                process.info["cwd"] or "",
                *(process.info["cmdline"] or ()),
                *(process.info["environ"] or {}).values(),
            )
        )
    ]


@dataclass
class Installation:
    """One folder and one port; `ready` is what `relevo up --json` printed last."""

    home: Path
    port: int = field(default_factory=free_port)
    ready: dict[str, Any] = field(default_factory=dict)
    start_seconds: list[float] = field(default_factory=list)
    process: subprocess.Popen[str] | None = None

    @property
    def token(self) -> str:
        return str(self.ready["token"])

    @property
    def log(self) -> Path:
        return self.home.with_name(f"{self.home.name}.log")

    def start(self) -> None:
        """Returns when it says that it is ready."""
        began = time.monotonic()
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                (RELEVO, "up", "--port", str(self.port), "--json"),
                env=environment(self.home),
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
        assert self.process.stdout is not None
        said, _, _ = select.select([self.process.stdout], [], [], START_SECONDS_MAX)
        line = self.process.stdout.readline() if said else ""
        assert line, f"not ready: {self.log.read_text()}"
        self.start_seconds.append(time.monotonic() - began)
        self.ready = json.loads(line)

    def stop(self, number: signal.Signals) -> tuple[int, str]:
        """The exit code, and what it still printed to standard output."""
        assert self.process is not None
        with self.process as process:
            process.send_signal(number)
            rest, _ = process.communicate(timeout=STOP_SECONDS_MAX)
            return process.returncode, rest

    def end(self) -> None:
        """For cleaning up, whatever state a failed test has left it in."""
        if self.process is None:
            return
        with self.process as process:
            process.terminate()
            try:
                process.wait(STOP_SECONDS_MAX)
            finally:
                process.kill()

    def child(self, word: str) -> int | None:
        """The process id of the child with this word in its command; none while it is away."""
        assert self.process is not None
        children = psutil.Process(self.process.pid).children()
        alive = (it for it in children if it.status() != psutil.STATUS_ZOMBIE)
        return next((it.pid for it in alive if word in it.cmdline()), None)

    def is_healthy(self) -> bool:
        try:
            answer = httpx.get(f"{self.ready['url']}/health/ready", timeout=ANSWER_SECONDS_MAX)
        except httpx.TransportError:
            return False
        return answer.status_code == httpx.codes.OK

    def post(self, token: str | None, document: str, **variables: object) -> httpx.Response:
        return httpx.post(
            self.ready["graphql"],
            headers={"Authorization": f"Bearer {token}"} if token else {},
            json={"query": document, "variables": variables},
            timeout=ANSWER_SECONDS_MAX,
        )

    def ask(self, document: str, *, token: str | None = None, **variables: object) -> Any:
        """The data, asked with the integration's token where none is given."""
        answer = self.post(token or self.token, document, **variables).json()
        assert "errors" not in answer, answer
        return answer["data"]

    def replay(self, file: Path) -> subprocess.CompletedProcess[str]:
        return relevo(self.home, *self.replay_arguments(file))

    def replay_arguments(self, file: Path) -> tuple[str | Path, ...]:
        return ("replay", file, "--url", self.ready["url"], "--token", self.token, "--speed", "0")
