"""Removes secrets from the support bundle; when in doubt, harmless text too."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from urllib.parse import quote, unquote

import yaml

from daemon.config.credentials import without_credentials
from daemon.config.environment import CREDENTIALS_DIRECTORY

HIDDEN = "***"
_SECRET_NAME = re.compile(r"(?i)pass|pwd|secret|token|key(?!alive)|credential|auth")
_DEFAULT = re.compile(r"(\$\{\w+:-)[^}]*")
_URL = re.compile(r"[a-zA-Z][a-zA-Z0-9+.-]*://[^\s\"'<>]+")
_QUERY = re.compile(r"\?[^\s\"'<>]*")
_CREDENTIALS = re.compile(r"://([^/\s]*)@")
_SHORTEST = 3
"""characters; a shorter secret is hidden where it stands as one, not wherever the letters occur"""


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
                found.update(file.read_text(encoding="utf-8", errors="replace").split("\n"))
    return found


def credentials_in(source: str) -> set[str]:
    """The password of every URL in a camera's source, and the values behind its question mark."""
    found: set[str] = set()
    for url in _URL.findall(source):
        for login in _CREDENTIALS.findall(url):
            found.add(login.partition(":")[2] or login)
        found.update(part.partition("=")[2] for part in url.partition("?")[2].split("&"))
    return found


def scrubbed(text: str, secrets: Iterable[str]) -> str:
    """The text with every secret hidden, however it is quoted, and without what URLs hold beside their address."""
    forms = {form for secret in secrets for form in _forms(secret)}
    for form in sorted(forms, key=len, reverse=True):
        text = text.replace(form, HIDDEN)
    text = _URL.sub(lambda url: _QUERY.sub("?" + HIDDEN, without_credentials(url[0])), text)
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
        node.value = scrubbed(_DEFAULT.sub(r"\1" + HIDDEN, text), ())
