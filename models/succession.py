"""What points to a team or an agent: what keeps it from going, and who takes that over."""

from dataclasses import dataclass, replace
from itertools import groupby
from operator import itemgetter
from typing import Literal, TypedDict
from uuid import UUID

from models import decision, event, owner
from models.access import Actor
from models.channel import Channel
from models.database import Raced, Row, Transaction, encode
from models.decision import Rule
from models.errors import USES_LISTED_MAX

Noun = Literal["team", "agent"]

# The columns of channels that point to each, with the line they are for.
_TARGETS: dict[Noun, dict[str, str]] = {
    "team": {"sales_team_id": "SALES", "support_team_id": "SUPPORT"},
    "agent": {"sales_agent_id": "SALES"},
}


class Counted(TypedDict):
    """The first of each, and how many there are."""

    channels: tuple[list[UUID], int]
    contacts: tuple[list[UUID], int]
    workflows: tuple[list[UUID], int]


@dataclass(frozen=True, slots=True)
class Uses:
    """The channels that a team or an agent is the target of, the contacts that it owns, and the
    workflows that give conversations to it.

    Locked for the rest of the transaction; of the contacts that stay, only the first are named.
    """

    noun: Noun
    id: UUID
    channels: list[UUID]
    contacts: list[UUID]
    workflows: list[UUID]

    def __bool__(self) -> bool:
        return bool(self.channels or self.contacts or self.workflows)

    @classmethod
    async def locked(cls, transaction: Transaction, noun: Noun, id: UUID) -> "Uses":
        """The uses that are locked before the team or the agent is: all but workflows."""
        return cls(
            noun,
            id,
            contacts=[row["id"] for row in await transaction.fetch(_contacts(noun), id)],
            channels=[row["id"] for row in await transaction.fetch(_channels(noun), id)],
            workflows=[],
        )

    async def require_all(self, transaction: Transaction) -> None:
        """Raise Raced when more came before the team or the agent was locked."""
        again = await Uses.locked(transaction, self.noun, self.id)
        if not (
            set(again.channels) <= set(self.channels) and set(again.contacts) <= set(self.contacts)
        ):
            raise Raced

    async def with_workflows(self, transaction: Transaction, workspace_id: UUID) -> "Uses":
        """These and the workflows, once the team or the agent is locked.

        Whoever publishes one locks what it names first and the workflow then: so it names nobody
        who goes, or is found here.
        """
        await transaction.execute(
            """
            SELECT FROM workflows WHERE workspace_id = $1 AND status <> 'ARCHIVED'
            ORDER BY id FOR NO KEY UPDATE
            """,
            workspace_id,
        )
        found = await transaction.fetch(_WORKFLOWS, workspace_id, _STEPS[self.noun], str(self.id))
        return replace(self, workflows=[row["id"] for row in found])

    def counted(self) -> "Counted":
        """What a refusal tells of them."""
        return Counted(
            channels=counted(self.channels),
            contacts=counted(self.contacts),
            workflows=counted(self.workflows),
        )

    async def hand_over(self, transaction: Transaction, to_id: UUID, *, by: Actor) -> None:
        """Let a replacement, which is locked too, be the target and the owner instead."""
        for column, line in _TARGETS[self.noun].items():
            moved = await transaction.fetch(
                f"UPDATE channels SET {column} = $2 WHERE {column} = $1 RETURNING id",  # noqa: S608 - a column of ours
                self.id,
                to_id,
            )
            for row in moved:
                event.record(
                    event.Kind.CHANNEL_ASSIGNED,
                    by=by,
                    channel_id=row["id"],
                    to_team_id=to_id if self.noun == "team" else None,
                    to_agent_id=to_id if self.noun == "agent" else None,
                    line=line,
                )
        await self._hand_over_contacts(transaction, to_id, by=by)

    async def _hand_over_contacts(
        self, transaction: Transaction, to_id: UUID, *, by: Actor
    ) -> None:
        """One event for each open conversation of a contact, or one where there is none."""
        rows = await transaction.fetch(
            f"""
            WITH moved AS (
                UPDATE contacts SET owner_{self.noun}_id = $2 WHERE owner_{self.noun}_id = $1
                RETURNING id
            )
            SELECT m.id AS contact_id, c.id, c.channel_id, c.team_id, c.assignee_id,
                   c.status = 'QUEUED' AS waits
            FROM moved m LEFT JOIN conversations c
              ON c.contact_id = m.id AND c.status <> 'CLOSED'
            ORDER BY m.id, c.id
            """,  # noqa: S608 - a word of ours
            self.id,
            to_id,
        )
        for contact_id, found in groupby(rows, key=itemgetter("contact_id")):
            opened = [row for row in found if row["id"] is not None]
            owner.tell(
                contact_id, opened, by=by, before=self._as_owner(self.id), now=self._as_owner(to_id)
            )

    def _as_owner(self, id: UUID) -> owner.Owner:
        return owner.Owner(**{f"{self.noun}_id": id})


def counted(ids: list[UUID]) -> tuple[list[UUID], int]:
    """The first of them, and how many there are."""
    return ids[:USES_LISTED_MAX], len(ids)


