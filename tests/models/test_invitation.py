"""Invitations: one at a time, for a while, once; and no way to sign in with."""

import asyncio

import pytest

from models import Agent, Channel, ClosingReason, Workspace, departure
from models.access import Role
from models.base import Line
from models.channel import ChannelKind, ChannelStatus
from models.closing import close
from models.errors import (
    AgentInactive,
    BadUserInput,
    EmailTaken,
    Forbidden,
    InUse,
    InvitationInvalid,
    LineNotSupported,
    NameTaken,
    NotFound,
    Unauthenticated,
)
from models.invitation import INVITATION_DAYS, invite, reset_password
from models.token import Token, actor_of, sign_in
from tests.conftest import Clock
from tests.factories import (
    a_channel,
    a_conversation,
    a_team,
    a_workspace,
    an_agent,
    as_integration,
    by_system,
    working,
)

PASSWORD = "a new password"


async def test_who_is_invited_chooses_a_password_once(workspace: Workspace) -> None:
    token, secret = await invite(
        None, by=by_system(workspace), name="Grace", email="grace@example.com", role=Role.OPERATOR
    )

    agent = await reset_password(secret, PASSWORD)
    signed_in, _, _ = await sign_in("grace@example.com", PASSWORD)

    assert token.agent_id == agent.id == signed_in.id
    assert signed_in.role is Role.OPERATOR
    with pytest.raises(InvitationInvalid):
        await reset_password(secret, "another password")


async def test_a_new_password_ends_the_sessions_that_were(workspace: Workspace) -> None:
    agent = await an_agent(workspace)
    _, session = await Token.open_session(agent)
    _, secret = await invite(agent.id, by=by_system(workspace))

    await reset_password(secret, PASSWORD)

    with pytest.raises(Unauthenticated):
        await actor_of(session)


async def test_an_invitation_is_no_bearer_token(workspace: Workspace) -> None:
    agent = await an_agent(workspace)
    _, secret = await invite(agent.id, by=by_system(workspace))

    with pytest.raises(Unauthenticated):
        await actor_of(secret)


async def test_a_session_is_no_invitation(workspace: Workspace) -> None:
    _, session = await Token.open_session(await an_agent(workspace))

    for secret in (session, "", "rlv_nothing"):
        with pytest.raises(InvitationInvalid):
            await reset_password(secret, PASSWORD)


async def test_a_newer_invitation_ends_the_older(workspace: Workspace) -> None:
    agent, by = await an_agent(workspace), by_system(workspace)
    _, older = await invite(agent.id, by=by)
    _, newer = await invite(agent.id, by=by)

    with pytest.raises(InvitationInvalid):
        await reset_password(older, PASSWORD)
    await reset_password(newer, PASSWORD)


async def test_an_invitation_lasts_a_week(workspace: Workspace, clock: Clock) -> None:
    agent, by = await an_agent(workspace), by_system(workspace)
    _, secret = await invite(agent.id, by=by)

    await clock.travel(days=INVITATION_DAYS, seconds=1)

    with pytest.raises(InvitationInvalid):
        await reset_password(secret, PASSWORD)
    _, again = await invite(agent.id, by=by)
    await reset_password(again, PASSWORD)


async def test_of_two_who_use_an_invitation_at_once_one_does(workspace: Workspace) -> None:
    _, secret = await invite((await an_agent(workspace)).id, by=by_system(workspace))

    found = await asyncio.gather(
        *(reset_password(secret, f"{PASSWORD} {number}") for number in range(2)),
        return_exceptions=True,
    )

    assert sorted(type(one).__name__ for one in found) == ["Agent", "InvitationInvalid"]


async def test_only_whom_one_can_invite_is_invited(workspace: Workspace) -> None:
    agent, by = await an_agent(workspace), by_system(workspace)
    gone = await an_agent(workspace)
    await Agent.filter(id=gone.id).update(is_active=False)
    stranger = await an_agent(await a_workspace("Other"))

    with pytest.raises(AgentInactive):
        await invite(gone.id, by=by)
    with pytest.raises(NotFound):
        await invite(stranger.id, by=by)
    with pytest.raises(EmailTaken):
        await invite(None, by=by, name="Twin", email=agent.email)
    for given in ({"name": "Nobody"}, {"email": "nobody@example.com"}, {}):
        with pytest.raises(BadUserInput):
            await invite(None, by=by, **given)
    with pytest.raises(BadUserInput):
        await invite(agent.id, by=by, name="Other name")


