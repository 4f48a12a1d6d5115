"""The canned replies of a workspace."""

from typing import Annotated, Any

import strawberry

from models.snippet import Snippet as SnippetRecord
from resolvers.commands import Answer, Payload, mutation
from resolvers.context import Info
from resolvers.ids import decode, encode
from resolvers.inputs import CommandInput, given
from resolvers.pagination import (
    BY_CREATION,
    After,
    Before,
    Connection,
    Edge,
    First,
    Last,
    Page,
    Row,
    paginate,
)
from resolvers.snippet import Snippet, snippet_of


@strawberry.type(description="A snippet of a page.")
class SnippetEdge(Edge[Snippet]):
    pass


@strawberry.type(description="A page of snippets.")
class SnippetConnection(Connection[Snippet]):
    pass


@strawberry.type
class SnippetQuery:
    @strawberry.field(description="The canned replies, the oldest first.")
    async def snippets(
        self,
        info: Info,
        search: Annotated[
            str | None,
            strawberry.argument(description="Only those with this in their name or text."),
        ] = None,
        first: First = None,
        after: After = None,
        last: Last = None,
        before: Before = None,
    ) -> SnippetConnection:
        return await paginate(  # type: ignore[return-value]  # the class given below
            SnippetRecord.visible_to(info.context.by, search=search),
            Page(first, after, last, before),
            BY_CREATION,
            read=_read,
            node=lambda row: Snippet(row=row),
            connection=SnippetConnection,
            edge=SnippetEdge,
        )


async def _read(ordered: Any) -> list[Row]:
    rows: list[Row] = await ordered.values("id", "name", "text", "created_at")
    return rows


@strawberry.input(description="A reply to keep.")
class SnippetCreateInput(CommandInput):
    name: str = strawberry.field(description="Name.")
    text: str = strawberry.field(description="What it says; it may have variables.")


@strawberry.input(description="Changes of a snippet; what is left out stays.")
class SnippetUpdateInput(CommandInput):
    snippet_id: strawberry.ID = strawberry.field(description="Which snippet.")
    name: str | None = strawberry.field(default=None, description="A new name.")
    text: str | None = strawberry.field(default=None, description="What it says from now on.")


@strawberry.input(description="A snippet to forget.")
class SnippetDeleteInput(CommandInput):
    snippet_id: strawberry.ID = strawberry.field(description="Which snippet.")


@strawberry.type(description="The snippet after a command.")
class SnippetPayload(Payload):
    @strawberry.field(description="The snippet; null when refused.")
    async def snippet(self, info: Info) -> Snippet | None:
        return await snippet_of(info, self.id_of("snippet"))


@strawberry.type(description="What keeping a reply came to.")
class SnippetCreatePayload(SnippetPayload):
    pass


@strawberry.type(description="What changing a snippet came to.")
class SnippetUpdatePayload(SnippetPayload):
    pass


@strawberry.type(description="What forgetting a snippet came to.")
class SnippetDeletePayload(Payload):
    @strawberry.field(description="The id that is gone; null when refused.")
    def deleted_id(self) -> strawberry.ID | None:
        id = self.id_of("snippet")
        return encode("Snippet", id) if id else None


@strawberry.type
class SnippetMutation:
    @mutation(SnippetCreatePayload, "Keep a canned reply.")
    async def snippet_create(self, info: Info, input: SnippetCreateInput) -> Answer:
        snippet = await SnippetRecord.add(by=info.context.by, name=input.name, text=input.text)
        return {"snippet": snippet.id}

    @mutation(SnippetUpdatePayload, "Rename a canned reply, or let it say something else.")
    async def snippet_update(self, info: Info, input: SnippetUpdateInput) -> Answer:
        id = decode("Snippet", input.snippet_id)
        changes = given(name=input.name, text=input.text)
        await SnippetRecord.change(id, by=info.context.by, **changes)
        return {"snippet": id}

    @mutation(SnippetDeletePayload, "Forget a canned reply.")
    async def snippet_delete(self, info: Info, input: SnippetDeleteInput) -> Answer:
        id = decode("Snippet", input.snippet_id)
        await SnippetRecord.remove(id, by=info.context.by)
        return {"snippet": id}
