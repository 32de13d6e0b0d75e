"""wav2vec 2.0 and its kin against transformers, on small random checkpoints that it writes."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file

from aural import models
from aural.errors import InputError, UnknownName
from aural.models import wav2vec2
from aural.models.wav2vec2.checkpoint import Samples, read_network, read_vocabulary
from aural.models.wav2vec2.network import Wav2Vec2, with_new_head
from aural.nn.sound_encoder import probe
from aural.types import Encoder, Recogniser

SMALL = {
    "hidden_size": 24,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "intermediate_size": 36,
    "conv_dim": [12, 12, 16],
    "conv_kernel": [10, 3, 2],
    "conv_stride": [5, 2, 2],
    "num_conv_pos_embeddings": 8,
    "num_conv_pos_embedding_groups": 3,
    "vocab_size": 12,
    "classifier_proj_size": 10,
    "num_labels": 5,
}
GROUP = {"feat_extract_norm": "group", "do_stable_layer_norm": False}
LAYER = {"feat_extract_norm": "layer", "do_stable_layer_norm": True, "conv_bias": True}
FORMS = {
    "wav2vec2": ("Wav2Vec2", GROUP),
    "wav2vec2-layer": ("Wav2Vec2", LAYER),
    "wav2vec2-layer-post": ("Wav2Vec2", {**LAYER, "do_stable_layer_norm": False}),
    "mms": ("Wav2Vec2", {**LAYER, "adapter_attn_dim": 6}),
    "hubert": ("Hubert", GROUP),
    "hubert-layer": ("Hubert", {**LAYER, "feat_proj_layer_norm": False}),
    "hubert-batch-norm": ("Hubert", {**GROUP, "conv_pos_batch_norm": True}),
    "wavlm": ("WavLM", {**GROUP, "num_buckets": 12, "max_bucket_distance": 20}),
    "wavlm-layer": ("WavLM", {**LAYER, "num_buckets": 12, "max_bucket_distance": 20}),
}
HEADS = {"ctc": "ForCTC", "sequence": "ForSequenceClassification"}
HEADS["frames"] = "ForAudioFrameClassification"
VOCABULARY = ["<pad>", "<s>", "</s>", "<unk>", "|", *"ETAONI", "'"]
LENGTHS = [1600, 431, 998]


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


def randomised(model: torch.nn.Module, seed: int = 0) -> torch.nn.Module:
    """Every parameter random, norms and biases too, so that none of them is 0 or 1."""
    draw = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.2 * torch.randn(parameter.shape, generator=draw))
        for name, each in model.named_buffers():
            if each.is_floating_point():
                each.copy_(torch.rand(each.shape, generator=draw) + (0.5 if "var" in name else 0))
    return model.eval()


def made(form: str, head: str, folder: Path, **changed: object) -> torch.nn.Module:
    """A model of transformers, saved to the folder with its vocabulary and preprocessor."""
    name, values = FORMS[form]
    config = getattr(transformers, f"{name}Config")(**{**SMALL, **values, **changed})
    kind = HEADS.get(head, "Model")
    torch.manual_seed(0)
    model = randomised(getattr(transformers, f"{name}{kind}")(config))
    model.save_pretrained(folder)
    (folder / "vocab.json").write_text(json.dumps({t: i for i, t in enumerate(VOCABULARY)}))
    transformers.Wav2Vec2FeatureExtractor(do_normalize=True).save_pretrained(folder)
    return model


def ours(folder: Path) -> Wav2Vec2:
    return read_network(folder, wav2vec2.read_config(folder)).eval()


@pytest.fixture(scope="module")
def sounds() -> list[torch.Tensor]:
    draw = torch.Generator().manual_seed(3)
    return [torch.randn(length, generator=draw) for length in LENGTHS]


def padded(sounds: list[torch.Tensor], value: float = 0.0) -> tuple[torch.Tensor, torch.Tensor]:
    batch = torch.nn.utils.rnn.pad_sequence(sounds, batch_first=True, padding_value=value)
    return batch[:, :, None], torch.tensor([len(each) for each in sounds])


def right_scores(model: torch.nn.Module, sound: torch.Tensor, head: str) -> torch.Tensor:
    with torch.no_grad():
        scores = model(sound[None]).logits[0]
    return scores.log_softmax(-1) if head == "ctc" else scores


@pytest.mark.parametrize(
    ("form", "head"),
    [
        (form, head)
        for form in FORMS
        for head in HEADS
        if head != "frames" or "hubert" not in form  # transformers has none
    ],
)
def test_heads_are_those_of_transformers(form: str, head: str, sounds, tmp_path: Path) -> None:
    """Each item of a padded batch as transformers has it alone, to 1e-4."""
    theirs = made(form, head, tmp_path)
    network = ours(tmp_path)
    assert network.config.head == head
    with torch.no_grad():
        found, lengths = network(*padded(sounds, value=9.0))
    for i, sound in enumerate(sounds):
        right = right_scores(theirs, sound, head)
        scores = found[i] if head == "sequence" else found[i, : lengths[i]]
        torch.testing.assert_close(scores, right, atol=1e-4, rtol=0)
        assert right.abs().max() > 0.1


@pytest.mark.filterwarnings("ignore:Support for mismatched key_padding_mask")  # by transformers
@pytest.mark.parametrize("form", ["wav2vec2-layer", "mms", "hubert-layer", "wavlm-layer"])
def test_a_batch_with_its_mask_is_that_of_transformers(form: str, sounds, tmp_path: Path) -> None:
    """Where the reference's padding changes nothing either."""
    theirs = made(form, "sequence", tmp_path)
    features, lengths = padded(sounds)
    mask = (torch.arange(max(LENGTHS)) < lengths[:, None]).long()
    with torch.no_grad():
        right = theirs(features[:, :, 0], attention_mask=mask).logits
        found, _ = ours(tmp_path)(features, lengths)
    torch.testing.assert_close(found, right, atol=1e-4, rtol=0)


