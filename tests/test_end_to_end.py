"""The whole product as a person meets it: `relevo` and its processes, a client, a recorded day."""

import asyncio
import json
import os
import re
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import pytest
from gql import Client, gql
from gql.transport.exceptions import TransportError
from gql.transport.websockets import WebsocketsTransport
from graphql import build_schema

from api.engines import embedded
from models.database import credentials
from tests.installation import (
    RELEVO,
    Installation,
    a_home,
    environment,
    eventually,
    free_port,
    processes_of,
    relevo,
)
from tests.recordings import CONTACTS, record

pytestmark = pytest.mark.timeout(60)

# 10 s is the promise on a quiet machine.
READY_SECONDS_MAX = 15
FOLLOW_SECONDS_MAX = 10
# The demo's team whose one agent has too little room for a recorded day.
CROWDED_QUEUE = "Wholesale"
CROWDED_AGENT = "diego@demo.example"
CROWDED_CHANNEL = "messenger-pagina"
README = Path(__file__).parents[1] / "README.md"
README_WEBSOCKET = "ws://127.0.0.1:8000/graphql"
EVENTS_BETWEEN_CUTS = 5
CUTS = 3
FUTURE = "999_20990101000000_of_the_future.py"

QUEUES = "{ queues(first: 100) { nodes { id name } } }"
CONVERSATIONS = "{ conversations(first: 100) { nodes { id } } }"
SIGN_IN = """
    mutation ($email: String!, $password: String!) {
        signIn(input: {email: $email, password: $password}) { token userErrors { code } }
    }
"""
SETTINGS = """
    { workspace { reassignmentWindowHours } channels(first: 100) { nodes { name botIsOn } } }
"""
CHANNELS = "{ channels(first: 100) { nodes { id name } } }"
RECEIVE = """
    mutation ($channel: ID!, $external: String!) {
        messageReceive(input: {
            channelId: $channel, externalId: $external, contact: {externalId: $external}, text: "Hi"
        }) { conversation { id } userErrors { code } }
    }
"""
SET_AVAILABILITY = """
    mutation ($availability: AgentAvailability!) {
        agentSetAvailability(input: {availability: $availability}) { userErrors { code } }
    }
"""
VIEWER = "{ viewer { agent { email role } scopes } }"
EVENTS = """
    query ($queue: ID!, $after: String) {
        events(filter: {queueId: $queue}, after: $after, first: 7) {
            nodes { seq } pageInfo { hasNextPage endCursor }
        }
    }
"""
QUEUE_CHANGED = """
    subscription ($queue: ID!, $after: String) {
        queueChanged(queueId: $queue, after: $after) {
            __typename
            ... on StreamSnapshot { cursor }
            ... on StreamResumed { cursor }
            ... on LoggedEvent { seq cursor }
        }
    }
"""


@pytest.fixture(scope="module")
def installation() -> Iterator[Installation]:
    """One that runs, for the whole module: whoever stops it starts it again."""
    with a_home() as home:
        running = Installation(home)
        try:
            running.start()
            yield running
        finally:
            running.end()


@pytest.fixture(scope="module")
def played(installation: Installation, tmp_path_factory: pytest.TempPathFactory) -> Installation:
    """The same, with a day in it."""
    run = installation.replay(record(tmp_path_factory.mktemp("day") / "first.jsonl").file)
    assert run.returncode == 0, run.stdout
    return installation


def counted(report: str, what: str) -> int:
    """A number of the tables that a replay prints."""
    found = re.search(rf"│ {what} +│ +([\d,]+) │", report)
    assert found, report
    return int(found[1].replace(",", ""))


def assert_refused_in_one_line(home: Path, *arguments: str, reason: str) -> None:
    run = relevo(home, *arguments)

    *progress, last = run.stderr.splitlines()
    assert run.returncode == 2, run.stderr
    assert last.startswith("relevo: ")
    assert reason in last
    assert all(line.startswith("relevo: ") for line in progress)
    assert run.stdout == ""


def test_a_new_installation_is_ready_within_seconds(
    installation: Installation, capsys: pytest.CaptureFixture[str]
) -> None:
    seconds = installation.start_seconds[0]

    with capsys.disabled():
        sys.stdout.write(f" [relevo up on an empty folder: {seconds:.1f} s] ")
    assert seconds < READY_SECONDS_MAX


