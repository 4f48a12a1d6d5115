"""The whole schema: queries, mutations and subscriptions of every noun."""

import strawberry
from strawberry.schema.config import StrawberryConfig

from resolvers.conversations import ConversationMutation, ConversationQuery
from resolvers.events import MEMBERS, EventQuery
from resolvers.guard import SCHEMA_EXTENSIONS
from resolvers.masking import MaskedSchema
from resolvers.messages import MessageMutation
from resolvers.presence import PresenceMutation
from resolvers.sessions import SessionMutation, SessionQuery
from resolvers.settings import SettingsQuery
from resolvers.streams import Subscription
from resolvers.types import Workspace


@strawberry.type(description="Reading.")
class Query(ConversationQuery, SettingsQuery, SessionQuery, EventQuery):
    pass


@strawberry.type(description="Commands; each is one transaction.")
class Mutation(ConversationMutation, MessageMutation, PresenceMutation, SessionMutation):
    pass


# Descriptions of what Strawberry brings along come with it; everything else has its own.
schema = MaskedSchema(
    Query,
    Mutation,
    Subscription,
    types=(*MEMBERS, Workspace),
    extensions=list(SCHEMA_EXTENSIONS),
    config=StrawberryConfig(disable_field_suggestions=False),
)
