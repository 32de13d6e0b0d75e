"""A recogniser made of a directory: trained here on tones, each of which says a word."""

import itertools
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional

from aural import models
from aural.decode.attention import DecodingOptions
from aural.errors import InputError, UnknownName
from aural.models import whisper
from aural.models.seq2seq import VARIANTS, Config, build
from aural.nn.attention_recogniser import AttentionRecogniser, side_by_side
from aural.nn.exported import Exported, FeatureOptions, export
from aural.nn.recogniser import BATCH_WINDOWS
from aural.nn.sound_encoder import probe
from aural.text.tokens import Tokenizer
from aural.train.batch import Batch
from aural.train.objectives.attention import attention
from aural.types import Recogniser

RATE = 8000
FEATURES = FeatureOptions(n_mels=8, sample_rate=RATE, normalise="utterance")
WORDS = Tokenizer("words", ("low", "mid", "high"))
PITCH = {"low": 200.0, "mid": 700.0, "high": 2000.0}
TEXTS = tuple(
    " ".join(words) for count in (1, 2) for words in itertools.product(PITCH, repeat=count)
)


def said(text: str) -> np.ndarray:
    """Each word a tone of 0.2 s after a pause of 0.1 s."""
    pause, time = np.zeros(RATE // 10), np.arange(RATE // 5) / RATE
    pieces = [pause]
    for word in text.split():
        pieces += [0.3 * np.sin(2 * np.pi * PITCH[word] * time), pause]
    samples = np.concatenate(pieces)
    noise = np.random.default_rng(len(text)).normal(0, 0.01, samples.size)
    return (samples + noise).astype(np.float32)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory as training leaves it."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    config: Config = replace(VARIANTS["test-transformer"].config, tokens=WORDS.size, dropout=0.0)
    network = build(config)
    features, lengths = side_by_side([FEATURES.features(said(text)) for text in TEXTS])
    tokens = [torch.tensor(WORDS.encode(text)) for text in TEXTS]
    batch = Batch(
        features,
        lengths,
        torch.nn.utils.rnn.pad_sequence(tokens, batch_first=True),
        torch.tensor([len(each) for each in tokens]),
    )
    optimiser = torch.optim.Adam(network.parameters(), 0.01)
    for _ in range(100):
        losses = attention(network, batch, label_smoothing=0.05)
        (losses.total / losses.weight).backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimiser.step()
        optimiser.zero_grad()
    directory = tmp_path_factory.mktemp("trained")
    export(directory, network, Exported("seq2seq", asdict(config), FEATURES, WORDS, "en"))
    return directory


@pytest.fixture(scope="module")
def recogniser(trained: Path) -> AttentionRecogniser:
    return models.load(f"seq2seq@{trained}", Recogniser, device="cpu")


def test_what_was_learned_is_written_down(recogniser: AttentionRecogniser) -> None:
    windows = [said(text) for text in TEXTS]
    found = recogniser.recognise(windows)
    assert [each.segment.text for each in found] == [f" {text}" for text in TEXTS]
    for each, window in zip(found, windows, strict=True):
        assert each.language == "en"
        assert each.segment.end == window.size / RATE
        times = [time for word in each.segment.words for time in (word.start, word.end)]
        assert times == sorted(times)
        assert 0 <= times[0] < times[-1] <= each.segment.end
        assert all(0.5 < word.probability <= 1 for word in each.segment.words)
        assert -0.5 < each.segment.avg_logprob < 0


def test_words_are_where_they_were_attended_to(recogniser: AttentionRecogniser) -> None:
    """A network that says 3 1 2, looking at states 1, 4 and 5 of 8 with a share of 0.6."""

    class Looking:
        def encode(self, features: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
            return features[:, :8], torch.tensor([8])

        def memory(self, states: Tensor, lengths: Tensor) -> tuple[Tensor, ...]:
            return (states,)

        def first(self, memory: tuple[Tensor, ...]) -> tuple[Tensor, tuple[Tensor, ...]]:
            return self.step(torch.tensor([0]), memory, (torch.tensor([0]),))

        def step(
            self, tokens: Tensor, memory: tuple[Tensor, ...], cache: tuple[Tensor, ...]
        ) -> tuple[Tensor, tuple[Tensor, ...]]:
            told = functional.one_hot(torch.tensor([3, 1, 2, 0])[cache[0]], 4) * 3.0
            return told.log_softmax(-1), (torch.clamp(cache[0] + 1, max=3),)

        def aligned(self, targets: Tensor, memory: tuple[Tensor, ...]) -> tuple[Tensor, Tensor]:
            shares = torch.full((1, 4, 8), 0.4 / 7)
            shares[0, [0, 1, 2, 3], [1, 4, 5, 7]] = 0.6
            told = functional.one_hot(torch.tensor([[3, 1, 2, 0]]), 4) * 3.0
            return told.log_softmax(-1), shares

    looking = AttentionRecogniser(Looking(), recogniser.about, 0.04, device="cpu")
    (found,) = looking.recognise([np.zeros(RATE, np.float32)])
    assert found.segment.text == " high low mid"
    assert found.segment.tokens == (3, 1, 2)
    # The first word has all that comes before what the second is heard at.
    assert [word.end for word in found.segment.words] == pytest.approx([0.16, 0.2, 0.32])
    assert [word.start for word in found.segment.words][1:] == pytest.approx([0.16, 0.2])
    share = np.exp(3) / (np.exp(3) + 3)
    assert [word.probability for word in found.segment.words] == pytest.approx([share] * 3)
    assert found.segment.avg_logprob == pytest.approx(np.log(share))


def test_a_hypothesis_does_not_depend_on_the_batch(recogniser: AttentionRecogniser) -> None:
    windows = [said(text) for text in TEXTS]
    together = recogniser.recognise(windows)
    for window, hypothesis in zip(windows, together, strict=True):
        (alone,) = recogniser.recognise([window])
        assert alone.segment.text == hypothesis.segment.text
        assert [(word.start, word.end) for word in alone.segment.words] == [
            (word.start, word.end) for word in hypothesis.segment.words
        ]
        assert alone.segment.avg_logprob == pytest.approx(hypothesis.segment.avg_logprob, abs=1e-4)


def test_options_are_followed(recogniser: AttentionRecogniser) -> None:
    window = said("high low")
    options = DecodingOptions(1, length_penalty=0.5, language="en", word_timestamps=False)
    (found,) = recogniser.recognise([window], options)
    assert found.segment.text == " high low"
    assert found.segment.words == ()


def test_a_language_model_is_heard(recogniser: AttentionRecogniser) -> None:
    class OnlyLow:
        tokens = 4

        def start(self) -> int:
            return 0

        def scores(self, states: np.ndarray) -> np.ndarray:
            return np.tile(np.array([0, 0, -99, -99], np.float32), (len(states), 1))

        def advance(self, states: np.ndarray, tokens: np.ndarray) -> np.ndarray:
            return states

    fused = AttentionRecogniser(
        recogniser.network,
        recogniser.about,
        recogniser.frame_seconds,
        device="cpu",
        language_model=OnlyLow(),
    )
    options = DecodingOptions(language_model_weight=5.0)
    (found,) = fused.recognise([said("high mid")], options)
    assert set(found.segment.text.split()) <= {"low"}


def test_what_is_no_sound(recogniser: AttentionRecogniser) -> None:
    empty, short = recogniser.recognise([np.zeros(0, np.float32), np.zeros(3, np.float32)])
    assert empty.segment.text == short.segment.text == ""
    assert recogniser.recognise([]) == []
    silence = recogniser.recognise([np.zeros(RATE, np.float32)])
    assert np.isfinite(silence[0].segment.avg_logprob)


@pytest.mark.parametrize(
    "window",
    [
        np.zeros((2, 800), np.float32),
        np.zeros(800, np.int16),
        np.full(800, np.nan, np.float32),
        np.zeros(RATE * 301, np.float32),
    ],
)
def test_windows_that_are_refused(recogniser: AttentionRecogniser, window: np.ndarray) -> None:
    with pytest.raises(InputError, match="a window"):
        recogniser.recognise([window])


def test_options_that_are_refused(recogniser: AttentionRecogniser) -> None:
    with pytest.raises(UnknownName, match="'nl'"):
        recogniser.check(DecodingOptions(language="nl"))
    with pytest.raises(InputError, match=r"attention decoder takes aural\.decode\.attention"):
        recogniser.check(whisper.DecodingOptions())


def test_a_language_model_of_words_is_read(recogniser: AttentionRecogniser, tmp_path: Path) -> None:
    """Only "low" is likely at all, so it is what is written, whatever sounds."""
    path = tmp_path / "low.arpa"
    rows = ("-0.5 </s>", "-99 <s>", "-5 <unk>", "-0.3 low", "-5 mid", "-5 high")
    path.write_text(
        "\\data\\\nngram 1=6\n\n\\1-grams:\n"
        + "\n".join(row.replace(" ", "\t") for row in rows)
        + "\n\n\\end\\\n"
    )
    options = DecodingOptions(language_model=str(path), language_model_weight=3.0)
    (found,) = recogniser.recognise([said("high mid")], options)
    assert set(found.segment.text.split()) <= {"low"}


def test_loading_is_checked(trained: Path, tmp_path: Path) -> None:
    with pytest.raises(UnknownName, match="compute type"):
        models.load(f"seq2seq@{trained}", compute_type="int4")
    other = Exported("seq2seq", asdict(VARIANTS["test"].config), FEATURES, WORDS)
    torch.manual_seed(0)
    export(tmp_path / "other", build(VARIANTS["test"].config), other)
    with pytest.raises(InputError, match="not of one training"):
        models.load(f"seq2seq@{tmp_path / 'other'}")


def test_its_encoder_stands_before_other_networks(trained: Path) -> None:
    entry = models.find(f"seq2seq@{trained}")
    encoder = models.family("seq2seq").sound_encoder(trained, entry.config, entry.name)
    found = probe(encoder)
    assert (found.width, found.frame_rate) == (16, 25.0)


def test_threads_are_as_asked_and_put_back(trained: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    monkeypatch.setattr(torch, "set_num_threads", asked.append)
    found = models.load(f"seq2seq@{trained}", Recogniser, threads=3)
    found.recognise([said("low")], DecodingOptions())
    assert asked == [3, torch.get_num_threads()]


def test_many_windows_are_heard_a_few_at_a_time(
    recogniser: AttentionRecogniser, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes: list[int] = []
    encode = recogniser.network.encode

    def counted(features: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        sizes.append(len(features))
        return encode(features, lengths)

    monkeypatch.setattr(recogniser.network, "encode", counted)
    texts = [*TEXTS, *TEXTS]
    found = recogniser.recognise([said(text) for text in texts])
    assert max(sizes) <= BATCH_WINDOWS
    alone = [recogniser.recognise([said(text)])[0].segment.text for text in TEXTS]
    assert [each.segment.text for each in found] == alone * 2
