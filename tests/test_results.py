"""The documentation's figures are those that were measured."""

import json

import pytest
from conftest import ROOT

from docgen import check, fill, pages, record, results
from stages.evaluate import HEADLINES


def test_text_and_figures_agree():
    assert fill.stale(only=("value", "table")) == []


@pytest.mark.parametrize("name", record.PIPELINES)
def test_the_figures_are_those_of_the_committed_models(name: str):
    measured = json.loads((ROOT / record.MEASURED / f"{name}.json").read_text(encoding="utf-8"))
    assert measured["reports"] == record.reports_digest(ROOT / record.PIPELINES[name][0])


@pytest.mark.parametrize("name", check.MEASURED)
def test_no_figure_is_typed_by_hand(name: str):
    assert check.typed_figures(ROOT / name) == []


def test_a_changed_figure_is_noticed(monkeypatch: pytest.MonkeyPatch):
    changed = json.loads(json.dumps(results.sources()))
    changed["dance"]["motion"]["ours"]["magnitude"] += 0.5
    monkeypatch.setattr(results, "sources", lambda: changed)
    assert any("README.md" in page for page in fill.stale(only=("value", "table")))


def test_every_record_says_how_it_was_measured():
    records = sorted((ROOT / results.RECORDS).glob("*.json"))
    assert records
    for path in records:
        record = json.loads(path.read_text(encoding="utf-8"))
        assert {"what", "command", "measured_at", "date", "machine", "values"} <= record.keys(), path.name


def test_every_headline_metric_is_defined():
    text = (ROOT / "docs/metrics.md").read_text(encoding="utf-8")
    wanted = {metric for metrics in HEADLINES.values() for metric in metrics}
    ranges = {"tempo_locking_2", "tempo_locking_3", "tempo_locking_4", "tempo_locking_sum"}  # "_1 to _4, _sum"
    assert [metric for metric in sorted(wanted - ranges) if f"`{metric}`" not in text] == []


@pytest.mark.parametrize(
    ("value", "spec", "text"),
    [
        (0.9044, ".2f", "0.90"),
        (11835.33, "3", "11835"),
        (11.0171, "3", "11.0"),
        (9.996, "3", "10.0"),
        (-1.5876, "3", "-1.59"),
        (-0.0008, ".2f", "0.00"),
        (0.8759, ".0%", "88%"),
        (174, "time", "2 min 54 s"),
        (120, "time", "2 min"),
        (59.7, "time", "1 min"),
        (480, "minutes", "8"),
        (None, ".2f", "-"),
    ],
)
def test_numbers_are_written_as_people_read_them(value: float | None, spec: str, text: str):
    assert results.formatted(value, spec) == text


def test_what_was_not_measured_is_refused():
    with pytest.raises(KeyError, match=r"nothing was measured at dance\.motion\.nobody"):
        results.value("dance.motion.nobody.f1", ".2f")
    with pytest.raises(KeyError, match="no table nonsense"):
        results.table("nonsense")


def test_markers_are_filled():
    text = "An F1 of <!--= value dance.motion.ours.f1 .2f -->?<!--=-->.\n\n<!--= table rendering -->\n<!--=-->\n"
    new = fill.filled(text, "page")
    figure = results.value("dance.motion.ours.f1", ".2f")
    assert f"<!--= value dance.motion.ours.f1 .2f -->{figure}<!--=-->." in new
    assert f"<!--= table rendering -->\n\n{results.table('rendering')}\n\n<!--=-->" in new
    assert fill.filled(new, "page") == new


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("a <!--= value dance.motion.ours.f1 .2f -->1.00", "page:1: a marker that isn't closed"),
        ("a <!--= value x.y .2f -->1.00 <!--= value x.y .2f --><!--=-->", "page:1: a marker that isn't closed"),
        ("\n<!--= value dance.motion.ours.f1 .2f -->1<!--=-->", "page:2: a block's marker stands alone"),
        ("a <!--= nothing x -->1<!--=-->", "unknown marker nothing"),
        ("a <!--= value dance.motion.ours.f9 .2f -->1<!--=-->", r"nothing was measured at dance\.motion\.ours\.f9"),
    ],
)
def test_a_faulty_marker_is_named(text: str, reason: str):
    with pytest.raises(fill.PageError, match=reason):
        fill.filled(text, "page")


def test_readme_is_short():
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) <= 200
    assert (ROOT / "docs/dance.webp").stat().st_size <= 1.5e6
    assert len(pages()) > 10
