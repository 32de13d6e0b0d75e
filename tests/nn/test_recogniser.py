"""The recogniser of CTC networks, on networks that say what they are told to."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from aural.errors import InputError, UnknownName
from aural.nn.exported import FeatureOptions
from aural.nn.recogniser import (
    CTCRecogniser,
    DecodingOptions,
    FrameScorer,
    batches,
    compression_ratio,
)
from aural.text.tokens import Tokenizer
from aural.types import Recogniser

LETTERS = Tokenizer("characters", (" ", "a", "b", "c"))
RATE = 1000


class Levels:
    """One feature every 10 samples: the sample, told by its level which token it is."""

    sample_rate = RATE

    def features(self, samples: np.ndarray) -> np.ndarray:
        return samples[: samples.size // 10 * 10 : 10, None]


class Spoken(nn.Module):
    """Log probabilities of the token that the feature tells, and some doubt."""

    def __init__(self, sureness: float = 0.9) -> None:
        super().__init__()
        self.doubt = nn.Parameter(torch.tensor((1 - sureness) / 4))
        self.batches: list[tuple[int, ...]] = []

    def forward(self, features: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        assert not torch.is_grad_enabled()
        assert not self.training
        self.batches.append(tuple(lengths.tolist()))
        told = nn.functional.one_hot((10 * features[..., 0]).round().long(), 5).float()
        return (told * (1 - 5 * self.doubt) + self.doubt).log(), lengths


def recogniser(network: nn.Module | None = None, **given: Any) -> CTCRecogniser:
    return CTCRecogniser(
        network or Spoken(), LETTERS, Levels(), 100.0, language="en", device="cpu", **given
    )


def sound(path: list[int]) -> np.ndarray:
    """Samples whose path is that, a frame of 10 ms each."""
    return np.repeat(np.array(path, np.float32) / 10, 10)


def test_words_with_their_times() -> None:
    model = recogniser()
    assert isinstance(model, Recogniser)
    assert isinstance(model, FrameScorer)
    for options in (DecodingOptions(beam_size=1), DecodingOptions()):
        (found,) = model.recognise([sound([0, 2, 2, 3, 0, 1, 0, 0, 4, 0])], options)
        assert found.language == "en"
        segment = found.segment
        assert segment.text == " ab c"
        assert (segment.start, segment.end) == (0.0, 0.1)
        assert segment.tokens == (2, 3, 1, 4)
        times = [(w.text, round(w.start, 3), round(w.end, 3)) for w in segment.words]
        assert times == [(" ab", 0.01, 0.04), (" c", 0.08, 0.09)]
        assert segment.words[0].probability == pytest.approx(0.9, abs=1e-3)
        assert segment.avg_logprob == pytest.approx(np.log(0.9), abs=1e-3)
    silent = DecodingOptions(word_timestamps=False)
    (found,) = model.recognise([sound([2, 3])], silent)
    assert (found.segment.text, found.segment.words) == (" ab", ())


def testbatches_are_of_like_length_and_change_nothing() -> None:
    network = Spoken()
    model = recogniser(network)
    windows = [sound([2] * n + [0, 3]) for n in (40, 3, 1, 50, 2)] + [np.zeros(4, np.float32)]
    together = model.recognise(windows)
    assert network.batches == [(3, 4, 5, 42, 52)]
    assert together == [model.recognise([window])[0] for window in windows]
    assert together[-1].segment.text == ""
    assert together[-1].segment.avg_logprob == 0.0
    assert model.recognise([]) == []
    assert list(batches([2, 0, 1], [50.0, 70.0, 10.0])) == [[2, 0], [1]]
    assert [len(b) for b in batches(list(range(40)), [1.0] * 40)] == [16, 16, 8]
    assert list(batches([0], [500.0])) == [[0]]


def test_frame_scores() -> None:
    scores = recogniser().log_probs(sound([0, 2, 1]))
    assert scores.shape == (3, 5)
    assert scores.dtype == np.float32
    assert scores.argmax(1).tolist() == [0, 2, 1]
    np.testing.assert_allclose(np.exp(scores).sum(1), 1, atol=1e-6)
    assert recogniser().log_probs(np.zeros(0, np.float32)).shape == (0, 5)


class Doubtful(nn.Module):
    """Says a, then b or (a little likelier) c."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1))

    def forward(self, features: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        rows = torch.tensor([[0.05, 0.01, 0.9, 0.02, 0.02], [0.05, 0.01, 0.02, 0.42, 0.5]])
        return rows.log().expand(len(features), 2, 5) + 0 * self.weight, lengths


def test_hotwords_and_language_models_turn_a_doubt(tmp_path: Any) -> None:
    model, window = recogniser(Doubtful()), sound([0, 0])
    (found,) = model.recognise([window])
    assert found.segment.text == " ac"
    (found,) = model.recognise([window], DecodingOptions(hotwords="AB, ", beam_size=1))
    assert found.segment.text == " ab"
    words = "\\data\\\nngram 1=4\n\n\\1-grams:\n-1 <s>\n-0.3 </s>\n-0.3 ab\n-4 ac\n\n\\end\\\n"
    tokens = words.replace("ngram 1=4", "ngram 1=6").replace(
        "-0.3 ab\n-4 ac\n", "-1 ▁\n-0.3 a\n-0.3 b\n-4 c\n"
    )
    for name, text in (("words.arpa", words), ("tokens.arpa", tokens)):
        (tmp_path / name).write_text(text, encoding="utf-8")
        options = DecodingOptions(language_model=str(tmp_path / name), language_model_weight=1.0)
        assert model.recognise([window], options)[0].segment.text == " ab"
        unweighed = DecodingOptions(language_model=str(tmp_path / name), language_model_weight=0.0)
        assert model.recognise([window], unweighed)[0].segment.text == " ac"
    with pytest.raises(InputError, match=r"nowhere.arpa: can't be read"):
        model.recognise([window], DecodingOptions(language_model="nowhere.arpa"))
    with pytest.raises(InputError, match="hotword 'Xyz' can't be written"):
        model.recognise([window], DecodingOptions(hotwords="Xyz"))


def test_what_it_can_not_do_is_told() -> None:
    model = recogniser()
    assert model.identify_language([sound([1])])[0].language == "en"
    with pytest.raises(UnknownName, match="'fr'"):
        model.check(DecodingOptions(language="fr"))
    with pytest.raises(InputError, match=r"options are builtins.dict; .* takes aural.nn"):
        model.check({})
    for wrong in (np.zeros((2, 8), np.float32), np.zeros(8, np.int16), np.full(8, np.inf)):
        with pytest.raises(InputError, match="give finite float samples"):
            model.recognise([wrong])
    with pytest.raises(InputError, match=r"lasts 400.0 s; give at most 300 s"):
        model.recognise([np.zeros(400 * RATE, np.float32)])
    for given in ({"device": "tpu"}, {"compute_type": "int8"}):
        with pytest.raises(UnknownName):
            CTCRecogniser(Spoken(), LETTERS, Levels(), 100.0, **given)
    if not torch.cuda.is_available():
        with pytest.raises(InputError, match="torch finds no GPU"):
            CTCRecogniser(Spoken(), LETTERS, Levels(), 100.0, device="cuda")
    for given in ({"beam_size": 0}, {"hotword_bonus": 99.0}, {"language_model_weight": np.nan}):
        with pytest.raises(InputError, match=next(iter(given))):
            DecodingOptions(**given)


def test_threads_are_put_back() -> None:
    before = torch.get_num_threads()
    seen: list[int] = []

    class Counting(Spoken):
        def forward(self, features: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
            seen.append(torch.get_num_threads())
            return super().forward(features, lengths)

    recogniser(Counting(), threads=before + 1).log_probs(sound([1]))
    assert seen == [before + 1]
    assert torch.get_num_threads() == before


def test_features_of_a_directory_fit() -> None:
    samples = np.random.default_rng(0).normal(0, 0.1, 1600).astype(np.float32)
    assert FeatureOptions().features(samples).shape == (8, 80)
    assert compression_ratio("") == 1.0
    assert compression_ratio("no " * 100) > 5
