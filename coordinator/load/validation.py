"""From a tree to a document: the models decide which reading of an ambiguous scalar counts.

YAML offers its reading first. Where a model says "text is wanted" and the file has `1.10`, the scalar's other
reading, its text, is offered; where it says "a number is wanted" and a variable brought `3`, the number is.
The models see JSON, because strict JSON is what a plan is: pydantic's strict Python mode would refuse a list
for a tuple and a text for an enum.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from coordinator.diagnostics import Diagnostic, Place
from coordinator.load.document import PlanDocument
from coordinator.load.tree import MappingNode, Node, ScalarNode, find, plain

_WANTED: dict[str, type] = {"string_type": str, "int_type": int, "float_type": float, "bool_type": bool}


@dataclass(frozen=True, slots=True)
class Validated:
    """The document, None if anything is wrong with it, and all that is wrong."""

    document: PlanDocument | None
    diagnostics: tuple[Diagnostic, ...] = ()


def validate(root: Node) -> Validated:
    """Return the document that a tree without variables holds."""
    swapped: frozenset[Place] = frozenset()
    while True:
        text = json.dumps(plain(root, swapped=swapped))
        try:
            return Validated(PlanDocument.model_validate_json(text, context=_database_names(root)))
        except ValidationError as error:
            errors = error.errors(include_url=False, include_input=False)
        more = _swaps(errors, root) - swapped
        if not more:
            from coordinator.load.problems import diagnostics_from  # noqa: PLC0415 - a valid plan does not pay

            return Validated(None, diagnostics_from(errors, root=root))
        swapped |= more


def _swaps(errors: Sequence[ErrorDetails], root: Node) -> frozenset[Place]:
    """Return the places of the scalars whose other reading is what the model asks for."""
    wanting = ((find(root, error["loc"]).node, _WANTED.get(error["type"])) for error in errors)
    return frozenset(
        node.place
        for node, wanted in wanting
        if wanted is not None and isinstance(node, ScalarNode) and isinstance(node.alternative, wanted)
    )


def _database_names(root: Node) -> tuple[str, ...]:
    node = find(root, ("databases",)).node
    return tuple(node.entries) if node is not root and isinstance(node, MappingNode) else ()
