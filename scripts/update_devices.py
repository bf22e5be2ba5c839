"""Put the tables and figures of the studies on devices into docs/devices.md and docs/figures.

Use: python scripts/update_devices.py noise shots resources.md training-circuit.png

The arguments are the folders of `qmae noise` and `qmae shots`, the output of `qmae resources > resources.md`, and the
picture of `qmae draw training --qubits 4 --out training-circuit.png`.
"""

import re
import shutil
import sys
from pathlib import Path

DOCS = Path(__file__).parent.parent / "docs"


def main(noise: Path, shots: Path, resources: Path, drawing: Path) -> None:
    """Replace what stands between the markers `<!-- NAME -->` and `<!-- end -->`."""
    tables = {"noise": noise / "report.md", "shots": shots / "report.md", "resources": resources}
    page = (DOCS / "devices.md").read_text()
    for name, path in tables.items():
        marker = re.compile(rf"(<!-- {name} -->\n).*?(<!-- end -->)", flags=re.DOTALL)
        text = path.read_text().strip()
        page, replaced = marker.subn(lambda match, text=text: f"{match[1]}{text}\n\n{match[2]}", page)
        assert replaced == 1, name
    (DOCS / "devices.md").write_text(page)
    figures = {"noise.png": noise / "figure.png", "shots.png": shots / "figure.png", "training-circuit.png": drawing}
    for name, path in figures.items():
        shutil.copy(path, DOCS / "figures" / name)


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
