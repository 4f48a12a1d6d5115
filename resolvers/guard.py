"""What stands between a request and the resolvers: document limits, strangers' rules, the clock."""

import asyncio
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from functools import lru_cache
from typing import cast

from graphql import (
    DocumentNode,
    FieldNode,
    GraphQLError,
    GraphQLSchema,
    StringValueNode,
    ValidationRule,
    Visitor,
    specified_rules,
    validate,
    visit,
)
from strawberry.extensions import SchemaExtension
from strawberry.schema.validation_rules.maybe_null import MaybeNullValidationRule
from strawberry.schema.validation_rules.one_of import OneOfInputValidationRule
from strawberry.types.execution import ParseOptions
from strawberry.types.graphql import OperationType

from resolvers.limits import (
    DOCUMENTS_CACHED_MAX,
    PARSE_OPTIONS,
    measure,
    operations,
    parsed,
    sizes_of,
)

VALIDATION_ERRORS_MAX = 5
OPERATION_TIMEOUT_SECONDS = 10.0

_escaped_null = re.compile(r"\\u(0000|\{0+\})")


class DocumentGuard(SchemaExtension):
    """Parses and validates each text once, and refuses what is too large before validating it."""

    def on_parse(self) -> Iterator[None]:
        context = self.execution_context
        context.parse_options = cast("ParseOptions", dict(PARSE_OPTIONS))
        if context.query and context.graphql_document is None:
            # Strawberry expects no exception here; it parses again and reports the syntax error.
            with suppress(GraphQLError):
                context.graphql_document = parsed(context.query)
        yield

    def on_validate(self) -> Iterator[None]:
        self.execution_context.pre_execution_errors = list(self._refusals())
        yield

    def _refusals(self) -> tuple[GraphQLError, ...]:
        context = self.execution_context
        text, name = context.query or "", context.operation_name
        # Strawberry would run the first one; only its private field tells that nobody chose.
        chosen = context._provided_operation_name  # noqa: SLF001 - see above
        if chosen is None and len(list(operations(parsed(text)))) > 1:
            return (_refusal("BAD_USER_INPUT", "Say which operation to run: send operationName."),)
        schema = context.schema._schema  # noqa: SLF001  # Strawberry has no public name for it
        try:
            excess = measure(schema, text, name, sizes_of(context.variables)).excess
        except RecursionError:
            excess = "The fragments of this operation nest too deeply."
        if excess:
            return (_refusal("OPERATION_TOO_COMPLEX", excess),)
        return validated(schema, text, getattr(context.context, "actor", None) is None)


class OperationTimeout(SchemaExtension):
    """Ends a query or mutation that takes too long; a mutation's transaction is rolled back."""

    seconds = OPERATION_TIMEOUT_SECONDS

    async def on_execute(self) -> AsyncIterator[None]:
        if self.execution_context.operation_type is OperationType.SUBSCRIPTION:
            yield
            return
        try:
            async with asyncio.timeout(self.seconds) as clock:
                yield
        except TimeoutError:
            if not clock.expired():
                raise
            raise timed_out(self.seconds) from None


def timed_out(seconds: float) -> GraphQLError:
    """What a caller is told of an execution that took too long."""
    return GraphQLError(
        f"The operation took longer than {seconds:g} seconds and was stopped.",
        extensions={"code": "TIMEOUT", "retryable": True},
    )


# Classes, never instances: Strawberry makes one of each for every operation.
SCHEMA_EXTENSIONS: tuple[type[SchemaExtension], ...] = (DocumentGuard, OperationTimeout)


class NoIntrospection(ValidationRule):
    """Strangers see no schema; of a type they learn no more than a fragment on it would tell."""

    def enter_field(self, node: FieldNode, *_: object) -> None:
        asked = node.selection_set.selections if node.selection_set else ()
        harmless = node.name.value == "__type" and all(
            isinstance(field, FieldNode) and field.name.value in ("__typename", "kind", "name")
            for field in asked
        )
        if node.name.value in ("__schema", "__type") and not harmless:
            self.report_error(_refusal("UNAUTHENTICATED", "Sign in to see the schema.", node))


_RULES = (*specified_rules, MaybeNullValidationRule, OneOfInputValidationRule)


# The errors are shared between requests: nobody may change them.
@lru_cache(maxsize=DOCUMENTS_CACHED_MAX * 2)
def validated(
    schema: GraphQLSchema,
    text: str,
    by_stranger: bool,  # noqa: FBT001  # a cache key
) -> tuple[GraphQLError, ...]:
    """The first few reasons why the document is not valid, without hints for strangers."""
    document = parsed(text)
    if _escaped_null.search(text) and _holds_null_character(document):
        return (_refusal("BAD_USER_INPUT", "Texts cannot hold the character U+0000."),)
    rules = (*_RULES, NoIntrospection) if by_stranger else _RULES
    errors = validate(
        schema, document, rules, max_errors=VALIDATION_ERRORS_MAX, hide_suggestions=by_stranger
    )
    for error in errors:
        error.extensions = {"code": "GRAPHQL_VALIDATION_FAILED", **(error.extensions or {})}
    return tuple(errors[:VALIDATION_ERRORS_MAX])


def _holds_null_character(document: DocumentNode) -> bool:
    class Search(Visitor):
        found = False

        def enter_string_value(self, node: StringValueNode, *_: object) -> None:
            self.found = self.found or "\0" in node.value

    search = Search()
    visit(document, search)
    return search.found


def _refusal(code: str, message: str, node: FieldNode | None = None) -> GraphQLError:
    return GraphQLError(message, node, extensions={"code": code})
