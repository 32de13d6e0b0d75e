"""Whisper: what it hears in real recordings, and the parts it is made of."""

import inspect
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

import aural
from aural import models
from aural.audio.read import read
from aural.decode.loop import without_loop
from aural.errors import InputError, UnknownName
from aural.models import whisper
from aural.models.whisper import DecodingOptions, _goes_round
from aural.models.whisper.words import whole_characters, with_punctuation, with_words, words_within
from aural.tasks.transcribe import transcribe
from aural.types import Segment, Word

TEXTS = {
    "0870": "And Mr. John Dashwood had then leisure to consider how much there might be prudently "
    "in his power to do for them.",
    "0890": "Unless to be rather cold-hearted and rather selfish is to be ill-disposed.",
}


@pytest.fixture(scope="module")
def base() -> whisper.Whisper:
    return models.load("whisper/base")


@pytest.fixture(scope="module")
def windows(examples) -> list[np.ndarray]:
    return [
        read(examples / f"sense_and_sensibility_{name}.flac", sample_rate=16000).samples
        for name in TEXTS
    ]


def test_real_recordings_are_written_down(base, windows):
    hypotheses = base.recognise(windows)
    assert [h.segment.text.strip() for h in hypotheses] == list(TEXTS.values())
    assert {h.language for h in hypotheses} == {"en"}
    assert min(h.language_probability for h in hypotheses) > 0.9


def test_the_same_alone_and_in_a_padded_batch(base, windows):
    together = base.recognise(windows)
    alone = [base.recognise([window])[0] for window in windows]
    assert [h.segment.text for h in together] == [h.segment.text for h in alone]
    assert [h.segment.words for h in together] == [h.segment.words for h in alone]


def test_the_same_twice(base, windows):
    assert base.recognise(windows) == base.recognise(windows)


def test_words_are_the_text_in_order_within_the_window(base, windows):
    for hypothesis, window in zip(base.recognise(windows), windows, strict=True):
        segment = hypothesis.segment
        assert "".join(word.text for word in segment.words) == segment.text
        assert tuple(t for word in segment.words for t in word.tokens) == segment.tokens
        times = [time for word in segment.words for time in (word.start, word.end)]
        assert times == sorted(times)
        assert times[0] >= 0
        assert times[-1] <= window.size / 16000
        assert all(0 < word.probability <= 1 for word in segment.words)


def test_word_times_follow_the_sound(base, windows):
    """Two seconds of silence put before the speech move every word by two seconds."""
    moved = np.concatenate([np.zeros(32000, np.float32), windows[0]])
    before = base.recognise([windows[0]])[0].segment.words
    after = base.recognise([moved])[0].segment.words
    assert [word.text for word in before] == [word.text for word in after]
    shifts = [b.start - a.start for a, b in zip(before[1:], after[1:], strict=True)]
    assert np.median(shifts) == pytest.approx(2.0, abs=0.06)
    assert max(abs(shift - 2.0) for shift in shifts) < 0.3


def test_a_prompt_sets_the_spelling(base, windows):
    options = DecodingOptions(hotwords="Mister John Dashwoode")
    assert "Dashwoode" in base.recognise(windows[:1], options)[0].segment.text


def test_hotwords_longer_than_the_prompt_are_cut(base, windows):
    earlier = " ".join(
        f"On day {day} they walked {day + 3} miles, and rested." for day in range(99)
    )
    options = DecodingOptions(hotwords=earlier, initial_prompt=earlier)
    assert "leisure" in base.recognise(windows[:1], options)[0].segment.text


def test_languages_with_their_probabilities(base, windows):
    assert len(base.languages) == 99
    guess = base.identify_language(windows)[0]
    assert len(guess.tags) == 99
    assert guess.language == "en"
    assert sum(tag.score for tag in guess.tags) == pytest.approx(1, abs=1e-3)


