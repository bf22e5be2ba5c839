import json
import subprocess
import sys

import pytest

from qmae.errors import install_command, install_hint


@pytest.mark.parametrize(
    ("noted", "expected"),
    [
        ({"url": "file:///home/me/qmae", "dir_info": {"editable": True}}, "pip install -e '/home/me/qmae[tune]'"),
        ({"url": "file:///home/me/q%20mae", "dir_info": {}}, "pip install '/home/me/q mae[tune]'"),
        (
            {"url": "file:///d/qmae-0.1-py3-none-any.whl", "archive_info": {}},
            "pip install '/d/qmae-0.1-py3-none-any.whl[tune]'",
        ),
        (
            {"url": "https://x.org/qmae", "vcs_info": {"vcs": "git", "commit_id": "abc"}},
            "pip install 'qmae[tune] @ git+https://x.org/qmae'",
        ),
        ({"url": "https://x.org/qmae.zip", "archive_info": {}}, "pip install 'qmae[tune] @ https://x.org/qmae.zip'"),
        (None, "pip install 'qmae[tune]'"),
    ],
)
def test_the_command_is_by_how_the_package_was_installed(tmp_path, noted, expected):
    assert install_command("tune", noted and json.dumps(noted), source=tmp_path) == expected


def test_from_a_checkout_that_is_not_installed_it_is_the_checkout(tmp_path):
    (tmp_path / "pyproject.toml").touch()
    assert install_command("peers", None, source=tmp_path) == f"pip install -e '{tmp_path}[peers]'"


def test_pip_takes_the_command():
    words = install_hint("lint")
    assert words.startswith("pip install ")
    checked = subprocess.run(
        ["sh", "-c", f'"{sys.executable}" -m {words} --dry-run --no-deps --no-build-isolation -qq --no-index || true'],
        capture_output=True,
        text=True,
        check=True,
    )
    assert "Invalid requirement" not in checked.stderr
