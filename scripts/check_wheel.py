"""Build the wheel, look into it, install it alone into a new environment, and use it there.

Use: python scripts/check_wheel.py

The new environment takes the dependencies from the one that runs this, so that torch is not installed once more.
"""

import os
import subprocess
import sys
import sysconfig
import tempfile
import venv
import zipfile
from pathlib import Path

from PIL import Image, ImageDraw

ROOT = Path(__file__).parent.parent


def run(*command: str | Path, cwd: Path) -> str:
    """What a command prints, without this checkout on its path; a failure of it is one here."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    return subprocess.run(command, cwd=cwd, env=environment, check=True, stdout=subprocess.PIPE, text=True).stdout


def check_files(wheel: Path) -> None:
    """Refuse a wheel that holds other files than git keeps of the package, beside its metadata."""
    kept = set(run("git", "ls-files", "src/qmae", cwd=ROOT).split())
    held = {f"src/{name}" for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    assert held == kept, f"the wheel lacks {sorted(kept - held)} and has besides {sorted(held - kept)}"


def install(wheel: Path, folder: Path) -> Path:
    """Install it into a new environment, and return the folder of its commands."""
    venv.create(folder, with_pip=True)
    commands, packages = folder / "bin", next(folder.glob("lib/python*/site-packages"))
    # What a path file adds is searched last, and path files there are not read: no editable install is seen.
    (packages / "dependencies.pth").write_text(sysconfig.get_path("purelib"))
    run(commands / "python", "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", wheel, cwd=folder)
    found = run(commands / "python", "-c", "import qmae; print(qmae.__file__)", cwd=folder).strip()
    assert Path(found).is_relative_to(packages), f"{found} is not the installed package"
    return commands


def main() -> None:
    """Fail where anything is missing."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name).resolve()
        run(sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", folder, ROOT, cwd=folder)
        (wheel,) = folder.glob("qmae-*.whl")
        check_files(wheel)
        qmae = install(wheel, folder / "environment") / "qmae"
        assert run(qmae, "--version", cwd=folder).split()[1] == wheel.name.split("-")[1]
        picture = Image.new("L", (28, 28))
        ImageDraw.Draw(picture).line([(8, 6), (20, 6), (12, 23)], fill=255, width=3)
        picture.save(folder / "seven.png")
        run(qmae, "reconstruct", "qmae-plus-25", "seven.png", "--out", "completed", cwd=folder)
        assert list((folder / "completed").glob("*.png"))
        print(f"{wheel.name}: {wheel.stat().st_size / 2**20:.0f} MiB, installed, and an image completed by it")


if __name__ == "__main__":
    main()
