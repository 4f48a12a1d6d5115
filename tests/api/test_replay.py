import json
from collections import defaultdict
from collections.abc import AsyncIterator
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console
from starlette.responses import JSONResponse, Response

from api import replay as replaying
from api.recording import LINE_BYTES_MAX, BrokenLine, recording
from api.replay import Pacer, Replay
from api.replay_client import TRIES_MAX, backoff_seconds
from api.replay_report import percentile
from tests.api.replay_fake import (
    CHANNEL,
    TOKEN,
    FakeWorkspace,
    Fields,
    a_file,
    a_line,
    a_reply,
    app_of,
    exit_code,
    played,
    told,
)
from tests.serving import serving


@pytest.fixture
def workspace() -> FakeWorkspace:
    return FakeWorkspace(channels=[CHANNEL])


@pytest.fixture
async def url(workspace: FakeWorkspace) -> AsyncIterator[str]:
    async with serving(app_of(workspace)) as address:
        yield address


def broken_for_messages(asked: Fields) -> Response | None:
    return Response(status_code=500) if "text" in asked else None


async def test_each_contact_keeps_its_order_with_eight_senders(
    workspace: FakeWorkspace, url: str, tmp_path: Path
) -> None:
    lines = [
        a_line(f"{contact}-{turn}", contact=contact)
        if turn % 2 == 0
        else a_reply(f"{contact}-{turn}", contact=contact)
        for turn in range(10)
        for contact in ("ana", "bea", "cai", "dan", "eva", "fio", "gil", "hugo", "ivo")
    ]

    day = await played(a_file(tmp_path, lines), url, senders=8)

    heard = defaultdict(list)
    for conversation, text in workspace.transcript:
        heard[conversation.partition("@")[0]].append(text)
    assert heard == {name: [f"{name}-{turn}" for turn in range(10)] for name in heard}
    assert (day.tally.accepted, day.tally.sent["ana"], len(heard)) == (45, 45, 9)
    assert (day.tally.opened, day.tally.assigned, day.tally.held["ana"]) == (9, 9, 9)
    assert day.tally.events == 90


async def test_duplicates_are_delivered_and_counted(
    workspace: FakeWorkspace, url: str, tmp_path: Path
) -> None:
    day = await played(a_file(tmp_path, [a_line("hello"), a_line("hello")]), url)

    assert (day.tally.accepted, day.tally.duplicates, day.tally.opened) == (1, 1, 1)
    assert len([it for it in workspace.inputs if it.get("text") == "hello"]) == 2
    assert not day.tally.went_wrong


async def test_a_dialogue_is_answered_closed_and_opened_again(
    workspace: FakeWorkspace, url: str, tmp_path: Path
) -> None:
    lines = [
        a_line("one"),
        a_reply("two", last=True),
        a_line("one"),  # a late duplicate of what is closed by now
        a_line("three"),
    ]

    day = await played(a_file(tmp_path, lines), url)

    closing = next(it for it in workspace.inputs if "closingReasonId" in it)
    assert (closing["closingReasonId"], closing["onBehalfOf"]) == ("solved", "ana")
    assert (day.tally.opened, day.tally.closed, day.tally.still_open) == (2, 1, 1)
    assert len(day.tally.assignment_seconds) == 2


async def test_what_comes_to_support_closes_with_a_ticket_of_its_own(
    workspace: FakeWorkspace, url: str, tmp_path: Path
) -> None:
    workspace.line = "SUPPORT"
    lines = [
        a_line("one", last=True, topic=f" {'Bicycle' * 50}"),
        a_line("two", last=True, topic=" ", contact="ana"),
    ]

    day = await played(a_file(tmp_path, lines), url, senders=1)

    assert workspace.tickets == [("Bicycle" * 50)[:200], "Replayed"]
    assert (day.tally.closed, day.tally.refused) == (2, {})


async def test_broken_lines_are_told_by_number_and_skipped(url: str, tmp_path: Path) -> None:
    without_text = a_line("x")
    del without_text["text"]
    lines: list[Fields | str] = [
        a_line("fine"),
        "{not json",
        "[]",
        without_text,
        a_line("x", last="no"),
        a_line("x", at=True),
        "",
        a_line("x", at=-1),
        a_line("x", direction="SIDEWAYS"),
        a_line("x", channel="pigeons", kind="PIGEON"),
        a_line("also fine"),
    ]

    day = await played(a_file(tmp_path, lines), url)

    said = told(day.console).splitlines()
    assert [line.split()[1] for line in said] == ["2", "3", "4", "5", "6", "8", "9", "10"]
    assert said[2] == "Line 4 skipped: text is missing"
    assert said[-1] == "Line 10 skipped: unknown channel pigeons"
    assert (day.tally.broken, day.tally.accepted) == (8, 2)


async def test_only_the_first_broken_lines_are_told(url: str, tmp_path: Path) -> None:
    day = await played(a_file(tmp_path, ["?"] * 50), url)

    said = told(day.console).splitlines()
    assert day.tally.broken == 50
    assert said[19].startswith("Line 20 ")
    assert said[20:] == ["More lines are broken; they are only counted from here on."]


