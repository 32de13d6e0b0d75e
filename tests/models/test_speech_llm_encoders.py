"""Encoders of other families under a language model: what they hear, are adapted to, and were."""

from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path

import jiwer
import numpy as np
import pytest
import soundfile
import torch
from torch import nn

from aural import models
from aural.data.manifest import read_manifest
from aural.evaluate.forgetting import FormerJob
from aural.models import conformer, speech_llm, wav2vec2, whisper
from aural.models.speech_llm import network as speech_network
from aural.models.speech_llm.parts import sound_encoder
from aural.nn.exported import Exported, FeatureOptions, export
from aural.nn.sound_encoder import probe
from aural.text.normalise import NORMALISERS
from aural.text.tokens import characters
from aural.train.judging import JudgeOptions

NAME = "sense_and_sensibility_0880.flac"


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """Networks this small are slower on several."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def exported(directory: Path, family: str, network: nn.Module, **features: object) -> str:
    """The name of a network as training writes it."""
    about = Exported(
        family, asdict(network.config), FeatureOptions(**features), characters("abcdefghijk"), "en"
    )
    export(directory, network, about)
    return f"{family}@{directory}"


@pytest.fixture
def conformer_name(tmp_path: Path) -> str:
    torch.manual_seed(1)
    network = conformer.build(conformer.VARIANTS["test"].config)
    return exported(tmp_path / "conformer", "conformer", network, n_mels=8)


@pytest.fixture
def samples(examples: Path) -> np.ndarray:
    return soundfile.read(examples / NAME, dtype="float32")[0]


def config(tiny_llama: Path, encoder: str, **more: object) -> speech_llm.Config:
    return speech_llm.Config(
        encoder=encoder,
        language_model=str(tiny_llama),
        downsample_rate=8,
        projector_dim=8,
        max_new_tokens=3,
        **more,
    )


def states(encoder: object, samples: np.ndarray) -> torch.Tensor:
    features = torch.from_numpy(encoder.features.features(samples))[None]
    with torch.no_grad():
        return encoder.network.encode(features, torch.tensor([features.shape[1]]))[0][0]


def test_conformers_of_ones_own_and_published(conformer_name: str, samples: np.ndarray) -> None:
    """The states from which the recogniser's own log probabilities follow."""
    for name, width, rate in ((conformer_name, 16, 25), ("conformer/hama", 144, 50)):
        encoder = sound_encoder(name)
        found = probe(encoder)
        assert found.width == width
        assert found.frame_rate == pytest.approx(rate, abs=0.5)
        scorer = models.load(name, device="cpu")
        told = encoder.network.log_probs(states(encoder, samples)).detach().numpy()
        np.testing.assert_allclose(scorer.log_probs(samples), told, atol=1e-4)


def test_wav2vec2_hears_samples(tiny_llama: Path, samples: np.ndarray, tmp_path: Path) -> None:
    """Alone and beside a longer one it says the same."""
    torch.manual_seed(2)
    own = wav2vec2.build(replace(wav2vec2.VARIANTS["test"].config, tokens=12))
    name = exported(tmp_path / "own", "wav2vec2", own)
    torch.manual_seed(0)
    network = speech_llm.build(config(tiny_llama, name)).eval()
    parts = [samples[:6000], samples[6000:20000]]
    features = torch.zeros(2, 14000, 1)
    for row, part in zip(features, parts, strict=True):
        made = network.features.features(part)
        assert made.shape == (len(part), 1)
        row[: len(part)] = torch.from_numpy(made)
    lengths = torch.tensor([6000, 14000])
    with torch.no_grad():
        both, weight, _ = network(features, lengths, ("one", "two"))
        alone = [
            network(features[i : i + 1, : lengths[i]], lengths[i : i + 1], [text])[0]
            for i, text in enumerate(("one", "two"))
        ]
    assert weight == 8
    assert both.item() == pytest.approx(sum(each.item() for each in alone), rel=1e-4)


def test_random_weights_are_the_same_each_time(conformer_name: str, samples: np.ndarray) -> None:
    """They are written down nowhere: what was trained on them has to meet them again."""
    drawn = []
    for seed in (3, 4):
        torch.manual_seed(seed)
        drawn.append(states(sound_encoder(f"random:{conformer_name}"), samples))
    assert torch.equal(*drawn)
    assert not torch.allclose(drawn[0], states(sound_encoder(conformer_name), samples))