def _contacts(noun: Noun) -> str:
    return f"""
        SELECT id FROM contacts WHERE owner_{noun}_id = $1 ORDER BY id FOR NO KEY UPDATE
    """  # noqa: S608 - a word of ours


def _channels(noun: Noun) -> str:
    points = " OR ".join(f"{column} = $1" for column in _TARGETS[noun])
    return f"SELECT id FROM channels WHERE {points} ORDER BY id FOR NO KEY UPDATE"  # noqa: S608 - columns of ours


# Those that are published, and those with a run that goes on, however they are published by now.
_WORKFLOWS = """
    WITH going AS MATERIALIZED (
        SELECT DISTINCT revision_id FROM workflow_runs
        WHERE workspace_id = $1 AND due_at IS NOT NULL
    )
    SELECT w.id FROM workflows w
    WHERE w.workspace_id = $1 AND EXISTS (
        SELECT FROM workflow_revisions r
        WHERE r.workflow_id = w.id
          AND ((w.status = 'ACTIVE' AND r.id = w.revision_id)
               OR r.id IN (SELECT revision_id FROM going))
          AND jsonb_path_exists(r.definition, $2::text::jsonpath,
                                jsonb_build_object('id', $3::text)))
    ORDER BY w.position, w.id
"""
# The steps of a definition that give conversations to each.
_STEPS: dict[Noun, str] = {
    "team": "$.steps[*] ? (@.team_id == $id)",
    "agent": "$.steps[*] ? (@.agent_id == $id)",
}


async def hold_targets(transaction: Transaction, ids: list[UUID]) -> None:
    """Keep the targets of the channels of locked conversations that have no team of their own.

    Deleting a team waits for what is in it, and not for what is about to come. Raises Raced when
    one is changing.
    """
    rows = await transaction.fetch(
        """
        SELECT DISTINCT c.channel_id FROM conversations c
        LEFT JOIN teams t ON t.id = c.team_id AND t.is_active
        WHERE c.id = ANY($1) AND t.id IS NULL
        """,
        ids,
    )
    await Channel.hold_at_once([row["channel_id"] for row in rows])


# Of a conversation `c`: the team whose queue it belongs to when its own does not count.
QUEUE_WITHOUT_TEAM = """coalesce(
    (SELECT t.id FROM channels h JOIN teams t ON t.id = CASE c.line
         WHEN 'SALES' THEN h.sales_team_id ELSE h.support_team_id END
     WHERE h.id = c.channel_id AND t.is_active),
    (SELECT t.id FROM teams t
     WHERE t.workspace_id = c.workspace_id AND t.line = c.line AND t.is_todos))"""


async def requeue(
    transaction: Transaction,
    ids: list[UUID],
    rule: Rule,
    *,
    team_id: UUID | None = None,
    released_from: UUID | None = None,
) -> list[Row]:
    """Put locked conversations, whose assignments are ended, into queues with their waiting time.

    Into that of the team, if one is named, else into their own; a team that is not active any
    more does not count as theirs. Reservations stay, but for those of `released_from`. Returns
    where each was and is. Raises Raced when the target of one's channel is changing.
    """
    if team_id is None:
        await hold_targets(transaction, ids)
    return await transaction.fetch(
        f"""
        WITH placed AS MATERIALIZED (
            SELECT c.id, c.status, c.team_id, c.assignee_id, coalesce(
                $3, (SELECT t.id FROM teams t WHERE t.id = c.team_id AND t.is_active),
                {QUEUE_WITHOUT_TEAM}) AS queue_id,
                nullif(c.reserved_for_id, $4) AS reserved_for_id, relevo_now() AS now
            FROM conversations c WHERE c.id = ANY($1)
        )
        UPDATE conversations c
        SET status = 'QUEUED', assignee_id = NULL, team_id = p.queue_id,
            decision = CASE WHEN p.reserved_for_id IS NULL THEN $2::text::jsonb
                       ELSE jsonb_set($2::text::jsonb, '{{outcome}}', '"RESERVED"') END,
            queued_at = coalesce(c.queued_at, p.now), reserved_for_id = p.reserved_for_id,
            reserved_until = CASE WHEN p.reserved_for_id IS NOT NULL THEN c.reserved_until END,
            snoozed_until = NULL, distribution = NULL, last_activity_at = p.now,
            version = c.version + 1
        FROM placed p WHERE p.id = c.id
        RETURNING c.id, c.contact_id, c.channel_id, p.queue_id, p.assignee_id,
                  p.team_id AS from_team_id,
                  CASE p.status WHEN 'QUEUED' THEN p.team_id END AS from_queue_id
        """,  # noqa: S608 - a constant
        ids,
        encode(decision.by_hand(rule, None)),
        team_id,
        released_from,
    )


def record_requeued(kind: event.Kind, moved: list[Row], rule: Rule, *, by: Actor) -> None:
    """An event for each conversation that `requeue` moved."""
    for row in moved:
        event.record(
            kind,
            by=by,
            conversation_id=row["id"],
            contact_id=row["contact_id"],
            channel_id=row["channel_id"],
            from_queue_id=row["from_queue_id"],
            to_queue_id=row["queue_id"],
            from_agent_id=row["assignee_id"],
            from_team_id=row["from_team_id"],
            to_team_id=row["queue_id"],
            rule=rule,
        )
