"""What the documents show is true: messages fit their schemas, configurations load, links lead to a heading."""

from __future__ import annotations

import json
import re
from pathlib import Path

import jsonschema
import pytest
import yaml

from daemon.config.load import load
from daemon.publish.schemas import schemas
from tests.conftest import ROOT

README = (ROOT / "README.md").read_text(encoding="utf-8")
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def block(language: str) -> str:
    """The README's first fenced block of a language."""
    found = re.search(rf"```{language}\n(.*?)```", README, re.DOTALL)
    assert found
    return found.group(1)


def test_the_message_fits_its_schema() -> None:
    message = json.loads(block("json"))
    jsonschema.Draft202012Validator(schemas()["detections"]).validate(message)
    assert message["objects"]


def test_the_smallest_configuration_loads(tmp_path: Path) -> None:
    file = tmp_path / "gate.yaml"
    file.write_text(block("yaml"))
    assert load(file).cameras["front"].source == "rtsp://camera.local/stream1"
    assert yaml.safe_load(block("yaml")) == yaml.safe_load((ROOT / "configs" / "minimal.yaml").read_text())


def anchors(text: str) -> set[str]:
    """Of a document's headings, as GitHub makes them: of repeated ones the second ends with -1."""
    found: set[str] = set()
    outside = re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE)
    for heading in re.findall(r"^#+ (.+?)\s*$", outside, re.MULTILINE):
        plain = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).lower()
        slug = re.sub(r"[^\w\- ]", "", plain).replace(" ", "-")
        found.add(next(name for name in (slug, *(f"{slug}-{n}" for n in range(1, 99))) if name not in found))
    return found


def broken_links(document: Path) -> list[str]:
    """Relative links to files or headings that are not there."""
    broken = []
    for link in re.findall(r"\]\(([^)\s]+)\)", document.read_text(encoding="utf-8")):
        path, _, anchor = link.partition("#")
        target = document.parent / path if path else document
        if "://" in link:
            continue
        to_heading = bool(anchor) and target.suffix == ".md"
        if not target.exists() or (to_heading and anchor not in anchors(target.read_text(encoding="utf-8"))):
            broken.append(link)
    return broken


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda d: str(d.relative_to(ROOT)))
def test_links_lead_to_a_file_and_a_heading(document: Path) -> None:
    assert broken_links(document) == []


def test_a_broken_link_is_noticed(tmp_path: Path) -> None:
    (tmp_path / "other.md").write_text("# A *title*\n\n## Twice\n\n## Twice\n\n```sh\n# no heading\n```\n")
    good = ("other.md", "other.md#a-title", "other.md#twice-1", "#links", "https://example.com/x#y")
    bad = ("gone.md", "other.md#no-heading", "other.md#twice-2", "#elsewhere")
    document = tmp_path / "links.md"
    document.write_text("# Links\n\n" + "\n".join(f"[x]({link})" for link in (*good, *bad)))
    assert broken_links(document) == list(bad)
