"""The results pages are what benchmarks/results says, and every result says where it comes from."""

from __future__ import annotations

import datetime
import json
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parents[1]
RESULTS = sorted((ROOT / "benchmarks" / "results").glob("*.json"))


def test_the_pages_are_what_the_results_say(benchmark):
    report = benchmark("report")
    folder = ROOT / "docs" / "results"
    written = {path.name: path.read_text("utf-8") for path in folder.glob("*.md")}
    assert written == report.pages(report.results()), "type: scripts/bench report"


def test_the_readme_is_what_the_results_say(benchmark):
    report = benchmark("report")
    written = (ROOT / "README.md").read_text("utf-8")
    made = report.with_block(written, report.summary(report.results()))
    assert written == made, "type: scripts/bench report"


def test_every_result_says_machine_command_and_date():
    assert RESULTS, "type: scripts/bench all"
    for path in RESULTS:
        result = json.loads(path.read_text("utf-8"))
        assert result["command"].startswith(f"scripts/bench {path.stem}"), path.name
        assert (ROOT / "benchmarks" / f"{path.stem}.py").is_file(), path.name
        datetime.date.fromisoformat(result["date"])
        assert {"processor", "cores", "memory", "system", "python"} <= set(result["machine"])


def test_a_block_is_put_between_its_markers_and_nowhere_else(benchmark):
    with_block = benchmark("report").with_block
    text = "a\n<!-- results -->\nold\n<!-- /results -->\nb\n"
    assert with_block(text, "new") == "a\n<!-- results -->\nnew\n<!-- /results -->\nb\n"
    with pytest.raises(ValueError, match="results"):
        with_block("a\nb\n", "new")


def test_a_ratio_of_medians_keeps_the_rounds_together(benchmark):
    ratio_of_medians = benchmark("peers").ratio_of_medians
    ours = np.array([1.0, 5.0, 2.0, 9.0, 3.0])
    ratio = ratio_of_medians(3 * ours, ours)
    assert (ratio.value, ratio.low, ratio.high) == pytest.approx((3, 3, 3))
    apart = ratio_of_medians([3.0, 4.0, 5.0, 6.0, 7.0], [1.0, 1.0, 1.0, 1.0, 1.0])
    assert apart.low < apart.value == 5 < apart.high


def test_errors_are_laid_to_the_block_of_their_words(benchmark):
    errors_by_block = benchmark("speech").errors_by_block
    texts = ("the first call",) * 8 + ("a second block",)
    right = " ".join(texts)
    assert errors_by_block(texts, right) == ([0, 0], [24, 3])
    assert errors_by_block(texts, right.replace("second", "third"))[0] == [0, 1]
    assert errors_by_block(texts, right.replace("first", "", 1))[0] == [1, 0]
    assert errors_by_block(texts, right + " and more")[0] == [0, 2]


def test_transcription_is_reported_against_the_peers_better_way(benchmark):
    report = benchmark("report")

    def system(seconds: list[float], **more: object) -> dict[str, object]:
        about = {"peak_bytes": [5e8], "process_seconds": seconds, "errors": 2, "words": 100}
        return {"seconds": seconds, **about, "versions": {}, **more}

    row = {
        "recording": "dense",
        "beam": 5,
        "seconds": 600.0,
        "speech_share": 0.9,
        "batch_size": 8,
        "systems": {
            "aural": system([2.0, 2.0]),
            "faster-whisper, sequential": system(
                [9.0, 9.0], times_aural={"value": 4.5, "low": 4.4, "high": 4.6}
            ),
            "faster-whisper, batched": system(
                [6.0, 6.0], times_aural={"value": 3.0, "low": 2.9, "high": 3.1}
            ),
        },
    }
    made = report.summary({"transcribe": {"rows": [row]}})
    assert "faster-whisper, batched: 3.00 (2.90 to 3.10) times as long" in made
    assert "sequential" not in made
    page = report.transcribe_page({"threads": 2, "rows": [row]})
    assert "| faster-whisper, sequential | 9.00 [9.00, 9.00] | 67 | 4.50 (4.40 to 4.60) |" in page
