"""Values that come from outside the file: `${NAME}`, `${NAME:-default}` and `!secret NAME`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from engines.text import EncodingError, decode

CREDENTIALS_DIRECTORY = "CREDENTIALS_DIRECTORY"
"""Variable in which systemd passes the folder of a service's credentials, one file each."""

_REFERENCE = re.compile(r"\$\$\{|\$\{(?:(?P<name>[A-Za-z_][A-Za-z0-9_]*)(?::-(?P<default>[^}]*))?\})?")
_SECRET_NAME = re.compile(r"[A-Za-z0-9_.-]{1,255}")


class SubstitutionError(ValueError):
    """An unavailable value; the message is for the user and never holds a value."""


def substitute(text: str, environ: Mapping[str, str]) -> str:
    """`text` with every reference filled in; `$${` stands for `${`. An empty variable takes the default, as in a shell.

    Raises SubstitutionError naming the variable that is not set, or for a reference that cannot be read.
    """

    def value(match: re.Match[str]) -> str:
        if match[0] == "$${":
            return "${"
        name, default = match["name"], match["default"]
        if name is None:
            raise SubstitutionError(
                "holds '${' that is neither ${NAME} nor ${NAME:-default}; write '$${' where '${' is meant"
            )
        found = environ.get(name) or default
        if found is None and name not in environ:
            raise SubstitutionError(
                f"the environment variable {name} is not set; set it, or write ${{{name}:-default}}"
            )
        return found or ""

    return _REFERENCE.sub(value, text)


def references(text: str) -> tuple[str, ...]:
    """The references in `text` as messages may show them: names without defaults."""
    return tuple(f"${{{match['name']}}}" for match in _REFERENCE.finditer(text) if match["name"])


def secret(name: str, environ: Mapping[str, str]) -> str:
    """The systemd credential `name`, else the environment variable, without the line break at its end.

    Raises SubstitutionError where there is neither, or where the credential cannot be read.
    """
    if not _SECRET_NAME.fullmatch(name):
        raise SubstitutionError("!secret takes the name of a credential: letters, digits, '.', '-' and '_'")
    if folder := environ.get(CREDENTIALS_DIRECTORY):
        try:
            return decode((Path(folder) / name).read_bytes()).rstrip("\r\n")
        except FileNotFoundError:
            pass  # not given to this service: the environment is next
        except EncodingError:
            raise SubstitutionError(f"the systemd credential {name} is not UTF-8 text") from None
        except OSError as error:
            raise SubstitutionError(f"the systemd credential {name} cannot be read: {error.strerror}") from None
    if name not in environ:
        raise SubstitutionError(f"there is neither a systemd credential nor an environment variable {name}; give one")
    return environ[name]
