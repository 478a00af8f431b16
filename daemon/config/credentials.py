"""Hides credentials in a source."""

from __future__ import annotations

import re

_URL_CREDENTIALS = re.compile(r"(?<=://)(?:[^/@\s]*@)+|(?<=://)[^/:@\s]*:(?!\d+(?:/|\s|$))[^\s@]*@")
_NAMED_CREDENTIALS = re.compile(r"(?i)\b([\w-]*(?:pass|password|passwd|pwd|pw|token|secret)=)(?:\"[^\"]*\"|[^&\s\"']+)")


def without_credentials(source: str) -> str:
    """The source without the user and password of any URL or pipeline in it, fit for logs and messages."""
    return _NAMED_CREDENTIALS.sub(r"\1***", _URL_CREDENTIALS.sub("", source))