def test_noise_has_a_worse_log_probability_than_speech(base, windows):
    noise = np.random.default_rng(0).normal(0, 0.05, 64000).astype(np.float32)
    options = DecodingOptions(language="en", logprob_threshold=-9.0)
    heard, speech = base.recognise([noise, windows[0]], options)
    assert heard.segment.no_speech_prob > speech.segment.no_speech_prob


def test_sampling_is_tried_while_a_text_fails(base, windows):
    never = DecodingOptions(temperatures=(0.0, 0.4), logprob_threshold=-0.001, language="en")
    segment = base.recognise(windows[:1], never)[0].segment
    assert segment.temperature == 0.4
    always = DecodingOptions(temperatures=(0.0, 0.4), language="en")
    assert base.recognise(windows[:1], always)[0].segment.temperature == 0.0


def test_samples_are_the_same_each_time(base, windows):
    sampled = DecodingOptions(temperatures=(1.0,), language="en", best_of=3)
    first, again = (base.recognise(windows, sampled) for _ in range(2))
    assert first == again
    assert first[0].segment.temperature == 1.0


def test_where_greedy_search_has_no_doubt_it_is_kept(base, windows):
    """Never in doubt is greedy search, always in doubt is beam search."""

    def texts(**options):
        found = base.recognise(windows, DecodingOptions(language="en", **options))
        return [(h.segment.text, h.segment.avg_logprob) for h in found]

    greedy, whole = texts(beam_size=1), texts(doubt_threshold=1.0)
    assert texts(doubt_threshold=0.0) == greedy
    for mixed, *either in zip(texts(), greedy, whole, strict=True):
        assert mixed in either


def test_a_length_penalty_does_not_change_how_sure_a_text_is(base, windows):
    sure = [
        base.recognise(windows[:1], DecodingOptions(length_penalty=penalty, beam_size=1))[0]
        for penalty in (0.0, 1.0, 2.0)
    ]
    assert sure[0].segment.avg_logprob == pytest.approx(sure[1].segment.avg_logprob, abs=1e-4)
    assert sure[2].segment.avg_logprob == pytest.approx(sure[1].segment.avg_logprob, abs=1e-4)


def test_only_a_text_that_ran_into_the_limit_is_cut_to_one_round(base):
    said = Segment(0, 9, " no no no", tokens=(572, 572, 572), compression_ratio=3.0)
    assert base._checked(said, DecodingOptions()) == said
    endless = Segment(0, 9, " no" * 224, tokens=(572,) * 224, compression_ratio=30.0)
    assert base._checked(endless, DecodingOptions()).text == " no"


def test_a_text_too_long_for_one_decoding_is_heard_in_halves(base, windows, monkeypatch):
    monkeypatch.setattr(whisper, "MAX_TEXT_TOKENS", 20)
    segment = base.recognise(windows[:1], DecodingOptions(language="en"))[0].segment
    assert "John Dashwood" in segment.text
    assert "power to do for them" in segment.text
    times = [time for word in segment.words for time in (word.start, word.end)]
    assert times == sorted(times)
    assert segment.end == pytest.approx(windows[0].size / 16000)


def test_words_beyond_the_sound_are_left_out():
    words = tuple(Word(0, 1, f" {w}") for w in "ab") + (Word(2.0, 2.0, " Aye."),) * 5
    text = Segment(0, 2.0, " a b" + " Aye." * 5)
    assert with_words(text, words).text == " a b"
    assert with_words(text, words[:3]).words == words[:3]


def test_a_cry_must_be_surer_than_a_sentence_where_no_speech_is_likely(base):
    def silent(text, logprob, no_speech, ratio=1.0):
        segment = Segment(
            0, 1, text, avg_logprob=logprob, no_speech_prob=no_speech, compression_ratio=ratio
        )
        return base._silent(segment, DecodingOptions())

    assert silent(" Oh, oh, oh.", -0.7, 0.7)
    assert not silent(" Oh, oh, oh.", -0.4, 0.7)
    assert not silent(" Oh, oh, oh.", -0.7, 0.1)
    assert silent(" POPPOPPOPPOP", -0.3, 0.6, ratio=4.1)
    assert not silent(" They said so.", -0.7, 0.7)
    assert silent(" They said so.", -1.1, 0.7)
    assert not silent(" They said so.", -1.1, 0.1)