@pytest.mark.parametrize("form", FORMS)
def test_every_layer_is_that_of_transformers(form: str, sounds, tmp_path: Path) -> None:
    theirs = made(form, "none", tmp_path)
    network = ours(tmp_path)
    assert network.head is None
    sound = sounds[0]
    with torch.no_grad():
        right = theirs(sound[None], output_hidden_states=True)
        found, lengths = network.layers(sound[None, :, None], torch.tensor([len(sound)]))
    assert len(found) == len(right.hidden_states) == 4
    assert lengths.tolist() == [right.last_hidden_state.shape[1]]
    torch.testing.assert_close(found[-1], right.last_hidden_state, atol=1e-4, rtol=0)
    for layer, expected in zip(found[:-1], right.hidden_states[:-1], strict=True):
        torch.testing.assert_close(layer, expected, atol=1e-4, rtol=0)


def test_a_mixture_of_layers_that_normalise_before(sounds, tmp_path: Path) -> None:
    """The last layer counts with its norm, as in transformers 4, which the weights are from; 5
    leaves it out, so the sum is written out here."""
    theirs = made("wav2vec2-layer", "frames", tmp_path, use_weighted_layer_sum=True)
    with torch.no_grad():
        given = theirs.wav2vec2(sounds[2][None], output_hidden_states=True)
        layers = [*given.hidden_states[:-1], given.last_hidden_state]
        shares = theirs.layer_weights.softmax(0)
        right = theirs.classifier(sum(s * x for s, x in zip(shares, layers, strict=True)))
        found, _ = ours(tmp_path)(sounds[2][None, :, None], torch.tensor([LENGTHS[2]]))
    torch.testing.assert_close(found, right, atol=1e-4, rtol=0)


