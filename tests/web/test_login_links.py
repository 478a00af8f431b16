"""Links that log in: made by root too, in a folder of the page's user."""

from __future__ import annotations

import os
import pwd
from pathlib import Path

import pytest

from daemon.system.login_links import make_token, take_token


def test_a_token_is_good_once(tmp_path: Path) -> None:
    token = make_token(tmp_path / "run", "box")
    assert not take_token(tmp_path / "run", "box", token + "x")
    assert take_token(tmp_path / "run", "box", token)
    assert not take_token(tmp_path / "run", "box", token)
    assert (tmp_path / "run" / "box.links").stat().st_mode & 0o777 == 0o700


def test_no_link_leads_out_of_the_folder(tmp_path: Path) -> None:
    """Root would give the folder there to the page's user."""
    elsewhere, runtime = tmp_path / "etc", tmp_path / "run"
    elsewhere.mkdir()
    runtime.mkdir()
    (runtime / "box.links").symlink_to(elsewhere)
    owner = elsewhere.stat().st_uid
    if os.geteuid() == 0:
        os.chown(runtime, pwd.getpwnam("nobody").pw_uid, -1)
    with pytest.raises(OSError, match=r"Not a directory|Too many levels"):
        make_token(runtime, "box")
    assert not list(elsewhere.iterdir())
    assert elsewhere.stat().st_uid == owner


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_what_root_makes_is_the_page_user_s(tmp_path: Path) -> None:
    runtime, user = tmp_path / "run", pwd.getpwnam("nobody").pw_uid
    runtime.mkdir()
    os.chown(runtime, user, -1)
    make_token(runtime, "box")
    folder = runtime / "box.links"
    assert {path.stat().st_uid for path in (folder, *folder.iterdir())} == {user}
