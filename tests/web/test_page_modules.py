"""The files of the page: their own tests in Node.js, and what no file may have."""

from __future__ import annotations

import gzip
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.conftest import ROOT, missing
from tests.test_layout import LONGEST_FILE

STATIC = ROOT / "daemon" / "web" / "static"
FILES = sorted(STATIC.iterdir())
MODULES = [file for file in FILES if file.suffix == ".js"]
PURE = {"geometry.js", "history.js", "shapes.js", "format.js", "tracks.js"}
"""modules that know no document"""
MARKUP = re.compile(
    r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|DOMParser|setHTML|srcdoc|\beval\(|new Function"
)
STYLE = re.compile(r"""\sstyle=["']|["']style["']\s*:""")
MOST = 100_000
"""bytes of the whole page as a browser fetches it, compressed"""


def test_the_modules_pass_their_own_tests() -> None:
    if not shutil.which("node"):
        missing("Node.js", "apt-get install nodejs")
    tests = sorted(str(file) for file in (Path(__file__).parent / "page").glob("*.test.mjs"))
    done = subprocess.run(["node", "--test", *tests], check=False, capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-1000:]


@pytest.mark.parametrize("file", [file for file in FILES if file.suffix in {".js", ".css"}], ids=lambda file: file.name)
def test_a_file_is_short_and_its_own(file: Path) -> None:
    text = file.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= LONGEST_FILE
    assert not MARKUP.search(text), "only dom.js makes elements, and never from text"
    assert not STYLE.search(text), "the content security policy takes no style attributes"
    assert not re.search(r"https?://(?!www\.w3\.org/2000/svg)", text), "nothing comes from elsewhere"


def test_only_pure_modules_are_pure() -> None:
    named = re.compile(r"\b(document|window|navigator|fetch|WebSocket|sessionStorage|localStorage)\b\s*[.(\[]")
    code = {
        file.name: re.sub(r"/\*.*?\*/|//[^\n]*", "", file.read_text(encoding="utf-8"), flags=re.DOTALL)
        for file in MODULES
    }
    assert {name for name in PURE if named.search(code[name])} == set()


def test_every_module_is_there_and_used() -> None:
    imported = {"main.js"}
    for file in MODULES:
        for name in re.findall(r"""from "\./([\w.]+)";""", file.read_text(encoding="utf-8")):
            assert (STATIC / name).is_file(), f"{file.name} imports {name}"
            imported.add(name)
    assert imported == {file.name for file in MODULES}
    page = (STATIC / "index.html").read_text(encoding="utf-8")
    named = set(re.findall(r'(?:src|href)="([\w.]+)"', page))
    assert named | imported == {file.name for file in FILES if file.name != "index.html"}
    assert not re.search(r"<script(?![^>]*\ssrc=)|\son\w+=", page), "no inline script"


def test_the_page_is_small() -> None:
    assert sum(len(gzip.compress(file.read_bytes(), 9)) for file in FILES) < MOST