@pytest.mark.parametrize("head", ["sequence", "frames"])
def test_a_mixture_of_layers(head: str, sounds, tmp_path: Path) -> None:
    """Post-norm, where the last layer is the same by either count."""
    theirs = made("wav2vec2", head, tmp_path, use_weighted_layer_sum=True)
    right = right_scores(theirs, sounds[2], head)
    with torch.no_grad():
        found, _ = ours(tmp_path)(sounds[2][None, :, None], torch.tensor([LENGTHS[2]]))
    torch.testing.assert_close(found[0], right, atol=1e-4, rtol=0)


@pytest.mark.parametrize("form", ["wav2vec2", "wav2vec2-layer", "wavlm-layer", "hubert-batch-norm"])
@pytest.mark.parametrize("value", [float("nan"), 1e9])
def test_padding_changes_nothing(form: str, value: float, sounds, tmp_path: Path) -> None:
    made(form, "ctc", tmp_path)
    network = ours(tmp_path)
    short = [*sounds, sounds[0][:7]]  # shorter than the convolutions reach
    with torch.no_grad():
        together, lengths = network(*padded(short, value))
        for i, sound in enumerate(short):
            alone, count = network(sound[None, :, None], torch.tensor([len(sound)]))
            assert count.tolist() == [lengths[i]]
            torch.testing.assert_close(together[i, : lengths[i]], alone[0], atol=1e-5, rtol=0)
    assert lengths[-1] == 1


# Checkpoints


def test_old_names_of_weight_normalisation(tmp_path: Path, sounds) -> None:
    theirs = made("wav2vec2", "ctc", tmp_path)
    path = tmp_path / "model.safetensors"
    state = load_file(path)
    names = {"parametrizations.weight.original0": "weight_g"}
    names["parametrizations.weight.original1"] = "weight_v"
    renamed = {}
    for name, value in state.items():
        for new, old in names.items():
            name = name.replace(new, old)  # noqa: PLW2901
        renamed[name] = value
    assert sum("weight_g" in name or "weight_v" in name for name in renamed) == 2
    save_file(renamed, path)
    with torch.no_grad():
        found, _ = ours(tmp_path)(sounds[0][None, :, None], torch.tensor([LENGTHS[0]]))
    torch.testing.assert_close(found[0], right_scores(theirs, sounds[0], "ctc"), atol=1e-4, rtol=0)


def test_what_pretraining_needed_besides_is_left_out(tmp_path: Path, sounds) -> None:
    config = transformers.Wav2Vec2Config(**SMALL, **LAYER, codevector_dim=8, proj_codevector_dim=8)
    torch.manual_seed(0)
    theirs = randomised(transformers.Wav2Vec2ForPreTraining(config))
    theirs.save_pretrained(tmp_path)
    network = ours(tmp_path)
    assert network.config.head == "none"
    with torch.no_grad():
        found, _ = network(sounds[0][None, :, None], torch.tensor([LENGTHS[0]]))
        right = theirs.wav2vec2(sounds[0][None]).last_hidden_state
    torch.testing.assert_close(found, right, atol=1e-4, rtol=0)


def test_keys_of_no_meaning_are_passed_over_and_unknown_networks_refused(tmp_path: Path) -> None:
    made("wav2vec2", "ctc", tmp_path)
    path = tmp_path / "config.json"
    written = json.loads(path.read_text())
    path.write_text(json.dumps({**written, "invented_here": [1], "gradient_checkpointing": False}))
    assert wav2vec2.read_config(tmp_path).layers == 3
    path.write_text(json.dumps({**written, "model_type": "sew"}))
    with pytest.raises(UnknownName, match=r"'sew'.*wav2vec2, hubert, wavlm, mctct"):
        wav2vec2.read_config(tmp_path)
    path.write_text(json.dumps({**written, "add_adapter": True}))
    with pytest.raises(InputError, match="add_adapter"):
        wav2vec2.read_config(tmp_path)
    path.write_text(json.dumps({**written, "hidden_size": "wide"}))
    with pytest.raises(InputError, match="d_model is 'wide'; give a whole number"):
        wav2vec2.read_config(tmp_path)
    path.write_text(json.dumps({**written, "hidden_act": "mish"}))
    with pytest.raises(UnknownName, match="mish"):
        wav2vec2.read_config(tmp_path)