@pytest.mark.parametrize(
    ("text", "cry"), [(" Whoa!", True), ("Rrrrrrr", True), ("", True), (" No, nobody.", False)]
)
def test_a_cry_is_a_few_letters_however_often(text, cry):
    assert whisper._is_cry(text) == cry


def test_words_of_a_text_cut_short():
    words = tuple(Word(i, i + 1, f" {i}", tokens=(i, i)) for i in range(3))
    assert words_within(words, 6) == words
    assert words_within(words, 3) == words[:1]
    assert words_within(words, 0) == ()


def test_nothing_in_nothing_out(base):
    assert base.recognise([]) == []
    assert base.identify_language([]) == []


def test_too_long_a_window_is_refused(base):
    with pytest.raises(InputError, match=r"31\.0 s.*at most 30 s"):
        base.recognise([np.zeros(31 * 16000, np.float32)])


@pytest.mark.parametrize(
    "window",
    [np.zeros((1, 900), np.float32), np.zeros(900, np.int16), np.full(900, np.nan, np.float32)],
)
def test_a_window_that_is_no_samples_is_refused(base, window):
    with pytest.raises(InputError, match="give finite float samples"):
        base.recognise([window])
    with pytest.raises(InputError, match="give finite float samples"):
        base.identify_language([window])


def test_speech_after_what_is_said_often_is_not_lost(base, windows):
    """A greedy text is broken off as a loop only where beam search comes after it."""
    often = [windows[0][5440:24000], np.zeros(3200, np.float32)] * 4
    window = np.concatenate([*often, windows[1][:80000]])
    for options in (DecodingOptions(beam_size=1), DecodingOptions(doubt_threshold=0.0)):
        text = base.recognise([window], replace(options, language="en"))[0].segment.text
        assert "selfish" in text


def test_an_unknown_language_lists_the_known(base, windows):
    with pytest.raises(UnknownName, match=r"unknown language 'xx'.*\ben\b"):
        base.recognise(windows, DecodingOptions(language="xx"))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"task": "sing"}, "unknown task 'sing'"),
        ({"beam_size": 0}, "beam_size is 0"),
        ({"best_of": 65}, "best_of is 65"),
        ({"temperatures": ()}, "temperatures are"),
        ({"temperatures": (2.0,)}, "temperatures are"),
        ({"patience": 0}, "patience is 0"),
        ({"doubt_threshold": 1.5}, "doubt_threshold is 1.5"),
        ({"length_penalty": 1e4}, "length_penalty is 10000"),
    ],
)
def test_impossible_options_are_named(given, message):
    with pytest.raises(InputError, match=message):
        DecodingOptions(**given)


def test_defaults_are_the_task_s():
    """The task's options and the family's say the same, so that neither is a surprise."""
    task = {name: p.default for name, p in inspect.signature(transcribe).parameters.items()}
    task["temperatures"] = task["temperature"]
    own = {name: p.default for name, p in inspect.signature(DecodingOptions).parameters.items()}
    assert own == {name: task[name] for name in own}


def test_unknown_device_and_compute_type(tmp_path):
    with pytest.raises(UnknownName, match="unknown device 'tpu'"):
        models.load("whisper/base", device="tpu")
    with pytest.raises(UnknownName, match="int8"):
        models.load("whisper/base", device="cpu", compute_type="int2")


