"""Class names as people and exporters write them, and how many there must be."""

from __future__ import annotations

import codecs
from pathlib import Path

import pytest

from engines.errors import LabelsError
from engines.label_file import NAMELESS, read_label_file
from engines.labels import COCO
from engines.model import read_model

FUSSGAENGER = "Fu\u00dfg\u00e4nger\nVelo"
UMLAUTS = ("Fu\u00dfg\u00e4nger", "Velo")
CYRILLIC = "\u043a\u043e\u0442"


@pytest.mark.parametrize(
    ("content", "names"),
    [
        ("cat\ndog", ("cat", "dog")),
        ("cat\r\ndog\r\n", ("cat", "dog")),
        ("cat\rdog\r", ("cat", "dog")),
        ("\n cat \n\n\tdog\n\n", ("cat", "dog")),
        ("# animals\ncat\n// others\ndog # barks\nC#\n", ("cat", "dog", "C#")),
        ("traffic light\nstop sign", ("traffic light", "stop sign")),
        ("0  cat\n1  dog", ("cat", "dog")),
        ("0: cat\n1: traffic light", ("cat", "traffic light")),
        ("0,cat\n1,dog", ("cat", "dog")),
        ("0\tcat\r\n1\tdog\r\n", ("cat", "dog")),
        ("1. cat\n2. dog", ("cat", "dog")),
        ("1) cat\n2) dog", ("cat", "dog")),
        ("# from 0\n0 cat\n\n2 dog", ("cat", NAMELESS, "dog")),
        ("5 cent\n10 cent\n20 cent", ("5 cent", "10 cent", "20 cent")),
        ("1 cent\n2 cent", ("1 cent", "2 cent")),
        ("0\n1\n2", ("0", "1", "2")),
        ("3d printer\n4x4", ("3d printer", "4x4")),
        ("'cat',\n'dog',\n", ("cat", "dog")),
        ("???\ncat", (NAMELESS, "cat")),
        ("cat\n\ufeffdog", ("cat", "dog")),
        ("cat 0\ntraffic light 1", ("cat", "traffic light")),
        ("cat,0\ndog,1\n", ("cat", "dog")),
        ("gate 1\ngate 2", ("gate 1", "gate 2")),
        ("car\nroute 66\nfloor 2", ("car", "route 66", "floor 2")),
        ("id,name\n0,cat\n1,dog", ("cat", "dog")),
        ("id,name\ncat\ndog", ("id,name", "cat", "dog")),
        ("- cat\n- traffic light\n", ("cat", "traffic light")),
        ("* cat\n* dog", ("cat", "dog")),
        ("labels:\n- cat\n- dog\n", ("cat", "dog")),
        ("classes: [cat, dog]", ("cat", "dog")),
        ("# data\npath: ../x\nnc: 2\nnames: ['cat', \"dog\"]\n", ("cat", "dog")),
        ("names:\n  0: yes\n  1: 007\n", ("yes", "007")),
        ("names:\n- cat\n- traffic light\n", ("cat", "traffic light")),
        ('{"id2label": {"0": "cat", "1": "dog"}, "model_type": "detr"}', ("cat", "dog")),
        ('["cat", "dog"]', ("cat", "dog")),
        ("names: {cat: 0, dog: 1}", ("cat", "dog")),
        ("item {\n  id: 1\n  name: 'cat'\n}\nitem { name: \"dog\" id: 2 }", ("cat", "dog")),
        ('item { name: "/m/01" id: 1 display_name: "cat" }\nitem { name: "/m/02" id: 3 display_name: "dog" }',
         ("cat", NAMELESS, "dog")),
    ],
)  # fmt: skip
def test_names_are_read_as_they_are_written(tmp_path: Path, content: str, names: tuple[str, ...]) -> None:
    file = tmp_path / "labels.txt"
    file.write_bytes(content.encode())
    assert read_label_file(file) == names
    file.write_bytes(codecs.BOM_UTF8 + content.encode())
    assert read_label_file(file) == names


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32", "latin-1", "cp1252"])
def test_encodings(tmp_path: Path, encoding: str) -> None:
    file = tmp_path / "labels.txt"
    file.write_bytes(FUSSGAENGER.encode(encoding))
    assert read_label_file(file) == UMLAUTS
    file.write_bytes("Fu\u00dfga\u0308nger\nVelo".encode() if encoding.startswith("utf") else file.read_bytes())
    assert read_label_file(file) == UMLAUTS, "a letter and its accent apart, as on a Mac"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "labels.txt: holds no class names; write one a line"),
        (b"\n# nothing\n", "labels.txt: holds no class names; write one a line"),
        (b"cat\n" + CYRILLIC.encode("cp1251"), "labels.txt:2: is not UTF-8 text; save the file as UTF-8"),
        (b"cat\ndog\n\xff\xff\x00", "labels.txt: is not a text file; give a file with one class name a line"),
        ("cat".encode("utf-16-le"), "labels.txt: is not a text file, or UTF-16 without its mark; save it as UTF-8"),
        (b"cat\n\x1b[2J", "labels.txt:2: has a control character; a class name is plain text"),
        (b"<!DOCTYPE html>\n<html>", "labels.txt: is a web page or XML and not a list"),
        (b"animals\n0,cat\n1,dog\n2,cow", "labels.txt:1: has no index although other lines have one"),
        (b"classes = 2\nnames = data/coco.names\n", "labels.txt: is a Darknet data file"),
        (b"nc: 3\nnames: [cat, dog]", "labels.txt: has 2 names but says nc: 3; correct one of them"),
        (b"nc: 2\nnames: [cat, dog", "labels.txt:2: is not YAML or JSON"),
        (b"names: {0: [cat]}", "labels.txt: has no list of class names under the key `names`"),
        (b"item { id: 1 }", "labels.txt: an item of the label map lacks its id or name"),
    ],
)
def test_what_is_no_list_of_names_is_refused(tmp_path: Path, content: bytes, message: str) -> None:
    file = tmp_path / "labels.txt"
    file.write_bytes(content)
    with pytest.raises(LabelsError) as error:
        read_label_file(file)
    assert str(error.value).removeprefix(f"{tmp_path}/").startswith(message)


@pytest.mark.parametrize("names", [COCO[:-1], (*COCO, "tree", "house"), ("cat",)], ids=["79", "82", "1"])
def test_a_wrong_number_of_labels_is_told_with_both_numbers(
    tmp_path: Path, material: Path, names: tuple[str, ...]
) -> None:
    """Also where the number would have decided between families."""
    file, model = tmp_path / "labels.txt", material / "models" / "yolox_nano_416.onnx"
    file.write_text("\n".join(names))
    plural = "" if len(names) == 1 else "s"
    for family in ("auto", "yolox"):
        with pytest.raises(LabelsError) as error:
            read_model(model, family, labels=str(file))
        assert f"{file} has {len(names)} label{plural} but {model} has 80 classes" in str(error.value)


def test_other_forms_of_coco_serve_a_real_model(tmp_path: Path, material: Path) -> None:
    file = tmp_path / "labels.txt"
    file.write_bytes("\r\n".join(f"{index}  {name}" for index, name in enumerate(COCO)).encode("utf-16"))
    assert read_model(material / "models" / "yolox_nano_416.onnx", labels=str(file)).labels == COCO