def test_pickles_are_refused_with_what_to_do(tmp_path: Path) -> None:
    made("wav2vec2", "ctc", tmp_path)
    (tmp_path / "model.safetensors").unlink()
    (tmp_path / "pytorch_model.bin").write_bytes(b"\x80\x04never opened")
    with pytest.raises(InputError, match=r"pickle.*safe_serialization=True"):
        wav2vec2.read_config(tmp_path)


def test_weights_of_another_network_are_refused(tmp_path: Path) -> None:
    made("wav2vec2", "ctc", tmp_path)
    path = tmp_path / "model.safetensors"
    state = load_file(path)
    save_file({k: v for k, v in state.items() if "lm_head" not in k}, path)
    with pytest.raises(InputError, match=r"2 weights missing \(head\.out"):
        ours(tmp_path)
    save_file({**state, "lm_head.weight": torch.zeros(13, 24)}, path)
    with pytest.raises(InputError, match=r"head\.out\.weight is \(13, 24\); .* \(12, 24\)"):
        ours(tmp_path)
    save_file({**state, "wav2vec2.encoder.more": torch.zeros(1)}, path)
    with pytest.raises(InputError, match="1 unknown"):
        ours(tmp_path)
    path.write_bytes(b"not safetensors")
    with pytest.raises(InputError, match="can't be read as safetensors"):
        ours(tmp_path)


def test_half_precision_becomes_single(tmp_path: Path) -> None:
    made("hubert", "ctc", tmp_path)
    path = tmp_path / "model.safetensors"
    save_file({name: value.half() for name, value in load_file(path).items()}, path)
    assert {each.dtype for each in ours(tmp_path).parameters()} == {torch.float32}


def test_samples_are_normalised_as_by_transformers() -> None:
    sound = np.random.default_rng(0).normal(0.1, 0.02, 4000).astype(np.float32)
    for normalise in (True, False):
        theirs = transformers.Wav2Vec2FeatureExtractor(do_normalize=normalise)
        right = theirs(sound, sampling_rate=16000)["input_values"][0]
        found = Samples(16000, normalise).features(sound)
        assert found.shape == (4000, 1)
        np.testing.assert_allclose(found[:, 0], right, atol=1e-5)


# Tokens


def test_letters_and_the_word_delimiter(tmp_path: Path) -> None:
    made("wav2vec2", "ctc", tmp_path)
    vocabulary = read_vocabulary(tmp_path, wav2vec2.read_config(tmp_path))
    assert vocabulary.outputs == (0, *range(4, 12))
    tokens = vocabulary.tokenizer.encode("TO EAT")
    assert vocabulary.tokenizer.decode(tokens) == "TO EAT"
    theirs = transformers.Wav2Vec2CTCTokenizer(str(tmp_path / "vocab.json"))
    frames = [6, 6, 0, 8, 4, 4, 0, 5, 7, 0, 7, 6]
    kept = [frames[i] for i in range(len(frames)) if i == 0 or frames[i] != frames[i - 1]]
    numbers = [vocabulary.outputs.index(each) for each in kept]
    assert vocabulary.tokenizer.decode(numbers) == theirs.decode(frames) == "TO EAAT"


def test_phones_without_a_delimiter_are_words_and_case_is_lowered(tmp_path: Path) -> None:
    made("wav2vec2", "ctc", tmp_path)
    config = wav2vec2.read_config(tmp_path)
    path = tmp_path / "vocab.json"
    path.write_text(json.dumps({"tʃ": 1, "AI": 2, "<pad>": 0, "n": 3, "[UNK]": 4}))
    vocabulary = read_vocabulary(tmp_path, config)
    assert vocabulary.tokenizer.decode([1, 2, 3]) == "tʃ AI n"
    (tmp_path / "tokenizer_config.json").write_text(json.dumps({"do_lower_case": True}))
    assert read_vocabulary(tmp_path, config).tokenizer.decode([2]) == "ai"


