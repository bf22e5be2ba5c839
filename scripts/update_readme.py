"""Put the tables and figures of a reproduction, of the study and of the search into README.md and docs.

Use: python scripts/update_readme.py reproduction study tuning

The folders are those of `make reproduce`, `qmae study`, whose report becomes docs/study.md, and `qmae tune`.
"""

import re
import shutil
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
SECTIONS = ("Table 1", "Figure 7", "Which mask ratio", "The paper's claims")


def sections(folder: Path) -> dict[str, str]:
    """The wanted sections of a report by the first words of their titles, headings made smaller by one."""
    parts = re.split(r"^## (.*)\n", (folder / "report.md").read_text(), flags=re.MULTILINE)[1:]
    found = dict(zip(parts[::2], parts[1::2], strict=True))
    wanted = [(name, title) for name in SECTIONS for title in found if title.startswith(name)]
    return {name: f"### {title}\n{found[title].replace('(figures/', '(docs/figures/')}" for name, title in wanted}


def study_sections(folder: Path) -> dict[str, str]:
    """Put the study's report into docs/study.md, and return what the README shows of it."""
    report = (folder / "report.md").read_text()
    for picture in folder.glob("*.png"):
        shutil.copy(picture, ROOT / "docs" / "figures" / f"study-{picture.name}")
        report = report.replace(f"({picture.name})", f"(figures/study-{picture.name})")
    (ROOT / "docs" / "study.md").write_text(report)
    parts = re.split(r"^##+ (.*)\n", report, flags=re.MULTILINE)[1:]
    found = dict(zip(parts[::2], parts[1::2], strict=True))
    main, other = (found[title].replace("(figures/", "(docs/figures/") for title in ("Masks of 25%", "Other masks"))
    pictures = re.findall(r"^!\[.*\n", main + other, flags=re.MULTILINE)
    shown = "\n".join(picture for picture in pictures if "parameters" in picture or "mask-ratio" in picture)
    return {"Standing": found["What beats what"].strip() + "\n", "Study": main.split("\n\n")[1] + "\n\n" + shown}


def replace_between_markers(page: Path, texts: dict[str, str]) -> None:
    """Replace what stands between the markers `<!-- NAME -->` and `<!-- end -->`."""
    content = page.read_text()
    for name, text in texts.items():
        marker = re.compile(rf"(<!-- {name} -->\n).*?(<!-- end -->)", flags=re.DOTALL)
        content, replaced = marker.subn(lambda match, text=text: f"{match[1]}{text}{match[2]}", content)
        assert replaced == 1, name
    page.write_text(content)


def main(reproduction: Path, study: Path, tuning: Path) -> None:
    """Update all pages."""
    replace_between_markers(ROOT / "README.md", sections(reproduction) | study_sections(study))
    replace_between_markers(ROOT / "docs" / "settings.md", {"Tuning": (tuning / "report.md").read_text()})
    for figure in (reproduction / "figures").glob("*.png"):
        shutil.copy(figure, ROOT / "docs" / "figures" / figure.name)


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
