"""Enums of the domain as the schema shows them: with a name and a sentence for each value."""

from enum import Enum
from inspect import cleandoc
from typing import Any, TypeVar, cast

import strawberry
from strawberry.types.enum import StrawberryEnumDefinition

EnumType = TypeVar("EnumType", bound=type[Enum])


def described(enum: EnumType, name: str, **values: str) -> EnumType:
    """Register an enum, described by its docstring; every value must be described too."""
    if set(values) != set(enum.__members__):
        raise TypeError(f"{name} describes {sorted(values)}, not {sorted(enum.__members__)}.")
    return _register(enum, name, values)


def _register(enum: EnumType, name: str, values: dict[str, str]) -> EnumType:
    description = f"{cleandoc(enum.__doc__ or '')} More values may come."
    registered = strawberry.enum(enum, name=name, description=description)
    definition: StrawberryEnumDefinition = cast("Any", registered).__strawberry_definition__
    for value in definition.values:
        value.description = values[value.name]
    return registered
