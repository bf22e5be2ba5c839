"""Put the tables and figures of results into README.md and docs.

Use: python scripts/update_docs.py --reproduction FOLDER --study FOLDER --tuning FOLDER --beyond FOLDER --half FOLDER

The folders are those of `make reproduce`, `qmae study`, whose report becomes docs/study.md, `qmae tune`, and
`qmae compare` on the models beyond the paper's, with a quarter of the image hidden and with half of it. What is not
given stays as it is. The README's table needs those of the study and of the models beyond the paper's.
"""

import argparse
import re
import shutil
from pathlib import Path

from qmae.evaluation.rows import read_rows
from qmae.experiments.protocols import PAPER, TABLE_RATIO
from qmae.reports.tables import over_seeds, table

ROOT = Path(__file__).parent.parent
METRICS = {"fidelity": ".3f", "cosine_similarity": ".3f", "ssim": ".3f", "accuracy": ".2%"}
SECTIONS = ("Table 1", "Figure 7", "Which mask ratio", "The paper's claims")


def sections(folder: Path) -> dict[str, str]:
    """The wanted sections of a report by the first words of their titles, headings made smaller by one."""
    parts = re.split(r"^## (.*)\n", (folder / "report.md").read_text(), flags=re.MULTILINE)[1:]
    found = dict(zip(parts[::2], parts[1::2], strict=True))
    wanted = [(name, title) for name in SECTIONS for title in found if title.startswith(name)]
    return {name: f"### {title}\n{found[title]}" for name, title in wanted}


def update_study(folder: Path) -> None:
    """Make the study's report the page of the docs."""
    report = (folder / "report.md").read_text()
    for picture in folder.glob("*.png"):
        shutil.copy(picture, ROOT / "docs" / "figures" / f"study-{picture.name}")
        report = report.replace(f"({picture.name})", f"(figures/study-{picture.name})")
    (ROOT / "docs" / "study.md").write_text(report)


def summary(study: Path, beyond: Path) -> str:
    """The table of the README: the paper's models and the best of ours, between floor and ceiling."""
    rows = {folder: read_rows(folder / "metrics.json") for folder in (study, beyond)}

    def line(name: str, folder: Path, model: str) -> list[str]:
        found = [
            row
            for row in rows[folder]
            if (row.model, row.mask_ratio, row.patches, row.placement) == (model, TABLE_RATIO, 1, "grid")
        ]
        return [name, f"{found[0].parameters:,}", *(over_seeds(found, metric) for metric in METRICS)]

    lines = [
        line("QAE", study, "qae"),
        line("QMAE", study, "qmae"),
        line("QMAE-heralded, the best circuit here", beyond, "qmae-heralded"),
        line("black fill, the floor", study, "nothing"),
        line("mean patch", study, "mean"),
        line("ridge regression", study, "ridge"),
        line("U-Net", study, "unet"),
        ["QMAE in the paper", "484", *(f"{PAPER['qmae'][metric]:{form}}" for metric, form in METRICS.items())],
    ]
    return table(["Model", "Parameters", "Fidelity", "CS", "SSIM", "Accuracy"], lines)


def replace_between_markers(page: Path, texts: dict[str, str]) -> None:
    """Replace what stands between the markers `<!-- NAME -->` and `<!-- end -->`."""
    content = page.read_text()
    for name, text in texts.items():
        marker = re.compile(rf"(<!-- {name} -->\n).*?(<!-- end -->)", flags=re.DOTALL)
        content, replaced = marker.subn(lambda match, text=text: f"{match[1]}{text}{match[2]}", content)
        assert replaced == 1, name
    page.write_text(content)


def beyond_sections(folder: Path) -> dict[str, str]:
    """Copy the figure of what quality costs, and return the comparison's table."""
    shutil.copy(folder / "cost.png", ROOT / "docs" / "figures" / "beyond-cost.png")
    shutil.copy(folder / "reconstructions.png", ROOT / "docs" / "figures" / "beyond-reconstructions.png")
    return {"Beyond": table_of(folder)}


def table_of(folder: Path) -> str:
    """The table of a comparison."""
    lines = (folder / "report.md").read_text().splitlines(keepends=True)
    return "".join(line for line in lines if line.startswith("|"))


def reproduction_sections(folder: Path) -> dict[str, str]:
    """Copy the figures of a reproduction, and return its sections."""
    for figure in (folder / "figures").glob("*.png"):
        shutil.copy(figure, ROOT / "docs" / "figures" / figure.name)
    return sections(folder)


def main() -> None:
    """Update the pages that show what is given."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("reproduction", "study", "tuning", "beyond", "half"):
        parser.add_argument(f"--{name}", type=Path)
    given, docs = parser.parse_args(), ROOT / "docs"
    if given.reproduction:
        replace_between_markers(docs / "reproduction.md", reproduction_sections(given.reproduction))
    if given.study:
        update_study(given.study)
    if given.tuning:
        replace_between_markers(docs / "settings.md", {"Tuning": (given.tuning / "report.md").read_text()})
    if given.beyond:
        replace_between_markers(docs / "beyond.md", beyond_sections(given.beyond))
    if given.half:
        replace_between_markers(docs / "beyond.md", {"Half": table_of(given.half)})
    if given.study and given.beyond:
        replace_between_markers(ROOT / "README.md", {"Summary": summary(given.study, given.beyond)})


if __name__ == "__main__":
    main()
