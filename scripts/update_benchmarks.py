"""Put printed benchmarks into docs/benchmarks.md, and their figure beside the others.

Use: python scripts/update_benchmarks.py peers.txt large.txt scaling.txt depth.txt scaling.png

The arguments are the outputs of the commands that docs/benchmarks.md names, in its order, and the figure.
"""

import re
import shutil
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent


def main(figure: Path, **tables: Path) -> None:
    """Replace what stands between the markers `<!-- NAME -->` and `<!-- end -->`."""
    page = (ROOT / "docs" / "benchmarks.md").read_text()
    for name, path in tables.items():
        marker = re.compile(rf"(<!-- {name} -->\n).*?(<!-- end -->)", flags=re.DOTALL)
        text = f"```\n{path.read_text().strip()}\n```\n"
        page, replaced = marker.subn(lambda match, text=text: f"{match[1]}{text}{match[2]}", page)
        assert replaced == 1, name
    (ROOT / "docs" / "benchmarks.md").write_text(page)
    shutil.copy(figure, ROOT / "docs" / "figures" / "scaling.png")


if __name__ == "__main__":
    peers, large, scaling, depth, figure = map(Path, sys.argv[1:])
    main(figure, peers=peers, large=large, scaling=scaling, depth=depth)
