"""What a configuration says about a model's input, and the mistakes in it."""

from __future__ import annotations

from pathlib import Path

import pytest

from daemon.config.load import load
from daemon.errors import ConfigError
from engines.records import Fit, InputOverride


def configured(folder: Path, given: str) -> InputOverride:
    file = folder / "cameras.yaml"
    model = f"  default: {{input: {given}}}\n"
    file.write_text(f"device: a\nmqtt: {{host: h}}\nmodels:\n{model}cameras:\n  front: {{source: 0}}\n")
    return load(file, {}).models["default"].input.override()


@pytest.mark.parametrize(
    ("given", "override"),
    [
        ("{}", InputOverride()),
        ("{fit: top-left, pad: 0, color: bgr}", InputOverride(fit=Fit.TOP_LEFT, pad=0, rgb=False)),
        ("{color: rgb, scale: 0.5}", InputOverride(rgb=True, scale=0.5)),
        ("{size: [480, 640]}", InputOverride(size=(480, 640))),
        ("{mean: [1, 2, 3], std: [1, 1, 1.5]}", InputOverride(mean=(1, 2, 3), std=(1, 1, 1.5))),
    ],
)
def test_what_is_given_overrides(tmp_path: Path, given: str, override: InputOverride) -> None:
    assert configured(tmp_path, given) == override


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("{fit: center}", "fit: must be one of centred, top-left, stretch, got 'center'"),
        ("{size: [480]}", "size: must be two numbers, height and width"),
        ("{size: [480, 0]}", "size[1]: must be a whole number from 32 to 8192, got 0"),
        ("{pad: 300}", "pad: must be a whole number from 0 to 255, got 300"),
        ("{color: grey}", "color: must be one of rgb, bgr, got 'grey'"),
        ("{scale: 0}", "scale: must be a positive number, got 0"),
        ("{mean: [1, 2]}", "mean: must be three numbers, one for each channel"),
        ("{mean: 3}", "mean: must be a list, got 3"),
        ("{std: [1, 0, 1]}", "std[1]: must be a positive number, got 0"),
        ("{colour: rgb}", "colour: is not a known key; did you mean 'color'?"),
    ],
)
def test_mistakes(tmp_path: Path, given: str, message: str) -> None:
    with pytest.raises(ConfigError) as error:
        configured(tmp_path, given)
    assert str(error.value) == f"{tmp_path}/cameras.yaml:4: models.default.input.{message}"
