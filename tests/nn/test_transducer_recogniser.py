"""Recognisers over exported directories: a stream writes what a window does, and settles it."""

import itertools
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from aural import models
from aural.decode.ctc import TokenSpan, greedy
from aural.decode.ctc_stream import GreedyStream
from aural.decode.transducer import TransducerOptions, decode
from aural.errors import InputError, UnknownName
from aural.models.transducer import VARIANTS, build
from aural.nn.exported import Exported, FeatureOptions, export
from aural.nn.recogniser import DecodingOptions
from aural.nn.transducer_recogniser import NetworkJoiner, TransducerRecogniser, final_words
from aural.text.tokens import Tokenizer
from aural.types import PartialResult, Recogniser, StreamingRecogniser, StreamOptions

LETTERS = Tokenizer("characters", tuple("abcdef ghij"))
"""Its space is what the random network of the "ctc" head writes often, and below the other's."""
OTHER_LETTERS = Tokenizer("characters", tuple("abc defghij"))
FEATURES = FeatureOptions("kaldi", 16, 16000, "none")


def written(directory: Path, head: str, features: FeatureOptions = FEATURES) -> str:
    """A network of random weights that writes some letters, exported; its name."""
    config = VARIANTS["test" if head == "transducer" else "test-ctc"].config
    torch.manual_seed(5)
    network = build(config)
    with torch.no_grad():
        network.output.weight *= 4
        network.output.bias[0] += 1.0 if head == "ctc" else 4.0
    letters = LETTERS if head == "ctc" else OTHER_LETTERS
    export(directory, network, Exported("transducer", asdict(config), features, letters, "en"))
    return f"transducer@{directory}"


@pytest.fixture(params=["transducer", "ctc"])
def recogniser(request: pytest.FixtureRequest, tmp_path: Path) -> Recogniser:
    return models.load(written(tmp_path, request.param), Recogniser, device="cpu", threads=1)


@pytest.fixture(scope="module")
def speech(examples: Path) -> np.ndarray:
    samples, _ = soundfile.read(examples / "sense_and_sensibility_0880.flac", dtype="float32")
    return samples


GREEDY = DecodingOptions(beam_size=1)


def test_what_a_stream_writes_is_what_a_window_has(
    recogniser: Recogniser, speech: np.ndarray
) -> None:
    assert isinstance(recogniser, StreamingRecogniser)
    (whole,) = recogniser.recognise([speech], GREEDY)
    assert len(whole.segment.words) > 3
    for seed in range(2):
        cuts = np.sort(np.random.default_rng(seed).integers(0, speech.size, 40))
        stream = recogniser.stream()
        results: list[PartialResult] = []
        for piece in np.split(speech, cuts):
            results += stream.push(piece)
        results += stream.finish()
        last = results[-1]
        expected = [(word.text.strip(), word.tokens) for word in whole.segment.words]
        assert [(word.text.strip(), word.tokens) for word in last.words] == expected
        ends = [min(word.end, last.time) for word in last.words]
        np.testing.assert_allclose(ends, [word.end for word in whole.segment.words], atol=1e-6)
        assert last.final == len(last.words)
        assert last.time == pytest.approx(speech.size / 16000)
        check_settling(results)


def check_settling(results: list[PartialResult]) -> None:
    """Final words stay, and nothing is written before it is heard."""
    assert len(results) > 5
    for before, after in itertools.pairwise(results):
        assert after.final >= before.final
        kept = [(word.text, word.start) for word in before.words[: before.final]]
        assert [(word.text, word.start) for word in after.words[: before.final]] == kept
        assert all(word.start <= before.time for word in before.words)
    assert any(result.final < len(result.words) for result in results)


def test_a_stream_normalises_as_it_goes(tmp_path: Path, speech: np.ndarray) -> None:
    name = written(tmp_path, "ctc", replace(FEATURES, normalise="running"))
    recogniser = models.load(name, StreamingRecogniser, device="cpu")
    stream = recogniser.stream()
    (whole,) = recogniser.recognise([speech], GREEDY)  # type: ignore[attr-defined]
    for _ in range(2):
        for piece in np.split(speech, [100, 9000, 9001, 30000]):
            stream.push(piece)
        (last,) = stream.finish()
        assert [each.tokens for each in last.words] == [each.tokens for each in whole.segment.words]
        assert sum(len(each.tokens) for each in last.words) > 3


def test_a_stream_can_be_used_again(recogniser: Recogniser, speech: np.ndarray) -> None:
    assert isinstance(recogniser, StreamingRecogniser)
    stream = recogniser.stream()
    runs = []
    for _ in range(2):
        stream.push(speech[:32000])
        runs.append(stream.finish())
    assert runs[0] == runs[1]
    assert stream.finish() == [PartialResult((), 0, 0.0, 0.0)]


def test_a_beam_settles_what_its_beginnings_share(tmp_path: Path, speech: np.ndarray) -> None:
    recogniser = models.load(written(tmp_path, "transducer"), StreamingRecogniser, device="cpu")
    stream = recogniser.stream(StreamOptions(beam_size=4))
    results: list[PartialResult] = []
    for piece in np.split(speech, range(3200, speech.size, 3200)):
        results += stream.push(piece)
    check_settling(results + stream.finish())


