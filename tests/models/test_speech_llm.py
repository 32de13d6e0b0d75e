"""Sound in front of a language model: what is trained, what is kept, what is written."""

import json
import math
from collections.abc import Iterator
from dataclasses import asdict, replace
from itertools import groupby, product
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from safetensors.torch import load_file, save_file
from torch import nn
from torch.nn import functional

import aural
from aural import models
from aural.decode.loop import without_loop
from aural.errors import InputError, UnknownName
from aural.models.speech_llm import Config, build
from aural.models.speech_llm.network import LONGEST_TURN, SHORTEST_LOOP, SpeechLLM
from aural.models.speech_llm.projectors import PROJECTORS, projector
from aural.nn.exported import Exported, FeatureOptions, export
from aural.nn.sound_encoder import SoundEncoder, probe
from aural.text.tokens import characters
from aural.train.batch import Batch
from aural.train.objectives.speech_llm import speech_llm

TEXTS = ("he was not", "an ill disposed young man")


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Networks this small are slower on several."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def config(tiny_llama: Path) -> Config:
    return Config(
        encoder="log-mel",
        language_model=str(tiny_llama),
        downsample_rate=8,
        projector_dim=32,
        max_new_tokens=40,
    )


def made(config: Config, seed: int = 0) -> SpeechLLM:
    torch.manual_seed(seed)
    return build(config)


def broken_off(tokens: list[int]) -> list[int]:
    """What of an answer that has not ended is kept."""
    return [*without_loop(tuple(tokens), shortest=SHORTEST_LOOP, longest_turn=LONGEST_TURN)]


def heard(examples: Path, network: SpeechLLM) -> tuple[torch.Tensor, torch.Tensor]:
    """Two stretches of a reading, of different lengths, the padding not zeros."""
    samples, _ = soundfile.read(examples / "sense_and_sensibility_0880.flac", dtype="float32")
    parts = [network.features.features(each) for each in (samples[:16000], samples[16000:41000])]
    longest = max(map(len, parts))
    features = np.full((2, longest, 80), 7.0, np.float32)
    for row, part in zip(features, parts, strict=True):
        row[: len(part)] = part
    return torch.from_numpy(features), torch.tensor([len(part) for part in parts])


def test_a_batch_is_the_sum_of_its_recordings(examples: Path, config: Config) -> None:
    network = made(config).eval()
    features, lengths = heard(examples, network)
    total, weight, _ = network(features, lengths, TEXTS)
    assert weight == sum(len(text.encode()) + 1 for text in TEXTS)
    alone = [
        network(features[i : i + 1, : lengths[i]], lengths[i : i + 1], TEXTS[i : i + 1])[0]
        for i in range(2)
    ]
    assert total.item() == pytest.approx(sum(each.item() for each in alone), rel=1e-5)


def test_loss_is_that_of_text_after_prompt_and_sound(examples: Path, config: Config) -> None:
    """Written out: every embedding in its place, one forward, the text's own log probabilities."""
    network = made(config).eval()
    features, lengths = heard(examples, network)
    model = network.llm
    sound, counts = network.projector(features[:1, : lengths[0]], lengths[:1])
    before, after = model.chat("", "<audio>\nTranscribe speech to text.").split("<audio>")
    text = [*model.ids(TEXTS[0]), model.end]
    rows = [model.embedded(torch.tensor(model.ids(before))), sound[0, : counts[0]]]
    rows += [model.embedded(torch.tensor([*model.ids(after), *text]))]
    logits = model.network(inputs_embeds=torch.cat(rows)[None]).logits[0].log_softmax(-1)
    told = [logits[-len(text) - 1 + i, token].item() for i, token in enumerate(text)]
    loss, _, _ = network(features[:1, : lengths[0]], lengths[:1], TEXTS[:1])
    assert loss.item() == pytest.approx(-math.fsum(told), rel=1e-5)


