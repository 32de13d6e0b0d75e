"""benchmarks/fusion.py and its models: rescoring, choosing a weight, page and picture."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from aural.decode.ctc import greedy
from aural.decode.prefix_beam import BeamOptions, BeamText
from aural.text.tokens import Tokenizer

LETTERS = Tokenizer("characters", (" ", "a", "b", "c"))


def figure(value: float) -> dict[str, float]:
    return {"value": value, "low": value - 0.01, "high": value + 0.02}


def paired(value: float, low: float, high: float) -> dict[str, Any]:
    each = {"value": value, "low": low, "high": high, "p": 0.5}
    return {"cer": each, "wer": each}


def row(title: str, cer: float, beside: dict[str, Any] | None = None, **more: Any) -> dict:
    figures = {"cer": figure(cer), "wer": figure(2 * cer)}
    took = {"weight": 0.6, "bonus": 1.2, "validation_cer": 0.5} if beside else None
    return {"title": title, "chosen": took, "figures": figures, "difference": beside, **more}


def one_frame_a_letter(fusion, text: str) -> Any:
    """A Heard whose only recording says a text, a blank between every two letters."""
    rows = [[0, token] for token in LETTERS.encode(text)]
    path = [token for pair in rows for token in pair]
    scores = np.full((len(path), LETTERS.size), math.log(0.1 / (LETTERS.size - 1)), np.float32)
    scores[np.arange(len(path)), path] = math.log(0.9)
    return fusion.Heard(LETTERS, [text], [scores])


def listed(fusion, *, whole: bool = False) -> Any:
    """Two recordings: the likeliest text of each is "ab" and "c" by sound, "ac" and "cc" by a
    model of language that loves a c."""
    found = [
        [BeamText((2, 3), -1.0, -4.0), BeamText((2, 4), -2.0, -2.0)],
        [BeamText((4,), -1.0, -1.0), BeamText((4, 4), -1.5, -1.5), BeamText((2,), -9.0, -9.0)],
    ]
    heard = fusion.Heard(LETTERS, ["ac", "cc"], [])
    return fusion.Listed.of(heard, found, whole=whole)


def test_a_list_keeps_its_recordings_apart_and_is_rescored_within_each(benchmark):
    each = listed(benchmark("fusion"))
    assert each.texts == ["ab", "ac", "c", "cc", "a"]
    language = np.array([-5.0, -1.0, -3.0, -2.0, -1.0])
    assert each.best(language, 0.0, 0.0).tolist() == [0, 2]
    assert each.best(language, 1.0, 0.0).tolist() == [1, 3]
    assert each.best(np.zeros(5), 1.0, 1.0).tolist() == [0, 3]  # one token more is worth 1
    for weight, bonus in ((0.3, 0.2), (0.7, -0.4), (2.0, 3.0)):
        score = each.scores + weight * language + bonus * each.tokens
        naive = [max((0, 1), key=lambda i: score[i]), max((2, 3, 4), key=lambda i: score[i])]
        assert each.best(language, weight, bonus).tolist() == naive
    whole = listed(benchmark("fusion"), whole=True)
    assert whole.best(language, 0.0, 0.0).tolist() == [1, 2]  # as the search itself has them


def test_weights_are_those_with_the_fewest_errors_and_of_equals_the_first(benchmark):
    fusion = benchmark("fusion")
    took = fusion.tuned_on_list(listed(fusion), np.array([-5.0, -1, -3, -2, -1]), ["ac", "cc"])
    assert took["validation_cer"] == 0
    assert took["weight"] > 0
    worst = fusion.tuned_on_list(listed(fusion), np.zeros(5), ["ab", "c"])
    assert (worst["weight"], worst["validation_cer"]) == (0.0, 0)
    assert fusion.chosen({(0.0, 0.0): 0.4, (1.0, 0.0): 0.2, (1.0, 1.0): 0.2}) == {
        "weight": 1.0,
        "bonus": 0.0,
        "validation_cer": 0.2,
    }


def test_what_is_heard_is_searched_as_one_recording_by_itself(benchmark):
    fusion = benchmark("fusion")
    short, long = (one_frame_a_letter(fusion, text) for text in ("ab", "ca b"))
    both = fusion.Heard(LETTERS, ["ab", "ca b"], [*short.log_probs, *long.log_probs])
    assert both.greedy() == ["ab", "ca b"]
    found = both.search(BeamOptions(beam_size=8))
    assert both.written(texts[0] for texts in found) == ["ab", "ca b"]
    alone = short.search(BeamOptions(beam_size=8))[0][0]
    assert found[0][0].log_prob == pytest.approx(alone.log_prob, abs=1e-9)
    assert greedy(short.log_probs[0])[0].tokens == LETTERS.encode("ab")


def test_an_n_gram_tells_the_probability_of_a_text_and_its_end(benchmark):
    models = benchmark("fusion_models")
    uniform = models.ngrams(1, ["a b", "ab"], LETTERS)
    total = sum(
        math.exp(uniform.log_probs([text])[0])
        for text in ("", "a", "b", "c", "ab", "ba", "aa", "bb", "a b", "cab")
    )
    assert 0 < total < 1
    text = "ab a"
    scorer = uniform.scorer(LETTERS)
    state, told = np.array([scorer.start()]), 0.0
    for token in (*LETTERS.encode(text), 0):
        told += float(scorer.scores(state)[0, token])
        state = scorer.advance(state, np.array([token])) if token else state
    assert uniform.log_probs([text])[0] == pytest.approx(told, abs=1e-5)
    assert uniform.perplexity([text]) == pytest.approx(math.exp(-told / 5), abs=1e-4)
    assert models.word_ngrams(2, ["a b", "ab"]).perplexity([text]) is None


def test_a_search_with_a_model_writes_what_the_model_knows(benchmark):
    fusion, models = benchmark("fusion"), benchmark("fusion_models")
    heard = one_frame_a_letter(fusion, "ab")
    heard.log_probs[0][3, 3] = math.log(0.3)
    heard.log_probs[0][3, 4] = math.log(0.62)  # sounds rather like a c
    assert heard.greedy() == ["ac"]
    scorer = models.ngrams(2, ["ab"] * 20, LETTERS).scorer(LETTERS)
    found = heard.search(BeamOptions(lm_weight=1.0), scorer)
    assert heard.written(found[0][:1]) == ["ab"]
    apart = heard.search_apart(BeamOptions(lm_weight=1.0), lambda: scorer)
    assert [each.tokens for each in apart[0]] == [each.tokens for each in found[0]]


def test_snapshots_of_the_transformer_xl_tell_what_its_objective_tells(benchmark, tmp_path):
    import torch
    from safetensors.torch import save_file

    from aural.models import lm
    from aural.nn.exported import Exported, FeatureOptions, export
    from aural.train.objectives.language_model import language_model
    from aural.train.source import text_batch

    models = benchmark("fusion_models")
    config = lm.Config(
        "transformer_xl", tokens=5, d_model=8, layers=1, heads=2, d_ff=8, memory=4, dropout=0.3
    )
    with torch.random.fork_rng():
        torch.manual_seed(3)
        network, other = lm.build(config), lm.build(config)
    about = Exported("lm", vars(config), FeatureOptions(), LETTERS)
    export(tmp_path / "model", network, about)
    folder = tmp_path / "checkpoints" / "step-00000050"
    folder.mkdir(parents=True)
    save_file(other.state_dict(), folder / "weights.safetensors")
    texts = ["ab a", "c", "abc abc abc"]
    for each, step in ((network, None), (other, 50)):
        model = models.transformer_xl(tmp_path, step)
        with torch.no_grad():
            expected = [
                -float(language_model(each.eval(), text_batch([t], [LETTERS.encode(t)])).total)
                for t in texts
            ]
        assert model.log_probs(texts).tolist() == pytest.approx(expected, abs=1e-4)
    assert models.transformer_xl(tmp_path, 50).name == "Transformer-XL, step 50"


def test_a_model_that_does_not_surely_lower_the_error_is_said_not_to(benchmark):
    fusion = benchmark("fusion")
    rows = [
        row("beam", 0.5),
        row("six", 0.4, paired(-0.1, -0.15, -0.05)),
        row("xl", 0.49, paired(-0.01, -0.05, 0.02)),
    ]
    assert fusion.lowered(rows, "cer") == (["six"], ["xl"])
    said = fusion.verdict({"plain": rows, "masks": [rows[0], rows[2]]})
    assert "- no masks, CER: lowered by six. Not surely by xl." in said
    assert "- time and frequency masks, WER: **lowered by none**. Not surely by xl." in said


def test_series_part_n_grams_from_networks_and_rise_along_perplexity(benchmark):
    fusion = benchmark("fusion")
    points = [
        {"kind": "n-gram", "perplexity": 9.0, **row("u", 0.5)},
        {"kind": "n-gram", "perplexity": 4.0, **row("s", 0.4)},
        {"kind": "network", "perplexity": 5.0, **row("xl", 0.42)},
    ]
    made = fusion.series_of(points)
    assert [each.name for each in made[:2]] == ["CER, n-grams", "CER, Transformer-XL"]
    assert [each.x for each in made] == [(4.0, 9.0), (5.0,)] * 2
    assert [each.y for each in made] == [(0.4, 0.5), (0.42,), (0.8, 1.0), (0.84,)]
    assert made[0].low == pytest.approx((0.39, 0.49))


def test_weights_are_tuned_on_what_they_find(benchmark):
    fusion = benchmark("fusion")

    def found_with(options: BeamOptions) -> list[str]:
        return ["ab" if options.lm_weight == 0.4 else "b"]

    took = fusion.tuned(["ab"], found_with, [(0.2, 0.4), (0.4, 0.8), (0.6, 1.2)])
    assert took == {"weight": 0.4, "bonus": 0.8, "validation_cer": 0.0}


def test_a_renamed_scorer_says_of_every_symbol_what_its_own_says(benchmark):
    models = benchmark("fusion_models")
    larger = Tokenizer("characters", (" ", "!", "a", "b", "c"))
    own = models.ngrams(3, ["a b!", "ab", "cab"], larger).scorer(larger)
    renamed = models.Renamed(own, larger, LETTERS)
    assert renamed.tokens == LETTERS.size
    told, same = np.array([renamed.start()]), np.array([own.start()])
    for letter in "ca b":
        row_of, expected = renamed.scores(told)[0], own.scores(same)[0]
        for symbol in LETTERS.symbols:
            one, other = (each.encode(f"a{symbol}a")[1] for each in (LETTERS, larger))
            assert row_of[one] == expected[other]
        assert row_of[0] == expected[0]
        token = 1 if letter == " " else LETTERS.encode(letter)[0]
        told = renamed.advance(told, np.array([token]))
        same = own.advance(same, np.array([larger.symbols.index(letter) + 1]))


def test_the_page_has_a_row_for_each_search_and_each_model(benchmark):
    fusion = benchmark("fusion")
    trained = {
        "command": "aural train dutch",
        "parameters": 1234567,
        "steps": 10,
        "minutes": 2.4,
        "baselines": {"majority": {"figures": {"cer": figure(0.9)}}},
    }
    rows = [row("beam, no language model", 0.5), row("six", 0.4, paired(-0.1, -0.15, -0.05))]
    point = {"kind": "n-gram", "perplexity": 3.789, "validation_perplexity": 4.0}
    result = {
        "command": "scripts/bench fusion",
        "date": "2026-01-01",
        "systems": {"plain": trained, "masks": trained},
        "language_model": trained,
        "data": {
            "train_minutes": 37.6,
            "validation": 76,
            "test": 78,
            "characters": 3400,
            "words": 655,
            "unknown_words": 0.096,
            "language_words": 10576,
        },
        "rows": {"plain": rows, "masks": rows},
        "masks": paired(0.01, -0.02, 0.03),
        "noise": [{"name": "plain", "condition": "noisy", **row("no masks", 0.8)}],
        "curve_of": "masks",
        "points": [{**point, **rows[1]}],
    }
    made = fusion.page(result)
    assert (
        "| no masks | six | 0.6, 1.2 | 40.0 (39.0 to 42.0) | 80.0 (79.0 to 82.0) "
        "| -10.0 (-15.0 to -5.0) | -10.0 (-15.0 to -5.0) |" in made
    )
    assert "| noisy | no masks | 80.0 (79.0 to 82.0) | 160.0 (159.0 to 162.0) |  |  |" in made
    assert "| six | 3.79 | 4.00 | 0.6, 1.2 | 40.0 (39.0 to 42.0) |" in made
    assert "CER +1.0 (-2.0 to +3.0), no sure difference" in made
    assert fusion.direction({"low": 0.1, "high": 0.2}) == "surely higher"
    assert fusion.direction({"low": -0.2, "high": -0.1}) == "surely lower"


def test_texts_of_held_out_levels_may_not_be_trained_on(benchmark):
    from aural.data.split import SplitOptions, split
    from aural.data.utterance import Utterance
    from aural.train.compose import compose
    from aural.train.material import Material

    def material(test: str) -> Any:
        some = [
            Utterance(id=level, audio=None, text="a", metadata={"level": level}) for level in "abc"
        ]
        return Material(split(some, SplitOptions("level", (test,), ("b",))), {})

    check = benchmark("fusion").check_apart
    check(material("a"), material("a"))
    with pytest.raises(ValueError, match="trained on a, held out"):
        check(material("a"), material("c"))
    sound, text = (compose(name).data for name in ("dutch", "dutch_lm"))
    assert (sound.source, sound.text, sound.split.by) == (text.source, text.text, text.split.by)
