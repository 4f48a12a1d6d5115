"""Why not this agent, and where a message would go: asked without changing anything."""

from uuid import UUID

import pytest

from models import Agent, Contact, Conversation, Team, Workspace
from models.access import Role
from models.base import Line
from models.channel import Channel
from models.database import fetchval
from models.decision import Availability, Distribution, Outcome, Rule, Verdict
from models.errors import Forbidden, LineNotSupported, NotFound
from models.explanation import why_not
from models.hours import BusinessHours
from models.merge import merge
from models.precedence import Reason
from models.preview import Preview, preview
from tests.factories import (
    a_channel,
    a_contact,
    a_conversation,
    a_message,
    a_team,
    a_workspace,
    an_agent,
    as_agent,
    by_system,
)


async def verdict(conversation: Conversation, agent: Agent) -> Verdict | None:
    found = await why_not(conversation.id, agent.id, by=by_system(Workspace(id=agent.workspace_id)))
    return found.verdict if found else None


async def test_every_agent_has_a_verdict_on_what_was_given_out(workspace: Workspace) -> None:
    team = await a_team(workspace, distribution=Distribution.ROUND_ROBIN, max_open=1)
    members = {
        Verdict.AT_CAPACITY: await an_agent(workspace, teams=[team]),
        Verdict.OFFLINE: await an_agent(workspace, teams=[team], connected=False),
        Verdict.AWAY: await an_agent(workspace, teams=[team], availability=Availability.AWAY),
        Verdict.NOT_ACCEPTING: await an_agent(workspace, teams=[team], accepts_new=False),
    }
    await a_conversation(workspace, team=team)
    members[Verdict.CHOSEN] = await an_agent(workspace, teams=[team])
    members[Verdict.LOST_TURN] = await an_agent(workspace, teams=[team])
    members[Verdict.NOT_MEMBER] = await an_agent(workspace)

    conversation = await a_conversation(workspace, team=team)

    found = {await verdict(conversation, agent): agent.id for agent in members.values()}
    assert found == {expected: agent.id for expected, agent in members.items()}


async def test_what_waits_is_explained_by_this_moment(workspace: Workspace) -> None:
    team = await a_team(workspace, distribution=Distribution.LEAST_OPEN)
    agent = await an_agent(workspace, teams=[team], availability=Availability.AWAY)
    conversation = await a_conversation(workspace, team=team)
    before = await verdict(conversation, agent)

    await Agent.set_availability(agent.id, by=as_agent(agent), accepts_new=False)
    await Agent.set_availability(agent.id, by=as_agent(agent), availability=Availability.ONLINE)

    assert (before, await verdict(conversation, agent)) == (Verdict.AWAY, Verdict.NOT_ACCEPTING)


async def test_where_agents_pick_nothing_but_room_stands_against_them(workspace: Workspace) -> None:
    team = await a_team(workspace)
    away = await an_agent(workspace, teams=[team], connected=False, accepts_new=False)
    full = await an_agent(workspace, teams=[team], capacity=0)
    stranger = await an_agent(workspace)
    conversation = await a_conversation(workspace, team=team)
    # Nobody is asked for anything outside of them; whoever picks needs none.
    never = BusinessHours.of("UTC", []).stored()
    await Team.change(team.id, by=by_system(workspace), business_hours=never)

    found = [await verdict(conversation, agent) for agent in (away, full, stranger)]

    assert found == [Verdict.MAY_PICK, Verdict.AT_CAPACITY, Verdict.NOT_MEMBER]


async def test_what_waits_for_an_owner_is_reserved_for_everybody_else(workspace: Workspace) -> None:
    team = await a_team(workspace, distribution=Distribution.LEAST_OPEN)
    free, owner = [
        await an_agent(workspace, teams=[team], connected=connected) for connected in (True, False)
    ]
    channel = await a_channel(workspace, team=team)
    await a_contact(channel, sender="ada", owner_agent=owner)
    conversation = await a_conversation(workspace, channel=channel, sender="ada")

    found = [await verdict(conversation, agent) for agent in (free, owner)]

    assert found == [Verdict.RESERVED, Verdict.OFFLINE]