def test_it_prints_where_it_is_and_how_to_get_in(installation: Installation) -> None:
    url = f"http://127.0.0.1:{installation.port}"

    ready = dict(installation.ready)

    assert ready.pop("url") == url
    assert ready.pop("graphql") == f"{url}/graphql"
    assert ready.pop("websocket") == f"ws://127.0.0.1:{installation.port}/graphql"
    assert ready.pop("token").startswith("rlv_")
    assert {agent["role"] for agent in ready.pop("agents")} == {"AGENT", "OPERATOR", "ADMIN"}
    assert ready == {}


def test_every_printed_agent_can_sign_in(installation: Installation) -> None:
    for agent in installation.ready["agents"]:
        assert signed_in(installation, agent) == {"email": agent["email"], "role": agent["role"]}


def signed_in(installation: Installation, agent: dict[str, str]) -> Any:
    """As whom the server knows somebody who signs in like that."""
    payload = installation.ask(SIGN_IN, email=agent["email"], password=agent["password"])["signIn"]
    assert payload["userErrors"] == []
    return installation.ask(VIEWER, token=payload["token"])["viewer"]["agent"]


@pytest.mark.parametrize("question", ["live", "ready"])
def test_the_health_endpoints_answer(installation: Installation, question: str) -> None:
    answer = httpx.get(f"{installation.ready['url']}/health/{question}")

    assert (answer.status_code, answer.json()) == (200, {"status": question})


def test_a_replay_is_accepted_whole_and_keeps_every_promise(
    installation: Installation, tmp_path: Path
) -> None:
    day = record(tmp_path / "whole.jsonl")

    run = installation.replay(day.file)

    assert run.returncode == 0, run.stdout
    assert counted(run.stdout, "inbound messages accepted") == day.inbound
    assert counted(run.stdout, "duplicates ignored") == day.duplicates
    assert counted(run.stdout, "refused") == 0
    assert counted(run.stdout, "broken lines") == 0
    assert counted(run.stdout, "conversations opened") >= CONTACTS
    assert_every_invariant_holds(installation)


def test_a_replay_sets_the_workspace_up_as_it_is_told(
    installation: Installation, tmp_path: Path
) -> None:
    day = record(tmp_path / "set-up.jsonl", contacts=4, questions_max=1)
    # A channel on which no recording of these tests plays.
    options = ("--owners", "3", "--window", "48", "--bot", "telegram")

    run = relevo(installation.home, *installation.replay_arguments(day.file), *options)

    assert run.returncode == 0, run.stdout
    assert counted(run.stdout, "contacts given an owner") == 2
    assert counted(run.stdout, "  to a group") >= 1
    found = installation.ask(SETTINGS)
    assert found["workspace"] == {"reassignmentWindowHours": 48}
    assert [it["name"] for it in found["channels"]["nodes"] if it["botIsOn"]] == ["telegram"]


def assert_every_invariant_holds(installation: Installation) -> None:
    """A conversation may wait beside room for the moment that its drain takes: a finding counts
    when it stays.
    """
    eventually(lambda: relevo(installation.home, "verify").returncode == 0)


def test_a_day_played_twice_is_all_duplicates_the_second_time(
    installation: Installation, tmp_path: Path
) -> None:
    day = record(tmp_path / "twice.jsonl")
    installation.replay(day.file)

    again = installation.replay(day.file)

    assert again.returncode == 0, again.stdout
    assert counted(again.stdout, "inbound messages accepted") == 0
    assert counted(again.stdout, "duplicates ignored") == day.inbound + day.duplicates


def test_a_broken_line_is_told_by_its_number_and_the_rest_is_played(
    installation: Installation, tmp_path: Path
) -> None:
    day = record(tmp_path / "broken.jsonl")
    lines = day.file.read_text().splitlines()[:6]
    lines[2] = lines[2][:-1]
    day.file.write_text("\n".join(lines))

    run = installation.replay(day.file)

    assert run.returncode == 1
    assert re.search(r"^Line 3 skipped: not JSON", run.stdout, re.MULTILINE)
    assert counted(run.stdout, "broken lines") == 1
    assert counted(run.stdout, "refused") == 0


