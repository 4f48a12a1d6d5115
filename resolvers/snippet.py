"""The canned reply as the API shows it."""

from typing import Annotated
from uuid import UUID

import strawberry

from models import variable
from models.snippet import Snippet as SnippetRecord
from resolvers.context import Info
from resolvers.ids import decode
from resolvers.types import Node, column


@strawberry.type(description="A canned reply.")
class Snippet(Node):
    name = column(str, "name", "Name.")
    text = column(str, "text", "What it says, with variables such as `{{contact.name|there}}`.")

    @strawberry.field(
        description="What it says in a conversation, with you as the agent if you are a person; "
        "null when you do not see the conversation."
    )
    async def filled(
        self,
        info: Info,
        conversation_id: Annotated[
            strawberry.ID, strawberry.argument(description="Which conversation.")
        ],
    ) -> str | None:
        id = decode("Conversation", conversation_id)
        if await info.context.loaders.conversations.load(id) is None:
            return None
        values = await info.context.loaders.variables.load(id)
        return None if values is None else variable.filled(self.row["text"], values)


async def snippet_of(info: Info, id: UUID | None) -> Snippet | None:
    """The snippet, if the asker reads settings."""
    seen = id is not None and SnippetRecord.are_visible_to(info.context.by)
    return Snippet.of(await info.context.loaders.snippets.load(id) if id and seen else None)
