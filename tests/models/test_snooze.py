"""Putting a conversation off: what it frees, what ends it, and what else happens meanwhile."""

import asyncio
import contextvars
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from models import Agent, Assignment, Channel, Conversation, Team, Workspace, bot, routing, snooze
from models.access import Actor, Role
from models.assignment import Ending
from models.base import IdlePeriod, Line
from models.closing import close
from models.conversation import Status
from models.database import fetch, fetchval, retrying, tx
from models.decision import Distribution, Rule
from models.errors import (
    BadUserInput,
    ConversationNotAssigned,
    ConversationNotSnoozed,
    DomainError,
    Forbidden,
    SnoozeOutOfRange,
)
from models.event import Kind
from models.idle import close_idle
from models.line_change import set_line
from models.owner import set_owner
from models.reopening import reopen
from models.transfer import transfer
from tests.conftest import Clock
from tests.factories import (
    a_channel,
    a_conversation,
    a_message,
    a_team,
    an_agent,
    as_agent,
    by_system,
    working,
)


@dataclass
class Office:
    """A group with two agents, a supervisor, and a conversation that one of them put off."""

    workspace: Workspace
    team: Team
    channel: Channel
    ann: Agent
    ben: Agent
    boss: Agent
    snoozed: Conversation


@pytest.fixture
async def office(workspace: Workspace) -> Office:
    team = await a_team(workspace)
    channel = await a_channel(workspace, team=team)
    ann, ben = [await an_agent(workspace, teams=[team]) for _ in range(2)]
    boss = await an_agent(workspace, role=Role.OPERATOR)
    held = await a_conversation(workspace, channel=channel, holder=ann, sender="ada")
    await put_off(held.id, by=as_agent(ann))
    return Office(
        workspace, team, channel, ann, ben, boss, snoozed=await Conversation.get(id=held.id)
    )


async def put_off(id: UUID, *, by: Actor, until: datetime | None = None) -> None:
    async with working(id, by=by) as conversation:
        await snooze.begin(conversation, by=by, until=until)


async def woken(id: UUID, *, by: Actor) -> None:
    async with working(id, by=by) as conversation:
        await snooze.wake(conversation, by=by)


async def now() -> datetime:
    at: datetime = await fetchval("SELECT relevo_now()")
    return at


async def load(agent: Agent) -> int:
    return (await Agent.get(id=agent.id)).load


async def kinds(id: UUID) -> list[str]:
    rows = await fetch("SELECT kind FROM events WHERE conversation_id = $1 ORDER BY seq", id)
    return [row["kind"] for row in rows]


async def test_a_snoozed_conversation_keeps_its_agent_and_leaves_its_load(office: Office) -> None:
    found = await Conversation.get(id=office.snoozed.id)

    assert (found.status, found.assignee_id) == (Status.SNOOZED, office.ann.id)
    assert found.snoozed_until is None
    assert await load(office.ann) == 0
    held = await Assignment.get(conversation_id=found.id, ended_at=None)
    assert not held.is_counted
    assert (await kinds(found.id))[-1] == Kind.CONVERSATION_SNOOZED


async def test_snoozing_makes_room_for_what_waits(workspace: Workspace) -> None:
    team = await a_team(workspace, distribution=Distribution.LEAST_OPEN)
    ann = await an_agent(workspace, capacity=1, teams=[team])
    held = await a_conversation(workspace, team=team)
    waiting = await a_conversation(workspace, team=team)

    await put_off(held.id, by=as_agent(ann))

    assert (await Conversation.get(id=waiting.id)).assignee_id == ann.id
    assert await load(ann) == 1


async def test_waking_counts_whatever_the_load(workspace: Workspace) -> None:
    team = await a_team(workspace, distribution=Distribution.LEAST_OPEN)
    ann = await an_agent(workspace, capacity=1, teams=[team])
    held = await a_conversation(workspace, team=team)
    await put_off(held.id, by=as_agent(ann))
    await a_conversation(workspace, team=team)
    before = await Conversation.get(id=held.id)

    await woken(held.id, by=as_agent(ann))

    found = await Conversation.get(id=held.id)
    assert (found.status, found.assignee_id, found.snoozed_until) == (
        Status.ASSIGNED,
        ann.id,
        None,
    )
    assert found.last_activity_at > before.last_activity_at
    assert found.version == before.version + 1
    assert await load(ann) == 2
    assert (await kinds(held.id))[-1] == Kind.CONVERSATION_WOKEN


