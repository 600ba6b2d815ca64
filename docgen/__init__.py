"""Programs that write and check the documentation: README.md and the pages in docs/.

`fill` writes what is generated into the pages, `check` builds the site and checks links and commands, `moving_picture`
makes the picture at the head of the README.
"""

from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def pages(root: Path = ROOT) -> list[Path]:
    """README.md and every page of the site."""
    return [root / "README.md", *sorted((root / "docs").rglob("*.md"))]
