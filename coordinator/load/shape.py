"""The form of the plan file, asked of its models: which keys a mapping may have, and what they mean.

A message about an unknown key wants the known ones. It walks the models' annotations here, so that the loader
holds no second list of keys.
"""

from __future__ import annotations

import types
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Union, get_args, get_origin, get_type_hints

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from coordinator.load.choice import Choice
from coordinator.load.document import PlanDocument
from coordinator.load.tree import Path

_UNIONS = (Union, types.UnionType)


def fields_of(model: type[BaseModel]) -> Mapping[str, FieldInfo]:
    """Return a mapping's keys as the file writes them."""
    return {field.alias or name: field for name, field in model.model_fields.items()}


def hints_of(model: type[BaseModel]) -> Mapping[str, object]:
    """Return the annotation of each key, with its markers."""
    hints = get_type_hints(model, include_extras=True)
    return {field.alias or name: hints[name] for name, field in model.model_fields.items()}


def choice_in(annotation: object) -> Choice | None:
    """Return the marker that says: one of a package's adapters stands here."""
    return next((each for each in getattr(annotation, "__metadata__", ()) if isinstance(each, Choice)), None)


def model_at(path: Path) -> type[BaseModel] | None:
    """Return the model of the mapping at `path`, None where the plan has none or a type says too little."""
    reached: object = PlanDocument
    for step in path:
        reached = next(_below(reached, step), None)
    return next(_models(reached), None)


def _models(annotation: object) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    elif get_origin(annotation) in (Annotated, *_UNIONS):
        for part in get_args(annotation):
            yield from _models(part)


def _below(annotation: object, step: str | int) -> Iterator[Any]:
    """Yield what may stand under a key or a list position of `annotation`."""
    choice = choice_in(annotation)
    if choice is not None:
        if step in choice.offers():
            yield choice.spec_of(str(step))
        return
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin in _UNIONS or origin is Annotated:
        for part in arguments if origin in _UNIONS else arguments[:1]:
            yield from _below(part, step)
    elif origin in (dict, Mapping):
        yield arguments[1]
    elif origin in (tuple, list):
        yield arguments[0]
    elif isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield from (hint for key, hint in hints_of(annotation).items() if key == step)