def test_states_are_remembered_while_there_is_room(
    tiny_llama: Path, conformer_name: str, samples: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(speech_network, "MAX_REMEMBERED_BYTES", 75 * 16 * 4)
    network = speech_llm.build(config(tiny_llama, conformer_name)).eval()
    made = torch.from_numpy(network.features.features(samples))[None]
    calls = []
    encode = network.encoder.encode
    network.encoder.encode = lambda *given: calls.append(1) or encode(*given)
    lengths = torch.tensor([made.shape[1]])
    told = [network(made, lengths, ["a"], [name])[0].item() for name in ("x", "y", "x", "y")]
    assert len(calls) == 3  # one recording has room
    assert len(set(told)) == 1


@pytest.mark.parametrize("training", ["lora", "full"])
def test_running_statistics_are_kept_with_the_weights(
    tiny_llama: Path, conformer_name: str, samples: np.ndarray, training: str
) -> None:
    """A conformer has batch normalisation, which training moves."""
    torch.manual_seed(0)
    settings = config(tiny_llama, conformer_name, train_encoder=training)
    network = speech_llm.build(settings).train()
    made = torch.from_numpy(network.features.features(samples))[None]
    lengths = torch.tensor([made.shape[1]])
    network(made, lengths, ["a"])[0].backward()
    torch.manual_seed(7)
    other = speech_llm.build(settings)
    other.load_state_dict(network.state_dict())
    told = [each.eval()(made, lengths, ["a"])[0].item() for each in (network, other)]
    assert told[0] == pytest.approx(told[1], rel=1e-6)


def moved_by_lora(tiny_llama: Path, encoder: str, size: float) -> speech_network.SpeechLLM:
    """A network whose encoder's LoRA is not at its beginning."""
    torch.manual_seed(5)
    made = speech_llm.build(config(tiny_llama, encoder, train_encoder="lora", lora_rank=4))
    with torch.no_grad():
        for name, weight in made.encoder.named_parameters():
            if "lora_B" in name:
                weight.normal_(std=size)
    return made.eval()


def test_adapted_is_what_was_trained(
    tiny_llama: Path, conformer_name: str, samples: np.ndarray, tmp_path: Path
) -> None:
    """LoRA added to the weights gives the states of LoRA beside them."""
    network = moved_by_lora(tiny_llama, conformer_name, 0.1)
    exported(tmp_path / "model", "speech_llm", network)
    former, adapted = speech_llm.adapted_encoder(tmp_path / "model", network.config)
    features = torch.from_numpy(network.features.features(samples))[None]
    with torch.no_grad():
        right = network.encoder.encode(features, torch.tensor([features.shape[1]]))[0][0]
    torch.testing.assert_close(states(adapted, samples), right, atol=1e-5, rtol=1e-4)
    assert set(adapted.network.state_dict()) == set(former.network.state_dict())
    assert not torch.allclose(states(former, samples), right, atol=1e-2)
    for encoder in ("log-mel", f"random:{conformer_name}"):
        settings = config(tiny_llama, encoder)
        assert speech_llm.adapted_encoder(tmp_path / "model", settings) is None


def test_former_job_of_whisper(
    tiny_llama: Path, examples: Path, samples: np.ndarray, tmp_path: Path
) -> None:
    """Whisper's own error rate before, and after with an encoder that LoRA has led astray: the
    states of the written file are the trained network's."""
    name = "whisper/tiny.en"
    utterances = read_manifest(examples / "manifest.jsonl")[1:]
    job = FormerJob(utterances, "whisper-basic", JudgeOptions(resamples=200))
    rates, moved = [], []
    for size in (0.0, 0.1):
        network = moved_by_lora(tiny_llama, name, size)
        exported(tmp_path / f"{size}", "speech_llm", network)
        found = job.measure(tmp_path / f"{size}", "speech_llm")
        assert found["encoder"] == name
        moved.append(found["moved"])
        rates.append((found["before"]["value"], found["after"]["value"]))
        gained = rates[-1][1] - rates[-1][0]
        assert found["difference"]["value"] == pytest.approx(gained, abs=1e-9)
    normalise = NORMALISERS["whisper-basic"]
    model = models.load(name, device="cpu")
    recordings = [soundfile.read(each.audio, dtype="float32")[0] for each in utterances]
    told = [normalise(each.segment.text) for each in model.recognise(recordings)]
    right = jiwer.wer([normalise(each.text) for each in utterances], told)
    assert rates[0] == (pytest.approx(right), pytest.approx(right))
    assert rates[1][0] == pytest.approx(right)
    assert rates[1][1] > right + 0.3
    plain = [states(sound_encoder(name), each) for each in recordings]
    features = [torch.from_numpy(network.features.features(each))[None] for each in recordings]
    with torch.no_grad():
        now = [network.encoder.encode(x, torch.tensor([x.shape[1]]))[0][0] for x in features]
    far = [float((a - b).norm() / b.norm()) for a, b in zip(now, plain, strict=True)]
    assert moved == [0.0, pytest.approx(np.mean(far), rel=1e-3)]

    _, adapted = speech_llm.adapted_encoder(tmp_path / "0.1", network.config)
    whisper.with_encoder(model.directory, adapted.network, tmp_path / "written")
    written = models.load(f"whisper@{tmp_path / 'written'}", device="cpu", compute_type="float32")
    padded = np.pad(samples, (0, 30 * 16000 - samples.size))
    right_states = states(adapted, padded)[: -(-samples.size // 320)].numpy()
    assert np.abs(written.embed(samples) - right_states).mean() < 1e-3
    assert np.abs(model.embed(samples) - right_states).mean() > 0.3


def test_weights_drawn_anew_know_nothing_of_the_former_ones(tmp_path: Path) -> None:
    """Running statistics among them; twice the same."""
    torch.manual_seed(1)
    network = conformer.build(conformer.VARIANTS["test"].config)
    statistics = [name for name, _ in network.named_buffers() if "norm" in name]
    assert statistics
    for name in statistics:
        network.get_buffer(name).fill_(7.0)
    name = exported(tmp_path / "conformer", "conformer", network, n_mels=8)
    first, second = (sound_encoder(f"random:{name}").network.state_dict() for _ in range(2))
    assert all(torch.equal(first[each], second[each]) for each in first)
    assert not any((first[each] == 7.0).any() for each in statistics)