@dataclass
class Follower:
    """A client of one queue that goes on after its last cursor, however often it is cut off."""

    installation: Installation
    queue: str
    cursor: str | None = None
    seqs: list[int] = field(default_factory=list)

    async def follow(self, *, until: int) -> None:
        """Connect, take what comes up to so many events in all, and vanish without a word."""
        transport = WebsocketsTransport(
            self.installation.ready["websocket"],
            init_payload={"authorization": f"Bearer {self.installation.token}"},
        )
        request = gql(QUEUE_CHANGED)
        request.variable_values = {"queue": self.queue, "after": self.cursor}
        opening = "StreamResumed" if self.cursor else "StreamSnapshot"
        async with asyncio.timeout(FOLLOW_SECONDS_MAX), Client(transport=transport) as session:
            items = session.subscribe(request)
            first = (await anext(items))["queueChanged"]
            assert first["__typename"] == opening
            assert self.cursor in (None, first["cursor"])
            self.cursor = first["cursor"]
            while len(self.seqs) < until:
                event = (await anext(items))["queueChanged"]
                self.seqs.append(event["seq"])
                self.cursor = event["cursor"]
            assert transport.adapter.websocket is not None
            transport.adapter.websocket.transport.abort()
            with pytest.raises(TransportError):  # after what had arrived, which is lost
                _ = [item async for item in items]


async def test_a_client_cut_off_during_a_replay_and_at_every_event_after_it_misses_and_repeats_none(
    installation: Installation, tmp_path: Path
) -> None:
    day = record(tmp_path / "followed.jsonl")
    queues = await asyncio.to_thread(installation.ask, QUEUES)
    queue = next(it["id"] for it in queues["queues"]["nodes"] if it["name"] == CROWDED_QUEUE)
    follower = Follower(installation, queue)
    await follower.follow(until=0)
    snapshot = follower.cursor

    replaying = await asyncio.create_subprocess_exec(
        RELEVO,
        *installation.replay_arguments(day.file),
        env=environment(installation.home),
        stdout=asyncio.subprocess.PIPE,
    )
    for cut in range(1, CUTS + 1):
        await follower.follow(until=cut * EVENTS_BETWEEN_CUTS)
        assert replaying.returncode is None, "the replay was over before the client was cut off"
    report, _ = await replaying.communicate()
    logged = await asyncio.to_thread(lambda: list(seqs_of(installation, queue, snapshot)))
    for until in range(len(follower.seqs) + 1, len(logged) + 1):
        await follower.follow(until=until)

    assert replaying.returncode == 0, report.decode()
    assert len(logged) > CUTS * EVENTS_BETWEEN_CUTS
    assert follower.seqs == logged


def seqs_of(installation: Installation, queue: str, after: str | None) -> Iterator[int]:
    """The log's own account of a queue, page by page."""
    while True:
        page = installation.ask(EVENTS, queue=queue, after=after)["events"]
        yield from (event["seq"] for event in page["nodes"])
        if not page["pageInfo"]["hasNextPage"]:
            return
        after = page["pageInfo"]["endCursor"]


def test_the_web_process_comes_back_when_it_is_killed(installation: Installation) -> None:
    before = installation.child("serve")
    assert before is not None

    os.kill(before, signal.SIGKILL)

    after = eventually(lambda: other_than(before, installation.child("serve")))
    eventually(installation.is_healthy)
    assert installation.ask(VIEWER)
    assert installation.child("serve") == after


def test_the_worker_comes_back_when_it_is_killed(installation: Installation) -> None:
    log = installation.home / "logs" / "worker.log"
    eventually(lambda: "worker started" in log.read_text())
    said = log.stat().st_size
    before = installation.child("workers")
    assert before is not None

    os.kill(before, signal.SIGKILL)

    eventually(lambda: other_than(before, installation.child("workers")))
    eventually(lambda: "worker started" in log.read_text()[said:])
    assert installation.is_healthy()


def test_postgresql_comes_back_when_it_is_killed_and_its_absence_tells_the_log_no_secret(
    installation: Installation,
) -> None:
    agent = installation.ready["agents"][0]
    postgresql = installation.child("-D")
    assert postgresql is not None

    os.kill(postgresql, signal.SIGKILL)
    installation.post(installation.token, VIEWER)
    installation.post(None, SIGN_IN, email=agent["email"], password=agent["password"])
    eventually(installation.is_healthy)

    logged = (installation.home / "logs" / "web.log").read_text()
    assert "request_failed" in logged
    assert installation.token not in logged
    assert agent["password"] not in logged
    assert signed_in(installation, agent)


def other_than(before: int, now: int | None) -> int | None:
    return now if now != before else None


def test_a_second_one_on_the_same_folder_is_refused_and_the_first_is_unharmed(
    installation: Installation,
) -> None:
    assert_refused_in_one_line(
        installation.home,
        *("up", "--port", str(free_port()), "--json"),
        reason=f"another `relevo up` is already running on {installation.home}",
    )
    assert installation.is_healthy()
    assert_every_invariant_holds(installation)


