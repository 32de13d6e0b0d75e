"""Tuning: planted errors and delays, what is refused as a reason, and real streams."""

import itertools
import json
import random
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from pathlib import Path

import jiwer
import jsonschema
import numpy as np
import pytest
import torch

from aural.data.utterance import Utterance
from aural.errors import InputError, ManifestError, UnknownName
from aural.evaluate import tune as tuning
from aural.evaluate.hearings import Hearing, identity, kept_file, read_hearings
from aural.evaluate.latency import Setting, evaluate_latency
from aural.evaluate.render import as_text
from aural.evaluate.scoring import Sampling
from aural.evaluate.tune import (
    MEASURES,
    Space,
    Tuned,
    TuneOptions,
    candidates,
    divide,
    pareto,
    tune,
)
from aural.evaluate.tune_report import save_tune_plot, tune_json, tune_tables, verdict_line
from aural.models.transducer import VARIANTS, build
from aural.nn.exported import Exported, FeatureOptions, export
from aural.text.tokens import Tokenizer

FAST = Sampling(resamples=400)


class Fake:
    """Mishears each word with a probability and makes words final after a delay, as planted for
    each chunk; remembers what it was asked."""

    def __init__(self, planted: dict[float, tuple[float, float]], computing: float = 0.1) -> None:
        self.planted, self.computing = planted, computing
        self.asked: list[tuple[float | None, str]] = []

    def __call__(self, utterance: Utterance, setting: Setting) -> Hearing:
        self.asked.append((setting.chunk_seconds, utterance.id))
        rate, delay = self.planted[setting.chunk_seconds or 0.0]
        choose = random.Random(f"{setting.chunk_seconds} {utterance.id}")
        said = utterance.text.split()
        text = " ".join("zulu" if choose.random() < rate else word for word in said)
        ends = [0.5 * (place + 1) for place in range(len(said))]
        times = [
            (end - 0.4, end, end + delay / 2, end + delay, end + delay, end + delay + 0.1)
            for end in ends
        ]
        return Hearing(
            utterance.id, text, duration=5.0, seconds=5.0 * self.computing,
            times=tuple(times), rewrites=2, simulated=text,
        )  # fmt: skip


def fakes(planted: dict[float, tuple[float, float]]) -> list[Setting]:
    return [Setting("transducer/test", chunk_seconds=chunk) for chunk in planted]


def chunk_of(found: Tuned) -> float | None:
    return found.choice.pick.trial.setting.chunk_seconds if found.choice.pick else None


def verdicts(found: Tuned) -> dict[float | None, str]:
    return {each.trial.setting.chunk_seconds: each.verdict for each in found.choice.candidates}


def naive_interval(
    utterances: Sequence[Utterance], first: Fake, one: Setting, other: Setting
) -> tuple[float, float]:
    """95 % of the differences of word error rates over speakers drawn with replacement."""
    sums: dict[str, list[float]] = {}
    for each in utterances:
        said = each.text.split()
        wrong = [
            sum(a != b for a, b in zip(said, first(each, setting).text.split(), strict=True))
            for setting in (one, other)
        ]
        row = sums.setdefault(each.speaker, [0.0, 0.0])
        row[0] += wrong[1] - wrong[0]
        row[1] += len(said)
    choose, rows = random.Random(9), list(sums.values())
    drawn = []
    for _ in range(2000):
        sample = choose.choices(rows, k=len(rows))
        drawn.append(sum(row[0] for row in sample) / sum(row[1] for row in sample))
    low, high = np.quantile(drawn, [0.025, 0.975])
    return float(low), float(high)


PLANTED = {0.1: (0.30, 0.1), 0.2: (0.11, 0.2), 0.4: (0.10, 0.4), 0.8: (0.02, 0.8), 1.0: (0.3, 1.0)}
"""Quick and poor; two alike, of which one is quicker; the best, slow; worse in everything."""