def test_ctc_over_the_sounds_own_tokens_is_that_of_every_path(
    examples: Path, config: Config
) -> None:
    """Against a sum over all paths written out; the end of an answer is the blank."""
    network = made(config)
    features, _ = heard(examples, network)
    with torch.no_grad():
        sound, counts = network.heard(features[:1, :32], torch.tensor([32]))
        embeddings = network.llm.network.get_input_embeddings().weight
        text = network.llm.text([5, 9])
        told = network.llm.ids(text)
        total, weight, parts = network(
            features[:1, :32], torch.tensor([32]), (text,), ctc_weight=1.0
        )
    assert int(counts[0]) == 4
    assert 0 < len(told) <= 4
    cosines = functional.cosine_similarity(sound[0][:, None], embeddings[None], dim=-1)
    scores = (20 * cosines).log_softmax(-1)
    end, sums = network.llm.end, []
    symbols = sorted({end, *told})
    for path in product(symbols, repeat=4):
        kept = [token for token, _ in groupby(path)]
        if [token for token in kept if token != end] == told:
            sums.append(sum(scores[place, token] for place, token in enumerate(path)))
    expected = -torch.stack(sums).logsumexp(0)
    assert set(parts) == {"ctc"}
    assert weight == len(told) + 1
    torch.testing.assert_close(total, expected, rtol=1e-4, atol=1e-4)


def test_the_loss_is_shared_between_writing_and_ctc(examples: Path, config: Config) -> None:
    network = made(config)
    features, lengths = heard(examples, network)
    batch = Batch(
        features, lengths, torch.zeros(2, 0), torch.zeros(2, dtype=torch.long), texts=TEXTS
    )
    with torch.no_grad():
        both, written, ctc = (
            speech_llm(network, batch, ctc_weight=weight) for weight in (0.25, 0.0, 1.0)
        )
    assert set(both.parts) == {"written", "ctc"}
    assert set(written.parts) == {"written"}
    torch.testing.assert_close(both.total, 0.75 * written.total + 0.25 * ctc.total)
    with pytest.raises(InputError, match=r"ctc_weight is 1\.5; give 0 to 1"):
        speech_llm(network, batch, ctc_weight=1.5)
    adapted = made(replace(config, train_language_model="lora"))
    assert speech_llm(adapted, batch, ctc_weight=0.5).total > 0
    with pytest.raises(InputError, match="train_language_model is lora; give frozen"):
        speech_llm(adapted, batch, ctc_weight=1.0)


def test_what_is_kept_of_a_frozen_encoder_changes_nothing(examples: Path, config: Config) -> None:
    network = made(config)
    features, lengths = heard(examples, network)
    first = network(features, lengths, TEXTS)[0]
    kept = [network(features, lengths, TEXTS, ("one", "two"))[0] for _ in range(2)]
    swapped = network(features.flip(0), lengths.flip(0), TEXTS[::-1], ("two", "one"))[0]
    assert kept[0].item() == kept[1].item() == pytest.approx(first.item(), rel=1e-6)
    assert swapped.item() == pytest.approx(first.item(), rel=1e-6)
    other = network.heard(features * 0, lengths, ("one", "two"))[0]
    assert torch.equal(other, network.heard(features * 0, lengths)[0])
    assert not torch.allclose(other, network.heard(features, lengths)[0])


@pytest.mark.parametrize("training", ["frozen", "lora", "full"])
def test_only_what_is_trained_has_gradients_and_is_kept(
    examples: Path, config: Config, training: str
) -> None:
    network = made(replace(config, train_language_model=training)).train()
    features, lengths = heard(examples, network)
    before = {name: value.clone() for name, value in network.named_parameters()}
    optimiser = torch.optim.SGD([p for p in network.parameters() if p.requires_grad], 0.1)
    for _ in range(2):  # LoRA's second matrix is zero at first, and the first has no gradient
        optimiser.zero_grad()
        network(features, lengths, TEXTS)[0].backward()
        optimiser.step()
    changed = {
        name for name, value in network.named_parameters() if not torch.equal(value, before[name])
    }
    assert changed == set(network.state_dict())
    inner = {name for name in changed if name.startswith("language_model.")}
    assert all("lora_" in name for name in inner) if training == "lora" else True
    assert bool(inner) == (training != "frozen")
    other = made(replace(config, train_language_model=training), seed=5)
    other.load_state_dict(network.state_dict())
    assert other.eval()(features, lengths, TEXTS)[0].item() == pytest.approx(
        network.eval()(features, lengths, TEXTS)[0].item(), rel=1e-5
    )