def test_a_port_in_use_is_refused_before_anything_is_written(
    installation: Installation, tmp_path: Path
) -> None:
    assert_refused_in_one_line(
        tmp_path / "home",
        *("up", "--port", str(installation.port), "--json"),
        reason=f"port {installation.port} on 127.0.0.1 is already in use",
    )
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("path", ["file", "file/below"])
def test_a_folder_that_cannot_be_made_is_refused(tmp_path: Path, path: str) -> None:
    (tmp_path / "file").write_text("in the way")

    assert_refused_in_one_line(
        tmp_path / path,
        *("up", "--port", str(free_port()), "--json"),
        reason=f"cannot use the data folder {tmp_path / path}",
    )


def test_schema_prints_what_the_server_serves(installation: Installation, tmp_path: Path) -> None:
    run = relevo(tmp_path, "schema")

    schema = build_schema(run.stdout)
    assert run.returncode == 0
    assert schema.subscription_type is not None
    assert "queueChanged" in schema.subscription_type.fields
    assert (
        run.stdout.strip()
        == served_schema(installation, f"Bearer {installation.token}").text.strip()
    )


@pytest.mark.parametrize("credentials", [None, "Bearer rlv_unknown", "Basic YTpi"])
def test_the_schema_is_not_shown_to_strangers(
    installation: Installation, credentials: str | None
) -> None:
    answer = served_schema(installation, credentials)

    assert answer.status_code == httpx.codes.UNAUTHORIZED
    assert answer.headers["WWW-Authenticate"] == "Bearer"
    assert len(answer.text.splitlines()) == 1


def served_schema(installation: Installation, credentials: str | None) -> httpx.Response:
    headers = {"Authorization": credentials} if credentials else {}
    return httpx.get(f"{installation.ready['url']}/schema.graphql", headers=headers)


def test_demo_shows_the_token_that_up_printed_and_it_is_kept_for_the_owner_only(
    installation: Installation,
) -> None:
    run = relevo(installation.home, "demo")

    assert run.stdout.splitlines()[-1] == f"token\t{installation.token}"
    assert stat.S_IMODE((installation.home / "demo.json").stat().st_mode) == 0o600


def test_demo_issues_another_token_when_the_kept_one_is_not_valid_and_revokes_none(
    installation: Installation,
) -> None:
    file = installation.home / "demo.json"
    kept = file.read_text()
    file.write_text('{"token": "rlv_unknown"}')

    run = relevo(installation.home, "demo")
    other = run.stdout.splitlines()[-1].removeprefix("token\t")

    assert json.loads(file.read_text()) == {"token": other}
    assert installation.ask(VIEWER, token=other) == installation.ask(VIEWER)
    file.write_text(kept)


def test_an_agents_token_cannot_replay_and_says_so_in_one_line(
    installation: Installation, tmp_path: Path
) -> None:
    agent = installation.ready["agents"][0]
    signed = installation.ask(SIGN_IN, email=agent["email"], password=agent["password"])["signIn"]
    day = record(tmp_path / "forbidden.jsonl")

    run = relevo(
        installation.home,
        *("replay", day.file, "--url", installation.ready["url"]),
        *("--token", signed["token"], "--speed", "0"),
    )

    assert run.returncode == 2, run.stdout
    assert "FORBIDDEN" in run.stdout
    assert len(run.stdout.splitlines()) == 1