async def test_the_customer_ends_a_snooze_by_writing(office: Office) -> None:
    received = await a_message(office.channel, sender="ada")

    assert received.conversation_id == office.snoozed.id
    found = await Conversation.get(id=office.snoozed.id)
    assert (found.status, found.assignee_id) == (Status.ASSIGNED, office.ann.id)
    assert await load(office.ann) == 1
    assert (await kinds(found.id))[-2:] == [Kind.MESSAGE_RECEIVED, Kind.CONVERSATION_WOKEN]


async def test_a_reply_leaves_it_put_off(office: Office) -> None:
    by = as_agent(office.ann)

    async with working(office.snoozed.id, by=by) as conversation:
        await conversation.send("Back on Monday.", by=by)

    assert (await Conversation.get(id=office.snoozed.id)).status is Status.SNOOZED


async def test_a_snooze_ends_at_its_time_once(office: Office, clock: Clock) -> None:
    await clock.stop()
    await woken(office.snoozed.id, by=as_agent(office.ann))
    until = await now() + timedelta(hours=1)
    await put_off(office.snoozed.id, by=as_agent(office.ann), until=until)

    await clock.travel(minutes=59, seconds=59)
    early = await snooze.wake_due(10)
    await clock.travel(seconds=1)
    on_time = await asyncio.gather(*[snooze.wake_due(10) for _ in range(4)])

    assert (early, sum(on_time)) == (0, 1)
    found = await Conversation.get(id=office.snoozed.id)
    assert (found.status, found.snoozed_until) == (Status.ASSIGNED, None)
    assert found.last_activity_at == until
    assert await load(office.ann) == 1
    assert (await kinds(found.id)).count(Kind.CONVERSATION_WOKEN) == 2


async def test_a_batch_wakes_no_more_than_it_may(office: Office, clock: Clock) -> None:
    until = await now() + timedelta(minutes=1)
    for _ in range(3):
        held = await a_conversation(office.workspace, channel=office.channel, holder=office.ann)
        await put_off(held.id, by=as_agent(office.ann), until=until)

    await clock.travel(minutes=2)

    assert [await snooze.wake_due(2) for _ in range(3)] == [2, 1, 0]
    assert await load(office.ann) == 3


async def test_whoever_works_on_a_due_one_is_not_disturbed(office: Office, clock: Clock) -> None:
    by = as_agent(office.ann)
    await woken(office.snoozed.id, by=by)
    await put_off(office.snoozed.id, by=by, until=await now() + timedelta(minutes=1))
    await clock.travel(minutes=2)

    async with working(office.snoozed.id, by=by) as conversation:
        meanwhile = await _outside(snooze.wake_due(10))
        await close(conversation, by=by)
    afterwards = await snooze.wake_due(10)

    assert (meanwhile, afterwards) == (0, 0)
    assert (await kinds(office.snoozed.id))[-1] == Kind.CONVERSATION_CLOSED


async def _outside(command: Coroutine[Any, Any, int]) -> int:
    """On a connection of its own: a task born inside a transaction would join it."""
    return await asyncio.get_running_loop().create_task(command, context=contextvars.Context())


@pytest.mark.parametrize(
    ("ahead", "refusal"),
    [
        (timedelta(0), SnoozeOutOfRange),
        (timedelta(seconds=-1), SnoozeOutOfRange),
        (timedelta(days=snooze.SNOOZE_DAYS_MAX, seconds=1), SnoozeOutOfRange),
        (timedelta(seconds=1), None),
        (timedelta(days=snooze.SNOOZE_DAYS_MAX), None),
    ],
)
async def test_a_snooze_ends_after_now_and_within_a_year(
    office: Office, clock: Clock, ahead: timedelta, refusal: type[DomainError] | None
) -> None:
    await woken(office.snoozed.id, by=as_agent(office.ann))
    await clock.stop()
    until = await now() + ahead

    if refusal is None:
        await put_off(office.snoozed.id, by=as_agent(office.ann), until=until)
        assert (await Conversation.get(id=office.snoozed.id)).snoozed_until == until
    else:
        with pytest.raises(refusal) as refused:
            await put_off(office.snoozed.id, by=as_agent(office.ann), until=until)
        assert refused.value.facts == {"daysMax": snooze.SNOOZE_DAYS_MAX}