async def test_a_channel_of_the_same_kind_stands_in_and_is_told_once(
    workspace: FakeWorkspace, url: str, tmp_path: Path
) -> None:
    workspace.channels.insert(0, CHANNEL | {"id": "dead", "name": "x", "status": "DISCONNECTED"})
    lines = [a_line(str(turn), channel="support") for turn in range(3)]

    day = await played(a_file(tmp_path, lines), url)

    assert told(day.console) == "No channel support: playing it on sales.\n"
    assert {channel for channel, _ in workspace.received} == {"number-1"}


@pytest.mark.parametrize("status", [200, 429, 503])
async def test_a_lost_answer_is_asked_for_again_with_the_same_key(
    workspace: FakeWorkspace, url: str, tmp_path: Path, status: int
) -> None:
    losses = iter(range(2))
    busy = {"message": "Busy.", "extensions": {"code": "TIMEOUT", "retryable": True}}

    def lose(input: Fields) -> Response | None:
        if input.get("text") == "hello" and next(losses, None) is not None:
            return JSONResponse({"errors": [busy]}, status_code=status)
        return None

    workspace.fault = lose

    day = await played(a_file(tmp_path, [a_line("hello"), a_line("bye")]), url)

    keys = [it["idempotencyKey"] for it in workspace.inputs if it.get("text") == "hello"]
    assert len(keys) == 3
    assert len(set(keys)) == 1
    assert (day.tally.accepted, day.tally.duplicates, day.tally.refused) == (2, 0, {})


async def test_a_call_is_given_up_after_its_tries(
    workspace: FakeWorkspace, url: str, tmp_path: Path
) -> None:
    workspace.fault = broken_for_messages

    day = await played(a_file(tmp_path, [a_line("hello")]), url)

    assert len([it for it in workspace.inputs if "text" in it]) == TRIES_MAX
    assert day.tally.refused == {"messageReceive HTTP_500": 1}


async def test_a_server_that_never_answers_again_ends_the_replay(
    workspace: FakeWorkspace, url: str, tmp_path: Path
) -> None:
    workspace.fault = broken_for_messages

    day = await played(a_file(tmp_path, [a_line(str(turn)) for turn in range(500)]), url)

    assert day.tally.stopped == "The server stopped answering (HTTP_500: Internal Server Error)."
    assert day.tally.went_wrong


async def test_nobody_holding_leaves_it_unanswered(
    workspace: FakeWorkspace, url: str, tmp_path: Path
) -> None:
    workspace.room = False

    day = await played(a_file(tmp_path, [a_line("hello"), a_reply("hi")]), url)

    assert day.tally.unanswered == {"waiting in queue Todos [sales]": 1}
    assert day.tally.waited == {"in queue Todos [sales]": 1}
    assert (day.tally.sent.total(), len(day.tally.assignment_seconds)) == (0, 0)
    assert not day.tally.went_wrong


async def test_who_got_it_in_the_meantime_answers(
    workspace: FakeWorkspace, url: str, tmp_path: Path
) -> None:
    workspace.room = False

    def drain(input: Fields) -> None:
        if input.get("text") == "hello":
            conversation = workspace.conversations["maria@number-1"]
            workspace.conversations["maria@number-1"] = conversation | {
                "status": "ASSIGNED",
                "assignee": workspace.agent,
            }

    workspace.fault = drain

    day = await played(a_file(tmp_path, [a_line("hello"), a_reply("hi")]), url)

    assert (day.tally.sent["ana"], day.tally.assigned) == (1, 1)
    assert day.tally.waited.total() == 1


async def test_a_reply_to_what_was_closed_meanwhile_is_refused_by_code(
    workspace: FakeWorkspace, url: str, tmp_path: Path
) -> None:
    def go_quiet(input: Fields) -> None:
        if input.get("text") == "hello":
            workspace.conversations["maria@number-1"] |= {"status": "CLOSED"}

    # Spoils only the stored conversation: the answer has been written by then.
    workspace.fault = go_quiet

    day = await played(a_file(tmp_path, [a_line("hello"), a_reply("hi"), a_reply("hey")]), url)

    assert day.tally.refused == {"messageSend CONVERSATION_CLOSED": 1}
    assert day.tally.unanswered == {"no open conversation": 1}


async def test_agents_are_put_to_work_and_kept_there(
    workspace: FakeWorkspace, url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replaying, "BEAT_SECONDS", 0)
    console = Console(file=StringIO())

    async def until_beaten(_seconds: float) -> None:
        workspace.beaten.clear()
        await workspace.beaten.wait()

    file = a_file(tmp_path, [a_line("one", at=1), a_line("two", at=9_000)])
    await Replay(file, url, TOKEN, 1, 1, console, sleep=until_beaten).run()

    beats = [it for it in workspace.inputs if "device" in it]
    assert {(it["agentId"], it["device"]) for it in beats} == {("ana", "replay")}
    assert len(beats) >= 2
    assert workspace.agent["availability"] == "ONLINE"