@contextmanager
def example_of_the_readme(
    installation: Installation, folder: Path, token: str
) -> Iterator[subprocess.Popen[str]]:
    """The program as it is printed, watching the crowded queue."""
    (program,) = re.findall(r"^```python\n(.*?)^```", README.read_text(), re.DOTALL | re.MULTILINE)
    assert program.count(README_WEBSOCKET) == 1
    file = folder / "watch.py"
    file.write_text(program.replace(README_WEBSOCKET, installation.ready["websocket"]))
    nodes = installation.ask(QUEUES)["queues"]["nodes"]
    queue = next(it["id"] for it in nodes if it["name"] == CROWDED_QUEUE)
    with subprocess.Popen(
        (sys.executable, file, queue),
        env={**os.environ, "RELEVO_TOKEN": token},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def read_until(process: subprocess.Popen[str], wanted: str) -> str:
    """The first line that has it; those before it are skipped."""
    assert process.stdout is not None
    skipped: list[str] = []
    for line in process.stdout:
        if wanted in line:
            return line
        skipped.append(line)
    raise AssertionError(f"ended without {wanted}: {''.join(skipped)}")


def write_to_the_crowded_queue(installation: Installation, external_id: str) -> str:
    """The id of the conversation that a new customer opened."""
    nodes = installation.ask(CHANNELS)["channels"]["nodes"]
    channel = next(it["id"] for it in nodes if it["name"] == CROWDED_CHANNEL)
    payload = installation.ask(RECEIVE, channel=channel, external=external_id)["messageReceive"]
    assert payload["userErrors"] == []
    return str(payload["conversation"]["id"])


@pytest.fixture
def everybody_waits(installation: Installation) -> Iterator[None]:
    """In the crowded queue, whose agent is gone meanwhile."""
    agent = next(it for it in installation.ready["agents"] if it["email"] == CROWDED_AGENT)
    signed = installation.ask(SIGN_IN, email=agent["email"], password=agent["password"])["signIn"]
    installation.ask(SET_AVAILABILITY, token=signed["token"], availability="OFFLINE")
    yield
    installation.ask(SET_AVAILABILITY, token=signed["token"], availability="ONLINE")


@pytest.mark.usefixtures("everybody_waits")
def test_the_example_of_the_readme_sees_the_snapshot_and_every_event_beyond_a_restart(
    installation: Installation, tmp_path: Path
) -> None:
    with example_of_the_readme(installation, tmp_path, installation.token) as process:
        read_until(process, "StreamSnapshot")
        read_until(process, write_to_the_crowded_queue(installation, "readme-1"))
        web = installation.child("serve")
        assert web is not None

        os.kill(web, signal.SIGKILL)
        read_until(process, "Connecting again")
        eventually(installation.is_healthy)

        read_until(process, "StreamResumed")
        read_until(process, write_to_the_crowded_queue(installation, "readme-2"))


def test_the_example_of_the_readme_outlives_a_token_that_is_refused(
    installation: Installation, tmp_path: Path
) -> None:
    with example_of_the_readme(installation, tmp_path, "rlv_unknown") as process:
        for _ in range(2):
            read_until(process, "Connecting again")


def test_token_issues_one_that_works_within_its_scopes(installation: Installation) -> None:
    options = ("--name", "Reports", "--scope", "settings:read")
    run = relevo(installation.home, "token", "Demo", *options)

    assert run.returncode == 0, run.stderr
    viewer = installation.ask(VIEWER, token=run.stdout.strip())["viewer"]
    assert viewer == {"agent": None, "scopes": ["settings:read"]}


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_every_process_and_a_second_start_keeps_the_data(
    played: Installation, number: signal.Signals
) -> None:
    kept, old_token = played.ask(CONVERSATIONS), played.token
    assert len(processes_of(played.home)) >= len(("up", "web", "worker", "PostgreSQL", "Valkey"))

    assert played.stop(number) == (0, "")
    assert processes_of(played.home) == []

    played.start()
    assert played.ask(CONVERSATIONS) == kept
    assert played.token == old_token
    assert all(signed_in(played, agent) for agent in played.ready["agents"])


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a child of its parent's end")
def test_a_killed_one_leaves_nothing_running_and_loses_nothing(played: Installation) -> None:
    kept = played.ask(CONVERSATIONS)

    assert played.stop(signal.SIGKILL) == (-signal.SIGKILL, "")
    eventually(lambda: processes_of(played.home) == [])

    played.start()
    assert played.ask(CONVERSATIONS) == kept
    assert_every_invariant_holds(played)


async def test_a_schema_of_newer_code_is_refused_and_nothing_is_left_running() -> None:
    with a_home() as home:
        with embedded(home, durable=False) as engines:
            migrated = relevo(home, "migrate")
            await add_migration_of_the_future(engines.database_url)

        assert migrated.returncode == 0, migrated.stderr
        assert_refused_in_one_line(
            home,
            *("up", "--port", str(free_port()), "--json"),
            reason=f"A newer Relevo migrated the database (it knows {FUTURE})",
        )
        assert processes_of(home) == []


async def add_migration_of_the_future(database_url: str) -> None:
    connection = await asyncpg.connect(**credentials(database_url))
    try:
        await connection.execute(
            "INSERT INTO aerich (version, app, content) VALUES ($1, 'models', '{}')", FUTURE
        )
    finally:
        await connection.close()
