"""Texts, their probabilities and their times are CTranslate2's in float32, and no window's depend
on those beside it."""

from dataclasses import replace

import numpy as np
import pytest

from aural.audio.features import whisper_log_mel
from aural.decode.beam import Path
from aural.models.whisper import DecodingOptions
from aural.models.whisper.cpu import Sound
from aural.models.whisper.engine import STATES_PER_SECOND, Search, Text
from aural.nn import sequence
from aural.nn.sequence import Decoding
from aural.store.ctranslate2 import read_arrays

NAMES = ("0870", "0880", "0890")
LENGTH = 14 * 16000
EARLIER = (
    " The family of Dashwood had long been settled in Sussex. Their estate was large, and their"
    " residence was at Norland Park, in the centre of their property, where, for many generations,"
    " they had lived in so respectable a manner as to engage the general good opinion of their"
    " surrounding acquaintance."
)


def greedy() -> Search:
    return Search(beam_size=1)


@pytest.fixture(scope="module")
def texts(ours, heard, task) -> dict[tuple[str, int], Text]:
    """What is found for each name and beam size, in float32."""
    return {
        (name, size): ours.engine.write([heard[name]], task, task, Search(beam_size=size))[0]
        for name in NAMES
        for size in (1, 5)
    }


# What CTranslate2 finds


@pytest.mark.parametrize("beam_size", [1, 5])
@pytest.mark.parametrize("name", NAMES)
def test_texts_are_ctranslate2s(theirs, encoded, texts, task, name, beam_size) -> None:
    right, found = theirs.write(encoded[name], task, beam_size), texts[name, beam_size]
    assert len(found.tokens) > 10
    assert found.tokens == right.tokens
    assert found.avg_logprob == pytest.approx(right.avg_logprob, abs=1e-3)
    assert found.no_speech_prob == pytest.approx(right.no_speech_prob, abs=1e-3)
    assert found.no_speech_prob == pytest.approx(right.no_speech_prob, rel=1e-2)


def test_no_speech_is_as_probable_as_ctranslate2_finds(ours, theirs, task) -> None:
    """Of noise and of silence, where it is far from zero."""
    noise = np.random.default_rng(0).normal(0, 0.05, LENGTH).astype(np.float32)
    sounds = [noise, np.zeros(LENGTH, np.float32)]
    texts = ours.engine.write(
        ours.engine.listen(sounds, [LENGTH] * 2), task, task, Search(beam_size=1, timed=False)
    )
    found = [text.no_speech_prob for text in texts]
    states = (theirs.encode(whisper_log_mel(sound, 80)) for sound in sounds)
    right = [theirs.write(each, task, 1).no_speech_prob for each in states]
    assert max(right) > 0.3
    assert found == pytest.approx(right, abs=1e-3)


@pytest.mark.parametrize("name", NAMES)
def test_languages_are_ctranslate2s(ours, theirs, heard, encoded, name) -> None:
    ((*found,),) = ours.engine.languages([heard[name]])
    (right,) = theirs.model.detect_language(encoded[name])
    assert [code for code, _ in found[:3]] == [token[2:-2] for token, _ in right[:3]]
    expected = {token[2:-2]: share for token, share in right}
    assert dict(found) == pytest.approx(expected, abs=1e-3)
    assert len(expected) == 99


@pytest.mark.parametrize("name", NAMES)
def test_tokens_start_when_ctranslate2_says(theirs, encoded, windows, texts, task, name) -> None:
    found = texts[name, 1]
    frames = [round(2 * STATES_PER_SECOND * windows[name].size / 16000)]
    (result,) = theirs.model.align(
        encoded[name], task, [list(found.tokens)], frames, median_filter_width=7
    )
    pairs = np.array(result.alignments)
    right = pairs[np.diff(pairs[:, 0], prepend=-1) > 0, 1] / STATES_PER_SECOND
    assert len(found.starts) == len(right) == len(found.tokens) + 1
    apart = np.abs(np.array(found.starts) - right)
    assert np.median(apart) <= 0.04
    assert apart.max() <= 0.2
    assert right[-1] > 2


def test_probabilities_add_up_to_the_mean(texts) -> None:
    for text in texts.values():
        assert len(text.probabilities) == len(text.tokens)
        end = text.avg_logprob * (len(text.tokens) + 1) - np.log(text.probabilities).sum()
        assert -1 < end <= 1e-4


