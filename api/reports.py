"""Reports as CSV: `/reports/<name>.csv?from=2026-11-01&to=2026-12-01&groupBy=AGENT&team=...`.

The same scope and the same rights as in GraphQL, and the same rows. They are read in one statement
and bounded; what is streamed is their text, so that nobody who reads slowly keeps a connection.
"""

import csv
import io
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from datetime import date, datetime
from itertools import batched
from typing import Any
from uuid import UUID, uuid4

import orjson
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from api.auth import authenticate
from api.requests import Refusal, bearer_token
from models.access import Actor