@pytest.mark.parametrize(
    "changes",
    [
        {"encoder": 5},
        {"downsample_rate": 2.0},
        {"projector_dim": 10**9},
        {"lora_rank": True},
        {"experts": 0},
        {"max_new_tokens": 10**6},
    ],
)
def test_values_that_are_none(config: Config, changes: dict[str, object]) -> None:
    with pytest.raises(InputError, match=f"{next(iter(changes))} is"):
        replace(config, **changes)


def test_a_projector_too_large_is_not_built(config: Config) -> None:
    wide = replace(config, projector="adapters", projector_dim=1 << 16, experts=1024)
    with pytest.raises(InputError, match="give less projector_dim"):
        projector(wide, 1 << 14, 4096, 1.0)


def test_weights_of_another_network_are_refused(config: Config) -> None:
    network = made(config)
    with pytest.raises(InputError, match="not the weights of this network"):
        network.load_state_dict({"projector.norm.weight": torch.ones(16)})


def test_greedy_writing_is_the_likeliest_token_each_time(examples: Path, config: Config) -> None:
    network = made(replace(config, max_new_tokens=6)).eval()
    features, lengths = heard(examples, network)
    written = network.write(features, lengths)
    for i, (text, log_prob) in enumerate(written):
        sound, counts = network.heard(features[i : i + 1, : lengths[i]], lengths[i : i + 1])
        told: list[int] = []
        scores = []
        with torch.inference_mode():
            while len(told) < 6 and network.llm.end not in told:
                rows = network._framed(sound[0, : counts[0]], told)
                logits = network.language_model(inputs_embeds=rows[None]).logits[0, -1]
                scores.append(float(logits.log_softmax(-1).max()))
                told.append(int(logits.argmax()))
        ended = network.llm.end in told
        assert text == network.llm.text(told if ended else broken_off(told)).strip()
        assert log_prob == pytest.approx(np.mean(scores), abs=1e-4)


@pytest.mark.parametrize(
    ("tokens", "kept"),
    [
        ([1, 2, 3, *[4] * 20], [1, 2, 3, 4]),
        ([*[7] * 8], [7]),
        ([1, *[7] * 7], [1, *[7] * 7]),
        ([1, *[2, 3] * 4], [1, 2, 3]),
        ([1, *[2, 3] * 4, 2], [1, 2, 3]),
        ([1, *[2, 3, 4, 5] * 2], [1, *[2, 3, 4, 5] * 2]),
        ([1, *[2, 3, 4, 5] * 3], [1, 2, 3, 4, 5]),
        ([*[4] * 20, 1, 2], [*[4] * 20, 1, 2]),
        ([9, *range(17), *range(17), *range(17)], [9, *range(17), *range(17), *range(17)]),
        ([], []),
    ],
)
def test_a_loop_is_broken_off_after_its_first_turn(tokens: list[int], kept: list[int]) -> None:
    assert broken_off(tokens) == kept


def test_learns_two_sentences_and_writes_them(
    examples: Path, config: Config, tmp_path: Path
) -> None:
    """The plumbing, end to end: overfit, export, load by name, transcribe."""
    config = replace(config, train_language_model="full", user_prompt="<audio>")
    network = made(config).train()
    features, lengths = heard(examples, network)
    empty = torch.zeros(2, 0, dtype=torch.int64)
    batch = Batch(features, lengths, empty, empty.sum(1), ("a", "b"), 2.6, TEXTS)
    optimiser = torch.optim.AdamW([p for p in network.parameters() if p.requires_grad], 1e-2)
    for _ in range(80):
        optimiser.zero_grad()
        losses = speech_llm(network, batch)
        (losses.total / losses.weight).backward()
        optimiser.step()
    about = Exported("speech_llm", asdict(config), network.features, characters("ab"), "en")
    export(tmp_path / "model", network, about)
    recogniser = models.load(f"speech_llm@{tmp_path / 'model'}", device="cpu")
    samples, _ = soundfile.read(examples / "sense_and_sensibility_0880.flac", dtype="float32")
    found = recogniser.recognise([samples[:16000], samples[16000:41000], samples[:100]])
    assert [each.segment.text.strip() for each in found] == [*TEXTS, ""]
    assert found[0].language == "en"