@pytest.mark.parametrize(
    ("vocabulary", "said"),
    [
        ({"A": 12}, "number 12; there are 12 outputs"),
        ({"A": "one"}, "number 'one'"),
        ({"A": 1, "|": 1.5}, "1.5"),
        ({"<pad>": 0, "<s>": 1}, "0 symbols"),
    ],
)
def test_vocabularies_that_do_not_fit(vocabulary: dict, said: str, tmp_path: Path) -> None:
    made("wav2vec2", "ctc", tmp_path)
    (tmp_path / "vocab.json").write_text(json.dumps(vocabulary))
    with pytest.raises(InputError, match=said):
        read_vocabulary(tmp_path, wav2vec2.read_config(tmp_path))


# Loaded by name


@pytest.fixture
def sound() -> np.ndarray:
    return np.random.default_rng(5).normal(0, 0.1, 16000).astype(np.float32)


def test_a_recogniser_writes_what_the_reference_s_frames_say(tmp_path: Path, sound) -> None:
    theirs = made("wav2vec2", "ctc", tmp_path)
    model = models.load(f"wav2vec2@{tmp_path}", Recogniser, device="cpu")
    assert isinstance(model, Encoder)
    assert model.languages == ("und",)
    given = transformers.Wav2Vec2FeatureExtractor()(sound, sampling_rate=16000)["input_values"][0]
    right = right_scores(theirs, torch.from_numpy(np.asarray(given, np.float32)), "ctc").numpy()
    kept = [0, *range(4, 12)]
    np.testing.assert_allclose(model.log_probs(sound), right[:, kept], atol=1e-4)
    best = right[:, kept].argmax(1).tolist()
    frames = [kept[i] for i in best]
    tokenizer = transformers.Wav2Vec2CTCTokenizer(str(tmp_path / "vocab.json"))
    options = wav2vec2.DecodingOptions(beam_size=1)
    found, again = model.recognise([sound, sound[:9000]], options)
    assert found.segment.text.split() == tokenizer.decode(frames).split()
    assert found.segment.text
    (alone,) = model.recognise([sound[:9000]], options)
    assert again.segment.text == alone.segment.text
    assert model.identify_language([sound])[0].language == "und"
    assert all(0 <= word.start <= word.end <= 1 for word in found.segment.words)


def test_an_encoder_gives_the_reference_s_states(tmp_path: Path, sound) -> None:
    """One a step begun: the last again where the sound is too short for another."""
    theirs = made("hubert", "none", tmp_path)
    model = models.load(f"wav2vec2@{tmp_path}", Encoder, device="cpu")
    assert not isinstance(model, Recogniser)
    assert (model.sample_rate, model.frame_rate, model.encoder_layers) == (16000, 800, 3)
    given = Samples().features(sound)[None, :, 0]
    with torch.no_grad():
        right = theirs(torch.from_numpy(given), output_hidden_states=True)
    for layer, expected in ((None, right.last_hidden_state), (1, right.hidden_states[1])):
        found = model.embed(sound, layer)
        assert found.dtype == np.float32
        assert found.shape == (800, 24)
        count = expected.shape[1]
        assert 790 < count < 800
        np.testing.assert_allclose(found[:count], expected[0].numpy(), atol=1e-4)
        assert (found[count:] == found[count - 1]).all()
    assert model.embed(sound[:3]).shape == (1, 24)
    with pytest.raises(InputError, match="layer is 4"):
        model.embed(sound, 4)
    for wrong in (sound[:0], np.full(99, np.inf, np.float32), sound[None]):
        with pytest.raises(InputError, match="a window"):
            model.embed(wrong)


