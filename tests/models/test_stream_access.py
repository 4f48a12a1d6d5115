"""A stream ends, or narrows, at the very event that takes access away; asking costs little."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import pytest

from models import Agent, Membership, Team, Workspace, departure, log, ring
from models.access import Actor, Role
from models.database import fetch
from models.errors import Unauthenticated
from models.event import Kind
from models.scope.access import Access
from models.scope.base import Scope
from models.sight import Coalesced, Sight
from models.stream import Reader
from models.subscription import (
    ConversationScope,
    Item,
    Logged,
    LogScope,
    QueueScope,
    subscribe,
)
from models.token import Token, actor_of
from models.transfer import transfer
from tests.factories import (
    a_conversation,
    a_team,
    an_agent,
    as_agent,
    as_integration,
    by_system,
    working,
)

PATIENCE_SECONDS = 5


@pytest.fixture
async def reader(database: str) -> AsyncIterator[Reader]:
    reader = Reader()
    reader.start()
    yield reader
    await reader.stop()


async def signed_in(agent: Agent) -> Actor:
    _, secret = await Token.open_session(agent)
    by, _ = await actor_of(secret)
    return by


async def note(id: UUID, workspace: Workspace) -> None:
    async with working(id, by=by_system(workspace)) as conversation:
        await conversation.note("Hm.", by=by_system(workspace))


def kinds(items: list[Item]) -> list[Any]:
    return [item.event.kind if isinstance(item, Logged) else type(item) for item in items]


# -- What a sight is


async def test_equal_rights_are_one_sight(workspace: Workspace) -> None:
    team, other = await a_team(workspace), await a_team(workspace)
    first, second = [await an_agent(workspace, teams=[team]) for _ in range(2)]
    stranger = await an_agent(workspace, teams=[other])

    sights = [await Sight.of(as_agent(agent)) for agent in (first, second, stranger)]

    assert sights[0] == sights[1]
    assert hash(sights[0]) == hash(sights[1])
    assert sights[0] != sights[2]
    assert team.id in sights[0].team_ids
    assert other.id not in sights[0].team_ids


@pytest.mark.parametrize("role", [Role.OPERATOR, Role.AUDITOR, Role.MARKETING, Role.ADMIN])
async def test_whoever_sees_all_or_nothing_has_no_teams(workspace: Workspace, role: Role) -> None:
    agent = await an_agent(workspace, role=role)

    found = await Sight.of(as_agent(agent))

    assert (found.role, found.team_ids) == (role, frozenset())


async def test_the_scopes_of_a_token_are_its_sight(workspace: Workspace) -> None:
    reading = await Sight.of(as_integration(workspace, "conversations:read"))
    writing = await Sight.of(as_integration(workspace, "contacts:write"))

    assert reading != writing


# -- Asking for many at once


async def test_a_moment_is_one_answer_and_what_is_equal_is_asked_once() -> None:
    answered: list[list[int]] = []

    async def answer(asked: Any) -> list[int]:
        answered.append(sorted(asked))
        return [each * 10 for each in asked]

    coalesced: Coalesced[int, int] = Coalesced(answer)
    found = await asyncio.gather(*[coalesced.ask(number % 3) for number in range(9)])

    assert found == [0, 10, 20] * 3
    assert answered == [[0, 1, 2]]
    assert await coalesced.ask(1) == 10
    assert answered == [[0, 1, 2], [1]]


async def test_what_is_asked_while_an_answer_is_under_way_is_answered_by_the_next() -> None:
    """An answer that began before a change was logged knows nothing of the change."""
    begun, go_on, answers = asyncio.Event(), asyncio.Event(), iter(["before", "after"])

    async def answer(asked: Any) -> list[str]:
        value = next(answers)
        begun.set()
        await go_on.wait()
        return [value for _ in asked]

    coalesced: Coalesced[str, str] = Coalesced(answer)
    early = asyncio.create_task(coalesced.ask("x"))
    await begun.wait()
    late = asyncio.create_task(coalesced.ask("x"))
    await asyncio.sleep(0)
    go_on.set()

    assert (await early, await late) == ("before", "after")


async def test_who_stops_waiting_stops_nobody_else() -> None:
    go_on = asyncio.Event()

    async def answer(asked: Any) -> list[str]:
        await go_on.wait()
        return ["answer" for _ in asked]

    coalesced: Coalesced[str, str] = Coalesced(answer)
    first, second = [asyncio.create_task(coalesced.ask("x")) for _ in range(2)]
    await asyncio.sleep(0)
    first.cancel()
    go_on.set()

    assert await second == "answer"


async def test_a_failure_is_told_to_all_who_asked() -> None:
    async def answer(_asked: Any) -> list[str]:
        raise ConnectionResetError

    coalesced: Coalesced[str, str] = Coalesced(answer)

    found = await asyncio.gather(*map(coalesced.ask, "xyx"), return_exceptions=True)

    assert [type(error) for error in found] == [ConnectionResetError] * 3


async def test_many_followers_ask_in_a_handful_of_statements(
    workspace: Workspace, reader: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each is another agent, half of them follow another conversation each."""
    team = await a_team(workspace)
    agents = [await an_agent(workspace, teams=[team]) for _ in range(12)]
    conversations = [await a_conversation(workspace, team=team) for _ in agents]
    scopes: list[tuple[Agent, Scope]] = [
        *((agent, QueueScope(team.id)) for agent in agents),
        *zip(agents, [ConversationScope(each.id) for each in conversations], strict=True),
    ]
    streams = [subscribe(reader, scope, by=await signed_in(agent)) for agent, scope in scopes]
    for items in streams:
        await anext(items)
    following = [asyncio.create_task(anext(items)) for items in streams]
    await asyncio.sleep(0)
    asked = counted(reader.access, monkeypatch)

    child = await Team.add(by=by_system(workspace), line=team.line, name="Below", parent=team)
    for conversation in conversations:
        await note(conversation.id, workspace)
    found = await asyncio.gather(*following)

    # From the event on that put a team below theirs they see what is in that.
    assert all(child.id in item.sight.team_ids for item in found if isinstance(item, Logged))
    assert kinds(found) == [Kind.NOTE_ADDED] * 24
    # Everybody's rights, and whether they see their scopes; a look may find them in two halves.
    assert sum(asked) >= 24
    assert len(asked) <= 4
    for items in streams:
        await items.aclose()