@pytest.mark.parametrize("how", ["with the bot", "by hand"])
async def test_a_rule_that_compares_nobody_considered_nobody(
    workspace: Workspace, how: str
) -> None:
    team = await a_team(workspace)
    holder, other = [await an_agent(workspace, teams=[team]) for _ in range(2)]
    channel = await a_channel(workspace, team=team, bot=how == "with the bot")
    conversation = await a_conversation(
        workspace, channel=channel, holder=holder if how == "by hand" else None
    )

    assert await verdict(conversation, other) is Verdict.NOT_CONSIDERED


async def test_what_the_asker_does_not_see_has_no_explanation(workspace: Workspace) -> None:
    agent = await an_agent(workspace)
    conversation = await a_conversation(workspace, team=await a_team(workspace))
    stranger = await an_agent(await a_workspace("Other"), role=Role.ADMIN)

    asked = [
        await why_not(conversation.id, agent.id, by=as_agent(agent)),
        await why_not(conversation.id, agent.id, by=as_agent(stranger)),
        await why_not(conversation.id, stranger.id, by=by_system(workspace)),
    ]

    assert asked == [None, None, None]


# -- Previews

MATTERS = """SELECT md5(string_agg(t::text, '' ORDER BY t::text)) FROM (
    SELECT to_jsonb(c) FROM conversations c UNION ALL SELECT to_jsonb(a) FROM agents a
    UNION ALL SELECT to_jsonb(e) FROM events e UNION ALL SELECT to_jsonb(x) FROM teams x) t"""


async def asked(channel: Channel, **given: object) -> Preview:
    """A preview that is checked to change nothing."""
    before = await fetchval(MATTERS)
    found = await preview(
        by=by_system(Workspace(id=channel.workspace_id)),
        channel_id=channel.id,
        **given,  # type: ignore[arg-type]  # a table
    )
    assert await fetchval(MATTERS) == before
    return found


@pytest.mark.parametrize("distribution", list(Distribution))
async def test_a_message_goes_where_its_preview_said(
    workspace: Workspace, distribution: Distribution
) -> None:
    team = await a_team(workspace, distribution=distribution)
    for _ in range(3):
        await an_agent(workspace, teams=[team], capacity=2)
    channel = await a_channel(workspace, team=team)
    for _ in range(8):
        said = await asked(channel)
        received = await a_message(channel)

        found = await Conversation.get(id=received.conversation_id)
        assert said.place is not None
        assert (said.agent_id, said.place.team_id) == (found.assignee_id, team.id)
        outcome = "ASSIGNED" if found.assignee_id else (found.decision or {})["outcome"]
        assert said.decision is not None
        assert said.decision["outcome"] == outcome


async def test_what_waits_longer_comes_first_in_a_preview_too(workspace: Workspace) -> None:
    """A queue that became automatic before anybody drained it."""
    team = await a_team(workspace)
    agent = await an_agent(workspace, teams=[team], capacity=1)
    channel = await a_channel(workspace, team=team)
    waiting = await a_conversation(workspace, channel=channel)
    await Team.filter(id=team.id).update(distribution=Distribution.LEAST_OPEN)

    said = await asked(channel)

    assert said.agent_id is None
    assert (await Conversation.get(id=waiting.id)).assignee_id is None
    await Agent.set_availability(agent.id, by=as_agent(agent), accepts_new=False)


