"""A dry run of routing: where a message would go now, by the very functions that route."""

from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID, uuid4

from models import candidates, decision, distribution, message, precedence, routing
from models.access import Actor, Right
from models.base import Line
from models.candidates import Lane
from models.channel import Channel, require_line
from models.database import Row, Transaction, snapshot
from models.decision import Facts, Outcome
from models.distribution import Waiting
from models.errors import NotFound
from models.precedence import Place
from models.routing import Asked


@dataclass(frozen=True, slots=True)
class Preview:
    """Where it would go: on to an open conversation, or to a place, with the decision there.

    `decision` has the stored form; it is missing where the message would only be appended.
    """

    appends_to: UUID | None = None
    place: Place | None = None
    agent_id: UUID | None = None
    decision: dict[str, Any] | None = None


async def preview(
    *,
    by: Actor,
    channel_id: UUID,
    line: Line | None = None,
    contact_id: UUID | None = None,
    external_id: str | None = None,
    text: str | None = None,
) -> Preview:
    """Ask, and change nothing; a sender whom the channel does not know is a new contact.

    Workflows may ask for the text. Raises NotFound, LineNotSupported, BadUserInput, Forbidden.
    """
    by.require(Right.SEE_ALL)
    if text is not None:
        message.require_text(text)
    async with snapshot() as transaction:
        channel = await Channel.filter(workspace_id=by.workspace_id).get_or_none(id=channel_id)
        if channel is None:
            raise NotFound("channel", path="input.channelId")
        line = line or channel.default_line
        require_line(channel.kind, line)
        contact_id = await _contact(transaction, channel, contact_id, external_id)
        open_one = await transaction.fetchval(_OPEN_ONE, contact_id, channel.id)
        if open_one is not None:
            return Preview(appends_to=open_one)
        asked = Asked(contact_id=contact_id, channel=channel, line=line, text=text)
        facts = await routing.read_facts(transaction, asked)
        place = precedence.place(facts)
        routed = {"facts": facts, "passed": place.passed}
        return await _placed(transaction, place, routed, by)


_OPEN_ONE = """
    SELECT id FROM conversations
    WHERE contact_id = $1 AND channel_id = $2 AND status <> 'CLOSED'
"""


async def _contact(
    transaction: Transaction, channel: Channel, contact_id: UUID | None, external_id: str | None
) -> UUID | None:
    if contact_id is None:
        found: UUID | None = await transaction.fetchval(
            """
            SELECT contact_id FROM contact_identities WHERE channel_id = $1 AND external_id = $2
            """,
            channel.id,
            external_id,
        )
        return found
    living: UUID | None = await transaction.fetchval(_LIVING, contact_id, channel.workspace_id)
    if living is None:
        raise NotFound("contact", path="input.contactId")
    return living


# Whoever was merged writes as the one who lives on.
_LIVING = """
    WITH RECURSIVE into_whom AS (
        SELECT id, merged_into_id FROM contacts WHERE id = $1 AND workspace_id = $2
        UNION ALL
        SELECT c.id, c.merged_into_id FROM into_whom i JOIN contacts c ON c.id = i.merged_into_id
    )
    SELECT id FROM into_whom WHERE merged_into_id IS NULL
"""


async def _placed(
    transaction: Transaction, place: Place, routed: dict[str, Any], by: Actor
) -> Preview:
    kept = decision.by_hand(place.rule, place.agent_id, routed)
    if place.is_with_bot:
        return Preview(place=place, decision={**kept, "outcome": Outcome.WITH_BOT})
    if place.reserved_for is not None:
        return Preview(place=place, decision={**kept, "outcome": Outcome.RESERVED})
    if place.agent_id is not None or place.team_id is None:
        return Preview(place=place, agent_id=place.agent_id, decision=kept)
    return await _distributed(transaction, place, place.team_id, routed, by)


async def _distributed(
    transaction: Transaction, place: Place, team_id: UUID, routed: dict[str, Any], by: Actor
) -> Preview:
    """Behind those who wait there, or elsewhere for the same agents, as it would come in."""
    lane = (team_id, place.settings)
    teams, waiting, facts = await _contested(transaction, lane)
    now = await transaction.fetchval("SELECT relevo_now()")
    entering = {
        "id": uuid4(),
        "workspace_id": by.workspace_id,
        "team_id": team_id,
        "settings": place.settings,
        "queued_at": now,
        "now": now,
        "rule": place.rule,
        "outcome": None,
        "routed": None,
        "skipped_agent_id": None,
    }
    round_ = distribution.plan([*waiting, entering], teams, facts)
    hold = next((it for it in round_.holds if it.conversation_id == entering["id"]), None)
    if hold is not None:
        return Preview(
            place=place, agent_id=hold.agent_id, decision={**hold.decision, "routed": routed}
        )
    # Behind a whole batch it was left undecided: then it comes next.
    made = decision.decide(replace(round_.facts[lane], rule=place.rule))
    if made.outcome is Outcome.WAITING_FOR_PICK:
        return Preview(place=place, decision=decision.by_hand(place.rule, None, routed))
    winner = made.winner.agent_id if made.winner else None
    return Preview(place=place, agent_id=winner, decision=decision.stored(made, routed))


async def _contested(
    transaction: Transaction, entering: Lane
) -> tuple[dict[UUID, Row], list[Waiting], dict[Lane, Facts]]:
    """The team and all whose queues want its agents too: they are decided on together."""
    teams = await candidates.read_teams(transaction, [entering[0]])
    while True:
        waiting = await distribution.heads(transaction, teams)
        lanes = {entering, *map(distribution.lane_of, waiting)}
        facts = await candidates.read(transaction, teams, lanes)
        eligible = candidates.eligible(facts.values())
        rivals = await distribution.rivals_of(transaction, eligible, teams)
        if not rivals:
            return teams, waiting, facts
        teams |= await candidates.read_teams(transaction, list(rivals))
