"""Removes secrets from the support bundle; when in doubt, harmless text too."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from urllib.parse import quote, unquote

import yaml

from daemon.config.credentials import HIDDEN, shown_source, without_credentials
from daemon.config.environment import CREDENTIALS_DIRECTORY
from engines.text import EncodingError, decode

_SECRET_NAME = re.compile(r"(?i)pass|pwd|secret|token|key(?!alive)|credential|auth")
_DEFAULT = re.compile(r"(\$\{\w+:-)[^}]*")
_BEHIND_SCHEME = re.compile(r"(?s)[a-zA-Z][a-zA-Z0-9+.-]*:/+(.*)")
_LOGIN = re.compile(r"(?s)(.*)@")
_MORE = re.compile(r"(?s)[?#].*|/[^/]*=.*")
_QUOTED = re.compile(r'"((?:\\.|[^"\\])*)"|=([^\s"]+)')
_SEPARATOR = re.compile(r"[@/?#&=:;\s]+")
_ADDRESS = re.compile(r"\d+(?:\.\d+){3}")
_SHORTEST = 3
"""characters; a shorter secret is hidden where it stands as one, not wherever the letters occur"""
_SHORTEST_PART = 4
"""characters of a part of a credential between special characters"""


def configuration(text: str) -> tuple[str, set[str]]:
    """A configuration without its secrets and comments, and the secrets that were in it.

    Raises yaml.YAMLError where it cannot be read, so that its secrets cannot be found.
    """
    root = yaml.compose(text, yaml.SafeLoader)
    if root is None:
        return "", set()
    found: set[str] = set()
    _hide(root, False, found, set())
    return str(yaml.serialize(root, allow_unicode=True)), found


def known(environ: Mapping[str, str] = os.environ) -> set[str]:
    """Secrets that this process can see: of its environment those whose names say so, and systemd's credentials."""
    found = {value for name, value in environ.items() if _SECRET_NAME.search(name)}
    if folder := environ.get(CREDENTIALS_DIRECTORY):
        for file in Path(folder).iterdir():
            if file.is_file():
                found.update(_decoded(file).splitlines())
    return found


def _decoded(file: Path) -> str:
    data = file.read_bytes()
    try:
        return decode(data)
    except EncodingError:
        return data.decode("utf-8", "replace")


def credentials_in(source: str) -> set[str]:
    """What may be a credential in a camera's source, whole and in parts, in whatever way its URL is read."""
    found = {source} if shown_source(source) != source else set()
    if re.search(r"\s!\s", source):
        for quoted, plain in _QUOTED.findall(source):
            found |= credentials_in(quoted or plain) if "://" in quoted + plain else {quoted or plain}
        return found
    url = _BEHIND_SCHEME.search(source)
    rest = url[1] if url else source
    if (login := _LOGIN.match(rest)) is not None:
        found |= {login[1], login[1].partition(":")[2]}
        found |= _parts(login[1])
    if url and (more := _MORE.search(rest)) is not None:
        found |= {part.partition("=")[2] or part for part in re.split(r"[?#&/]", more[0])}
        found |= _parts(more[0])
    return found - {""}


def _parts(text: str) -> set[str]:
    """Between special characters; without addresses, which stand there where a password has special characters."""
    parts = _SEPARATOR.split(text)
    return {part for part in parts if len(part) >= _SHORTEST_PART and not _ADDRESS.fullmatch(part)}


def scrubbed(text: str, secrets: Iterable[str]) -> str:
    """The text with every secret hidden, however it is quoted, and without what URLs hold beside their address."""
    forms = {form for secret in secrets for form in _forms(secret)}
    for form in sorted(forms, key=len, reverse=True):
        text = text.replace(form, HIDDEN)
    return without_credentials(text)


def _forms(secret: str) -> set[str]:
    forms = {secret, secret.strip(), unquote(secret), quote(secret, safe=""), quote(secret)}
    forms |= {form.replace("\\", "\\\\").replace('"', '\\"') for form in forms}
    return {form for form in forms if len(form) >= _SHORTEST}


def _hide(node: yaml.Node, secret: bool, found: set[str], seen: set[int]) -> None:
    """Changes the scalars below `node`; `secret`: the key above says that they are."""
    if id(node) in seen:
        return
    seen.add(id(node))
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            _hide(key, False, found, seen)
            _hide(value, secret or bool(_SECRET_NAME.search(str(key.value))), found, seen)
    elif isinstance(node, yaml.SequenceNode):
        for item in node.value:
            _hide(item, secret, found, seen)
    elif node.tag != "!secret":
        _hide_scalar(node, secret, found)


def _hide_scalar(node: yaml.Node, secret: bool, found: set[str]) -> None:
    text = str(node.value)
    if secret:
        found.add(text)
        node.value = HIDDEN
    else:
        found.update(credentials_in(text))
        node.value = shown_source(_DEFAULT.sub(r"\1" + HIDDEN, text))
