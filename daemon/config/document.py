"""One configuration file as plain values, and its mistakes, each with its line and dotted path."""

from __future__ import annotations

import re
import string
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import yaml

from daemon.config.credentials import shown_source, without_credentials
from daemon.config.environment import SubstitutionError, references, secret, substitute
from daemon.config.syntax import MERGE, NULL, TEXT

KeyPath = Sequence[str | int]

_SECRET = "!secret"  # noqa: S105 - a YAML tag
_PLAIN_TAGS = {TEXT, NULL, MERGE, *(f"tag:yaml.org,2002:{name}" for name in ("int", "float", "bool", "map", "seq"))}
_AROUND = string.whitespace + "\u00a0\u200b\u2060\ufeff"
"""what comes along when a value is copied from a web page or a file of another system"""
_LONGEST_SHOWN = 80
_PLAIN_NAME = re.compile(r"[A-Za-z0-9_-]{1,80}|<<")
_PLAIN_NUMBER = re.compile(r"[+-]?[0-9]{1,30}(\.[0-9]{1,30})?")


class _Entry(NamedTuple):
    key: yaml.Node
    value: yaml.Node


class Document:
    """The values of a node graph: text as written, None, lists and mappings by text; and the mistakes found in them."""

    def __init__(self, name: str, root: yaml.MappingNode, environ: Mapping[str, str]) -> None:
        self._name = name
        self._root = root
        self._environ = environ
        self._problems: dict[str, int] = {}
        # By identity of a collection's content, which all its aliases share: each is read once, however often it is
        # used, so that neither a ring nor a pyramid of aliases costs more than its text.
        self._values: dict[int, object] = {}
        self._entries: dict[int, dict[str, _Entry]] = {}
        self._open: set[int] = set()
        self._origins: dict[int, str] = {}
        self._unusable: set[int] = set()
        self.values = self._value(root, ())

    @property
    def problems(self) -> tuple[str, ...]:
        """A line for each mistake, in the order of the file."""
        return tuple(sorted(self._problems, key=lambda problem: self._problems[problem]))

    def report(self, path: KeyPath, sentence: str, *, at_key: bool = False, show_value: bool = False) -> None:
        """Notes a mistake at `path`, or at the innermost part of it that the file has.

        Nothing is noted about a value for which a mistake was noted while it was read.
        """
        key, value, written = self._find(path)
        if written and not at_key and id(value) in self._unusable:
            return
        if show_value and written:
            sentence += self._shown(value)
        at_value = written and not at_key and isinstance(value, yaml.ScalarNode)
        self._note(value if at_value else key, path, sentence)

    def keeps_secret(self, path: KeyPath) -> bool:
        """Whether the value comes from outside the file, so that it is not to be shown."""
        return id(self._find(path)[1]) in self._origins

    def hiding_value(self, path: KeyPath, sentence: str) -> str:
        """The sentence without the value at `path`, if that comes from outside the file."""
        if not self.keeps_secret(path):
            return sentence
        value: object = self.values
        for part in path:
            value = value[part] if isinstance(value, dict) else None
        return sentence.replace(value, "what it names") if isinstance(value, str) and value else sentence

    def _note(self, node: yaml.Node, path: KeyPath, sentence: str) -> None:
        line = node.start_mark.line + 1
        where = f"{dotted(path)}: " if path else ""
        self._problems.setdefault(f"{self._name}:{line}: {where}{without_credentials(sentence)}", line)

    def _find(self, path: KeyPath) -> tuple[yaml.Node, yaml.Node, bool]:
        """The key and value nodes at `path`, or of the innermost part that is there, and whether all of it is."""
        key: yaml.Node = self._root
        value: yaml.Node = self._root
        for part in path:
            if isinstance(value, yaml.MappingNode):
                entry = self._entries.get(id(value.value), {}).get(str(part))
                if entry is None:
                    return key, value, False
                key, value = entry
            elif isinstance(value, yaml.SequenceNode) and isinstance(part, int):
                key = value = value.value[part]
            else:
                return key, value, False
        return key, value, True

    def _shown(self, node: yaml.Node) -> str:
        if origin := self._origins.get(id(node)):
            return f"; it comes from {origin} and is not shown"
        if isinstance(node, yaml.ScalarNode):
            return f", got {shown(node.value)}" if node.tag != NULL else ", got nothing"
        return ", got a mapping" if isinstance(node, yaml.MappingNode) else ", got a list"

    def _value(self, node: yaml.Node, path: KeyPath) -> object:
        if isinstance(node, yaml.ScalarNode):
            return self._scalar(node, path)
        if node.tag not in _PLAIN_TAGS:
            self._unknown_tag(node, path)
        content = id(node.value)
        if content in self._open:
            self._refuse(node, path, "contains itself through an alias")
            return None
        if content not in self._values:
            self._open.add(content)
            if isinstance(node, yaml.MappingNode):
                entries = self._entries_of(node, path)
                self._values[content] = {key: self._value(entry.value, (*path, key)) for key, entry in entries.items()}
            else:
                self._values[content] = [self._value(item, (*path, index)) for index, item in enumerate(node.value)]
            self._open.remove(content)
        return self._values[content]

    def _scalar(self, node: yaml.ScalarNode, path: KeyPath) -> str | None:
        if node.tag == NULL:
            if not node.value:  # `tls:` with nothing after it must not quietly mean no encryption; `tls: null` may
                self._refuse(node, path, "has no value; give it one, or take the key out")
            return None
        if node.tag != _SECRET and node.tag not in _PLAIN_TAGS:
            self._unknown_tag(node, path)
            return ""
        try:
            return self._filled_in(node, path)
        except SubstitutionError as error:
            self._refuse(node, path, str(error))
        except UnicodeEncodeError:
            self._refuse(node, path, "has characters that are not Unicode text")
        return ""

    def _filled_in(self, node: yaml.ScalarNode, path: KeyPath) -> str:
        if node.tag == _SECRET:
            self._origins[id(node)] = f"{_SECRET} {node.value}"
            text = secret(node.value, self._environ)
        else:
            if names := references(node.value):
                self._origins[id(node)] = " and ".join(names)
            text = substitute(node.value, self._environ)
        if not str(path[-1]).endswith("password"):  # which may begin or end with a blank
            text = text.strip(_AROUND)
        text.encode()  # an escape or a variable can hold half of a character, which no message could carry
        return text

    def _entries_of(self, node: yaml.MappingNode, path: KeyPath) -> dict[str, _Entry]:
        """A mapping's own entries over the ones that it merges (<<)."""
        own: dict[str, _Entry] = {}
        for key, value in node.value:
            if not isinstance(key, yaml.ScalarNode):
                self._note(key, path, "a key must be text, not a list or a mapping")
            elif key.tag not in _PLAIN_TAGS:
                self._unknown_tag(key, path)
            elif key.value in own:
                first = own[key.value].key.start_mark.line + 1
                self._note(key, (*path, key.value), f"is given twice, first on line {first}")
                self._value(value, (*path, key.value))
            else:
                own[key.value] = _Entry(key, value)
        merged: dict[str, _Entry] = {}
        if "<<" in own and own["<<"].key.tag == MERGE:
            merged = self._merged(own.pop("<<"), path)
        self._entries[id(node.value)] = {**merged, **own}
        return self._entries[id(node.value)]

    def _merged(self, merge: _Entry, path: KeyPath) -> dict[str, _Entry]:
        """What << brings in; of several mappings the first one that has a key gives it."""
        several = isinstance(merge.value, yaml.SequenceNode)
        merged: dict[str, _Entry] = {}
        for node in reversed(merge.value.value) if several else [merge.value]:
            if not isinstance(node, yaml.MappingNode):
                self._note(merge.key, (*path, "<<"), "must be an alias of a mapping (*name), or a list of them")
            elif self._value(node, path) is not None:
                merged.update(self._entries[id(node.value)])
        return merged

    def _unknown_tag(self, node: yaml.Node, path: KeyPath) -> None:
        # The tag is not shown: it may be the beginning of a password written without quotes.
        self._refuse(node, path, "has an unknown tag; only !secret is known, and text that begins with ! needs quotes")

    def _refuse(self, node: yaml.Node, path: KeyPath, sentence: str) -> None:
        self._unusable.add(id(node))
        self._note(node, path, sentence)


def dotted(path: KeyPath) -> str:
    """The path as messages write it: `cameras.front.labels[0]`, parts that are no plain name in quotes."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            text += f".{part if _PLAIN_NAME.fullmatch(part) else shown(part)}"
    return text.removeprefix(".")


def shown(text: str) -> str:
    """A value as messages write it: numbers as they are, other text in quotes, long text cut, credentials taken out."""
    text = shown_source(text)
    if _PLAIN_NUMBER.fullmatch(text):
        return text
    return repr(text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}…")