def test_a_directory_is_a_model_of_transcribe_and_pipeline(
    examples: Path, tiny_llama: Path, tmp_path: Path
) -> None:
    directory = tmp_path / "tiny"
    tiny_audio_checkpoint(directory, tiny_llama, "mlp")
    name, path = f"speech_llm@{directory}", examples / "sense_and_sensibility_0880.flac"
    heard = aural.transcribe(path, model=name)
    found = aural.pipeline("automatic-speech-recognition", name)(path, return_timestamps=True)
    assert found["text"] == heard.text
    assert [each["text"] for each in found["chunks"]] == [each.text for each in heard.segments]
    assert all(0 <= each.start < each.end <= heard.duration for each in heard.segments)
    with pytest.raises(InputError, match="can't follow beam_size"):
        aural.transcribe(path, model=name, beam_size=3)


@pytest.mark.parametrize(
    ("change", "numbers"),
    [({"encoder_dim": 768}, ("768", "80")), ({"llm_dim": 2048}, ("2048", "16"))],
)
def test_a_wrong_width_names_both(
    config: Config, change: dict[str, int], numbers: tuple[str, str]
) -> None:
    with pytest.raises(InputError) as caught:
        build(replace(config, **change))
    assert all(number in str(caught.value) for number in numbers)


def test_families_without_an_encoder_are_told(config: Config) -> None:
    with pytest.raises(InputError, match=r"families that have: .*whisper"):
        build(replace(config, encoder="silero/16k"))