def test_a_prompt_longer_than_the_first_room(ours, theirs, heard, encoded, task) -> None:
    before = ours.tokenizer.encode(EARLIER, add_special_tokens=False).ids
    prompt = [ours.numbers.previous, *before, *task]
    assert len(prompt) > sequence.FIRST_CAPACITY
    right = theirs.write(encoded["0890"], prompt, 1)
    (found,) = ours.engine.write([heard["0890"]], prompt, task, greedy())
    assert found.tokens == right.tokens
    assert found.avg_logprob == pytest.approx(right.avg_logprob, abs=1e-3)
    assert found.no_speech_prob == pytest.approx(right.no_speech_prob, abs=1e-3)
    assert len(found.starts) == len(found.tokens) + 1


def test_the_longest_prompt_there_may_be(ours, theirs, heard, encoded, task) -> None:
    ids = ours.tokenizer.encode(EARLIER * 6, add_special_tokens=False).ids
    prompt = [ours.numbers.previous, *ids[-(447 - len(task) - 20) :], *task]
    assert len(prompt) == 428  # 20 tokens are left
    right = theirs.write(encoded["0890"], prompt, 1)
    (found,) = ours.engine.write([heard["0890"]], prompt, task, greedy())
    assert found.tokens == right.tokens


# What the room, the batch and the beams must not change


def same(found: Text, right: Text, within: float = 1e-5) -> None:
    assert found.tokens == right.tokens
    assert found.avg_logprob == pytest.approx(right.avg_logprob, abs=within)
    assert found.no_speech_prob == pytest.approx(right.no_speech_prob, abs=within)
    assert found.probabilities == pytest.approx(right.probabilities, abs=within)
    assert found.starts == right.starts


@pytest.mark.parametrize("capacity", [10, 2000])
def test_room_that_grows_changes_nothing(ours, heard, texts, task, monkeypatch, capacity) -> None:
    right = texts["0890", 5]
    assert 5 * len(right.tokens) > sequence.FIRST_CAPACITY  # it grew once at least
    monkeypatch.setattr(sequence, "FIRST_CAPACITY", capacity)
    (found,) = ours.engine.write([heard["0890"]], task, task, Search())
    same(found, right)


@pytest.fixture(scope="module")
def sounds(windows) -> list[tuple[np.ndarray, int]]:
    """Windows with their padded lengths; one is longer than the others."""
    long = np.concatenate([windows["0870"], windows["0890"], windows["0880"]])
    return [*((windows[name], LENGTH) for name in NAMES), (long, 22 * 16000)]


@pytest.fixture(scope="module")
def heard_int8(ours_int8, sounds) -> list[Sound]:
    return ours_int8.engine.listen(*zip(*sounds, strict=True))


def test_what_is_heard_does_not_depend_on_the_batch(ours_int8, sounds, heard_int8) -> None:
    for i in (1, 3):
        (alone,) = ours_int8.engine.listen([sounds[i][0]], [sounds[i][1]])
        assert alone.moments == heard_int8[i].moments == sounds[i][0].size // 320
        assert alone.memory.keys() == heard_int8[i].memory.keys()
        for name, array in alone.memory.items():
            np.testing.assert_array_equal(array, heard_int8[i].memory[name])


@pytest.mark.parametrize("beam_size", [1, 5])
def test_int8_texts_do_not_depend_on_the_batch(ours_int8, heard_int8, task, beam_size) -> None:
    def written(places: list[int]) -> list[Text]:
        chosen = [heard_int8[i] for i in places]
        return ours_int8.engine.write(chosen, task, task, Search(beam_size=beam_size))

    alone = [written([i])[0] for i in range(4)]
    assert len({len(text.tokens) for text in alone}) == 4
    for places in ([0, 1, 2], [3, 1, 0]):
        for place, text in zip(places, written(places), strict=True):
            same(text, alone[place])


def test_languages_do_not_depend_on_the_batch(ours_int8, heard_int8) -> None:
    engine = ours_int8.engine
    for found, each in zip(engine.languages(heard_int8), heard_int8, strict=True):
        assert dict(found) == pytest.approx(dict(engine.languages([each])[0]), abs=1e-5)