def test_a_difference_that_chance_could_make_is_no_reason(corpus: list[Utterance]) -> None:
    fake = Fake(PLANTED)
    found = tune(
        corpus, fakes(PLANTED), options=TuneOptions(0.5, holdout=0.15, sampling=FAST), hear=fake
    )
    assert found.parts.unit == "speaker"
    assert verdicts(found) == {
        0.1: "worse", 0.2: "picked", 0.4: "not distinguishable",
        0.8: "over the limit", 1.0: "over the limit",
    }  # fmt: skip
    assert chunk_of(found) == 0.2
    assert found.choice.peers == 2
    best = found.choice.best
    assert best is not None
    other = 0.4 if best.trial.setting.chunk_seconds == 0.2 else 0.2
    settings = {each.chunk_seconds: each for each in fakes(PLANTED)}
    low, high = naive_interval(found.parts.tuned, fake, best.trial.setting, settings[other])
    assert low <= 0 <= high
    low, _ = naive_interval(found.parts.tuned, fake, best.trial.setting, settings[0.1])
    assert low > 0
    assert "of 2 settings whose errors are not distinguishable" in verdict_line(found)


def test_a_difference_that_chance_can_not_make_is_one(corpus: list[Utterance]) -> None:
    planted = PLANTED | {0.2: (0.2, 0.2)}
    options = TuneOptions(0.5, holdout=0.15, sampling=FAST)
    found = tune(corpus, fakes(planted), options=options, hear=Fake(planted))
    assert chunk_of(found) == 0.4
    assert verdicts(found)[0.2] == "worse"
    assert "the lowest error, distinguishable from every other" in verdict_line(found)
    anything = replace(options, max_latency=None)
    found = tune(corpus, fakes(planted), options=anything, hear=Fake(planted))
    assert chunk_of(found) == 0.8
    front = [each.trial.setting.chunk_seconds for each in found.choice.candidates if each.front]
    assert front == [0.1, 0.2, 0.4, 0.8]


def test_of_equal_latencies_what_computes_less_is_picked(corpus: list[Utterance]) -> None:
    planted = {0.1: (0.1, 0.300), 0.2: (0.1, 0.304)}

    def hear(utterance: Utterance, setting: Setting) -> Hearing:
        return Fake(planted, computing=0.1 / (setting.chunk_seconds or 1))(utterance, setting)

    options = TuneOptions(sampling=FAST)
    assert chunk_of(tune(corpus, fakes(planted), options=options, hear=hear)) == 0.2


def test_figures_are_what_was_planted(corpus: list[Utterance]) -> None:
    """Error rates as jiwer has them, delays as planted (to 1e-9)."""
    fake = Fake(PLANTED)
    options = TuneOptions(0.5, holdout=0.5, normaliser="none", sampling=FAST)
    found = tune(corpus, fakes(PLANTED), options=options, hear=fake)
    for each in found.choice.candidates:
        texts = [fake(one, each.trial.setting).text for one in found.parts.tuned]
        said = [one.text for one in found.parts.tuned]
        assert each.trial.rate == pytest.approx(jiwer.wer(said, texts), abs=1e-12)
        delay = PLANTED[each.trial.setting.chunk_seconds or 0][1]
        assert each.late == pytest.approx(delay, abs=1e-9)
        measured = {name: of(each.trial.latency) for name, of in MEASURES.items()}
        assert measured["first-word-p50"] == pytest.approx(0.4 + delay / 2, abs=1e-9)
        assert measured["shown-p95"] == pytest.approx(delay / 2, abs=1e-9)
        assert measured["clock-p95"] == pytest.approx(delay + 0.1, abs=1e-9)
        assert each.trial.computing == pytest.approx(0.1)
        assert each.trial.latency.rewrite_rate == pytest.approx(0.2)


def test_what_was_held_out_is_heard_by_the_pick_alone(corpus: list[Utterance]) -> None:
    fake = Fake(PLANTED)
    found = tune(corpus, fakes(PLANTED), options=TuneOptions(0.5, sampling=FAST), hear=fake)
    held, tuned = ({each.id for each in part} for part in (found.parts.held, found.parts.tuned))
    assert not held & tuned
    assert held | tuned == {each.id for each in corpus}
    for chunk in PLANTED:
        heard = {name for asked, name in fake.asked if asked == chunk}
        assert heard == (tuned | held if chunk == chunk_of(found) else tuned)
    assert found.held is not None
    assert found.choice.pick is not None
    assert {row.id for row in found.held.rows} == held
    assert found.held.rate != found.choice.pick.trial.rate
    shown = as_text(tune_tables(found))
    for trial in (found.held, found.choice.pick.trial):
        assert f"{100 * trial.rate:.2f} %" in shown
    assert "the result is what was held out" in shown


