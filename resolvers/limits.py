"""What one document may ask for, measured before anything runs.

Strawberry's own limiters walk a fragment again at every spread, so that a 600-byte document keeps
them busy for seconds; here every fragment is measured once and its numbers are added.

The cost of an operation is the number of objects it may return, and what it counts:

    an object                1, and its scalars nothing
    first, last, ids         everything below the field, times that number (PAGE_SIZE_DEFAULT for a
                             page without one, PAGE_SIZE_MAX at most: more is refused elsewhere)
    any other list           times LIST_SIZE_ASSUMED
    a connection             nothing for its edges and its pageInfo; its page counts once, and
                             costs at least its size, for it is read whatever is shown of it
    a report                 REPORT_COST, and its rows times REPORT_ROWS_ASSUMED: each reads a month
    totalCount               COUNT_COST once, whatever the size of its page: it reads a whole list
    __schema and __type      INTROSPECTION_COST, whatever is below them
    fragments                all are added, even where only one type of a union can match
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLField,
    GraphQLList,
    GraphQLNamedType,
    GraphQLSchema,
    InlineFragmentNode,
    IntValueNode,
    ListValueNode,
    OperationDefinitionNode,
    SelectionNode,
    SelectionSetNode,
    ValueNode,
    VariableNode,
    get_named_type,
    get_nullable_type,
    parse,
)

PAGE_SIZE_DEFAULT = 50
PAGE_SIZE_MAX = 100
LIST_SIZE_ASSUMED = 10
INTROSPECTION_COST = 500
COUNT_COST = 10
REPORT_COST = 50
REPORT_ROWS_ASSUMED = 50

QUERY_LENGTH_MAX = 64 * 1024
QUERY_TOKENS_MAX = 1_500
QUERY_COMMENTS_MAX = 200
QUERY_DEPTH_MAX = 12
QUERY_ALIASES_MAX = 30
QUERY_DIRECTIVES_MAX = 50
QUERY_COST_MAX = 5_000

PARSE_OPTIONS: Mapping[str, Any] = {
    "max_source_length": QUERY_LENGTH_MAX,
    "max_lexical_tokens": QUERY_TOKENS_MAX,
    "max_comments": QUERY_COMMENTS_MAX,
}
# A document at the token limit takes a little under 1 MB once parsed.
DOCUMENTS_CACHED_MAX = 128

_SIZE_ARGUMENTS = ("first", "last", "ids")
_CONNECTION = "Connection"
_WRAPPERS = (_CONNECTION, "Edge", "PageInfo")
_REPORT = "Report"


@dataclass(frozen=True, slots=True)
class Measure:
    """How large an operation, or a part of one, is."""

    depth: int = 0
    aliases: int = 0
    directives: int = 0
    cost: int = 0
    # What a page costs beside its entries, whatever its size.
    of_page: int = 0

    def __add__(self, other: "Measure") -> "Measure":
        return Measure(
            max(self.depth, other.depth),
            self.aliases + other.aliases,
            self.directives + other.directives,
            self.cost + other.cost,
            self.of_page + other.of_page,
        )

    @property
    def excess(self) -> str | None:
        """What is too large about it, in words for the caller."""
        for name, size, size_max in (
            ("depth", self.depth, QUERY_DEPTH_MAX),
            ("number of aliases", self.aliases, QUERY_ALIASES_MAX),
            ("number of directives", self.directives, QUERY_DIRECTIVES_MAX),
            ("cost", self.cost, QUERY_COST_MAX),
        ):
            if size > size_max:
                # A bomb has numbers of hundreds of digits: they say nothing more.
                shown = size if size < 10**9 else "astronomic"
                return f"The {name} of this operation is {shown}; at most {size_max} is allowed."
        return None


@lru_cache(maxsize=DOCUMENTS_CACHED_MAX)
def parsed(text: str) -> DocumentNode:
    """The document within the limits of its text; GraphQLSyntaxError otherwise."""
    return parse(text, **PARSE_OPTIONS)


def sizes_of(variables: Mapping[str, object] | None) -> tuple[tuple[str, int], ...]:
    """The variables that may stand for a page size, as a key to remember measures by."""
    numbers = ((name, _number(value)) for name, value in (variables or {}).items())
    return tuple(sorted((name, _bounded(size)) for name, size in numbers if size is not None))


@lru_cache(maxsize=DOCUMENTS_CACHED_MAX * 4)
def measure(
    schema: GraphQLSchema, text: str, operation_name: str | None, sizes: tuple[tuple[str, int], ...]
) -> Measure:
    """The measure of the named (or only) operation; RecursionError when fragments nest too far."""
    document = parsed(text)
    survey = _Survey(schema, document)
    named = (
        operation
        for operation in operations(document)
        if operation_name is None or (operation.name and operation.name.value == operation_name)
    )
    return sum((survey.of(operation, dict(sizes)) for operation in named), Measure())


def operations(document: DocumentNode) -> Iterator[OperationDefinitionNode]:
    return (node for node in document.definitions if isinstance(node, OperationDefinitionNode))


class _Survey:
    """One walk through a document, in which every fragment is measured once."""

    def __init__(self, schema: GraphQLSchema, document: DocumentNode) -> None:
        self.schema = schema
        self.sizes: dict[str, int] = {}
        self.known: dict[str, Measure] = {}
        self.fragments = {
            definition.name.value: definition
            for definition in document.definitions
            if isinstance(definition, FragmentDefinitionNode)
        }

    def of(self, operation: OperationDefinitionNode, sizes: dict[str, int]) -> Measure:
        variables = operation.variable_definitions or ()
        defaults = {
            variable.variable.name.value: size
            for variable in variables
            if (size := _literal(variable.default_value)) is not None
        }
        # A fragment may use a variable, whose default differs between operations.
        self.known = {}
        self.sizes = defaults | sizes
        directives = sum(len(variable.directives or ()) for variable in variables)
        own = Measure(directives=directives + len(operation.directives or ()))
        root = self.schema.get_root_type(operation.operation)
        return own + self._selections(operation.selection_set, root)

    def _selections(
        self, selection_set: SelectionSetNode, parent: GraphQLNamedType | None
    ) -> Measure:
        total = Measure()
        for selection in selection_set.selections:
            total += self._selection(selection, parent)
            if selection.directives:
                total += Measure(directives=len(selection.directives))
        return total

    def _selection(self, selection: SelectionNode, parent: GraphQLNamedType | None) -> Measure:
        if isinstance(selection, FieldNode):
            return self._field(selection, parent)
        if isinstance(selection, FragmentSpreadNode):
            return self._fragment(selection.name.value)
        if isinstance(selection, InlineFragmentNode):
            condition = selection.type_condition
            narrowed = self.schema.get_type(condition.name.value) if condition else parent
            return self._selections(selection.selection_set, narrowed)
        return Measure()

    def _fragment(self, name: str) -> Measure:
        if name not in self.known and name in self.fragments:
            # Zero while it is being measured: a cycle ends here, and validation reports it.
            self.known[name] = Measure()
            fragment = self.fragments[name]
            parent = self.schema.get_type(fragment.type_condition.name.value)
            below = self._selections(fragment.selection_set, parent)
            self.known[name] = below + Measure(directives=len(fragment.directives or ()))
        return self.known.get(name, Measure())

    def _field(self, node: FieldNode, parent: GraphQLNamedType | None) -> Measure:
        name = node.name.value
        aliases = 1 if node.alias else 0
        if name.startswith("__"):
            cost = 0 if name == "__typename" else INTROSPECTION_COST
            return Measure(aliases=aliases, cost=cost)
        if node.selection_set is None:
            return Measure(depth=1, aliases=aliases, of_page=_count(name, parent))
        field: GraphQLField | None = getattr(parent, "fields", {}).get(name)
        named = get_named_type(field.type) if field else None
        below = self._selections(node.selection_set, named)
        of_one = max(_own(named) + below.cost, _least(named))
        return replace(
            below,
            depth=below.depth + 1,
            aliases=below.aliases + aliases,
            cost=self._size(node, field, parent) * of_one + below.of_page,
            of_page=0,
        )

    def _size(
        self, node: FieldNode, field: GraphQLField | None, parent: GraphQLNamedType | None
    ) -> int:
        if field is None or parent is None:
            return 1
        given = {argument.name.value: argument.value for argument in node.arguments or ()}
        for name in _SIZE_ARGUMENTS:
            if name in field.args and (size := self._value(given.get(name))) is not None:
                return _bounded(size)
        if "first" in field.args or "last" in field.args:
            return PAGE_SIZE_DEFAULT
        is_list = isinstance(get_nullable_type(field.type), GraphQLList)
        if is_list and parent.name.endswith(_REPORT):
            return REPORT_ROWS_ASSUMED
        return LIST_SIZE_ASSUMED if is_list and not parent.name.endswith(_WRAPPERS) else 1

    def _value(self, value: ValueNode | None) -> int | None:
        if isinstance(value, VariableNode):
            return self.sizes.get(value.name.value)
        return _literal(value)


def _own(named: GraphQLNamedType | None) -> int:
    if named is not None and named.name.endswith(_REPORT):
        return REPORT_COST
    return 0 if named is None or named.name.endswith(_WRAPPERS) else 1


def _least(named: GraphQLNamedType | None) -> int:
    return 1 if named is not None and named.name.endswith(_CONNECTION) else 0


def _count(name: str, parent: GraphQLNamedType | None) -> int:
    is_page = parent is not None and parent.name.endswith(_CONNECTION)
    return COUNT_COST if is_page and name == "totalCount" else 0


def _literal(value: ValueNode | None) -> int | None:
    if isinstance(value, IntValueNode):
        # Python refuses to read integers of thousands of digits; nine are more than any page has.
        return int(value.value[:9])
    return len(value.values) if isinstance(value, ListValueNode) else None


def _number(value: object) -> int | None:
    if isinstance(value, list):
        return len(value)
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _bounded(size: int) -> int:
    # At least one: a negative page size must not buy credit for the rest of the document.
    return min(max(size, 1), PAGE_SIZE_MAX)
