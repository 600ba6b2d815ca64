"""Every file of the corpus has the outcome that docs/strange-files.md says."""

import pytest
from corpus import CASES, PAGE, row


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.kind}: {case.name}")
def test_outcome(tmp_path, case):
    assert row(case, tmp_path) in PAGE.read_text(encoding="utf-8").splitlines()


def test_the_page_has_no_other_rows():
    rows = [line for line in PAGE.read_text(encoding="utf-8").splitlines() if line.startswith("| ")]
    assert len(rows) == len(CASES) + 2  # with the head