def counted(access: Access, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many were answered at once, each time."""
    asked: list[int] = []

    def counting(answer: Any) -> Any:
        async def answer_all(these: Any) -> Any:
            asked.append(len(these))
            return await answer(these)

        return answer_all

    for coalesced in (access._viewers, access._seen):
        monkeypatch.setattr(coalesced, "_answer", counting(coalesced._answer))
    return asked


async def test_settings_of_a_team_ask_nobody_again(
    workspace: Workspace, reader: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    team = await a_team(workspace)
    agent = await an_agent(workspace, teams=[team])
    conversation = await a_conversation(workspace, team=team)
    items = subscribe(reader, ConversationScope(conversation.id), by=await signed_in(agent))
    await anext(items)
    asked = counted(reader.access, monkeypatch)

    await Team.change(team.id, by=by_system(workspace), max_open=3)
    await note(conversation.id, workspace)

    assert kinds([await anext(items)]) == [Kind.NOTE_ADDED]
    assert asked == []
    await items.aclose()


# -- At the very event


@pytest.mark.parametrize("how", ["deactivated", "signed out", "demoted"])
async def test_a_person_who_may_not_any_more_is_told_nothing_later(
    workspace: Workspace, reader: Reader, how: str
) -> None:
    boss = by_system(workspace)
    agent = await an_agent(workspace, role=Role.OPERATOR)
    team = await a_team(workspace)
    conversation = await a_conversation(workspace, team=team)
    by = await signed_in(agent)
    items = subscribe(reader, ConversationScope(conversation.id), by=by)
    await anext(items)
    await note(conversation.id, workspace)
    assert kinds([await anext(items)]) == [Kind.NOTE_ADDED]

    if how == "deactivated":
        await departure.deactivate(agent.id, by=boss)
    elif how == "signed out":
        await Token.revoke_own(by=by)
    else:
        await departure.change(agent.id, by=boss, role=Role.MARKETING)
    await note(conversation.id, workspace)

    if how == "demoted":
        assert [item async for item in items] == []
    else:
        with pytest.raises(Unauthenticated):
            await anext(items)


async def test_rights_that_change_are_those_of_the_events_after(
    workspace: Workspace, reader: Reader
) -> None:
    agent = await an_agent(workspace)
    team = await a_team(workspace, members=[agent])
    conversation = await a_conversation(workspace, team=team)
    items = subscribe(reader, ConversationScope(conversation.id), by=await signed_in(agent))
    await anext(items)

    await note(conversation.id, workspace)
    before = await anext(items)
    await departure.change(agent.id, by=by_system(workspace), role=Role.OPERATOR)
    await note(conversation.id, workspace)
    after = await anext(items)

    assert isinstance(before, Logged)
    assert isinstance(after, Logged)
    assert (before.sight.role, after.sight.role) == (Role.AGENT, Role.OPERATOR)
    assert after.sight.team_ids == frozenset()
    await items.aclose()


async def test_a_token_that_runs_out_ends_its_stream_without_an_event(
    workspace: Workspace, reader: Reader
) -> None:
    team = await a_team(workspace)
    by = await signed_in(await an_agent(workspace, teams=[team]))
    await fetch("UPDATE tokens SET expires_at = relevo_now() + interval '300 ms'")
    items = subscribe(reader, QueueScope(team.id), by=by)
    await anext(items)

    with pytest.raises(Unauthenticated):
        await anext(items)


async def test_what_happened_while_it_was_away_is_shown_to_nobody_who_lost_it(
    workspace: Workspace, reader: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It fell behind the ring, and what it reads from the database is older than its loss."""
    monkeypatch.setattr(ring, "RING_SIZE_MAX", 1)
    agent = await an_agent(workspace)
    team = await a_team(workspace, members=[agent])
    conversation = await a_conversation(workspace, team=team)
    everything = subscribe(reader, LogScope(), by=by_system(workspace))
    items = subscribe(reader, ConversationScope(conversation.id), by=as_agent(agent))
    await anext(everything)
    await anext(items)
    await note(conversation.id, workspace)
    await anext(items)

    await note(conversation.id, workspace)
    await Membership.remove(by=by_system(workspace), team=team, agent_id=agent.id)
    await note(conversation.id, workspace)
    last = (await log.head(workspace.id)).seq
    while (await anext(everything)).position.seq < last:
        pass

    assert [item async for item in items] == []
    await everything.aclose()


async def test_a_loss_that_the_process_passed_before_it_followed_ends_the_stream(
    workspace: Workspace, reader: Reader
) -> None:
    """Its beginning was still on its way; others here follow the same log, and went on."""
    agent = await an_agent(workspace)
    team = await a_team(workspace, members=[agent])
    everything = subscribe(reader, LogScope(), by=by_system(workspace))
    await anext(everything)
    items = subscribe(reader, QueueScope(team.id), by=as_agent(agent))
    await anext(items)

    await Membership.remove(by=by_system(workspace), team=team, agent_id=agent.id)
    assert kinds([await anext(everything)]) == [Kind.MEMBER_REMOVED]

    async with asyncio.timeout(PATIENCE_SECONDS):
        assert [item async for item in items] == []
    await everything.aclose()


async def test_a_handed_over_conversation_ends_for_whoever_does_not_see_it_any_more(
    workspace: Workspace, reader: Reader
) -> None:
    team, elsewhere = await a_team(workspace), await a_team(workspace)
    agent, colleague = [await an_agent(workspace, teams=[team]) for _ in range(2)]
    conversation = await a_conversation(workspace, team=team, holder=agent)
    scope = ConversationScope(conversation.id)
    streams = [subscribe(reader, scope, by=as_agent(each)) for each in (agent, colleague)]
    for items in streams:
        await anext(items)

    await transfer(conversation.id, by=by_system(workspace), to_team=elsewhere.id)
    await Membership.add(by=by_system(workspace), team=elsewhere, agent_id=colleague.id)

    assert [item async for item in streams[0]] == []
    # Which of both came first does not matter to who sees it now.
    assert kinds([await anext(streams[1])]) == [Kind.CONVERSATION_TRANSFERRED]
    await streams[1].aclose()