def test_float32_texts_do_not_depend_on_the_batch(ours, sounds, heard, texts, task) -> None:
    engine = ours.engine
    long = engine.listen([sounds[3][0]], [sounds[3][1]])
    same(engine.write([*long, heard["0880"]], task, task, greedy())[1], texts["0880", 1])


def words(text: str) -> list[str]:
    return "".join(c if c.isalnum() else " " for c in text.lower()).split()


def test_int8_writes_the_same_words(ours, ours_int8, windows, texts) -> None:
    """As it is used, with words in doubt searched again."""
    options = DecodingOptions(language="en", word_timestamps=False)
    found = [each.segment.text for each in ours_int8.recognise(list(windows.values()), options)]
    right = [ours.tokenizer.decode(list(texts[name, 5].tokens)) for name in NAMES]
    assert [words(text) for text in found] == [words(text) for text in right]
    assert [len(words(text)) for text in right] == [22, 8, 14]


def test_each_beam_has_seen_its_own_tokens_only(ours, heard, task, monkeypatch) -> None:
    """Beams that change places, die out and fork are told what their whole text is told by itself;
    and so is what each attended to. Windows leave meanwhile, and the room grows."""
    monkeypatch.setattr(sequence, "FIRST_CAPACITY", 12)
    model, draw = ours.engine.model, np.random.default_rng(0)
    names = ["0870", "0880", "0890"]
    decoding = Decoding(model, [heard[name].memory for name in names], 4)
    decoding.prompt(task, [3], 8)
    running = np.arange(3)
    said = [[()] for _ in names]
    beams_before = [[(0,)] for _ in names]
    for step in range(6):
        shape = (len(running), 4)
        tokens = draw.integers(300, 20000, shape)
        parents = draw.integers(0, 4 if step else 1, shape)
        told = decoding.step(tokens, parents, 8)
        for i, window in enumerate(running):
            before, beams = said[window], beams_before[window]
            said[window] = [
                (*before[p], int(t)) for t, p in zip(tokens[i], parents[i], strict=True)
            ]
            beams_before[window] = [(*beams[p], place) for place, p in enumerate(parents[i])]
        if step in (2, 5):
            for i, window in enumerate(running):
                memory = heard[names[window]].memory
                for beam in range(4):
                    text = said[window][beam]
                    alone = Decoding(model, [memory], 1)
                    right = alone.prompt([*task, *text], [3 + len(text)], 8)
                    assert told.tokens[i, beam].tolist() == right.tokens[0, 0].tolist()
                    np.testing.assert_allclose(
                        told.log_probs[i, beam], right.log_probs[0, 0], atol=2e-4
                    )
                    path = Path(text, 0.0, (0.0,) * len(text), beams_before[window][beam], True)
                    found = decoding.attention(int(window), path, 4)
                    whole = alone.attention(0, replace(path, beams=(0,)), 4 + len(text))
                    assert found.shape == whole.shape
                    np.testing.assert_allclose(found, whole, atol=0.05, rtol=2e-3)
        if step == 2:
            decoding.keep(np.array([0, 2]))
            running = running[[0, 2]]


def test_what_is_told_is_all_that_is_likeliest(ours, heard, task) -> None:
    """Against all tokens' scores: the order, and what is never written left out of the sum."""
    engine, model = ours.engine, ours.engine.model
    decoding = Decoding(model, [heard[name].memory for name in NAMES], 1)
    told = decoding.prompt(task, [0, 3], 100)
    assert told.tokens.shape == told.log_probs.shape == (3, 2, 100)
    scores = (told.hidden.reshape(6, -1) @ np.asarray(model.embeddings, np.float32).T).astype(float)
    scores[:, list(engine.unwritten)] = -np.inf
    scores -= np.logaddexp.reduce(scores, axis=1, keepdims=True)
    order = np.argsort(-scores, axis=1)[:, :100]
    right = np.take_along_axis(scores, order, axis=1)
    np.testing.assert_allclose(told.log_probs.reshape(6, 100), right, atol=1e-4)
    tokens = told.tokens.reshape(6, 100)
    np.testing.assert_allclose(np.take_along_axis(scores, tokens, axis=1), right, atol=1e-4)
    assert all(len(set(row)) == 100 for row in tokens.tolist())
    assert not np.isin(tokens, engine.unwritten).any()


