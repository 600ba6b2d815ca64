"""The report and the cards: every figure with its meaning and its interval, in one page without a network."""

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image

from dancing.evaluation.cards import data_card, model_card
from dancing.evaluation.report import IMAGE, MOTION, ROWS, markdown_table, page
from dancing.metrics.bootstrap_cells import Cell


def cell(mean: float | None, n: int, ci95: list[float] | None = None) -> Cell:
    return {"mean": mean, "n": n, "ci95": ci95}


ROWS_MADE = {
    "ours": {"f1": cell(0.98765, 3, [0.9, 0.995]), "foot_slide": cell(0.165, 3)},
    "real": {"f1": cell(1.0, 3, [1.0, 1.0]), "foot_slide": cell(None, 0)},
    "<b>": {"f1": cell(0.2, 1)},
}


def test_a_page_shows_what_was_measured(tmp_path: Path):
    Image.fromarray(np.zeros((4, 4, 3), np.uint8)).save(tmp_path / "a&b.png")
    card = "# Card\n1 < 2\n\n| clip |\n| --- |\n| <script>x</script> ![x](//y.z/a.png) |\n"
    text = page("Title", {"Motion": (ROWS_MADE, MOTION)}, {"A video": "x.mp4"}, [tmp_path / "a&b.png"], [card])
    assert '<span title="95 % interval 0.90 to 0.99, n = 3">0.99</span>' in text
    assert '<span title="n = 3">16%</span>' in text  # foot_slide, in percent
    assert "tempo locking" not in text  # no row has it
    assert f'title="{ROWS["ours"]}"' in text
    assert text.count("<tr") == 1 + len(ROWS_MADE) + 2
    assert "<h1>Card</h1>" in text
    assert "<script>" not in text
    assert "&lt;b&gt;" in text
    assert "<b>" not in text
    assert "1 &lt; 2" in text
    assert "a&amp;b.png" in text
    assert 'src="x.mp4"' in text
    assert not re.search(r'(?:src|href)="?(?:https?:)?//', text)
    assert "Nothing was trained" in page("Title", {"Images": ({}, IMAGE)}, {}, [], [])


def test_a_table_in_markdown():
    assert markdown_table(ROWS_MADE, MOTION, ("ours", "lstm", "real")) == (
        "|  | beat F1 | foot slide |\n| --- | ---: | ---: |\n| ours | 0.99 | 16% |\n| real | 1.00 | - |"
    )


def test_cards_say_what_the_models_were_trained_on(make_dataset, make_params):
    with make_dataset() as dataset:
        model = model_card(make_params(), dataset, {"motion": ROWS_MADE, "image": {}})
        assert "2 s of dance in 1 clips at 30 frames/s" in model
        assert "| ours | 0.99 | 16% |" in model
        assert "No images were trained." in model
        assert model.count("state it here before you share the model") == 1
        data = data_card(dataset, "data/raw")
        assert len(re.findall(r"^\| \S+ \| .* \| video \|$", data, re.MULTILINE)) == 3
        assert "3 clips from `data/raw`" in data
        strange = replace(dataset, pieces=[replace(piece, clip=f"{piece.name}|<b>_*.mp4") for piece in dataset.pieces])
        shown = page("Title", {}, {}, [], [data_card(strange, "data/raw")])
        assert shown.count("|&lt;b&gt;_*.mp4</td>") == 3
