"""Batched reads of related records: one statement for all that one step of an operation asks for.

They batch and do not cache: an operation may read what it has just changed.
"""

from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping
from functools import cached_property
from typing import Any, TypeVar, cast
from uuid import UUID

from strawberry.dataloader import DataLoader
from tortoise.expressions import RawSQL

from models import contact_search, log, variable
from models.access import Actor
from models.channel_holding import Held, of_groups
from models.contact import Contact
from models.contact_search import Bounds, Wanted
from models.database import fetch
from models.projection import CONVERSATION_COLUMNS
from models.team import Team
from models.ticket.record import Ticket
from models.ticket.search import COLUMNS as TICKET_COLUMNS
from models.visibility import Visibility
from models.workflow.defect import Defect
from models.workflow.definition import Definition
from models.workflow.facts import facts_of
from models.workflow.lint import lint
from resolvers import projections
from resolvers.pagination import BY_CREATION, Connection, Edge, Nested, Page, connected

Row = Mapping[str, Any]
ConnectionType = TypeVar("ConnectionType", bound=Connection[Any])
Load = Callable[[list[UUID]], Awaitable[list[Row | None]]]


class Loaders:
    """One loader a noun, all within the actor's workspace."""

    def __init__(self, actor: Actor) -> None:
        self.actor = actor

    def _by_key(self, statement: str) -> "DataLoader[UUID, Row | None]":
        async def load(keys: list[UUID]) -> list[Row | None]:
            rows = await fetch(statement, self.actor.workspace_id, list(set(keys)))
            # Statements name their key `key`, or load by the record's own id.
            found: dict[UUID, Row] = {row[0]: dict(row) for row in rows}
            return [found.get(key) for key in keys]

        return DataLoader(load, cache=False)

    def _lists_by_key(self, statement: str) -> "DataLoader[UUID, list[Row]]":
        async def load(keys: list[UUID]) -> list[list[Row]]:
            found: defaultdict[UUID, list[Row]] = defaultdict(list)
            for row in await fetch(statement, self.actor.workspace_id, list(set(keys))):
                found[row["key"]].append(dict(row))
            return [found[key] for key in keys]

        return DataLoader(load, cache=False)

    @cached_property
    def conversations(self) -> "DataLoader[UUID, Row | None]":
        """Only those that the actor may see; the rest is None like the missing."""

        async def load(keys: list[UUID]) -> list[Row | None]:
            seen = await Visibility.of(self.actor)
            rows = await fetch(projections.CONVERSATION, *seen.arguments, list(set(keys)))
            found: dict[UUID, Row] = {row["id"]: dict(row) for row in rows}
            return [found.get(key) for key in keys]

        return DataLoader(load, cache=False)

    @cached_property
    def agents(self) -> "DataLoader[UUID, Row | None]":
        return self._by_key(projections.AGENT)

    @cached_property
    def teams(self) -> "DataLoader[UUID, Row | None]":
        return self._by_key(projections.TEAM)

    @cached_property
    def channels(self) -> "DataLoader[UUID, Row | None]":
        return self._by_key(projections.CHANNEL)

    @cached_property
    def contacts(self) -> "DataLoader[UUID, Row | None]":
        return self._by_key(projections.CONTACT)

    @cached_property
    def tags(self) -> "DataLoader[UUID, Row | None]":
        return self._by_key(projections.TAG)

    @cached_property
    def tags_of(self) -> "Mapping[str, DataLoader[UUID, list[Row]]]":
        """The tags of contacts, conversations and tickets, by name."""
        return {
            noun: self._lists_by_key(statement) for noun, statement in projections.TAGS_OF.items()
        }

    @cached_property
    def contact_fields(self) -> "DataLoader[UUID, Row | None]":
        return self._by_key(projections.CONTACT_FIELD)

    @cached_property
    def segments(self) -> "DataLoader[UUID, Row | None]":
        return self._by_key(projections.SEGMENT)

    @cached_property
    def snippets(self) -> "DataLoader[UUID, Row | None]":
        return self._by_key(projections.SNIPPET)

    @cached_property
    def webhooks(self) -> "DataLoader[UUID, Row | None]":
        return self._by_key(projections.WEBHOOK)

    @cached_property
    def variables(self) -> "DataLoader[UUID, variable.Values | None]":
        """What the variables of texts stand for when the actor writes, by conversation."""

        async def load(keys: list[UUID]) -> list[variable.Values | None]:
            by = self.actor
            found = await variable.values_of(
                set(keys), workspace_id=by.workspace_id, agent_id=by.agent_id
            )
            return [found.get(key) for key in keys]

        return DataLoader(load, cache=False)

    @cached_property
    def workflows(self) -> "DataLoader[UUID, Row | None]":
        return self._by_key(projections.WORKFLOW)

    @cached_property
    def defects(self) -> "DataLoader[Definition, list[Defect]]":
        """What stands against publishing these, by facts that are read once for all of them."""

        async def load(keys: list[Definition]) -> list[list[Defect]]:
            facts = await facts_of(set(keys), workspace_id=self.actor.workspace_id)
            return [lint(key, facts) for key in keys]

        return DataLoader(load, cache=False)

    @cached_property
    def workflow_runs(self) -> "DataLoader[UUID, Row | None]":
        """Whoever sees their conversation: who loads them asks for that."""
        return self._by_key(projections.RUN)

    @cached_property
    def run_steps(self) -> "DataLoader[UUID, list[Row]]":
        """What the steps of a run came to, in their order."""
        return self._lists_by_key(projections.RUN_STEPS)

    @cached_property
    def messages(self) -> "DataLoader[UUID, Row | None]":
        return self._by_key(projections.MESSAGE)

    @cached_property
    def closing_reasons(self) -> "DataLoader[UUID, Row | None]":
        return self._by_key(projections.CLOSING_REASON)

    @cached_property
    def closures(self) -> "DataLoader[UUID, Row | None]":
        """The last closure, by conversation."""
        return self._by_key(projections.CLOSURE)

    @cached_property
    def assignments(self) -> "DataLoader[UUID, Row | None]":
        """The open assignment, by conversation."""
        return self._by_key(projections.ASSIGNMENT)

    @cached_property
    def positions(self) -> "DataLoader[UUID, Row | None]":
        """The place in its queue, from 1, by conversation."""
        return self._by_key(projections.POSITION)

    @cached_property
    def sticky(self) -> "DataLoader[UUID, Row | None]":
        """What the newest closing of a contact's line leaves behind, by conversation."""
        return self._by_key(projections.STICKY)

    @cached_property
    def closing_times(self) -> "DataLoader[UUID, Row | None]":
        return self._by_key(projections.CLOSES_AT)

    @cached_property
    def waiting(self) -> "DataLoader[UUID, Row | None]":
        """How many wait and since when, by team."""
        return self._by_key(projections.WAITING)

    @cached_property
    def held_channels(self) -> "DataLoader[UUID, Held | None]":
        """The channel that a group sends through, by team."""

        async def load(keys: list[UUID]) -> list[Held | None]:
            found = await of_groups(set(keys), workspace_id=self.actor.workspace_id)
            return [found.get(key) for key in keys]

        return DataLoader(load, cache=False)

    @cached_property
    def log_heads(self) -> "DataLoader[UUID, log.Head]":
        """Where the logs of workspaces stand."""

        async def load(keys: list[UUID]) -> list[log.Head]:
            found = {key: await log.head(key) for key in set(keys)}
            return [found[key] for key in keys]

        return DataLoader(load, cache=False)

    @cached_property
    def parts(self) -> "Mapping[str, DataLoader[UUID, Row | None]]":
        """By their own id, whoever may see their conversation: who loads them asks for that."""
        return {table: self._by_key(statement) for table, statement in projections.PARTS.items()}

    @cached_property
    def queues_seen(self) -> "DataLoader[UUID, bool]":
        """Whether the actor sees the queues of these teams."""

        async def load(keys: list[UUID]) -> list[bool]:
            seen = set(await Team.queues_visible_to(self.actor))
            return [key in seen for key in keys]

        return DataLoader(load, cache=False)

    @cached_property
    def contacts_seen(self) -> "DataLoader[UUID, bool]":
        """Whether the actor sees these contacts."""

        async def load(keys: list[UUID]) -> list[bool]:
            visible = (await Contact.visible_to(self.actor, merged=True)).filter(id__in=set(keys))
            seen = set(await visible.values_list("id", flat=True))
            return [key in seen for key in keys]

        return DataLoader(load, cache=False)

    @cached_property
    def sight(self) -> "DataLoader[UUID, str]":
        """What conversations the actor sees, by its workspace, as a condition on a row `c`."""

        async def load(keys: list[UUID]) -> list[str]:
            return [(await Visibility.of(self.actor)).literal] * len(keys)

        return DataLoader(load, cache=False)

    @cached_property
    def tickets(self) -> "DataLoader[UUID, Row | None]":
        """Only those that the actor may see; the rest is None like the missing."""

        async def load(keys: list[UUID]) -> list[Row | None]:
            sight = await Ticket.sight(self.actor)
            rows = await fetch(
                f"""
                SELECT {TICKET_COLUMNS} FROM tickets
                WHERE tickets.workspace_id = $1 AND tickets.id = ANY($2) AND {sight}
                """,  # noqa: S608 - constants and ids of ours
                self.actor.workspace_id,
                list(set(keys)),
            )
            found: dict[UUID, Row] = {row["id"]: dict(row) for row in rows}
            return [found.get(key) for key in keys]

        return DataLoader(load, cache=False)

    @cached_property
    def ticket_sight(self) -> "DataLoader[UUID, str]":
        """What tickets the actor sees, by its workspace, as a condition on a row of "tickets"."""

        async def load(keys: list[UUID]) -> list[str]:
            return [await Ticket.sight(self.actor)] * len(keys)

        return DataLoader(load, cache=False)

    @cached_property
    def contacts_found(self) -> "DataLoader[tuple[Wanted, Page], list[Row]]":
        """The ids and times of a page of the contacts that meet some filters."""

        async def load(keys: list[tuple[Wanted, Page]]) -> list[list[Row]]:
            found: dict[tuple[Wanted, Page], list[Row]] = {}
            for page in dict.fromkeys(page for _, page in keys):
                wanted = list(dict.fromkeys(each for each, of_page in keys if of_page == page))
                rows = await contact_search.pages(wanted, _bounds(page), by=self.actor)
                for each, of_each in zip(wanted, rows, strict=True):
                    found[each, page] = [dict(row) for row in of_each]
            return [found[key] for key in keys]

        return DataLoader(load, cache=False)

    @cached_property
    def contacts_counted(self) -> "DataLoader[Wanted, int]":
        async def load(keys: list[Wanted]) -> list[int]:
            wanted = list(dict.fromkeys(keys))
            counts = await contact_search.counts(wanted, by=self.actor)
            found = dict(zip(wanted, counts, strict=True))
            return [found[key] for key in keys]

        return DataLoader(load, cache=False)

    @cached_property
    def pages(self) -> "DataLoader[tuple[Nested, Page, UUID], list[Row]]":
        """The same page of the lists below many records: a statement for each kind of page."""

        async def load(keys: list[tuple[Nested, Page, UUID]]) -> list[list[Row]]:
            found: defaultdict[tuple[Nested, Page, UUID], list[Row]] = defaultdict(list)
            for nested, page in dict.fromkeys(key[:2] for key in keys):
                statement, arguments = nested.statement(page)
                parents = list({key[2] for key in keys if key[:2] == (nested, page)})
                for row in await fetch(statement, self.actor.workspace_id, parents, *arguments):
                    found[nested, page, row["parent"]].append(dict(row))
            return [found[key] for key in keys]

        return DataLoader(load, cache=False)

    @cached_property
    def counts(self) -> "DataLoader[tuple[Nested, UUID], int]":
        """How long those lists are."""

        async def load(keys: list[tuple[Nested, UUID]]) -> list[int]:
            found: dict[tuple[Nested, UUID], int] = {}
            for nested in dict.fromkeys(key[0] for key in keys):
                parents = list({key[1] for key in keys if key[0] == nested})
                for row in await fetch(nested.counting, self.actor.workspace_id, parents):
                    found[nested, row["key"]] = row["count"]
            return [found[key] for key in keys]

        return DataLoader(load, cache=False)

    async def nested(
        self,
        what: Nested,
        id: UUID,
        page: Page,
        *,
        node: Callable[[Row], Any],
        connection: type[ConnectionType],
        edge: type[Edge[Any]],
    ) -> ConnectionType:
        """One parent's page of a nested list, read together with those of its siblings."""
        found = connected(
            await self.pages.load((what, page, id)),
            page,
            what.order,
            node=node,
            connection=connection,
            edge=edge,
            count=lambda: self.counts.load((what, id)),
        )
        return cast("ConnectionType", found)


async def projected(conversations: Any) -> list[Row]:
    """The columns a list shows, with the moment they were read at."""
    rows: list[Row] = await conversations.annotate(now=RawSQL("relevo_now()")).values(
        *CONVERSATION_COLUMNS
    )
    return rows


def _bounds(page: Page) -> Bounds:
    """A page of contacts, and one more that says whether there are more."""
    after, before = (
        None if cursor is None else BY_CREATION.position(cursor)
        for cursor in (page.after, page.before)
    )
    return Bounds(page.size + 1, page.backward, after, before)
