"""What the documents show is true: messages fit their schemas, configurations load, links lead somewhere."""

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


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda d: str(d.relative_to(ROOT)))
def test_links_lead_somewhere(document: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)", document.read_text(encoding="utf-8")):
        assert "://" in target or (document.parent / target).exists(), target