def test_classifiers(tmp_path: Path, sound) -> None:
    labels = dict(enumerate(["no", "yes", "up", "down", "left"]))
    theirs = made("wavlm", "sequence", tmp_path / "whole", id2label=labels)
    given = torch.from_numpy(Samples().features(sound)[None, :, 0])
    model = models.load(f"wav2vec2@{tmp_path / 'whole'}", device="cpu")
    tags = model.tag(sound)
    with torch.no_grad():
        shares = theirs(given).logits[0].softmax(0).tolist()
    assert [tag.label for tag in tags] == [labels[i] for i in np.argsort(shares)[::-1]]
    assert tags[0].score == pytest.approx(max(shares), abs=1e-4)
    theirs = made("wavlm", "frames", tmp_path / "frames")
    model = models.load(f"wav2vec2@{tmp_path / 'frames'}", device="cpu")
    with torch.no_grad():
        right = theirs(given).logits[0].numpy()
    np.testing.assert_allclose(model.frame_scores(sound), right, atol=1e-4)
    assert model.labels == tuple(f"LABEL_{i}" for i in range(5))


@pytest.fixture
def mms(tmp_path: Path) -> Iterator[tuple[Path, torch.nn.Module, torch.nn.Module]]:
    """A directory in English, and the same with an adapter for Dutch, of other tokens."""
    english = made("mms", "ctc", tmp_path)
    config = transformers.Wav2Vec2Config(
        **{**SMALL, **LAYER, "adapter_attn_dim": 6, "vocab_size": 7}
    )
    dutch = transformers.Wav2Vec2ForCTC(config)
    shared = {k: v for k, v in english.state_dict().items() if "lm_head" not in k}
    dutch.load_state_dict(shared, strict=False)
    draw = torch.Generator().manual_seed(9)
    with torch.no_grad():
        for name, each in dutch.named_parameters():
            if "adapter_layer" in name or "lm_head" in name:
                each.copy_(0.3 * torch.randn(each.shape, generator=draw))
    save_file(dutch.eval()._get_adapters(), tmp_path / "adapter.nld.safetensors")
    nested = {
        "eng": {token: i for i, token in enumerate(VOCABULARY)},
        "nld": {token: i for i, token in enumerate([*VOCABULARY[:5], "ij", "g"])},
    }
    (tmp_path / "vocab.json").write_text(json.dumps(nested))
    return tmp_path, english, dutch


def test_mms_speaks_the_language_asked_for(mms, sound) -> None:
    folder, english, dutch = mms
    model = models.load(f"wav2vec2@{folder}", Recogniser, device="cpu")
    assert model.languages == ("eng", "nld")
    given = torch.from_numpy(Samples().features(sound)[:, 0])
    texts = []
    for language, theirs, tokens in (
        ("eng", english, VOCABULARY),
        ("nld", dutch, [*VOCABULARY[:5], "ij", "g"]),
        ("eng", english, VOCABULARY),
    ):
        options = wav2vec2.DecodingOptions(language=language, beam_size=1)
        (found,) = model.recognise([sound], options)
        kept = [0, *range(4, len(tokens))]
        best = right_scores(theirs, given, "ctc")[:, kept].argmax(1).tolist()
        once = [kept[t] for i, t in enumerate(best) if t and (not i or best[i - 1] != t)]
        written = "".join(tokens[t] for t in once).replace("|", " ")
        assert found.segment.text.split() == written.split()
        assert found.language == language
        texts.append(found.segment.text)
    assert texts[0] == texts[2] != texts[1]
    with pytest.raises(UnknownName, match="'fra'"):
        model.check(wav2vec2.DecodingOptions(language="fra"))


# Training


