"""Delays of words: percentiles by hand, and settings side by side on real speech."""

from dataclasses import asdict
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from aural.data.utterance import Utterance
from aural.errors import InputError, UnknownName
from aural.evaluate.latency import (
    Percentiles,
    Setting,
    evaluate_latency,
    latency_of,
    latency_table,
)
from aural.models.transducer import VARIANTS, build
from aural.nn.exported import Exported, FeatureOptions, export
from aural.tasks.listen import HeardWord, listen
from aural.text.tokens import Tokenizer
from aural.types import Word


def heard(start: float, end: float, shown: float, final: float, clock: float) -> HeardWord:
    return HeardWord(Word(start, end, "x"), shown, final, shown, clock)


def test_delays_are_counted_from_the_words_own_times() -> None:
    one = SimpleNamespace(
        words=[heard(1.0, 1.5, 2.0, 3.0, 3.5), heard(2.0, 2.5, 2.75, 3.0, 3.5)],
        rewrites=3, computed=1.0, duration=4.0,
    )  # fmt: skip
    two = SimpleNamespace(
        words=[heard(0.5, 1.0, 1.1, 2.1, 2.2)], rewrites=0, computed=0.5, duration=2.0
    )
    none = SimpleNamespace(words=[], rewrites=0, computed=0.0, duration=0.0)
    found = latency_of([one, two, none])  # type: ignore[list-item]
    assert found.words == 3
    assert found.first_word.p50 == pytest.approx((1.0 + 0.6) / 2)
    assert found.shown.p50 == pytest.approx(0.25)
    assert found.final.p50 == pytest.approx(1.1)
    assert found.final.p95 == pytest.approx(1.1 + 0.9 * 0.4)
    assert found.clock_final.p50 == pytest.approx(1.2)
    assert found.rewrite_rate == 1.0
    assert found.real_time_factor == pytest.approx(0.25)
    assert "first word 0.80 / 0.98" in found.line()
    empty = latency_of([none])  # type: ignore[list-item]
    assert (empty.rewrite_rate, str(empty.final), str(Percentiles())) == (0.0, "-", "-")
    assert np.isnan(empty.real_time_factor)


@pytest.fixture(scope="module")
def streaming(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A streaming network of random weights, by name."""
    directory: Path = tmp_path_factory.mktemp("streaming")
    config = VARIANTS["test-ctc"].config
    torch.manual_seed(5)
    network = build(config)
    with torch.no_grad():
        network.output.weight *= 4
        network.output.bias[0] += 1.0
    letters = Tokenizer("characters", tuple("abcdef ghij"))
    features = FeatureOptions("kaldi", 16, 16000, "none")
    export(directory, network, Exported("transducer", asdict(config), features, letters, "en"))
    return f"transducer@{directory}"


def test_settings_side_by_side(examples: Path, tmp_path: Path, streaming: str) -> None:
    text = "He was not an ill-disposed young man."
    utterances = [
        Utterance("one", examples / "sense_and_sensibility_0880.flac", text),
        Utterance("two", tmp_path / "missing.flac", "nothing there"),
    ]
    settings = [
        Setting(streaming, "chunkwise", endpoint="blank", threads=1),
        Setting("whisper/tiny.en", "agreement", step_seconds=1.5, threads=1),
        Setting("whisper/tiny.en", "offline", threads=1),
    ]
    told: list[tuple[int, int]] = []
    rows = evaluate_latency(utterances, settings, progress=lambda *each: told.append(each))
    assert told == [(i, 6) for i in range(1, 7)]
    assert [row.failed for row in rows] == [1, 1, 1]
    assert [row.errors.reference for row in rows] == [10] * 3
    chunkwise, agreement, offline = rows
    assert offline.latency is None
    assert offline.errors.deletions == 2
    assert chunkwise.errors.rate > 0.8
    assert agreement.errors.rate < 0.6
    assert chunkwise.latency is not None
    assert agreement.latency is not None
    assert chunkwise.latency.shown.p95 < 0.5 < agreement.latency.final.p50
    table = latency_table(rows)
    assert len({len(row) for row in (table.header, *table.rows)}) == 1
    assert table.rows[1][0] == "whisper/tiny.en agreement, step 1.5 s"
    assert table.rows[2][3] == "-"


def test_look_ahead_is_paid_for_in_delay(examples: Path, streaming: str) -> None:
    """No sooner than the algorithm allows, and no later than that and a block."""
    for chunk, ahead in ((0.08, 0.0), (0.4, 0.0), (0.4, 0.8)):
        listening = listen(
            examples / "sense_and_sensibility_0880.flac",
            model=streaming,
            endpoint="blank",
            end_silence_seconds=60.0,
            chunk_seconds=chunk,
            look_ahead_seconds=ahead,
            threads=1,
        )
        assert [event.kind for event in listening][-1] == "end"
        assert listening.rewrites >= 0
        middle = [each for each in listening.words if each.final < listening.duration]
        assert len(middle) >= 1
        for each in middle:
            delay = each.shown - each.word.start
            assert ahead < delay <= chunk + ahead + 0.1 + 0.1 + each.word.duration


def test_what_can_not_be_is_refused() -> None:
    with pytest.raises(UnknownName, match="chunkwise, agreement, offline"):
        Setting("x", "fast")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="at least one utterance"):
        evaluate_latency([], [Setting("x")])
