"""Bearer tokens: who they stand for, and when they stop."""

from datetime import timedelta

import pytest

from models import Agent, Workspace
from models.access import ActorKind, Right, Role
from models.database import fetchval
from models.errors import BadUserInput, Forbidden, InvalidCredentials, NotFound, Unauthenticated
from models.event import Kind
from models.token import (
    SESSION_DAYS,
    Token,
    actor_of,
    actor_of_token,
    issue_by_name,
    sign_in,
)
from tests.conftest import Clock
from tests.factories import a_workspace, an_agent, as_agent, by_system

PASSWORD = "correct horse"


async def test_signing_in_gives_a_session_of_the_agent(workspace: Workspace, clock: Clock) -> None:
    await clock.stop()
    agent = await an_agent(workspace, password=PASSWORD, role=Role.OPERATOR)

    signed_in, secret, expires_at = await sign_in(f" {agent.email.upper()} ", PASSWORD)
    now = await fetchval("SELECT relevo_now()")
    actor, seconds_left = await actor_of(secret)

    assert signed_in.id == actor.agent_id == agent.id
    assert (actor.workspace_id, actor.role) == (workspace.id, Role.OPERATOR)
    assert expires_at is not None
    assert seconds_left == (expires_at - now).total_seconds()


@pytest.mark.parametrize("wrong", ["password", "address", "inactive", "without password", "huge"])
async def test_whatever_is_wrong_the_answer_is_the_same(workspace: Workspace, wrong: str) -> None:
    agent = await an_agent(workspace, password=None if wrong == "without password" else PASSWORD)
    if wrong == "inactive":
        await Agent.filter(id=agent.id).update(is_active=False)
    email = "nobody@example.com" if wrong == "address" else agent.email
    given = {"password": "Correct horse", "huge": "x" * 10_000}.get(wrong, PASSWORD)

    with pytest.raises(InvalidCredentials):
        await sign_in(email, given)


async def test_a_session_ends_by_itself(workspace: Workspace, clock: Clock) -> None:
    agent = await an_agent(workspace, password=PASSWORD)
    _, secret, _ = await sign_in(agent.email, PASSWORD)

    await clock.travel(days=SESSION_DAYS, seconds=-5)
    await actor_of(secret)
    await clock.travel(seconds=5)

    with pytest.raises(Unauthenticated):
        await actor_of(secret)


async def test_a_session_has_the_rights_of_this_moment(workspace: Workspace) -> None:
    agent = await an_agent(workspace, password=PASSWORD)
    _, secret, _ = await sign_in(agent.email, PASSWORD)
    actor, _ = await actor_of(secret)
    assert not actor.may(Right.SEE_ALL)

    await Agent.change(agent.id, by=by_system(workspace), role=Role.ADMIN)
    assert actor.token_id is not None
    assert (await actor_of_token(actor.token_id)).may(Right.SEE_ALL)

    await Agent.filter(id=agent.id).update(is_active=False)
    with pytest.raises(Unauthenticated):
        await actor_of(secret)


async def test_an_integration_has_the_rights_of_its_scopes(workspace: Workspace) -> None:
    _, secret = await Token.issue(
        by=by_system(workspace), name="Script", scopes=("messages:receive",)
    )

    actor, seconds_left = await actor_of(secret)

    assert (actor.kind, actor.agent_id, seconds_left) == (ActorKind.INTEGRATION, None, None)
    assert actor.may(Right.RECEIVE_MESSAGES)
    assert not actor.may(Right.SEE_ALL)


@pytest.mark.parametrize("days", [0, 1, 30])
async def test_an_integrations_token_ends_when_it_was_said(
    workspace: Workspace, clock: Clock, days: int
) -> None:
    token, secret = await Token.issue(
        by=by_system(workspace), name="Script", scopes=(), expires_days=days
    )
    assert token.expires_at is not None

    await clock.travel(days=days)

    assert token.expires_at - token.created_at < timedelta(days=days, seconds=5)
    with pytest.raises(Unauthenticated):
        await actor_of(secret)


async def test_a_revoked_token_ends_at_once_and_is_told_once(workspace: Workspace) -> None:
    token, secret = await Token.issue(by=by_system(workspace), name="Script", scopes=())

    for _ in range(2):
        await Token.revoke(token.id, by=by_system(workspace))

    with pytest.raises(Unauthenticated):
        await actor_of(secret)
    assert (
        await fetchval("SELECT count(*) FROM events WHERE kind = $1", Kind.TOKEN_REVOKED.value) == 1
    )


async def test_everybody_ends_their_own_session(workspace: Workspace) -> None:
    agent = await an_agent(workspace, password=PASSWORD)
    _, secret, _ = await sign_in(agent.email, PASSWORD)
    actor, _ = await actor_of(secret)

    await Token.revoke_own(by=actor)

    with pytest.raises(Unauthenticated):
        await actor_of(secret)


async def test_only_who_configures_ends_and_issues_others(workspace: Workspace) -> None:
    token, _ = await Token.issue(by=by_system(workspace), name="Script", scopes=())
    agent = as_agent(await an_agent(workspace))
    rival = by_system(await a_workspace("Rival"))

    with pytest.raises(Forbidden):
        await Token.revoke(token.id, by=agent)
    with pytest.raises(Forbidden):
        await Token.issue(by=agent, name="Mine", scopes=())
    with pytest.raises(NotFound):
        await Token.revoke(token.id, by=rival)


async def test_an_unknown_scope_is_refused(workspace: Workspace) -> None:
    with pytest.raises(BadUserInput):
        await Token.issue(by=by_system(workspace), name="Script", scopes=("everything",))


@pytest.mark.parametrize("secret", ["", "rlv_guess", "é"])
async def test_a_guess_is_nobody(workspace: Workspace, secret: str) -> None:
    with pytest.raises(Unauthenticated):
        await actor_of(secret)


async def test_only_the_digest_is_kept(workspace: Workspace) -> None:
    secret = await issue_by_name("Acme", name="Script", scopes=())

    kept = await fetchval("SELECT string_agg(t::text, ' ') FROM tokens t")

    assert secret.removeprefix("rlv_") not in kept
    assert (await actor_of(secret))[0].may(Right.CONFIGURE)


async def test_a_token_of_an_unknown_workspace_is_not_issued(workspace: Workspace) -> None:
    with pytest.raises(NotFound):
        await issue_by_name("Nobody's", name="Script", scopes=())