@pytest.mark.parametrize("name", ["test", "test-wavlm", "test-mctct"])
@pytest.mark.parametrize("head", ["ctc", "sequence", "frames"])
def test_every_parameter_gets_a_gradient(name: str, head: str) -> None:
    torch.manual_seed(2)
    config = replace(
        wav2vec2.VARIANTS[name].config, head=head, weighted_layers=True, mask_time_prob=0.5
    )
    network = wav2vec2.build(config)
    found, _ = network(torch.randn(2, 90, config.n_mels), torch.tensor([90, 50]))
    found.square().sum().backward()
    without = [n for n, p in network.named_parameters() if p.grad is None or not p.grad.abs().sum()]
    # A bias of the keys adds the same to every score.
    assert [each for each in without if not each.endswith("key.bias")] == []
    assert sum(each.numel() for each in network.parameters()) < 100_000


def test_training_hides_frames_and_evaluation_does_not() -> None:
    torch.manual_seed(2)
    config = replace(
        wav2vec2.VARIANTS["test"].config, mask_time_prob=0.4, mask_time_length=5, dropout=0.0
    )
    network = wav2vec2.build(config)
    real = torch.arange(400) < torch.tensor([[400], [200]])
    hidden = network.encoder._hidden(real)
    assert not hidden[1, 200:].any()
    assert 0.2 < hidden[real].float().mean() < 0.5  # spans overlap: 1 - exp(-0.4) is 0.33
    runs = np.diff(np.flatnonzero(np.diff(np.pad(hidden[0].numpy().astype(int), 1))))[::2]
    assert (runs[:-1] >= 5).all()
    sound, length = torch.randn(1, 90, 1), torch.tensor([90])
    network.eval()
    assert torch.equal(network(sound, length)[0], network(sound, length)[0])
    network.train()
    assert not torch.equal(network.encode(sound, length)[0], network.encode(sound, length)[0])


def test_a_new_head_on_a_known_encoder(tmp_path: Path) -> None:
    made("hubert", "none", tmp_path)
    network = ours(tmp_path)
    fresh = with_new_head(network, replace(network.config, head="ctc", tokens=30))
    assert fresh(torch.randn(1, 900, 1), torch.tensor([900]))[0].shape[-1] == 30
    for a, b in zip(network.encoder.parameters(), fresh.encoder.parameters(), strict=True):
        assert torch.equal(a, b)
    with pytest.raises(InputError, match="encoders"):
        with_new_head(network, replace(network.config, layers=2))


def test_sizes_of_the_papers() -> None:
    """Parameters in millions, as the papers give them, counted without allocating any."""
    for name, millions in (("base", 95), ("large", 317), ("wavlm-base", 95), ("hubert-base", 95)):
        with torch.device("meta"):
            network = wav2vec2.build(wav2vec2.VARIANTS[name].config)
        assert sum(p.numel() for p in network.encoder.parameters()) / 1e6 == pytest.approx(
            millions, abs=2
        )


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"kind": "sew"}, "kind"),
        ({"head": "rnn"}, "head"),
        ({"conv_norm": "batch"}, "conv_norm"),
        ({"conv_strides": (5, 2)}, "differ in number"),
        ({"d_model": 17}, "d_model is 17"),
        ({"n_mels": 80}, "one row"),
        ({"mask_time_prob": 2.0}, "mask_time_prob"),
        ({"conv_kernels": (0, 3, 2)}, "1 or more"),
        ({"kind": "mctct", "n_mels": 8}, "one convolution"),
    ],
)
def test_what_no_network_can_be_built_of(changed: dict, said: str) -> None:
    with pytest.raises(InputError, match=said):
        replace(wav2vec2.VARIANTS["test"].config, **changed)


def test_an_encoder_stands_before_other_networks(tmp_path: Path) -> None:
    made("hubert", "ctc", tmp_path)
    entry = models.find(f"wav2vec2@{tmp_path}")
    encoder = wav2vec2.sound_encoder(tmp_path, entry.config, entry.name)
    found = probe(encoder)
    assert (found.width, found.frame_rate) == (24, 800.0)
