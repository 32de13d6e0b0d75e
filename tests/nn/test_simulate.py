"""A recording at once under a stream's chunks is what the stream makes of it piece by piece."""

from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from aural import models
from aural.errors import InputError
from aural.models.transducer import VARIANTS, build
from aural.nn.exported import Exported, FeatureOptions, export
from aural.text.tokens import Tokenizer
from aural.types import PartialResult, StreamOptions, StreamSimulator

HEADS = {"test": ("abc defghij", 4.0), "test-ctc": ("abcdef ghij", 1.0)}


@pytest.fixture(scope="module", params=list(HEADS))
def recogniser(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> StreamSimulator:
    """Random weights that write some letters."""
    letters, blank = HEADS[request.param]
    config = VARIANTS[request.param].config
    torch.manual_seed(5)
    network = build(config)
    with torch.no_grad():
        network.output.weight *= 4
        network.output.bias[0] += blank
    directory = tmp_path_factory.mktemp(request.param)
    tokenizer = Tokenizer("characters", tuple(letters))
    features = FeatureOptions("kaldi", 16, 16000, "none")
    export(directory, network, Exported("transducer", asdict(config), features, tokenizer, "en"))
    return models.load(f"transducer@{directory}", StreamSimulator, device="cpu", threads=1)


@pytest.fixture(scope="module")
def speech(examples: Path) -> np.ndarray:
    path = examples / "sense_and_sensibility_0880.flac"
    return soundfile.read(path, dtype="float32", frames=35000)[0]


def streamed(
    recogniser: StreamSimulator, samples: np.ndarray, options: StreamOptions, seed: int
) -> PartialResult:
    stream = recogniser.stream(options)  # type: ignore[attr-defined]
    cuts = np.sort(np.random.default_rng(seed).integers(0, samples.size + 1, 25))
    for piece in np.split(samples, cuts):
        stream.push(piece)
    return stream.finish()[-1]


def test_at_once_is_what_the_stream_writes(recogniser: StreamSimulator, speech: np.ndarray) -> None:
    """Words, tokens and times exactly; probabilities to 1e-4."""
    ctc = hasattr(recogniser, "log_probs")
    texts = set()
    for chunk, ahead, beam in ((0.04, 0.2, 1), (0.4, 0.2, 1), (0.16, 0.0, 1), (0.16, 0.0, 3)):
        if ctc and beam > 1:
            continue
        options = StreamOptions(chunk, ahead, beam)
        whole = recogniser.simulate(speech, options)
        piecewise = streamed(recogniser, speech, options, seed=beam)
        told = [(word.text, word.tokens, word.start, word.end) for word in piecewise.words]
        assert [(word.text, word.tokens, word.start, word.end) for word in whole.words] == told
        np.testing.assert_allclose(
            [word.probability for word in whole.words],
            [word.probability for word in piecewise.words],
            atol=1e-4,
        )
        assert (whole.final, whole.time) == (piecewise.final, piecewise.time)
        texts.add(tuple(word.text for word in whole.words))
    assert len(texts) > 1, "chunks decide about what is written, or nothing would be shown here"
    assert max(map(len, texts)) > 3


def test_no_chunks_given_are_those_it_was_trained_with(
    recogniser: StreamSimulator, speech: np.ndarray
) -> None:
    assert recogniser.simulate(speech) == recogniser.simulate(speech, StreamOptions(0.12, 0.08))


@pytest.mark.parametrize("size", [0, 1, 399, 400, 1700])
def test_short_sound(recogniser: StreamSimulator, speech: np.ndarray, size: int) -> None:
    options = StreamOptions(0.4, 0.2)
    piecewise = streamed(recogniser, speech[:size], options, seed=1)
    whole = recogniser.simulate(speech[:size], options)
    assert [word.text for word in whole.words] == [word.text for word in piecewise.words]
    assert whole.time == pytest.approx(piecewise.time)


def test_what_is_no_sound_is_refused(recogniser: StreamSimulator) -> None:
    odd = np.ones((2, 16000), np.float32), np.ones(16000, np.int16), np.full(16000, np.nan)
    for samples in odd:
        with pytest.raises(InputError, match="give "):
            recogniser.simulate(samples)
