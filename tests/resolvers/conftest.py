"""The real schema behind the real HTTP application, in the session's loop and on its database."""

from collections.abc import Callable

import pytest

from api.app import graphql_app
from api.auth import Caller
from api.graphql import GraphQLApp
from models.stream import Reader
from tests.resolvers.client import BusyCompany, Client, Company, a_busy_company, a_company

As = Callable[[str | None], Client]


@pytest.fixture(scope="session")
def app() -> GraphQLApp[Caller]:
    """For HTTP only: its reader is never started."""
    return graphql_app(Reader())


@pytest.fixture
def calling(app: GraphQLApp[Caller]) -> As:
    """A client for a token: `calling(token)`; None is a stranger."""
    return lambda token: Client.of(app, token)


@pytest.fixture
async def company(database: str) -> Company:
    return await a_company()


@pytest.fixture
async def busy_company(database: str) -> BusyCompany:
    """A company in which every command can be run."""
    return await a_busy_company()


@pytest.fixture
async def other(database: str) -> Company:
    """Another company, of which the first must never see anything."""
    return await a_company()
