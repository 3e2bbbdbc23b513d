"""`${NAME}` in values, and `--set`: what changes from release to release comes from outside the file.

Variables are replaced in scalars after YAML was read, so a value can add text but never structure, and what a
variable brought is not looked at again. A name that nobody defines and a setting that nothing uses are
errors: both are most often the same slip of the pen.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from coordinator.diagnostics import Diagnostic, Place
from coordinator.errors import Usage
from coordinator.load.events import MAX_PROBLEMS
from coordinator.load.leaks import shortened
from coordinator.load.scalars import as_substituted
from coordinator.load.source import MAX_PLAN_BYTES, find_hidden, hidden_character
from coordinator.load.tree import Entry, MappingNode, Node, ScalarNode, SequenceNode, find, keys, with_entry

_VARIABLE = re.compile(r"(?P<escaped>\$\$\{)|\$\{(?P<name>[A-Za-z_][A-Za-z0-9_]*)\}|(?P<broken>\$\{)")
_SETTING = re.compile(r"([A-Za-z_][A-Za-z0-9_]*|[a-z][a-z0-9-]*\.[a-z_]+)=(.*)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Resolved:
    """A tree without variables, with every problem found on the way."""

    root: Node
    diagnostics: tuple[Diagnostic, ...]


def settings_from(arguments: Sequence[str]) -> dict[str, str]:
    """Read `--set` arguments: `NAME=value` for a variable, `service.key=value` for a key of a service.

    Raises: Usage `bad-setting`. It never shows a value, which may be a secret in the wrong place.
    """
    settings: dict[str, str] = {}
    for argument in arguments:
        match = _SETTING.fullmatch(argument)
        if match is None:
            raise Usage(
                "bad-setting",
                f"`--set {shortened(argument.partition('=')[0])}` cannot be read.",
                next_step="Write --set NAME=value, or --set service.key=value.",
            )
        if match[1] in settings:
            raise Usage("bad-setting", f"`--set {match[1]}` stands there twice.", next_step="Remove one.")
        settings[match[1]] = match[2]
    return settings


def resolve(root: Node, *, settings: Mapping[str, str], environment: Mapping[str, str]) -> Resolved:
    """Return the tree with every setting put in and every variable replaced; settings win."""
    resolver = _Resolver(settings, environment)
    for key, place in keys(root):
        if "${" in key:
            resolver.note(_in_key(place))
    resolved = resolver.replaced(resolver.overridden(root))
    resolver.find_unused()
    return Resolved(resolved, tuple(resolver.problems))


@dataclass(slots=True)
class _Resolver:
    settings: Mapping[str, str]
    environment: Mapping[str, str]
    problems: list[Diagnostic] = field(default_factory=list)
    used: set[str] = field(default_factory=set)
    room: int = MAX_PLAN_BYTES
    """How many characters variables may still bring: a long one in many places would fill the memory."""

    def note(self, problem: Diagnostic) -> None:
        """Keep a problem, once, and at most a hundred of them."""
        if len(self.problems) < MAX_PROBLEMS and problem not in self.problems:
            self.problems.append(problem)

    def replaced(self, node: Node) -> Node:
        match node:
            case ScalarNode(value=str() as text, place=Place(line=line)) if line and "${" in text:
                # Line 0 is a value of --set, which is taken as it stands.
                return self._replaced_scalar(node, text)
            case SequenceNode():
                return replace(node, items=tuple(self.replaced(item) for item in node.items))
            case MappingNode():
                return replace(
                    node,
                    entries={
                        key: replace(each, node=self.replaced(each.node))
                        for key, each in node.entries.items()
                    },
                )
        return node

    def _replaced_scalar(self, node: ScalarNode, text: str) -> ScalarNode:
        def value_of(match: re.Match[str]) -> str:
            if match["escaped"]:
                return "${"
            if match["broken"]:
                self.note(_broken(node.place))
                return ""
            return self._lookup(match["name"], node.place)

        resolved = _VARIABLE.sub(value_of, text)
        hidden = find_hidden(resolved)
        if hidden is not None:
            self.note(hidden_character(resolved[hidden], node.place))
            resolved = ""  # a lone surrogate cannot even be hashed
        return as_substituted(node, resolved)

    def _lookup(self, name: str, place: Place) -> str:
        self.used.add(name)
        value = self.settings.get(name, self.environment.get(name))
        if value is None:
            self.note(_undefined(name, place))
            return ""
        self.room -= len(value)
        if self.room < 0:
            self.note(_too_large(place))
            return ""
        return value

    def overridden(self, root: Node) -> Node:
        for setting, value in self.settings.items():
            service, dot, key = setting.partition(".")
            owner = ("services", service)
            spot = find(root, owner)
            if dot and spot.path == owner and isinstance(spot.node, MappingNode):
                self.used.add(setting)
                old = spot.node.entries.get(key)
                if old is None or isinstance(old.node, ScalarNode):
                    root = with_entry(root, (*owner, key), self._entry_of(setting, value))
                else:
                    self.note(_no_scalar(setting, old.place))
        return root

    def _entry_of(self, setting: str, value: str) -> Entry:
        place = Place(f"--set {setting}")
        hidden = find_hidden(value)
        if hidden is not None:
            self.note(hidden_character(value[hidden], place))
            value = ""
        return Entry(place, as_substituted(ScalarNode(place, source=f"--set {setting}", value=""), value))

    def find_unused(self) -> None:
        for setting in self.settings:
            if setting not in self.used:
                self.note(_unused(setting))


def _in_key(place: Place) -> Diagnostic:
    return Diagnostic(
        code="bad-variable",
        place=place,
        what="`${` stands in a key.",
        why="Variables are replaced in values only.",
        next_step="Write the key out.",
    )


def _broken(place: Place) -> Diagnostic:
    return Diagnostic(
        code="bad-variable",
        place=place,
        what="`${` begins a variable here, and no name and `}` follow.",
        next_step="Write ${NAME}, or $${ for a literal ${.",
    )


def _undefined(name: str, place: Place) -> Diagnostic:
    return Diagnostic(
        code="undefined-variable",
        place=place,
        what=f"`${{{name}}}` has no value.",
        why="No --set and no environment variable gives it one.",
        next_step=f"Add --set {name}=…, or write $${{{name}}} if no variable is meant.",
    )


def _too_large(place: Place) -> Diagnostic:
    return Diagnostic(
        code="file-too-large",
        place=place,
        what=f"The variables bring more than {MAX_PLAN_BYTES >> 20} MiB into the plan.",
        next_step="Check the values of the variables.",
    )


def _no_scalar(setting: str, place: Place) -> Diagnostic:
    return Diagnostic(
        code="bad-setting",
        place=Place(f"--set {setting}"),
        what=f"The plan holds a list or a mapping there ({place}).",
        why="--set replaces single values only.",
        next_step="Change the plan file, or put a variable into it.",
    )


def _unused(setting: str) -> Diagnostic:
    service, dot, _ = setting.partition(".")
    return Diagnostic(
        code="unused-setting",
        place=Place(f"--set {setting}"),
        what=f"The plan has no service `{service}`." if dot else f"The plan uses `${{{setting}}}` nowhere.",
        why="A setting without effect is most often a slip of the pen.",
        next_step="Correct the name, or remove the setting.",
    )
