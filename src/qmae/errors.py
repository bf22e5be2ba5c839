"""What is refused, and the command that installs what is missing."""

from __future__ import annotations

import json
import shlex
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from urllib.parse import unquote, urlsplit

INSTALLED = "direct_url.json"
"""Where installers note what was installed that was no name (PEP 610)."""


class InputError(ValueError):
    """An argument, a file or an image that qmae cannot use.

    The message is one line that says what is wrong, why, and how to mend it; the command line prints it
    and exits with code 2.
    """

    def __init__(self, message: str) -> None:
        # Messages of other libraries, quoted in ours, may run over several lines.
        super().__init__(" ".join(message.split()))


class DivergenceError(InputError):
    """A training in which a loss, a gradient or a parameter is no longer finite."""


def install_hint(extra: str) -> str:
    """The command that installs an extra of this package.

    Args:
        extra: `"tune"`, `"qiskit"`, `"peers"`.
    """
    try:
        noted = distribution("qmae").read_text(INSTALLED)
    except PackageNotFoundError:
        noted = None
    return install_command(extra, noted, source=Path(__file__).parents[2])


def install_command(extra: str, noted: str | None, *, source: Path) -> str:
    """The command for an extra, by what was noted when the package was installed.

    Args:
        extra: its name.
        noted: the text of `direct_url.json`; None if the package was installed by its name, or not at all.
        source: the folder that holds the project, if the package is run from there.

    Returns:
        `pip install` with the folder or file that was installed, a repository's address, or the name.
    """
    url = json.loads(noted) if noted else {}
    address = str(url.get("url", ""))
    if "vcs_info" in url:
        return _command(f"qmae[{extra}] @ {url['vcs_info']['vcs']}+{address}")
    if address.startswith("file:"):
        return _command(f"{unquote(urlsplit(address).path)}[{extra}]", url.get("dir_info", {}).get("editable", False))
    if address:
        return _command(f"qmae[{extra}] @ {address}")
    if not noted and (source / "pyproject.toml").exists():
        return _command(f"{source}[{extra}]", editable=True)
    return _command(f"qmae[{extra}]")


def _command(what: str, editable: bool = False) -> str:
    # Quoted always: shells take brackets for a pattern.
    return f"pip install {'-e ' if editable else ''}{shlex.quote(what)}"
