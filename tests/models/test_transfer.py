"""Handing over: the reason that goes with it, where a department lets it go, and who comes late."""

import pytest

from models import Agent, Conversation, Message, Team, Workspace
from models.access import Role
from models.base import Line
from models.closing import close
from models.database import fetch
from models.errors import (
    BadUserInput,
    ConversationChanged,
    Forbidden,
    NotFound,
    RoleCannotHold,
    TransferNotAllowed,
)
from models.event import Kind
from models.message import Direction
from models.reopening import reopen
from models.transfer import REASON_LENGTH_MAX, transfer
from tests.factories import (
    a_channel,
    a_conversation,
    a_team,
    an_agent,
    as_agent,
    by_system,
    working,
)


@pytest.fixture
async def team(workspace: Workspace) -> Team:
    return await a_team(workspace)


@pytest.fixture
async def ann(workspace: Workspace, team: Team) -> Agent:
    return await an_agent(workspace, teams=[team])


@pytest.fixture
async def held(workspace: Workspace, team: Team, ann: Agent) -> Conversation:
    return await a_conversation(workspace, team=team, holder=ann)


async def lets_go_to(team: Team, *others: Team) -> None:
    """Until teams have a verb for it, where a department hands over to is set by the row."""
    for other in others:
        await fetch(
            "INSERT INTO transfer_targets (workspace_id, team_id, to_team_id) VALUES ($1, $2, $3)",
            team.workspace_id,
            team.id,
            other.id,
        )


# -- The reason


async def test_the_receiver_reads_the_reason(
    workspace: Workspace, held: Conversation, ann: Agent
) -> None:
    ben = await an_agent(workspace)

    await transfer(held.id, by=as_agent(ann), to_agent=ben.id, reason="Speaks Welsh.")

    note = await Message.get(conversation_id=held.id, direction=Direction.NOTE)
    assert (note.text, note.author_agent_id) == ("Speaks Welsh.", ann.id)
    found = await Conversation.get(id=held.id)
    assert (found.assignee_id, found.last_message_id) == (ben.id, held.last_message_id)
    rows = await fetch(
        "SELECT kind, data::text FROM events WHERE conversation_id = $1 ORDER BY seq DESC LIMIT 2",
        held.id,
    )
    assert [row["kind"] for row in rows] == [Kind.CONVERSATION_TRANSFERRED, Kind.NOTE_ADDED]
    assert "Welsh" not in str(rows)


@pytest.mark.parametrize("reason", ["", " ", "x" * (REASON_LENGTH_MAX + 1), "a\0b"])
async def test_a_reason_says_something_and_is_short(
    workspace: Workspace, held: Conversation, ann: Agent, reason: str
) -> None:
    ben = await an_agent(workspace)

    with pytest.raises(BadUserInput) as refused:
        await transfer(held.id, by=as_agent(ann), to_agent=ben.id, reason=reason)

    assert refused.value.path == "input.reason"


async def test_a_refused_transfer_leaves_no_reason(held: Conversation, ann: Agent) -> None:
    with pytest.raises(NotFound):
        await transfer(held.id, by=as_agent(ann), to_agent=held.id, reason="Why not?")

    assert not await Message.filter(direction=Direction.NOTE).exists()


# -- To whom


async def test_a_department_that_lists_others_hands_over_to_those(workspace: Workspace) -> None:
    department, listed, unlisted = [await a_team(workspace, line=Line.SUPPORT) for _ in range(3)]
    await lets_go_to(department, listed)
    waiting = await a_conversation(workspace, team=department)
    by = by_system(workspace)

    with pytest.raises(TransferNotAllowed) as refused:
        await transfer(waiting.id, by=by, to_team=unlisted.id)
    await transfer(waiting.id, by=by, to_team=department.id)
    await transfer(waiting.id, by=by, to_team=listed.id)
    # It lists none itself.
    await transfer(waiting.id, by=by, to_team=unlisted.id)

    assert refused.value.facts == {"teamId": [listed.id]}
    assert (await Conversation.get(id=waiting.id)).team_id == unlisted.id


async def test_a_department_that_lists_others_hands_over_to_no_group(
    workspace: Workspace, team: Team
) -> None:
    department, listed = [await a_team(workspace, line=Line.SUPPORT) for _ in range(2)]
    await lets_go_to(department, listed)
    waiting = await a_conversation(workspace, team=department)

    with pytest.raises(TransferNotAllowed):
        await transfer(waiting.id, by=by_system(workspace), to_team=team.id)