def test_a_beam_wider_than_the_room_finds_room(ours, heard, task) -> None:
    prompt = [ours.numbers.previous, *[400] * 34, *task]
    assert len(prompt) + 64 > 2 * sequence.FIRST_CAPACITY
    (found,) = ours.engine.write([heard["0890"]], prompt, task, Search(beam_size=64))
    assert found.tokens


@pytest.mark.parametrize("left", [0, 1, 3])
def test_attention_of_a_text_broken_off_is_its_own(ours, heard, task, left) -> None:
    """The others go on for two steps, in the second without it."""
    decoding = Decoding(ours.engine.model, [heard["0890"].memory] * 4, 1)
    decoding.prompt(task, [0, 3], 4)
    tokens, parents = np.full((4, 1), 400), np.zeros((4, 1), int)
    decoding.step(tokens, parents, 1)
    path = Path((400, 400), -1.0, (-0.5, -0.5), (0, 0, 0), ended=False)
    before = decoding.attention(left, path, len(task))
    decoding.keep(np.array([i for i in range(4) if i != left]))
    decoding.step(tokens[:3], parents[:3], 1)
    after = decoding.attention(left, path, len(task))
    assert after.shape[1] == len(task) + 1
    np.testing.assert_array_equal(after, before)


def test_scores_of_a_few_tokens_are_those_of_all(ours, heard, task) -> None:
    model = ours.engine.model
    told = Decoding(model, [heard["0870"].memory], 1).prompt(task, [3], 50)
    scores = model.logits(told.hidden[0], told.tokens[0, 0].tolist())[0]
    apart = scores - told.log_probs[0, 0]
    assert apart.max() - apart.min() < 1e-3


def test_a_projection_of_its_own_is_used(directory, heard, task) -> None:
    arrays = dict(read_arrays(directory))
    arrays["decoder/projection/weight"] = np.zeros_like(arrays["decoder/embeddings/weight"])
    model = sequence.SequenceModel(arrays, int8=False, threads=2, aligned=[(5, 1)], suppressed=[])
    told = Decoding(model, [heard["0870"].memory], 1).prompt(task, [3], 5)
    np.testing.assert_allclose(told.log_probs, -np.log(len(model.embeddings)), atol=1e-4)
    assert not model.logits(told.hidden[0], [1, 2]).any()


@pytest.mark.parametrize("width", [1, 3])
def test_samples_of_the_real_network_are_the_same_each_time(
    ours, heard, texts, task, width
) -> None:
    given = [heard["0880"]]
    search = Search(beam_size=width, temperature=1.0, timed=False)
    first, again = (ours.engine.write(given, task, task, search) for _ in range(2))
    assert first == again
    cold = ours.engine.write(given, task, task, replace(search, temperature=1e-6))
    assert cold[0].tokens == texts["0880", 1].tokens
    assert cold[0].avg_logprob == pytest.approx(texts["0880", 1].avg_logprob, abs=1e-4)


def test_the_number_of_threads_changes_nothing(ours_int8, directory, heard_int8, features) -> None:
    """To the bit: what follows a rounding may be far from what follows another."""
    many = sequence.SequenceModel(
        read_arrays(directory),
        int8=True,
        threads=3,
        aligned=[(3, 1)],
        suppressed=ours_int8.engine.unwritten,
    )
    for name, array in many.encode(features["0880"]).items():
        np.testing.assert_array_equal(array, heard_int8[1].memory[name])
    told = []
    for model in (many, ours_int8.engine.model):
        decoding = Decoding(model, [heard_int8[1].memory] * 2, 3)
        decoding.prompt([50258, 50259, 50359, 50363], [3], 6)
        told.append([decoding.step(np.full((2, 3), 634), np.zeros((2, 3), int), 6)])
        told[-1].append(decoding.step(np.full((2, 3), 390), np.array([[0, 1, 2]] * 2), 6))
    for found, right in zip(*told, strict=True):
        np.testing.assert_array_equal(found.log_probs, right.log_probs)
        np.testing.assert_array_equal(found.tokens, right.tokens)
        np.testing.assert_array_equal(found.log_probs[0], found.log_probs[1])