@pytest.mark.parametrize("password", ["short", "x" * 1_025], ids=len)
async def test_a_password_has_a_length_whatever_the_invitation(
    workspace: Workspace, password: str
) -> None:
    _, secret = await invite((await an_agent(workspace)).id, by=by_system(workspace))

    for given in (secret, "rlv_nothing"):
        with pytest.raises(BadUserInput):
            await reset_password(given, password)


async def test_a_disconnected_channel_keeps_its_target(workspace: Workspace) -> None:
    team, by = await a_team(workspace), by_system(workspace)
    channel = await a_channel(workspace, team=team)

    await Channel.change(
        channel.id,
        by=by,
        name="Front desk",
        status=ChannelStatus.DISCONNECTED,
        default_line=Line.SUPPORT,
    )

    stored = await Channel.get(id=channel.id)
    assert (stored.name, stored.status) == ("Front desk", ChannelStatus.DISCONNECTED)
    assert (stored.default_line, stored.sales_team_id) == (Line.SUPPORT, team.id)


async def test_a_channel_keeps_to_the_lines_of_its_kind(workspace: Workspace) -> None:
    channel = await a_channel(workspace, kind=ChannelKind.WEBCHAT)

    with pytest.raises(LineNotSupported):
        await Channel.change(channel.id, by=by_system(workspace), default_line=Line.SUPPORT)
    with pytest.raises(NotFound):
        await Channel.change(channel.id, by=by_system(await a_workspace("Other")), name="Mine")


async def test_a_reason_that_was_given_stays(workspace: Workspace) -> None:
    by = by_system(workspace)
    used, unused = [await ClosingReason.add(by=by, name=name) for name in ("Sold", "Lost")]
    conversation = await a_conversation(workspace)
    async with working(conversation.id, by=by) as found:
        await close(found, by=by, reason_id=used.id)

    with pytest.raises(InUse, match="set isActive to false") as refused:
        await ClosingReason.remove(used.id, by=by)
    await ClosingReason.remove(unused.id, by=by)

    assert refused.value.facts["closureCount"] == 1
    assert [reason.name for reason in await ClosingReason.all()] == ["Sold"]


async def test_a_reason_is_renamed_and_offered_no_more(workspace: Workspace) -> None:
    by = by_system(workspace)
    reason = await ClosingReason.add(by=by, name="Sold")
    await ClosingReason.add(by=by, name="Lost")

    with pytest.raises(NameTaken):
        await ClosingReason.change(reason.id, by=by, name="LOST")
    await ClosingReason.change(reason.id, by=by, name="Won", is_active=False)

    stored = await ClosingReason.get(id=reason.id)
    assert (stored.name, stored.is_active) == ("Won", False)
    for command in (ClosingReason.change, ClosingReason.remove):
        with pytest.raises(NotFound):
            await command(reason.id, by=by_system(await a_workspace("Other")))


async def test_an_integration_makes_itself_no_person_and_gives_no_more_than_it_has(
    workspace: Workspace,
) -> None:
    script = as_integration(workspace, "settings:write")
    agent = await an_agent(workspace)
    new = {"name": "Eve", "email": "eve@example.com"}

    attempts = {
        "invite": lambda: invite(agent.id, by=script),
        "invite a new one": lambda: invite(None, by=script, **new),
        "a password": lambda: Agent.add(by=script, password="correct horse", **new),
        "an administrator": lambda: Agent.add(by=script, role=Role.ADMIN, **new),
        "promote": lambda: departure.change(agent.id, by=script, role=Role.ADMIN),
        "another scope": lambda: Token.issue(
            by=script, name="More", scopes=("settings:write", "conversations:read")
        ),
    }
    for attempt in attempts.values():
        with pytest.raises(Forbidden):
            await attempt()

    _, secret = await Token.issue(by=script, name="Same", scopes=("settings:write",))
    assert (await Agent.add(by=script, **new)).role is Role.AGENT
    assert secret