def test_no_setting_within_the_limit_names_the_nearest(corpus: list[Utterance]) -> None:
    fake = Fake(PLANTED)
    options = TuneOptions(0.05, sampling=FAST)
    found = tune(corpus, fakes(PLANTED), options=options, hear=fake)
    assert found.choice.pick is found.choice.best is found.held is None
    assert set(verdicts(found).values()) == {"over the limit"}
    assert verdict_line(found) == (
        "no setting with final-p95 within 0.05 s; nearest is transducer/test chunks 0.1 s, "
        "look-ahead as trained, 0.100 s"
    )
    assert not {name for _, name in fake.asked} & {each.id for each in found.parts.held}
    assert len(tune_tables(found)) == 1


def test_what_writes_nothing_has_no_latency_and_is_not_picked(corpus: list[Utterance]) -> None:
    def hear(utterance: Utterance, setting: Setting) -> Hearing:
        if setting.chunk_seconds == 0.1:
            return Hearing(utterance.id, "", duration=5.0, seconds=0.1)
        return Fake(PLANTED)(utterance, setting)

    found = tune(corpus, fakes(PLANTED)[:2], options=TuneOptions(sampling=FAST), hear=hear)
    assert verdicts(found) == {0.1: "nothing final", 0.2: "picked"}
    alone = tune(corpus, fakes(PLANTED)[:1], options=TuneOptions(sampling=FAST), hear=hear)
    assert alone.choice.pick is alone.choice.nearest is None
    assert verdict_line(alone) == "no setting: none has made a word final"
    assert tune_json(alone)["settings"][0]["seconds"] is None


def test_one_recording_to_tune_on_tells_no_setting_apart(corpus: list[Utterance]) -> None:
    two = [replace(each, speaker="one") for each in corpus[:2]]
    found = tune(two, fakes(PLANTED), options=TuneOptions(sampling=FAST), hear=Fake(PLANTED))
    assert chunk_of(found) == 0.1
    assert found.choice.peers == len(PLANTED)
    assert "(no interval)" in as_text(tune_tables(found))


def test_a_front_has_what_nothing_beats() -> None:
    """Against a staircase: by latency, then error, each new lowest error and its equals."""
    choose = random.Random(3)
    for _ in range(200):
        points = [(choose.randrange(6), choose.randrange(6)) for _ in range(choose.randrange(9))]
        stairs, lowest = set(), float("inf")
        for late, error in sorted({(late, error) for error, late in points}):
            if error < lowest:
                stairs.add((error, late))
                lowest = error
        front = pareto([each[0] for each in points], [each[1] for each in points])
        assert front == [each in stairs for each in points]
    assert pareto([0.0, 1.0], [float("nan"), 1.0]) == [False, True]


def test_whole_speakers_are_held_out(corpus: list[Utterance]) -> None:
    sizes = []
    for seed, share in itertools.product(range(5), (0.25, 0.5)):
        parts = divide(corpus, share, seed)
        voices = [{each.speaker for each in part} for part in (parts.tuned, parts.held)]
        assert not voices[0] & voices[1]
        assert len(parts.held) / len(corpus) == pytest.approx(share, abs=0.05)
        assert parts == divide(corpus, share, seed)
        assert [each.id for each in parts.tuned] == [
            each.id for each in corpus if each.speaker in voices[0]
        ]
        sizes.append(frozenset(voices[1]))
    assert len(set(sizes)) > 5, "the seed decides"


def test_recordings_are_held_out_where_voices_are_few(corpus: list[Utterance]) -> None:
    stretches = [
        replace(each, speaker="one", audio=Path(f"/nowhere/{number // 4}.wav"))
        for number, each in enumerate(corpus[:20])
    ]
    parts = divide(stretches, 0.4, 0)
    assert parts.unit == "recording"
    assert len(parts.held) == 8
    assert not {each.audio for each in parts.tuned} & {each.audio for each in parts.held}
    uneven = [stretches[0], *stretches[4:]]
    for share in (0.001, 0.5, 0.999):
        parts = divide(uneven, share, 1)
        assert parts.tuned
        assert parts.held
    with pytest.raises(InputError, match="of one recording, so none can be held out"):
        divide(stretches[:4], 0.5, 0)