async def test_what_waits_in_a_queue_above_comes_first_in_a_preview_too(
    workspace: Workspace,
) -> None:
    """Somebody got room, and nobody drained the queues of that agent yet."""
    above, below = [
        await a_team(
            workspace, line=Line.SUPPORT, distribution=Distribution.ROUND_ROBIN, priority=priority
        )
        for priority in (5, 0)
    ]
    agent = await an_agent(workspace, teams=[above, below], capacity=0)
    await a_conversation(workspace, team=above)
    channel = await a_channel(workspace, team=below)
    await Agent.filter(id=agent.id).update(capacity=1)

    said = await asked(channel)
    received = await a_message(channel)

    found = await Conversation.get(id=received.conversation_id)
    assert said.decision is not None
    assert (said.agent_id, said.decision["outcome"]) == (None, Outcome.NOBODY_ELIGIBLE)
    assert found.assignee_id is None


async def test_who_was_merged_is_asked_about_as_who_lives_on(workspace: Workspace) -> None:
    channel = await a_channel(workspace)
    first, second, last = [await a_contact(channel, sender=name) for name in ("a", "b", "c")]
    for survivor, merged in ((second, first), (last, second)):
        await merge(survivor_id=survivor.id, merged_id=merged.id, by=by_system(workspace))
    received = await a_message(channel, sender="a")

    said = await asked(channel, contact_id=first.id)

    assert said == Preview(appends_to=received.conversation_id)


async def test_an_open_conversation_is_appended_to(workspace: Workspace) -> None:
    channel = await a_channel(workspace)
    conversation = await a_conversation(workspace, channel=channel, sender="ada")

    by_sender = await asked(channel, external_id="ada")
    by_contact = await asked(channel, contact_id=conversation.contact_id)

    assert by_sender == by_contact == Preview(appends_to=conversation.id)


async def owned(workspace: Workspace, channel: Channel) -> tuple[Contact, UUID]:
    owner = await an_agent(workspace)
    return await a_contact(channel, sender="ada", owner_agent=owner), owner.id


async def test_an_owner_gets_it_directly(workspace: Workspace) -> None:
    channel = await a_channel(workspace)
    contact, owner_id = await owned(workspace, channel)

    said = await asked(channel, contact_id=contact.id)

    assert said.place is not None
    assert (said.place.rule, said.agent_id) == (Rule.OWNER, owner_id)


async def test_the_bot_comes_before_an_owner(workspace: Workspace) -> None:
    channel = await a_channel(workspace, bot=True)
    contact, _ = await owned(workspace, channel)

    said = await asked(channel, contact_id=contact.id)

    assert said.place is not None
    assert said.decision is not None
    assert (said.place.rule, said.place.passed) == (Rule.BOT, (Reason.BOT_FIRST,))
    assert (said.decision["outcome"], said.agent_id) == (Outcome.WITH_BOT, None)


async def test_an_absent_owner_is_waited_for(workspace: Workspace) -> None:
    channel = await a_channel(workspace)
    owner = await an_agent(workspace, connected=False)
    await a_contact(channel, sender="ada", owner_agent=owner)

    said = await asked(channel, external_id="ada")

    assert said.place is not None
    assert said.decision is not None
    assert (said.place.reserved_for, said.decision["outcome"]) == (owner.id, Outcome.RESERVED)


async def test_a_preview_says_what_stands_against_it(workspace: Workspace) -> None:
    channel = await a_channel(workspace)
    telegram = await a_channel(await a_workspace("Other"))
    agent = await an_agent(workspace)

    with pytest.raises(Forbidden):
        await preview(by=as_agent(agent), channel_id=channel.id)
    with pytest.raises(NotFound):
        await preview(by=by_system(workspace), channel_id=telegram.id)
    with pytest.raises(NotFound):
        await preview(by=by_system(workspace), channel_id=channel.id, contact_id=agent.id)
    webchat = await a_channel(workspace)
    await Channel.filter(id=webchat.id).update(kind="WEBCHAT")
    with pytest.raises(LineNotSupported):
        await preview(by=by_system(workspace), channel_id=webchat.id, line=Line.SUPPORT)