def test_a_processor_needs_no_ctranslate2(examples):
    """It is an extra: what runs on a GPU only."""
    code = """
import sys
from dataclasses import replace
sys.modules["ctranslate2"] = None
import aural
from aural import models
print(aural.transcribe(sys.argv[1]).text)
try:
    models.load("whisper/base", device="cuda")
except aural.AuralError as error:
    print(error)
"""
    clip = examples / "sense_and_sensibility_0890.flac"
    done = subprocess.run(
        [sys.executable, "-c", code, clip], capture_output=True, text=True, timeout=120, check=True
    )
    text, refusal = done.stdout.splitlines()
    assert text == TEXTS["0890"]
    assert refusal == "ctranslate2 is not installed; type: pip install 'aural[cuda]'"


def test_a_directory_that_holds_no_model(tmp_path):
    with pytest.raises(aural.AuralError, match="holds no"):
        models.load(f"whisper@{tmp_path}")
    for name in ("model.bin", "config.json", "tokenizer.json"):
        (tmp_path / name).write_text("{}")
    with pytest.raises(aural.AuralError):
        models.load(f"whisper@{tmp_path}")


def test_the_pinned_directories_say_what_they_are():
    base = models.locate(models.find("whisper/base"))
    assert whisper.read_config(base) == models.find("whisper/base").config
    english = models.locate(models.find("whisper/tiny.en"))
    assert whisper.read_config(english) == models.find("whisper/tiny.en").config


def test_english_only_models_say_so(windows):
    english = models.load("whisper/tiny.en")
    assert "John" in english.recognise(windows[:1])[0].segment.text
    assert english.identify_language(windows)[0].language == "en"
    with pytest.raises(InputError, match="only transcribes English"):
        english.recognise(windows, DecodingOptions(task="translate"))
    with pytest.raises(UnknownName, match="this install has: en"):
        english.recognise(windows, DecodingOptions(language="fr"))


def test_loops_are_cut_to_their_first_round():
    assert without_loop((1, 2, 3, 4, 5)) == (1, 2, 3, 4, 5)
    assert without_loop((9, 1, 2, 1, 2, 1, 2)) == (9, 1, 2)
    assert without_loop((9, 1, 2, 1, 2, 1, 2, 1)) in {(9, 1, 2), (9, 1, 2, 1)}
    assert without_loop((7, 7, 7, 7)) == (7,)
    assert without_loop(()) == ()


def test_an_ending_said_twice_is_noticed():
    assert _goes_round((1, 2, 3, 4, 5, 6, 3, 4, 5, 6))
    assert not _goes_round((1, 2, 3, 4, 5, 6, 3, 4, 5))
    assert not _goes_round((8, 8))
    assert not _goes_round(())


def test_a_window_is_padded_by_its_own_length_alone(base):
    lengths = (0.1, 10, 10.2, 12, 29)
    seconds = {length: base.padded_length(int(length * 16000)) / 16000 for length in lengths}
    assert seconds == {0.1: 12, 10: 12, 10.2: 12.5, 12: 14, 29: 30}
    assert base.padded_length(30 * 16000) == 30 * 16000


def test_a_short_sentence_is_not_said_twice(base, examples):
    """With a second of silence after it, this one is."""
    clip = read(examples / "sense_and_sensibility_0880.flac", sample_rate=16000).samples
    assert base.recognise([clip])[0].segment.text.lower().count("young man") == 1


def test_punctuation_joins_the_word_it_belongs_to():
    units = [("你", (1,)), ("好", (2,)), ("。", (3,)), (" “", (4,)), ("是", (5,))]
    assert with_punctuation(units) == [("你", (1,)), ("好。", (2, 3)), (" “是", (4, 5))]
    assert with_punctuation([("a", (1,)), (" (", (2,))]) == [("a", (1,)), (" (", (2,))]


def test_half_characters_wait_for_their_other_half(base):
    text = "日本語 ñandú 😀 ok"
    tokens = tuple(base.tokenizer.encode(text, add_special_tokens=False).ids)
    units = whole_characters(tokens, base.tokenizer)
    assert "".join(unit for unit, _ in units) == text
    assert tuple(token for _, part in units for token in part) == tokens
    assert all("\ufffd" not in unit for unit, _ in units)
