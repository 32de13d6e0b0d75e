"""Two systems on the same utterances."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from aural.data.manifest import Utterance
from aural.errors import InputError
from aural.evaluate.compare import COMPARISON_MEASURES, compare
from aural.evaluate.render import as_text, comparison_tables
from aural.evaluate.report import GATE_MEASURES, StoredReport, read_report, report_text
from aural.evaluate.transcribe import Recogniser, evaluate_transcribe

Store = Callable[..., StoredReport]


@pytest.fixture
def store(corpus: list[Utterance], noisy: Callable[..., Recogniser], tmp_path: Path) -> Store:
    """Evaluates at an error rate and reads the report back from its file."""

    def make(
        rate: float, seed: int = 0, normaliser: str = "auto", count: int = 240
    ) -> StoredReport:
        report = evaluate_transcribe(
            corpus[:count], noisy(lambda _: rate, seed), normaliser=normaliser
        )
        path = tmp_path / f"{rate}-{seed}-{normaliser}-{count}.json"
        path.write_text(report_text(report), encoding="utf-8")
        return read_report(path)

    return make


def test_a_better_system_is_found(store: Store) -> None:
    result = compare(store(0.2), store(0.1, seed=1))
    assert result.wer is not None
    assert result.cer is not None
    rates = result.second.words.rate - result.first.words.rate
    assert result.wer.value == pytest.approx(rates)
    assert result.wer.interval.high < 0
    assert result.cer.interval.high < 0
    assert result.wer.p < 0.01
    text = as_text(comparison_tables(result))
    assert "240 utterances, resampled by speaker" in text
    assert f"{100 * rates:+.2f}" in text


def test_a_system_equals_itself(store: Store) -> None:
    result = compare(store(0.2), store(0.2))
    assert result.wer is not None
    assert (result.wer.value, result.wer.p) == (0, 1)


def test_reports_that_cant_be_paired_are_refused(store: Store) -> None:
    with pytest.raises(InputError, match="one normaliser"):
        compare(store(0.1), store(0.1, normaliser="none"))
    with pytest.raises(InputError, match="'s11-0' is in one alone"):
        compare(store(0.1), store(0.1, count=220))


def test_measures_are_those_that_gates_know(store: Store, corpus, perfect) -> None:
    assert tuple(compare(store(0.1), store(0.2)).measures()) == COMPARISON_MEASURES
    assert tuple(evaluate_transcribe(corpus, perfect).measures()) == GATE_MEASURES


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"kind": "other"}, "no report of"),
        ({"schema_version": 99}, "schema version 99"),
        ({"utterances": [{"id": "x"}]}, "damaged report"),
        ({"utterances": 3}, "damaged report"),
        ({"normaliser": None}, "damaged report"),
    ],
)
def test_a_damaged_report_is_refused(
    store: Store, tmp_path: Path, change: dict, message: str
) -> None:
    record = json.loads(Path(store(0.1).path).read_text())
    path = tmp_path / "damaged.json"
    path.write_text(json.dumps(record | change))
    with pytest.raises(InputError, match=message):
        read_report(path)


def test_negative_counts_are_refused(store: Store, tmp_path: Path) -> None:
    record = json.loads(Path(store(0.1).path).read_text())
    record["utterances"][0]["words"]["hits"] = -1
    path = tmp_path / "negative.json"
    path.write_text(json.dumps(record))
    with pytest.raises(InputError, match="damaged report"):
        read_report(path)


@pytest.mark.parametrize("content", ["", "[]", "{", "null"])
def test_what_is_no_report_is_refused(tmp_path: Path, content: str) -> None:
    path = tmp_path / "r.json"
    path.write_text(content)
    with pytest.raises(InputError, match=r"r\.json: "):
        read_report(path)