async def test_all_taken_exits_with_0_and_one_table(url: str, tmp_path: Path) -> None:
    console = Console(file=StringIO(), width=120)
    file = a_file(tmp_path, [a_line("hello"), a_reply("hi", last=True)])

    assert await exit_code(file, url, console) == 0

    shown = told(console)
    assert shown.split()[0] == "Replay"
    assert "message to assignment" in shown
    assert "Ana" in shown


async def test_a_refused_message_exits_with_1(
    workspace: FakeWorkspace, url: str, tmp_path: Path
) -> None:
    workspace.refuse = "spam"
    console = Console(file=StringIO(), width=120)

    assert await exit_code(a_file(tmp_path, [a_line("spam")]), url, console) == 1

    assert "messageReceive CONTACT_BLOCKED" in told(console)


async def test_a_token_that_may_not_feed_messages_in_exits_with_2_and_one_line(
    workspace: FakeWorkspace, url: str, tmp_path: Path
) -> None:
    forbidden = {"message": "You may not.", "extensions": {"code": "FORBIDDEN"}}

    def forbid(input: Fields) -> Response | None:
        return JSONResponse({"data": None, "errors": [forbidden]}) if "text" in input else None

    workspace.fault = forbid
    console = Console(file=StringIO(), width=400)
    lines = [a_line(str(turn), contact=str(turn)) for turn in range(500)]

    assert await exit_code(a_file(tmp_path, lines), url, console) == 2

    (said,) = told(console).splitlines()
    assert "FORBIDDEN: You may not." in said
    assert "the scope messages:receive" in said


async def test_what_cannot_begin_exits_with_2_and_one_line(
    workspace: FakeWorkspace, url: str, tmp_path: Path
) -> None:
    file = a_file(tmp_path, [a_line("hello")])
    not_gzip = tmp_path / "text.gz"
    not_gzip.write_text("plain")
    nowhere = "http://127.0.0.1:1"

    for console, code in [
        ((it := Console(file=StringIO())), await exit_code(tmp_path / "none.jsonl", url, it)),
        ((it := Console(file=StringIO())), await exit_code(not_gzip, url, it)),
        ((it := Console(file=StringIO())), await exit_code(file, nowhere, it)),
        ((it := Console(file=StringIO())), await exit_code(file, "http://[", it)),
        ((it := Console(file=StringIO())), await exit_code(file, url, it, token="stolen")),
    ]:
        assert code == 2
        assert told(console).count("\n") == 1

    assert workspace.inputs == []


async def test_a_terminal_gets_a_bar(url: str, tmp_path: Path) -> None:
    console = Console(file=StringIO(), force_terminal=True, width=120)

    assert await exit_code(a_file(tmp_path, [a_line("a"), a_line("b")]), url, console) == 0

    assert "2/2" in told(console)


@pytest.mark.parametrize(("speed", "slept"), [(1, [5.0, 15.0]), (10, [0.5, 1.5]), (0, [])])
async def test_lines_are_paced_by_their_place_in_the_day(speed: float, slept: list[float]) -> None:
    clock, naps = [1000.0], []

    async def sleep(seconds: float) -> None:
        naps.append(seconds)
        clock[0] += seconds

    pacer = Pacer(speed, lambda: clock[0], sleep)
    for at in (100.0, 105.0, 104.0, 120.0):
        await pacer.wait_for(at)

    assert naps == pytest.approx(slept)


async def test_time_spent_sending_is_not_waited_for_again() -> None:
    clock, naps = [0.0], []

    async def sleep(seconds: float) -> None:
        naps.append(seconds)

    pacer = Pacer(1, lambda: clock[0], sleep)
    await pacer.wait_for(10)
    clock[0] += 3
    await pacer.wait_for(14)
    clock[0] += 9
    await pacer.wait_for(15)

    assert naps == [1.0]


def test_a_cut_off_recording_ends_with_a_broken_line(tmp_path: Path) -> None:
    whole = a_file(tmp_path, [a_line(f"{turn * 7919}") for turn in range(999)])
    cut = tmp_path / "cut.gz"
    cut.write_bytes(whole.read_bytes()[:-200])

    with recording(cut) as lines:
        *good, last = lines

    assert isinstance(last, BrokenLine)
    assert last.number == len(good) + 1


def test_an_overlong_line_is_one_broken_line(tmp_path: Path) -> None:
    file = tmp_path / "day.jsonl"
    file.write_text("x" * (3 * LINE_BYTES_MAX) + "\n" + json.dumps(a_line("fine")))

    with recording(file) as lines:
        overlong, fine = lines

    assert overlong == BrokenLine(1, f"longer than {LINE_BYTES_MAX} bytes")
    assert fine.number == 2


def test_percentiles_are_measured_values() -> None:
    values = [float(value) for value in range(100, 0, -1)]

    assert [percentile(values, share) for share in (0.5, 0.99, 1.0)] == [50, 99, 100]
    assert percentile([7.0], 0.5) == 7


def test_the_back_off_doubles_to_a_bound() -> None:
    for tried, ceiling in [(1, 0.1), (2, 0.2), (5, 1.6), (7, 5.0), (60, 5.0)]:
        assert ceiling / 2 <= backoff_seconds(tried) <= ceiling