def test_a_stopped_search_goes_on(corpus: list[Utterance], tmp_path: Path) -> None:
    planted, corpus = dict(list(PLANTED.items())[:3]), corpus[::4]
    options = TuneOptions(0.5, sampling=FAST)
    settings, whole = fakes(planted), Fake(planted)
    expected = tune_json(tune(corpus, settings, options=options, hear=whole))
    first, kept = Fake(planted), tmp_path / "kept"

    def stopping(utterance: Utterance, setting: Setting) -> Hearing:
        if len(first.asked) == 50:
            raise KeyboardInterrupt
        return first(utterance, setting)

    with pytest.raises(KeyboardInterrupt):
        tune(corpus, settings, options=options, hypotheses=kept, hear=stopping)
    torn = sorted(kept.iterdir(), key=lambda path: path.stat().st_size)[0]
    torn.write_bytes(torn.read_bytes()[:-20])
    rest = Fake(planted)
    found = tune(corpus, settings, options=options, hypotheses=kept, hear=rest)
    assert len(rest.asked) == len(whole.asked) - 50 + 1
    again = tune(corpus, settings, options=options, hypotheses=kept, hear=Fake({}))
    for each in (found, again):
        assert tune_json(each) == expected


def test_kept_hearings_are_checked(tmp_path: Path) -> None:
    setting = Setting("transducer/test")
    path = kept_file(tmp_path / "kept", setting)
    assert path != kept_file(tmp_path / "kept", replace(setting, endpoint="blank"))
    assert read_hearings(path) == {}
    good = {"id": "a", "text": "x", "times": [[0, 1, 2, 2, 2, 2]], "rewrites": 1}
    path.write_text(json.dumps(good) + "\n")
    assert read_hearings(path)["a"].words[0].final == 2.0
    assert read_hearings(path)["a"].simulated is None
    for wrong in (
        {"id": "b", "text": "x"},
        good | {"id": "b", "times": [[0, 1]]},
        good | {"id": "b", "times": [["0", 1, 2, 2, 2, 2]]},
        good | {"id": "b", "rewrites": "many"},
        good | {"id": "b", "simulated": 3},
    ):
        path.write_text(f"{json.dumps(good)}\n{json.dumps(wrong)}\n")
        with pytest.raises(ManifestError, match=r":2: no hearing"):
            read_hearings(path)
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="no folder to keep hypotheses in"):
        kept_file(tmp_path / "file" / "kept", setting)


def test_an_utterance_that_can_not_be_read_is_wrong_whole(corpus: list[Utterance]) -> None:
    def hear(utterance: Utterance, setting: Setting) -> Hearing:
        if utterance.speaker == "s3":
            return Hearing(utterance.id, "", error="CorruptAudio: damaged")
        return Fake(PLANTED)(utterance, setting)

    found = tune(corpus, fakes(PLANTED)[:2], options=TuneOptions(sampling=FAST), hear=hear)
    assert {row.id for row in found.failures} == {f"s3-{number}" for number in range(20)}
    trials = [found.held, *(each.trial for each in found.choice.candidates)]
    (hurt,) = {trial.score.failed for trial in trials if trial and trial.score.failed}
    assert hurt == 20
    assert all(trial.differing == 0 for trial in trials if trial)
    assert len(tune_json(found)["failures"]) == 20


def test_texts_that_differ_at_once_are_told(corpus: list[Utterance]) -> None:
    def hear(utterance: Utterance, setting: Setting) -> Hearing:
        found = Fake(PLANTED)(utterance, setting)
        return replace(found, simulated="other") if utterance.id.endswith("-7") else found

    found = tune(corpus, fakes(PLANTED)[:1], options=TuneOptions(sampling=FAST), hear=hear)
    (only,) = found.choice.candidates
    assert only.trial.differing == len({each.speaker for each in found.parts.tuned})
    assert "texts DIFFER in 1 settings" in as_text(tune_tables(found))


