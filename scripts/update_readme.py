"""Put the tables and figures of results into README.md and docs.

Use: python scripts/update_readme.py --reproduction FOLDER --study FOLDER --tuning FOLDER --beyond FOLDER --half FOLDER

The folders are those of `make reproduce`, `qmae study`, whose report becomes docs/study.md, `qmae tune`, and
`qmae compare` on the models beyond the paper's, with a quarter of the image hidden and with half of it. What is not
given stays as it is.
"""

import argparse
import re
import shutil
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


def beyond_sections(folder: Path) -> dict[str, str]:
    """Copy the figure of what quality costs, and return the comparison's table."""
    shutil.copy(folder / "cost.png", ROOT / "docs" / "figures" / "beyond-cost.png")
    shutil.copy(folder / "reconstructions.png", ROOT / "docs" / "figures" / "beyond-reconstructions.png")
    return {"Beyond": table(folder)}


def table(folder: Path) -> str:
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
    pages = {
        "reproduction": reproduction_sections,
        "study": study_sections,
        "beyond": beyond_sections,
        "half": lambda folder: {"Half": table(folder)},
    }
    for name in (*pages, "tuning"):
        parser.add_argument(f"--{name}", type=Path)
    given = {name: folder for name, folder in vars(parser.parse_args()).items() if folder}
    for name in given.keys() & pages.keys():
        replace_between_markers(ROOT / "README.md", pages[name](given[name]))
    if "tuning" in given:
        replace_between_markers(ROOT / "docs" / "settings.md", {"Tuning": (given["tuning"] / "report.md").read_text()})


if __name__ == "__main__":
    main()
