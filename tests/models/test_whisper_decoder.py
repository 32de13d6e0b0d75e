"""Whisper whole in torch against the runtime of the same file, and written back for it."""

from pathlib import Path

import ctranslate2
import numpy as np
import pytest
import torch

from aural import models
from aural.audio.features import whisper_log_mel
from aural.audio.read import read
from aural.errors import InputError
from aural.models import whisper
from aural.models.whisper.torch_decoder import (
    WhisperDecoder,
    WhisperNetwork,
    read_network,
    save_network,
)
from aural.models.whisper.torch_form import EncoderShape, WhisperEncoder
from aural.nn.sequence import Decoding
from aural.store.ctranslate2 import read_arrays
from aural.store.ctranslate2_write import write_whisper_directory

RATE, SECONDS = 16000, 12


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def model() -> whisper.Whisper:
    return models.load("whisper/tiny.en", device="cpu", compute_type="float32", threads=2)


@pytest.fixture(scope="module")
def network(model) -> WhisperNetwork:
    return read_network(model.directory)


@pytest.fixture(scope="module")
def speech(examples: Path) -> np.ndarray:
    return read(examples / "sense_and_sensibility_0870.flac", sample_rate=RATE).samples


@pytest.fixture(scope="module")
def features(speech) -> np.ndarray:
    """Of a real reading padded to 12 s, (80, 1200)."""
    return whisper_log_mel(np.pad(speech, (0, SECONDS * RATE - speech.size)))


@pytest.fixture(scope="module")
def tokens(model, speech) -> list[int]:
    """What the runtime writes for it, from the start on."""
    (found,) = model.recognise([speech], whisper.DecodingOptions(beam_size=1))
    assert len(found.segment.tokens) > 15
    return [model.numbers.start, model.numbers.no_timestamps, *found.segment.tokens]


def logits(network: WhisperNetwork, features: np.ndarray, tokens: list[int]) -> np.ndarray:
    given = torch.from_numpy(features.T.copy())[None]
    with torch.no_grad():
        found = network(given, torch.tensor([given.shape[1]]), torch.tensor([tokens]))
    return found[0].numpy()


def test_scores_are_those_of_the_runtime(model, network, features, tokens) -> None:
    """Of every token at every place, within 2e-3: they span some 50."""
    runtime = model.engine.model
    decoding = Decoding(runtime, [runtime.encode(features)], 1, watched=False)
    told = decoding.prompt(tokens, range(len(tokens)), 1)
    right = runtime.logits(told.hidden[0], range(len(runtime.projection)))
    found = logits(network, features, tokens)
    assert found.shape == right.shape == (len(tokens), 51864)
    assert right.max() - right.min() > 30
    np.testing.assert_allclose(found, right, atol=2e-3)
    assert np.abs(found - right).mean() < 1e-4


def test_the_text_is_what_the_runtime_writes(network, features, tokens) -> None:
    best = logits(network, features, tokens).argmax(axis=1)
    assert best[1:-1].tolist() == tokens[2:]


def test_later_tokens_change_nothing_before(network, features, tokens) -> None:
    whole, part = logits(network, features, tokens), logits(network, features, tokens[:9])
    np.testing.assert_allclose(whole[:9], part, atol=1e-4)


@pytest.fixture(scope="module")
def written(network, model, tmp_path_factory) -> Path:
    """The network with its last norm doubled, as whisper@DIRECTORY."""
    target = tmp_path_factory.mktemp("written") / "double"
    norm = network.decoder.norm
    with torch.no_grad():
        norm.weight.mul_(2)
        norm.bias.mul_(2)
        save_network(network, model.directory, target)
        norm.weight.div_(2)
        norm.bias.div_(2)
    return target


def test_what_is_written_is_read_again(network, model, written) -> None:
    again = read_network(written)
    for name, value in again.state_dict().items():
        right = network.state_dict()[name] * (2 if name.startswith("decoder.norm") else 1)
        torch.testing.assert_close(value, right, rtol=0, atol=0)
    old, new = read_arrays(model.directory), read_arrays(written)
    assert set(old) == set(new)
    assert "decoder/projection/weight" in new


def test_both_runtimes_run_what_is_written(model, network, written, features, speech) -> None:
    """Ours writes the same text more surely; CTranslate2 hears the same."""
    twice = models.load(f"whisper@{written}", device="cpu", compute_type="float32", threads=2)
    options = whisper.DecodingOptions(beam_size=1, word_timestamps=False)
    (before,), (after,) = (each.recognise([speech], options) for each in (model, twice))
    assert after.segment.text == before.segment.text
    assert before.segment.avg_logprob < after.segment.avg_logprob < 0
    runtime = ctranslate2.models.Whisper(str(written), device="cpu", compute_type="float32")
    (found,) = runtime.generate(
        ctranslate2.StorageView.from_array(features[None]),
        [[model.numbers.start, model.numbers.no_timestamps]],
        beam_size=1,
    )
    assert model.tokenizer.decode(found.sequences_ids[0]).strip() == after.segment.text.strip()


def test_half_floats_are_what_the_file_had(network, model, tmp_path: Path) -> None:
    """The weights come in half floats: nothing is lost on the way to torch and back."""
    save_network(network, model.directory, tmp_path / "half", half=True)
    old, new = read_arrays(model.directory), read_arrays(tmp_path / "half")
    for name in old:
        assert new[name].dtype == old[name].dtype, name
        np.testing.assert_array_equal(new[name], old[name])


def test_what_can_not_be_written(model, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="give another directory"):
        write_whisper_directory(model.directory, model.directory, {})
    with pytest.raises(InputError, match=r"decoder/layer_norm/gamma is \(3,\)"):
        write_whisper_directory(
            model.directory, tmp_path / "x", {"decoder/layer_norm/gamma": np.zeros(3, np.float32)}
        )
    with pytest.raises(InputError, match="not there"):
        write_whisper_directory(model.directory, tmp_path / "x", {"more": np.zeros(3)})


def test_what_can_not_be_heard() -> None:
    torch.manual_seed(0)
    encoder = WhisperEncoder(EncoderShape(80, 8, 2, 1, 8, 50))
    network = WhisperNetwork(encoder, WhisperDecoder(9, 8, 2, 1, 8, 448))
    features, lengths = torch.zeros(2, 100, 80), torch.tensor([100, 60])
    with pytest.raises(InputError, match="pad the samples"):
        network(features, lengths, torch.zeros(2, 3, dtype=torch.int64))
    for count in (0, 449):
        with pytest.raises(InputError, match=f"{count} tokens a text"):
            network(features, lengths.clamp(100), torch.zeros(2, count, dtype=torch.int64))
