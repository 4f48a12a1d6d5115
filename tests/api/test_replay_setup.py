"""What a replay changes of a workspace, the bot's part that it plays, and what it tells of both."""

from collections.abc import AsyncIterator
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from starlette.responses import JSONResponse, Response

from api.replay_setup import Setup
from tests.api.replay_fake import (
    CHANNEL,
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


async def test_every_so_many_contacts_get_an_owner_in_turn_an_agent_and_a_team_of_the_line(
    workspace: FakeWorkspace, url: str, tmp_path: Path
) -> None:
    workspace.teams = [
        a_fake_team("Todos", isTodos=True),
        a_fake_team("Store"),
        a_fake_team("Technical", line="SUPPORT"),
        a_fake_team("Gone", isActive=False),
    ]
    contacts = [f"c{number}" for number in range(9)]
    lines = [a_line(f"{contact} {turn}", contact=contact) for turn in "ab" for contact in contacts]

    day = await played(a_file(tmp_path, lines), url, senders=4, setup=Setup(owners_every=2))

    assert workspace.owners == {
        "contact of c1@number-1": "ana",
        "contact of c3@number-1": "Store",
        "contact of c5@number-1": "ana",
        "contact of c7@number-1": "Store",
    }
    assert day.tally.owners == {"agent": 2, "team": 2}


def a_fake_team(name: str, **changes: Any) -> Fields:
    return {"id": name, "name": name, "line": "SALES", "isTodos": False, "isActive": True} | changes


async def test_what_comes_to_the_bot_is_handed_off_before_the_first_answer(
    workspace: FakeWorkspace, url: str, tmp_path: Path
) -> None:
    lines = [a_line("one"), a_line("two"), a_reply("three"), a_reply("four", last=True)]

    day = await played(a_file(tmp_path, lines), url, setup=Setup(bots=("sales",)))

    hand_offs = [it for it in workspace.inputs if it.keys() == {"conversationId", "idempotencyKey"}]
    assert len(hand_offs) == 1
    assert workspace.inputs.index(hand_offs[0]) == 1 + next(
        place for place, it in enumerate(workspace.inputs) if it.get("text") == "two"
    )
    assert (day.tally.handed_off, day.tally.sent["ana"], day.tally.closed) == (1, 2, 1)
    assert (len(day.tally.hand_off_seconds), len(day.tally.assignment_seconds)) == (1, 0)
    assert day.tally.waited == {}
    assert not day.tally.went_wrong


async def test_what_waits_after_the_bot_is_counted_and_left_unanswered(
    workspace: FakeWorkspace, url: str, tmp_path: Path
) -> None:
    workspace.room = False
    lines = [a_line("one"), a_reply("two")]

    day = await played(a_file(tmp_path, lines), url, setup=Setup(bots=("sales",)))

    assert day.tally.waited == {"in queue Todos [sales]": 1}
    assert day.tally.unanswered == {"waiting in queue Todos [sales]": 1}


async def test_a_bot_that_was_not_asked_for_is_left_alone(
    workspace: FakeWorkspace, url: str, tmp_path: Path
) -> None:
    workspace.bots = {"number-1"}

    day = await played(a_file(tmp_path, [a_line("one"), a_reply("two")]), url)

    assert (day.tally.handed_off, day.tally.unanswered) == (0, {"with the bot": 1})


async def test_the_settings_are_changed_once_before_the_first_message(
    workspace: FakeWorkspace, url: str, tmp_path: Path
) -> None:
    setup = Setup(window_hours=48, bots=("sales",))

    await played(a_file(tmp_path, [a_line("one")]), url, setup=setup)

    window, bot, *rest = workspace.inputs
    assert (window["reassignmentWindowHours"], bot["channelId"], bot["isOn"]) == (
        48,
        "number-1",
        True,
    )
    assert not any("reassignmentWindowHours" in it or "isOn" in it for it in rest)


@pytest.mark.parametrize(
    ("setup", "said"),
    [
        (Setup(window_hours=1), "Cannot use --window (FORBIDDEN: You may not.)"),
        (Setup(bots=("sales",)), "Cannot use --bot (FORBIDDEN: You may not.)"),
        (Setup(bots=("pigeons",)), "Cannot use --bot: there is no channel pigeons"),
        (
            Setup(owners_every=2),
            "Cannot use --owners: this token lacks the scope contacts:own",
        ),
    ],
)
async def test_what_cannot_be_set_up_exits_with_2_and_one_line(
    workspace: FakeWorkspace, url: str, tmp_path: Path, setup: Setup, said: str
) -> None:
    forbidden = {"message": "You may not.", "extensions": {"code": "FORBIDDEN"}}
    workspace.fault = lambda _: JSONResponse({"data": None, "errors": [forbidden]})
    workspace.scopes = ["messages:receive"]
    console = Console(file=StringIO(), width=200)

    assert await exit_code(a_file(tmp_path, [a_line("one")]), url, console, setup=setup) == 2

    assert told(console) == f"{said}\n"
    assert not any("text" in it for it in workspace.inputs)


async def test_an_owner_that_is_refused_is_counted_and_the_rest_is_played(
    workspace: FakeWorkspace, url: str, tmp_path: Path
) -> None:
    forbidden = {"message": "You may not.", "extensions": {"code": "FORBIDDEN"}}

    def forbid(input: Fields) -> Response | None:
        return JSONResponse({"errors": [forbidden]}) if "contactId" in input else None

    workspace.fault = forbid
    lines = [a_line("one"), a_reply("two", last=True)]

    day = await played(a_file(tmp_path, lines), url, setup=Setup(owners_every=1))

    assert day.tally.refused == {"contactSetOwner FORBIDDEN": 1}
    assert (day.tally.owners, day.tally.closed) == ({}, 1)


async def test_where_conversations_went_is_read_from_the_log_and_told(
    workspace: FakeWorkspace, url: str, tmp_path: Path
) -> None:
    todos, store = a_fake_team("Todos", isTodos=True), a_fake_team("Store")
    technical = a_fake_team("Technical", line="SUPPORT")
    handed_off = {"kind": "CONVERSATION_HANDED_OFF"}
    workspace.routed = [
        a_routing("OWNER"),
        a_routing("STICKY", kind="CONVERSATION_REOPENED"),
        a_routing("BOT", toTeam=store),
        a_routing("CHANNEL_TARGET", toTeam=store),
        a_routing("CHANNEL_TARGET"),
        a_routing("TODOS", toTeam=todos),
        a_routing("CHANNEL_TARGET", toTeam=technical, **handed_off),
        a_routing("OWNER", toTeam=technical, **handed_off),
    ]
    console = Console(file=StringIO(), width=120)

    assert await exit_code(a_file(tmp_path, [a_line("one")]), url, console) == 0

    rows = [line.split("│")[1:3] for line in told(console).splitlines() if "│" in line]
    shown = [(what.strip(), count.strip()) for what, count in rows]
    begin = shown.index(("routed when customers wrote", "6"))
    assert shown[begin + 1 : begin + 10] == [
        ("to the owner", "1"),
        ("to the sticky agent", "1"),
        ("to the bot", "1"),
        ("to a group", "1"),
        ("to an agent", "1"),
        ("to Todos", "1"),
        ("routed after the bot", "2"),
        ("to a department", "1"),
        ("to the owner", "1"),
    ]


def a_routing(rule: str, **changes: Any) -> Fields:
    event = {"__typename": "ConversationEvent", "kind": "CONVERSATION_OPENED", "toTeam": None}
    return event | {"rule": rule} | changes
