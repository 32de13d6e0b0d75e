"""Contracts over every family of the registry, whatever is in the folder."""

import dataclasses
import inspect
import re
import subprocess
import sys
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import pytest
import soundfile

from aural import models
from aural.errors import InputError, UnknownName
from aural.store.verify import SUFFIXES
from aural.types import LanguageIdentifier, SpeechDetector

FAMILIES = models.families()
NAMES = models.names()


def test_families_are_sorted_and_named_as_files() -> None:
    assert tuple(sorted(FAMILIES)) == FAMILIES
    assert {"audio_rnn", "conformer", "silero", "whisper"} <= set(FAMILIES)
    assert len(set(NAMES)) == len(NAMES)


def test_listing_families_loads_no_network_library() -> None:
    """Torch, transformers and onnxruntime wait for the model that needs them."""
    code = (
        "import sys; from aural import models; [models.find(name) for name in models.names()];"
        "print(sorted({'torch', 'transformers', 'ctranslate2', 'gguf'} & set(sys.modules)))"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


@pytest.mark.parametrize("family", FAMILIES)
def test_docstring_tells_source_and_licence(family: str) -> None:
    text = models.family(family).__doc__ or ""
    assert len(text.splitlines()) >= 5
    assert re.search(r"MIT|Apache|BSD|CC[- ]BY|CC0|licence", text)
    assert re.search(r"weights", text), "where the weights come from"


@pytest.mark.parametrize("family", FAMILIES)
def test_config_is_frozen_and_documented(family: str) -> None:
    config = models.family(family).Config
    assert dataclasses.is_dataclass(config)
    assert config.__dataclass_params__.frozen
    assert config.__doc__
    for variant in models.family(family).VARIANTS.values():
        assert type(variant.config) is config


@pytest.mark.parametrize("family", FAMILIES)
def test_load_has_the_agreed_signature(family: str) -> None:
    parameters = inspect.signature(models.family(family).load).parameters
    assert list(parameters) == ["directory", "config", "device", "compute_type", "threads"]
    keywords = list(parameters.values())[2:]
    assert all(parameter.kind is parameter.KEYWORD_ONLY for parameter in keywords)


@pytest.mark.parametrize("family", FAMILIES)
def test_variants(family: str) -> None:
    module = models.family(family)
    assert module.VARIANTS
    assert isinstance(module.EXTRA, str)
    for name in module.VARIANTS:
        assert re.fullmatch(r"[a-z0-9][a-z0-9.-]*", name)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_shape_without_weights_can_be_trained_and_loaded(family: str) -> None:
    module = models.family(family)
    shapes = [name for name, variant in module.VARIANTS.items() if variant.weights is None]
    if shapes:
        assert list(inspect.signature(module.read_config).parameters) == ["directory"]
    if "test" in shapes:
        assert list(inspect.signature(module.build).parameters) == ["config"]


@pytest.mark.parametrize("name", NAMES)
def test_weights_are_pinned(name: str) -> None:
    entry = models.find(name)
    assert entry.licence
    assert entry.description
    assert "\n" not in entry.description
    weights = entry.weights
    if weights is None:
        with pytest.raises(InputError, match=f"train it .* as {entry.family}@DIRECTORY"):
            models.locate(entry)
        return
    assert weights.files
    assert len({file.name for file in weights.files}) == len(weights.files)
    assert bool(weights.hub_repo) == bool(weights.hub_revision)
    if weights.hub_repo:
        assert re.fullmatch(r"[\w.-]+/[\w.-]+", weights.hub_repo)
        assert re.fullmatch(r"[0-9a-f]{40}", weights.hub_revision), "a commit, not a branch"
    for file in weights.files:
        assert PurePosixPath(file.name).name == file.name
        assert PurePosixPath(file.name).suffix in SUFFIXES
        assert re.fullmatch(r"[0-9a-f]{64}", file.sha256)
        assert file.size > 0
        assert file.parts or weights.hub_repo, "a source carries it"
        for part in file.parts:
            assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", part.distribution)
            assert re.fullmatch(r"[0-9]+(\.[0-9]+)*", part.version)
            assert re.fullmatch(r"|[0-9a-f]{64}", part.sha256)


@pytest.mark.parametrize("family", FAMILIES)
def test_unknown_variant_names_the_choices(family: str) -> None:
    with pytest.raises(UnknownName) as caught:
        models.find(f"{family}/no-such-variant")
    assert all(f"{family}/{name}" in str(caught.value) for name in models.family(family).VARIANTS)


WEIGHTS = {name: models.find(name).weights for name in NAMES}
IN_WHEELS = [
    name
    for name, weights in WEIGHTS.items()
    if weights and all(f.parts for f in weights.files) and models.find(name).extra != "train"
]
"""What works where there is no Hub: loaded here on its real weights. What needs the libraries of
training takes half a minute to load, and is tested once, in its own file."""


def load(name: str) -> Any:
    """The model on at most two threads."""
    return models.load(name, device="cpu", threads=2)


@pytest.fixture(scope="module")
def speech(examples: Path) -> np.ndarray:
    """7 s of a real reading, float32 at 16 kHz."""
    samples, rate = soundfile.read(examples / "sense_and_sensibility_0870.flac", dtype="float32")
    assert rate == 16000
    return samples


@pytest.fixture(scope="module")
def short(examples: Path) -> np.ndarray:
    """3 s of it: SHORT_TEXT."""
    samples, _ = soundfile.read(examples / "sense_and_sensibility_0880.flac", dtype="float32")
    return samples


SHORT_TEXT = "he was not an ill disposed young man"


def test_defaults_need_no_hub() -> None:
    assert {"whisper/base", "whisper/tiny.en", "silero/16k", "conformer/hama"} <= set(IN_WHEELS)


@pytest.mark.parametrize("name", IN_WHEELS)
def test_capability_contracts_on_real_weights(
    name: str, speech: np.ndarray, short: np.ndarray
) -> None:
    model = load(name)
    assert model is load(name)
    checked = 0
    if hasattr(model, "speech_probabilities"):
        check_speech_detector(model, speech)
        checked += 1
    if hasattr(model, "identify_language") and len(model.languages) > 1:
        check_language_identifier(model, speech)
        checked += 1
    if hasattr(model, "recognise"):
        check_recogniser(model, speech)
        checked += 1
    if hasattr(model, "log_probs") and hasattr(model, "frame_rate"):
        check_frame_scorer(model, speech)
        checked += 1
    if hasattr(model, "align"):
        check_aligner(model, short)
        checked += 1
    assert checked, "a model can do something that a contract covers"


def check_speech_detector(model: SpeechDetector, speech: np.ndarray) -> None:
    """Shape, range, same input same output, a stream equals the whole, speech against silence."""
    scores = model.speech_probabilities(speech)
    assert scores.dtype == np.float32
    assert scores.shape == (-(-len(speech) // model.frame_length),)
    assert 0 <= scores.min() <= scores.max() <= 1
    np.testing.assert_array_equal(scores, model.speech_probabilities(speech))
    stream = model.stream()  # type: ignore[attr-defined]
    pieces = [stream.push(piece) for piece in np.array_split(speech, 37)] + [stream.finish()]
    np.testing.assert_array_equal(np.concatenate(pieces), scores)
    assert scores.mean() > 0.5
    assert model.speech_probabilities(np.zeros(16000, np.float32)).max() < 0.5
    assert model.speech_probabilities(np.zeros(0, np.float32)).shape == (0,)


def check_language_identifier(model: LanguageIdentifier, speech: np.ndarray) -> None:
    """A guess a window, scores that fall and sum to 1, and a batch that changes no answer."""
    alone, short = model.identify_language([speech]), model.identify_language([speech[:32000]])
    both = model.identify_language([speech, speech[:32000]])
    assert [guess.language for guess in both] == ["en", "en"]
    for one, of_batch in zip([*alone, *short], both, strict=True):
        scores = [tag.score for tag in one.tags]
        assert scores == sorted(scores, reverse=True)
        assert sum(scores) == pytest.approx(1, abs=1e-3)
        assert of_batch.tags[0].score == pytest.approx(scores[0], abs=0.05)


def check_recogniser(model: Any, speech: np.ndarray) -> None:
    """A hypothesis a window, the same each time, in the window's time, and what was said; words as
    they are spelt where the language is known, else (phonemes) some text with its words."""
    first, again = model.recognise([speech]), model.recognise([speech])
    assert first == again
    assert len(first) == 1
    segment = first[0].segment
    if first[0].language == "und":
        assert len(segment.words) > 10
    else:
        assert first[0].language == "en"
        assert "had then leisure to consider" in segment.text
    assert 0 <= segment.start <= segment.end <= len(speech) / 16000 + 0.1


def check_frame_scorer(model: Any, speech: np.ndarray) -> None:
    """Log probabilities that sum to 1 in each frame, as many frames as the rate says, the same each
    time."""
    scores = model.log_probs(speech)
    assert scores.dtype == np.float32
    assert scores.shape[1] == model.tokenizer.size
    assert abs(len(scores) - len(speech) / model.sample_rate * model.frame_rate) < 3
    np.testing.assert_allclose(np.exp(scores.astype(np.float64)).sum(axis=1), 1, atol=1e-4)
    np.testing.assert_array_equal(scores, model.log_probs(speech))


def check_aligner(model: Any, short: np.ndarray) -> None:
    """Every word of a known text, in order, within the recording, the same each time."""
    found = model.align(short, SHORT_TEXT)
    assert found == model.align(short, SHORT_TEXT)
    assert [word.text.strip().lower() for word in found.words] == SHORT_TEXT.split()
    times = [time for word in found.words for time in (word.start, word.end)]
    assert times == sorted(times)
    assert 0 <= times[0] < times[-1] <= len(short) / model.sample_rate