async def test_agents_are_not_on_the_list(workspace: Workspace) -> None:
    department, listed = [await a_team(workspace, line=Line.SUPPORT) for _ in range(2)]
    await lets_go_to(department, listed)
    waiting = await a_conversation(workspace, team=department)
    agent = await an_agent(workspace)

    await transfer(waiting.id, by=by_system(workspace), to_agent=agent.id)

    assert (await Conversation.get(id=waiting.id)).assignee_id == agent.id


@pytest.mark.parametrize("role", [Role.AUDITOR, Role.MARKETING])
async def test_whoever_holds_nothing_is_handed_nothing(
    workspace: Workspace, held: Conversation, ann: Agent, role: Role
) -> None:
    await Workspace.filter(id=workspace.id).update(transfers_to_unavailable=True)
    other = await an_agent(workspace, role=role, connected=False)

    with pytest.raises(RoleCannotHold):
        await transfer(held.id, by=as_agent(ann), to_agent=other.id)


# -- Who comes late


async def test_whoever_lost_it_is_told_who_has_it(
    workspace: Workspace, held: Conversation, ann: Agent
) -> None:
    """It went to a team of which Ann sees nothing."""
    elsewhere = await a_team(workspace)
    ben = await an_agent(workspace, teams=[elsewhere])
    await transfer(held.id, by=by_system(workspace), to_team=elsewhere.id)
    async with working(held.id, by=as_agent(ben)) as waiting:
        await waiting.pick(by=as_agent(ben))

    with pytest.raises(ConversationChanged) as refused:
        async with working(held.id, by=as_agent(ann), expected_version=held.version):
            pass

    assert refused.value.facts["holderId"] == ben.id
    assert refused.value.facts["currentVersion"] == held.version + 2


@pytest.mark.parametrize("who", ["without a version", "with the present one", "never held it"])
async def test_what_one_does_not_see_is_not_found(
    workspace: Workspace, held: Conversation, ann: Agent, who: str
) -> None:
    elsewhere = await a_team(workspace)
    await transfer(held.id, by=by_system(workspace), to_team=elsewhere.id)
    now = await Conversation.get(id=held.id)
    by = as_agent(await an_agent(workspace) if who == "never held it" else ann)
    versions = {
        "without a version": None,
        "with the present one": now.version,
        "never held it": held.version,
    }

    with pytest.raises(NotFound):
        async with working(held.id, by=by, expected_version=versions[who]):
            pass


# -- Reopening what one held elsewhere


async def test_whoever_held_it_at_the_end_reopens_it_from_any_team(workspace: Workspace) -> None:
    elsewhere = await a_team(workspace)
    guest = await an_agent(workspace)
    conversation = await a_conversation(workspace, team=elsewhere, holder=guest)
    async with working(conversation.id, by=as_agent(guest)) as held:
        await close(held, by=as_agent(guest))

    await reopen(conversation.id, by=as_agent(guest))

    assert (await Conversation.get(id=conversation.id)).assignee_id == guest.id


@pytest.mark.parametrize("who", ["held it earlier", "holds it", "another company's"])
async def test_nobody_else_finds_it_to_reopen(workspace: Workspace, who: str) -> None:
    channel = await a_channel(workspace, team=await a_team(workspace))
    guest, other = [await an_agent(workspace) for _ in range(2)]
    conversation = await a_conversation(workspace, channel=channel, holder=guest)
    for agent in (guest, other):
        async with working(conversation.id, by=by_system(workspace)) as held:
            if held.assignee_id != agent.id:
                await held.assign(agent.id, by=by_system(workspace))
        async with working(conversation.id, by=by_system(workspace)) as held:
            await close(held, by=by_system(workspace))
        if agent is guest or who == "holds it":
            await reopen(conversation.id, by=by_system(workspace))
    by = as_agent(guest)
    if who == "another company's":
        by = as_agent(await an_agent(await Workspace.found("Rival"), role=Role.ADMIN))

    with pytest.raises((NotFound, Forbidden)) as refused:
        await reopen(conversation.id, by=by)

    assert refused.value.code == "NOT_FOUND"