NUMBER = {"type": ["number", "null"]}
SCHEMA = {
    "required": [
        "schema_version", "kind", "manifest", "measure", "max_latency", "normaliser", "sampling",
        "parts", "settings", "pick", "lowest", "not_distinguishable", "nearest", "outcome",
        "held_out", "left_out", "failures", "machine",
    ],
    "properties": {
        "schema_version": {"const": 1},
        "kind": {"const": "aural.tune"},
        "settings": {
            "items": {
                "required": [
                    "name", "model", "mode", "wer", "seconds", "latency", "simulated", "offline",
                    "front", "verdict", "difference",
                ],
                "properties": {
                    "wer": {"required": ["value", "low", "high", "substitutions", "note"]},
                    "seconds": NUMBER,
                    "latency": {"properties": {"final": {"properties": {"p95": NUMBER}}}},
                },
            }
        },
        "held_out": {"required": ["wer", "seconds", "latency"]},
    },
}  # fmt: skip


def test_the_report_is_json_and_the_picture_is_drawn(
    corpus: list[Utterance], tmp_path: Path
) -> None:
    options = TuneOptions(0.5, sampling=FAST)
    found = tune(corpus, fakes(PLANTED), options=options, hear=Fake(PLANTED))
    record = json.loads(json.dumps(tune_json(found), allow_nan=False))
    jsonschema.validate(record, SCHEMA)
    assert record["pick"] == "transducer/test chunks 0.2 s, look-ahead as trained"
    assert record["settings"][1]["simulated"]["differ"] == 0
    assert {*record["parts"]["tuned"], *record["parts"]["held"]} == {each.id for each in corpus}
    save_tune_plot(found, tmp_path / "curve.svg")
    drawn = (tmp_path / "curve.svg").read_text()
    assert "<svg" in drawn
    with pytest.raises(InputError, match=r"ends in \.png or \.svg"):
        save_tune_plot(found, tmp_path / "curve.pdf")
    alone = tune(
        corpus, fakes(PLANTED)[:1], options=options,
        hear=lambda utterance, _: Hearing(utterance.id, "", duration=1.0),
    )  # fmt: skip
    with pytest.raises(InputError, match="no setting has made a word final"):
        save_tune_plot(alone, tmp_path / "none.png")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: TuneOptions(0.0), "max_latency is 0"),
        (lambda: TuneOptions(float("nan")), "max_latency is nan"),
        (lambda: TuneOptions(holdout=0.0), "holdout is 0"),
        (lambda: TuneOptions(holdout=1.0), "holdout is 1"),
        (lambda: Space(chunk_seconds=()), "chunk_seconds has no value"),
        (lambda: Space(beam_sizes=(1, 1)), "give each value once"),
        (lambda: tune([], fakes(PLANTED)), "at least one utterance"),
        (lambda: tune([], []), "at least one setting"),
        (lambda: tune([], fakes(PLANTED)[:1] * 2), "given twice"),
        (lambda: tune([], [Setting("whisper/tiny.en", "offline")]), "hears no stream"),
        (lambda: Setting("whisper/tiny.en", "agreement", endpoint="blank"), "only a chunk-wise"),
        (lambda: candidates([]), "no model is named"),
        (lambda: candidates(["silero/16k"]), "silero/16k can't be tuned: .* is no Recogniser"),
        (
            lambda: candidates(["whisper/tiny.en"], Space(step_seconds=(99.0,))),
            "can't be tuned: step_seconds is 99",
        ),
    ],
)
def test_what_can_not_be_is_refused(make: Callable[[], object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        make()


def test_no_such_measure_and_nothing_said(corpus: list[Utterance]) -> None:
    with pytest.raises(UnknownName, match=r"first-word-p50, .* clock-p95"):
        TuneOptions(measure="final")
    mute = [replace(each, text="") for each in corpus]
    with pytest.raises(InputError, match="has no word"):
        tune(mute, fakes(PLANTED), hear=Fake(PLANTED))


def random_weights(directory: Path, variant: str, letters: str, blank: float) -> str:
    config = VARIANTS[variant].config
    torch.manual_seed(5)
    network = build(config)
    with torch.no_grad():
        network.output.weight *= 4
        network.output.bias[0] += blank
    tokenizer = Tokenizer("characters", tuple(letters))
    features = FeatureOptions("kaldi", 16, 16000, "none")
    export(directory, network, Exported("transducer", asdict(config), features, tokenizer, "en"))
    return f"transducer@{directory}"


@pytest.fixture(scope="module")
def streams(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """A transducer and a streaming CTC of random weights, by name."""
    folder = tmp_path_factory.mktemp("tuned")
    return [
        random_weights(folder / "transducer", "test", "abc defghij", 4.0),
        random_weights(folder / "ctc", "test-ctc", "abcdef ghij", 1.0),
    ]


@pytest.fixture(scope="module")
def readings(examples: Path) -> list[Utterance]:
    return [
        Utterance("one", examples / "sense_and_sensibility_0880.flac",
                  "he was not an ill disposed young man", language="en"),
        Utterance("two", examples / "sense_and_sensibility_0890.flac",
                  "unless to be rather cold hearted and rather selfish", 2.5, 0.0, language="en"),
    ]  # fmt: skip


@pytest.mark.parametrize(("endpoint", "ahead"), [("vad", (0.0, 0.24)), ("blank", (0.24,))])
def test_real_streams_write_what_the_same_chunks_give_at_once(
    streams: list[str], readings: list[Utterance], endpoint: str, ahead: tuple[float, ...]
) -> None:
    heard: list[tuple[str, str | None]] = []

    def keep(utterance: Utterance, setting: Setting) -> Hearing:
        found = tuning.hear(utterance, setting)
        heard.append((found.text, found.simulated))
        return found

    common = Setting(streams[0], endpoint=endpoint, threads=1)  # type: ignore[arg-type]
    tried = candidates(streams, Space((0.16,), ahead, beam_sizes=(1, 3)), common)
    assert len(tried.settings) == 3 * len(ahead)
    assert {why for _, why in tried.left_out} == {
        "beam_size is 3; a stream of CTC is greedy, give 1"
    }
    found = tune(readings, tried, options=TuneOptions(sampling=FAST), hear=keep)
    assert {each.trial.differing for each in found.choice.candidates} == {0}
    assert all(text == simulated for text, simulated in heard)
    assert len({text for text, _ in heard if text}) > 2
    assert f"left out: {len(ahead)} settings of {streams[1]}" in as_text(tune_tables(found))


def test_simulated_and_chunkwise_stand_side_by_side(
    streams: list[str], readings: list[Utterance]
) -> None:
    settings = [
        Setting(streams[1], mode, endpoint="blank", threads=1)  # type: ignore[arg-type]
        for mode in ("chunkwise", "simulated")
    ]
    chunkwise, simulated = evaluate_latency(readings, settings)
    assert chunkwise.errors == simulated.errors
    assert chunkwise.errors.hypothesis > 0
    assert simulated.latency is None
    assert simulated.setting.method == "simulated chunks as trained, look-ahead as trained"


def test_weights_trained_anew_are_another_setting(streams: list[str], tmp_path: Path) -> None:
    setting = Setting(streams[1])
    before, file = identity(setting), kept_file(tmp_path, setting)
    random_weights(Path(streams[1].partition("@")[2]), "test-ctc", "abcdef ghij", 1.0)
    assert identity(setting) != before
    assert kept_file(tmp_path, setting) != file


def test_whisper_in_a_growing_window_beside_the_whole(readings: list[Utterance]) -> None:
    common = Setting("whisper/tiny.en", language="manifest", threads=1)
    tried = candidates(["whisper/tiny.en"], Space(step_seconds=(2.0,)), common)
    told: list[tuple[str, int, int]] = []
    text = "unless to be rather cold hearted and rather selfish is to be ill disposed"
    whole = [readings[0], replace(readings[1], offset=None, duration=None, text=text)]
    options = TuneOptions(sampling=FAST)
    found = tune(whole, tried, options=options, progress=lambda *each: told.append(each))
    assert told == [
        (f"whisper/tiny.en {how}", number, 2)
        for _ in range(2)
        for number, how in enumerate(("offline", "agreement, step 2 s"))
    ]
    for trial in (found.choice.candidates[0].trial, found.held):
        assert trial is not None
        assert trial.offline is not None
        assert trial.distance is not None
        assert trial.offline.wer.counts.rate < 0.5
        assert trial.distance.rate < 0.5
        assert 0 < trial.latency.final.p95 < 4
        assert trial.differing is None
    record = tune_json(found)
    assert record["held_out"]["offline"]["distance"] is not None
    assert "the model offline" in as_text(tune_tables(found))