async def test_a_time_says_its_offset(office: Office) -> None:
    await woken(office.snoozed.id, by=as_agent(office.ann))
    until = datetime.now(UTC).replace(tzinfo=None) + timedelta(days=1)

    with pytest.raises(BadUserInput):
        await put_off(office.snoozed.id, by=as_agent(office.ann), until=until)


async def test_an_hour_of_downtime_delays_a_waking_and_nothing_else(
    office: Office, clock: Clock
) -> None:
    await woken(office.snoozed.id, by=as_agent(office.ann))
    until = await now() + timedelta(minutes=5)
    await put_off(office.snoozed.id, by=as_agent(office.ann), until=until)
    await clock.travel(hours=1)

    assert await snooze.wake_due(10) == 1


async def test_a_snooze_in_force_is_not_idle(office: Office, clock: Clock) -> None:
    await Workspace.filter(id=office.workspace.id).update(idle_period_days=IdlePeriod.ONE_DAY)
    await clock.travel(days=2)
    asleep = await close_idle(10)

    await woken(office.snoozed.id, by=as_agent(office.ann))
    just_woken = await close_idle(10)
    await clock.travel(days=1)

    assert (asleep, just_woken, await close_idle(10)) == (0, 0, 1)


# -- Every verb on what somebody put off: what it is afterwards, and who has it in its load.
# In each: status, who holds it, the loads of Ann and Ben, how Ann's assignment ended, or its code.

Verb = Callable[[Office, Conversation], Awaitable[Any]]
Outcome = tuple[Status, str | None, int, int, Ending | None]


def _of(method: str, **arguments: Any) -> Verb:
    async def run(office: Office, conversation: Conversation) -> Any:
        given = {
            name: getattr(office, value).id if name.endswith("_id") else value
            for name, value in arguments.items()
        }
        return await getattr(conversation, method)(by=as_agent(office.boss), **given)

    return run


async def _to_ben(office: Office, conversation: Conversation) -> None:
    await transfer(conversation.id, by=as_agent(office.boss), to_agent=office.ben.id)


async def _to_team(office: Office, conversation: Conversation) -> None:
    await transfer(conversation.id, by=as_agent(office.boss), to_team=office.team.id)


async def _reopen(office: Office, conversation: Conversation) -> None:
    await reopen(conversation.id, by=as_agent(office.boss))


async def _own(office: Office, conversation: Conversation) -> None:
    await set_owner(conversation.contact_id, by=as_agent(office.boss), agent_id=office.ben.id)


async def _hand_off(office: Office, conversation: Conversation) -> None:
    await routing.hand_off(conversation.id, by=by_system(office.workspace))


async def _set_line(office: Office, conversation: Conversation) -> None:
    await set_line(conversation.id, Line.SUPPORT, by=as_agent(office.boss))


async def _close(office: Office, conversation: Conversation) -> None:
    await close(conversation, by=as_agent(office.boss))


async def _begin(office: Office, conversation: Conversation) -> None:
    await snooze.begin(conversation, by=as_agent(office.boss))


async def _resume_bot(office: Office, conversation: Conversation) -> None:
    await bot.resume(conversation, by=as_agent(office.boss))


async def _pause_bot(office: Office, conversation: Conversation) -> None:
    await bot.pause(conversation, by=as_agent(office.boss))


KEPT = (Status.SNOOZED, "ann", 0, 0, None)
VERBS: dict[str, tuple[Verb, Outcome | str]] = {
    "pick": (_of("pick"), "CONVERSATION_NOT_QUEUED"),
    "assign to another": (
        _of("assign", agent_id="ben"),
        (Status.ASSIGNED, "ben", 0, 1, Ending.REASSIGNED),
    ),
    "assign to its agent": (
        _of("assign", agent_id="ann"),
        (Status.ASSIGNED, "ann", 1, 0, Ending.REASSIGNED),
    ),
    "unassign": (_of("unassign"), (Status.QUEUED, None, 0, 0, Ending.UNASSIGNED)),
    "transfer to an agent": (_to_ben, (Status.ASSIGNED, "ben", 0, 1, Ending.TRANSFERRED)),
    "transfer to a team": (_to_team, (Status.QUEUED, None, 0, 0, Ending.TRANSFERRED)),
    "send": (_of("send", text="Hello."), KEPT),
    "note": (_of("note", text="Hm."), KEPT),
    "close": (_close, (Status.CLOSED, None, 0, 0, Ending.CLOSED)),
    "reopen": (_reopen, "CONVERSATION_NOT_CLOSED"),
    "set the owner": (_own, KEPT),
    "set the line": (_set_line, KEPT),
    "snooze": (_begin, "CONVERSATION_NOT_ASSIGNED"),
    "hand off from the bot": (_hand_off, "CONVERSATION_NOT_WITH_BOT"),
    "take over from the bot": (_pause_bot, "CONVERSATION_NOT_WITH_BOT"),
    "let the bot go on": (_resume_bot, (Status.BOT, None, 0, 0, Ending.UNASSIGNED)),
}