class Strided(nn.Module):
    """Every third frame, `width` of its rows; optionally padded to a fixed number."""

    def __init__(self, width: int, fixed: int = 0, off: int = 0) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(1))
        self.width, self.fixed, self.off = width, fixed, off

    def encode(
        self, features: torch.Tensor, lengths: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        states = features[:, ::3, : self.width] * self.weight
        if self.fixed:
            states = functional.pad(states, (0, 0, 0, self.fixed - states.shape[1]))
            return states, lengths * 0 + self.fixed
        return states, -(-lengths // 3) + self.off


def test_probe_finds_width_and_rate_by_running() -> None:
    options = FeatureOptions("whisper", 80, normalise="none")
    found = probe(SoundEncoder("strided", Strided(7), options))
    assert found.width == 7
    assert found.frame_rate == pytest.approx(100 / 3, abs=0.5)
    with pytest.raises(InputError, match="must give more for more sound"):
        probe(SoundEncoder("padded", Strided(7, fixed=1500), options))
    with pytest.raises(InputError, match="says they are"):
        probe(SoundEncoder("liar", Strided(7, off=1), options))


@pytest.mark.parametrize("kind", PROJECTORS)
@pytest.mark.parametrize("rate", [1, 3, 4])
def test_projectors(kind: str, rate: int) -> None:
    """A token for each `rate` states, padding without effect, gradients everywhere."""
    torch.manual_seed(0)
    config = Config(projector=kind, downsample_rate=rate, projector_dim=12, queries=2, experts=3)
    made = projector(config, 5, 8, 0.3).eval()
    states, lengths = torch.randn(2, 17, 5), torch.tensor([17, 10])
    states[1, 10:] = torch.nan
    tokens, counts = made(states, lengths)
    assert counts.tolist() == [-(-17 // rate), -(-10 // rate)]
    assert tokens.shape == (2, counts[0], 8)
    alone, _ = made(states[1:, :10], lengths[1:])
    torch.testing.assert_close(tokens[1:, : counts[1]], alone[:, : counts[1]], atol=1e-5, rtol=0)
    tokens[0].square().sum().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in made.parameters())
    if not kind.startswith("plain"):
        size = tokens.detach()[0].square().mean(-1).sqrt()
        torch.testing.assert_close(size, torch.full_like(size, 0.3), atol=0.01, rtol=0)


def test_unknown_projector() -> None:
    with pytest.raises(UnknownName, match="mlp, swiglu"):
        projector(Config(projector="moe"), 5, 8, 0.3)


def tiny_audio_checkpoint(directory: Path, llama: Path, kind: str, **changes: object) -> None:
    """A projector at random under the names that tiny-audio gives."""
    directory.mkdir()
    written = {
        "model_type": "asr_model",
        "auto_map": {"AutoModel": "asr_modeling.ASRModel"},
        "audio_model_id": "log-mel",
        "text_model_id": str(llama),
        "encoder_dim": 80,
        "llm_dim": 16,
        "audio_downsample_rate": 5,
        "projector_type": kind,
        "projector_hidden_dim": 24,
        "system_prompt": "You write down what you hear.",
        "user_prompt": "Please transcribe this English audio into text: <audio>",
        "max_new_tokens": 12,
        **changes,
    }
    (directory / "config.json").write_text(json.dumps(written))
    torch.manual_seed(8)
    shapes: dict[str, tuple[int, ...]] = (
        {"linear_1.weight": (24, 400), "linear_1.bias": (24,)}
        | {"linear_2.weight": (16, 24), "linear_2.bias": (16,)}
        if kind == "mlp"
        else {
            f"proj{layer}.{name}.weight": shape
            for layer, wide, out in ((1, 400, 24), (2, 24, 16))
            for name, shape in (("w1", (24, wide)), ("w2", (24, wide)), ("w3", (out, 24)))
        }
    )
    state = {f"projector.{name}": torch.randn(shape) * 0.1 for name, shape in shapes.items()}
    save_file(state, directory / "model.safetensors")


@pytest.mark.parametrize("kind", ["mlp", "swiglu"])
def test_reads_what_tiny_audio_publishes(
    examples: Path, tiny_llama: Path, tmp_path: Path, kind: str
) -> None:
    directory = tmp_path / "tiny"
    tiny_audio_checkpoint(directory, tiny_llama, kind)
    recogniser = models.load(f"speech_llm@{directory}", device="cpu")
    network = recogniser.network
    features, lengths = heard(examples, network)
    weights = {
        name.removeprefix("projector."): value
        for name, value in load_file(directory / "model.safetensors").items()
    }
    real = features[0, : lengths[0] // 5 * 5].reshape(-1, 400)
    if kind == "mlp":
        inner = functional.gelu(real @ weights["linear_1.weight"].T + weights["linear_1.bias"])
        expected = inner @ weights["linear_2.weight"].T + weights["linear_2.bias"]
    else:
        expected = real
        for layer in ("proj1", "proj2"):
            gate, up, down = (weights[f"{layer}.{name}.weight"] for name in ("w1", "w2", "w3"))
            expected = (functional.silu(expected @ gate.T) * (expected @ up.T)) @ down.T
    found, _ = network.projector(features[:1], lengths[:1])
    torch.testing.assert_close(found[0, : len(expected)], expected, atol=1e-5, rtol=1e-4)
    assert network.config.system_prompt == "You write down what you hear."
    assert network.config.max_new_tokens == 12
    samples, _ = soundfile.read(examples / "sense_and_sensibility_0880.flac", dtype="float32")
    assert recogniser.recognise([samples])[0].segment.end == pytest.approx(len(samples) / 16000)


def test_tiny_audio_with_a_wrong_encoder_dim_names_both(tiny_llama: Path, tmp_path: Path) -> None:
    tiny_audio_checkpoint(tmp_path / "a", tiny_llama, "mlp", encoder_dim=1280)
    with pytest.raises(InputError, match=r"encoder_dim is 1280, but log-mel has 80"):
        models.load(f"speech_llm@{tmp_path / 'a'}", device="cpu")
    tiny_audio_checkpoint(tmp_path / "b", tiny_llama, "mlp", audio_downsample_rate=4)
    with pytest.raises(InputError, match=r"encoder_dim is 80, .* for 100 \(400 over 4"):
        models.load(f"speech_llm@{tmp_path / 'b'}", device="cpu")


@pytest.mark.parametrize(
    "changes",
    [
        {"projector_type": "moe"},
        {"audio_downsample_rate": 0},
        {"audio_downsample_rate": "five"},
        {"text_model_id": 3},
        {"max_new_tokens": -1},
        {"encoder_dim": math.inf},
        {"projector_hidden_dim": [2]},
        {"projector_hidden_dim": 10**9},
        {"projector_hidden_dim": 25},
        {"audio_model_id": "random:random:log-mel"},
        {"projector_hidden_dim": None, "encoder_dim": None},
    ],
)
def test_tiny_audio_configurations_that_are_none(
    tiny_llama: Path, tmp_path: Path, changes: dict[str, object]
) -> None:
    tiny_audio_checkpoint(tmp_path / "a", tiny_llama, "swiglu", **changes)
    with pytest.raises(InputError):
        models.load(f"speech_llm@{tmp_path / 'a'}", device="cpu")