def test_other_chunks_and_look_ahead(tmp_path: Path, speech: np.ndarray) -> None:
    recogniser = models.load(written(tmp_path, "ctc"), StreamingRecogniser, device="cpu")

    def first_heard(options: StreamOptions) -> float:
        stream = recogniser.stream(options)
        for end in range(800, speech.size, 800):
            if stream.push(speech[end - 800 : end]):
                return end / 16000
        raise AssertionError

    assert first_heard(StreamOptions(0.04, 0.0)) < 0.11
    assert first_heard(StreamOptions(0.4, 0.0)) == pytest.approx(0.425, abs=0.05)
    assert first_heard(StreamOptions(0.4, 0.8)) == pytest.approx(1.225, abs=0.05)


def test_recognise_is_the_networks_search(tmp_path: Path, speech: np.ndarray) -> None:
    recogniser = models.load(written(tmp_path, "transducer"), Recogniser, device="cpu")
    network = recogniser.network  # type: ignore[attr-defined]
    windows = [speech, speech[:20000], speech[:100], speech[:0]]
    found = recogniser.recognise(windows, DecodingOptions(beam_size=3))
    for window, hypothesis in zip(windows[:2], found[:2], strict=True):
        features = torch.from_numpy(FEATURES.features(window))[None]
        with torch.no_grad():
            states, _ = network.encode(features, torch.tensor([features.shape[1]]))
        expected = decode(states[0].numpy(), NetworkJoiner(network), TransducerOptions(3))
        assert hypothesis.segment.tokens == expected.tokens
        assert hypothesis.segment.text.strip() == " ".join(
            OTHER_LETTERS.decode(expected.tokens).split()
        )
        assert hypothesis.segment.avg_logprob == pytest.approx(np.mean(expected.log_probs))
    assert [each.segment.text for each in found[2:]] == ["", ""]
    assert {each.language for each in found} == {"en"}


def test_greedy_stream_is_ctcs_greedy() -> None:
    rng = np.random.default_rng(0)
    for _ in range(30):
        scores = rng.standard_normal((40, 4))
        scores[:, 0] += 0.7
        log_probs = scores - np.logaddexp.reduce(scores, axis=1, keepdims=True)
        stream = GreedyStream()
        for piece in np.split(log_probs, [1, 1, 9, 30]):
            stream.push(piece)
        (expected,) = greedy(log_probs)
        assert [(s.token, s.start, s.end) for s in stream.spans()] == [
            (s.token, s.start, s.end) for s in expected.spans
        ]
        np.testing.assert_allclose(
            [s.probability for s in stream.spans()], [s.probability for s in expected.spans]
        )
        assert stream.settled() == len(expected.tokens)


def test_final_words_of_each_kind_of_tokens() -> None:
    def spans(*tokens: int) -> list[TokenSpan]:
        return [TokenSpan(token, i, i + 1, 1.0) for i, token in enumerate(tokens)]

    words = Tokenizer("words", ("one", "two"))
    pieces = Tokenizer("pieces", ("▁on", "e", "▁two"))
    assert final_words(spans(1, 2), words) == 2
    assert final_words(spans(1, 2), pieces) == 0
    assert final_words(spans(1, 2, 3), pieces) == 1
    assert final_words(spans(2, 3), LETTERS) == 0
    assert final_words(spans(2, 3, 7), LETTERS) == 1
    assert final_words(spans(2, 3, 7, 4), LETTERS) == 1
    assert final_words([], LETTERS) == 0


def test_normalising_a_whole_recording_is_refused_in_a_stream(tmp_path: Path) -> None:
    name = written(tmp_path, "ctc", replace(FEATURES, normalise="rows"))
    recogniser = models.load(name, StreamingRecogniser, device="cpu")
    with pytest.raises(InputError, match="normalise 'running' or 'none'"):
        recogniser.stream()


def test_what_is_refused(recogniser: Recogniser, tmp_path: Path, speech: np.ndarray) -> None:
    assert isinstance(recogniser, StreamingRecogniser)
    stream = recogniser.stream()
    for samples in (np.zeros((2, 9), np.float32), np.zeros(9, np.int16), np.full(9, np.nan)):
        with pytest.raises(InputError, match="a window is"):
            stream.push(samples)
    with pytest.raises(UnknownName, match="this install has: en"):
        recogniser.check(replace(GREEDY, language="fr"))
    if isinstance(recogniser, TransducerRecogniser):
        for given in ({"beam_size": 300}, {"language_model_weight": -1.0}, {"hotwords": "a"}):
            with pytest.raises(InputError, match=next(iter(given))):
                recogniser.check(replace(GREEDY, **given))
    for values in ({"chunk_seconds": -1.0}, {"look_ahead_seconds": 99.0}, {"beam_size": 0}):
        with pytest.raises(InputError, match=next(iter(values))):
            StreamOptions(**values)  # type: ignore[arg-type]
    name = f"transducer@{tmp_path}"
    with pytest.raises(UnknownName, match="compute type"):
        models.load(name, device="cpu", compute_type="int8")
    tokens = tmp_path / "tokens.json"
    tokens.write_text(tokens.read_text().replace('"j"', '"j", "k"'))
    with pytest.raises(InputError, match="not of one training"):
        models.load(name, device="cpu", threads=2)