@pytest.mark.parametrize("name", VERBS)
async def test_every_verb_knows_what_to_do_with_a_snoozed_one(office: Office, name: str) -> None:
    verb, expected = VERBS[name]
    await woken(office.snoozed.id, by=as_agent(office.ann))
    until = await now() + timedelta(days=1)
    await put_off(office.snoozed.id, by=as_agent(office.ann), until=until)
    first = await Assignment.get(conversation_id=office.snoozed.id, ended_at=None)

    code = None
    try:
        async with tx():
            # Verbs that lock more than the conversation lock it themselves, in their order.
            locks = verb in (_to_ben, _to_team, _reopen, _hand_off, _set_line, _own)
            by = as_agent(office.boss)
            id = office.snoozed.id
            found = await (Conversation.get(id=id) if locks else Conversation.locked(id, by=by))
            await verb(office, found)
    except DomainError as refused:
        code = refused.code

    if isinstance(expected, str):
        assert code == expected
        expected = KEPT
    found = await Conversation.get(id=office.snoozed.id)
    names = {office.ann.id: "ann", office.ben.id: "ben", None: None}
    await first.refresh_from_db()
    assert (
        found.status,
        names[found.assignee_id],
        await load(office.ann),
        await load(office.ben),
        first.ending,
    ) == expected
    assert (found.snoozed_until == until) is (found.status is Status.SNOOZED)


async def test_only_what_is_snoozed_wakes(office: Office) -> None:
    await woken(office.snoozed.id, by=as_agent(office.ann))

    with pytest.raises(ConversationNotSnoozed) as refused:
        await woken(office.snoozed.id, by=as_agent(office.ann))

    assert refused.value.facts == {"status": Status.ASSIGNED}


async def test_only_what_somebody_holds_is_put_off(office: Office) -> None:
    waiting = await a_conversation(office.workspace, channel=office.channel)

    with pytest.raises(ConversationNotAssigned) as refused:
        await put_off(waiting.id, by=as_agent(office.ann))

    assert refused.value.facts == {"status": Status.QUEUED}


async def test_a_colleague_puts_off_and_wakes_nothing(office: Office) -> None:
    with pytest.raises(Forbidden):
        await woken(office.snoozed.id, by=as_agent(office.ben))
    await woken(office.snoozed.id, by=as_agent(office.ann))
    with pytest.raises(Forbidden):
        await put_off(office.snoozed.id, by=as_agent(office.ben))


async def test_a_message_and_the_timer_wake_it_once(office: Office, clock: Clock) -> None:
    await woken(office.snoozed.id, by=as_agent(office.ann))
    until = await now() + timedelta(minutes=1)
    await put_off(office.snoozed.id, by=as_agent(office.ann), until=until)
    await clock.travel(minutes=1)

    await asyncio.gather(
        a_message(office.channel, sender="ada"), *[retrying(_wake_due) for _ in range(3)]
    )
    await snooze.wake_due(10)

    assert await load(office.ann) == 1
    assert (await kinds(office.snoozed.id)).count(Kind.CONVERSATION_WOKEN) == 2


async def _wake_due() -> int:
    return await snooze.wake_due(10)


async def test_the_time_to_answer_begins_again_with_the_waking(
    office: Office, clock: Clock
) -> None:
    await clock.stop()
    await clock.travel(hours=3)

    await woken(office.snoozed.id, by=as_agent(office.ann))

    held = await Assignment.get(conversation_id=office.snoozed.id, ended_at=None)
    assert held.unanswered_since == await now()
    assert held.rule is Rule.ASSIGNED_BY_HAND


async def test_what_was_answered_stays_answered(office: Office) -> None:
    by = as_agent(office.ann)
    async with working(office.snoozed.id, by=by) as conversation:
        await conversation.send("Back on Monday.", by=by)

    await woken(office.snoozed.id, by=by)

    held = await Assignment.get(conversation_id=office.snoozed.id, ended_at=None)
    assert held.unanswered_since is None
