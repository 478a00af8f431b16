"""From a configuration file to the YAML node graph, each mistake of file or syntax in one line."""

from __future__ import annotations

import copy
import re
from pathlib import Path
from typing import Any

import yaml

from daemon.config.credentials import shown_source
from daemon.errors import ConfigError
from engines.text import EncodingError, decode

TEXT = "tag:yaml.org,2002:str"
NULL = "tag:yaml.org,2002:null"
MERGE = "tag:yaml.org,2002:merge"


class _Loader(yaml.SafeLoader):
    """Leaves every plain scalar as the text that was written, except null and <<.

    The schema then says what a value must be, so `device: 007` and `device: on` are names and `port: on` is no number.
    """

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012 - as in the base class

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        """An alias becomes a copy that shares its content and carries the alias's own line."""
        if not self.check_event(yaml.AliasEvent):
            return super().compose_node(parent, index)
        mark = self.peek_event().start_mark  # type: ignore[no-untyped-call] # types-PyYAML leaves it untyped
        node = copy.copy(super().compose_node(parent, index))
        if isinstance(node, yaml.Node):
            node.start_mark = mark
        return node


_Loader.add_implicit_resolver(NULL, re.compile(r"^(?:~|null|Null|NULL|)$"), ["~", "n", "N", ""])
_Loader.add_implicit_resolver(MERGE, re.compile(r"^<<$"), ["<"])


def read(path: Path) -> str:
    """The file's text. Raises ConfigError, naming the file as it was given."""
    name = shown_source(str(path))
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise ConfigError([f"{name}: no such file"]) from None
    except IsADirectoryError:
        raise ConfigError([f"{name}: is a folder; name the configuration file in it"]) from None
    except OSError as error:
        raise ConfigError([f"{name}: cannot be read: {error.strerror}"]) from None
    try:
        return decode(content)
    except EncodingError as error:
        raise ConfigError([f"{path}:{error.line}: is not UTF-8 text; save the file as UTF-8"]) from None


def compose(name: str, text: str) -> yaml.MappingNode:
    """The file's node graph. Raises ConfigError where it is not one YAML mapping; `name` is how messages call it."""
    try:
        root = yaml.compose(text, _Loader)
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        sentence = f"is not YAML: a control character (U+{error.character:04X})"
        raise ConfigError([f"{name}:{line}: {sentence}"]) from None
    except yaml.MarkedYAMLError as error:
        raise ConfigError([f"{name}:{_syntax(error, text)}"]) from None
    except RecursionError:
        raise ConfigError([f"{name}: is nested too deeply for a configuration"]) from None
    if root is None:
        raise ConfigError([f"{name}: is empty; the smallest useful file gives device, mqtt and cameras"])
    if not isinstance(root, yaml.MappingNode):
        what = "a list" if isinstance(root, yaml.SequenceNode) else "text"
        line = root.start_mark.line + 1
        raise ConfigError([f"{name}:{line}: must be a mapping that gives device, mqtt and cameras, got {what}"])
    return root


# What PyYAML says, and what is said to the user. Nothing here repeats the file's text: it may be a password.
_PLAIN_SENTENCES = (
    (r"found character '\\t' that cannot start", "a tab; indent with spaces"),
    (r"found character '(.)' that cannot start", r"text that begins with \1 needs quotes"),
    (r"mapping values are not allowed", "a ':' where none can be; check the indentation, or put the text in quotes"),
    (r"could not find expected ':'", "a key without ':'"),
    (r"expected <block end>", "does not belong here; check the indentation and the quotes"),
    (r"undefined alias", "an alias (*name) of nothing above; text that begins with * needs quotes"),
    (r"second occurrence", "an anchor (&name) that is already taken; text that begins with & needs quotes"),
    (r"undefined tag handle|tag", "a tag that YAML does not know; text that begins with ! needs quotes"),
    (r"expected ',' or '([\]}])'", r"a ',' or '\1' is missing"),
    (r"expected the node content", "a value is missing"),
    (r"found unexpected end of stream", "a quote that is never closed"),
    (r"another document", "a second document ('---'); a configuration is one document"),
)


def _syntax(error: yaml.MarkedYAMLError, text: str) -> str:
    """'LINE: is not YAML at column COLUMN: …'."""
    problem = error.problem or ""
    for pattern, plain in _PLAIN_SENTENCES:
        if match := re.search(pattern, problem):
            sentence = match.expand(plain)
            break
    else:
        sentence = re.sub(r",? but (found|got).*", "", problem, flags=re.DOTALL)
    # PyYAML notices a key without ':' on a later line, and an unclosed quote at the end of the file.
    begins_earlier = "expected ':'" in problem or "end of stream" in problem
    mark = (error.context_mark if begins_earlier else None) or error.problem_mark
    if mark is None:
        return f" is not YAML: {sentence}"
    if sentence.endswith("is missing") and text[: mark.index + 1].endswith("${"):
        sentence = "${…} needs quotes inside { } and [ ]"
    return f"{mark.line + 1}: is not YAML at column {mark.column + 1}: {sentence}"
