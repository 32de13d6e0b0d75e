"""Gaussian mixtures, trees and training, against formulas written out and models whose truth is
known."""

import itertools
import json
from pathlib import Path

import numpy as np
import pytest
from scipy.special import logsumexp
from scipy.stats import multivariate_normal

from aural import models
from aural.decode.graph import sequence, speech_graph
from aural.errors import InputError
from aural.models import hmm
from aural.models.hmm.acoustic import (
    SILENCE,
    GaussianModel,
    HybridModel,
    Topology,
    load_model,
    save_model,
)
from aural.models.hmm.features import CepstraOptions
from aural.models.hmm.lexicon import read_lexicon, spelled, words_of, write_lexicon
from aural.models.hmm.mixtures import Mixtures, em_step, single, split
from aural.models.hmm.training import (
    Progress,
    TrainingOptions,
    align_states,
    fit_hmm,
    log_priors,
)
from aural.models.hmm.trees import (
    Statistics,
    TreeOptions,
    asked,
    clustered,
    gather,
    grow,
    log_likelihood,
    monophones,
)
from aural.types import Recogniser

FLOOR = np.full(3, 1e-3)


def some_mixtures(rng: np.random.Generator) -> Mixtures:
    """Three states of 1, 3 and 2 Gaussians over 3 dimensions."""
    weights = [np.array([1.0]), np.array([0.2, 0.5, 0.3]), np.array([0.6, 0.4])]
    return Mixtures(
        rng.normal(size=(6, 3)).astype(np.float32),
        rng.uniform(0.3, 2, (6, 3)).astype(np.float32),
        np.log(np.concatenate(weights)).astype(np.float32),
        np.array([0, 1, 4]),
    )


def naive_scores(mixtures: Mixtures, features: np.ndarray) -> np.ndarray:
    """By SciPy, Gaussian by Gaussian."""
    ends = [*mixtures.starts[1:], len(mixtures.means)]
    columns = []
    for start, end in zip(mixtures.starts, ends, strict=True):
        parts = [
            mixtures.log_weights[i]
            + multivariate_normal.logpdf(
                features, mixtures.means[i], np.diag(mixtures.variances[i])
            )
            for i in range(start, end)
        ]
        columns.append(logsumexp(np.array(parts), axis=0))
    return np.stack(columns, axis=1)


def test_scores_are_scipys() -> None:
    rng = np.random.default_rng(0)
    mixtures = some_mixtures(rng)
    features = rng.normal(size=(50, 3)).astype(np.float32) * 3
    np.testing.assert_allclose(
        mixtures.scores(features), naive_scores(mixtures, features), rtol=1e-4, atol=1e-4
    )
    assert mixtures.scores(features[:0]).shape == (0, 3)
    with pytest.raises(InputError, match=r"give \(frame, 3\)"):
        mixtures.scores(np.zeros((5, 4), np.float32))


def test_a_step_of_em_is_the_formula() -> None:
    rng = np.random.default_rng(1)
    mixtures = some_mixtures(rng)
    features = rng.normal(size=(400, 3)).astype(np.float32)
    states = rng.integers(0, 3, 400)
    made, log_density = em_step(mixtures, features, states, FLOOR)
    scores = naive_scores(mixtures, features)
    assert log_density == pytest.approx(scores[range(400), states].mean(), abs=1e-4)
    ends = [*mixtures.starts[1:], 6]
    for state, (start, end) in enumerate(zip(mixtures.starts, ends, strict=True)):
        own = features[states == state].astype(np.float64)
        joint = np.array(
            [
                np.exp(mixtures.log_weights[i])
                * multivariate_normal.pdf(own, mixtures.means[i], np.diag(mixtures.variances[i]))
                for i in range(start, end)
            ]
        )
        shares = joint / joint.sum(axis=0)
        for i, share in zip(range(start, end), shares, strict=True):
            mean = np.average(own, axis=0, weights=share)
            variance = np.average((own - mean) ** 2, axis=0, weights=share)
            np.testing.assert_allclose(made.means[i], mean, atol=2e-4)
            np.testing.assert_allclose(made.variances[i], variance, atol=2e-3)
            assert np.exp(made.log_weights[i]) == pytest.approx(share.mean(), abs=1e-4)


def test_em_never_gets_worse_and_splitting_helps() -> None:
    """Two heaps in one state: one Gaussian, then two, and their places are found."""
    rng = np.random.default_rng(2)
    features = np.concatenate([rng.normal(-2, 0.5, (300, 3)), rng.normal(2, 0.5, (300, 3))])
    features, states = features.astype(np.float32), np.zeros(600, np.int64)
    counts = np.array([600])
    mixtures = single(counts, features.sum(0)[None], (features**2).sum(0)[None], FLOOR)
    np.testing.assert_allclose(mixtures.means[0], features.mean(axis=0), atol=1e-5)
    np.testing.assert_allclose(mixtures.variances[0], features.var(axis=0), rtol=1e-4)
    alone = em_step(mixtures, features, states, FLOOR)[1]
    mixtures = split(mixtures, counts, 2)
    assert mixtures.counts.tolist() == [2]
    densities = []
    for _ in range(15):
        mixtures, density = em_step(mixtures, features, states, FLOOR)
        densities.append(density)
    assert np.diff(densities).min() > -1e-5
    assert densities[-1] > alone + 1
    np.testing.assert_allclose(np.sort(mixtures.means[:, 0]), [-2, 2], atol=0.15)


def test_split_gives_more_where_there_is_more() -> None:
    rng = np.random.default_rng(3)
    made = split(some_mixtures(rng), np.array([1000, 60, 10_000]), 20)
    assert made.counts[1] == 3, "60 frames feed no more"
    assert made.counts.sum() == 20
    assert made.counts[2] > made.counts[0]
    own = np.split(np.exp(made.log_weights), made.starts[1:])
    np.testing.assert_allclose([weights.sum() for weights in own], 1, atol=1e-5)
    assert split(made, np.array([5, 5, 5]), 100).counts.sum() == 20


@pytest.mark.parametrize(
    "wrong",
    [
        {"variances": np.zeros((2, 3), np.float32)},
        {"means": np.full((2, 3), np.nan, np.float32)},
        {"starts": np.array([0, 0])},
        {"starts": np.array([1])},
        {"log_weights": np.zeros(3, np.float32)},
    ],
)
def test_mixtures_that_are_none(wrong: dict) -> None:
    ones = np.ones((2, 3), np.float32)
    good = {"means": ones, "variances": ones, "log_weights": np.zeros(2), "starts": np.array([0])}
    with pytest.raises(InputError):
        Mixtures(**good | wrong)


# Trees

PHONES = (SILENCE, "a", "b", "c", "d")


def seen(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Frames of phone a, state 0, whose mean depends on whether b or c stands to the left."""
    keys, frames = [], []
    for left, right in itertools.product(range(1, 5), range(1, 5)):
        keys.append(np.tile([1, left, right, 0], (200, 1)))
        frames.append(rng.normal(3.0 if left in (2, 3) else -3.0, 1.0, (200, 3)))
    return np.concatenate(keys), np.concatenate(frames).astype(np.float32)


def test_statistics_are_sums() -> None:
    keys, frames = seen(np.random.default_rng(4))
    shuffled = np.random.default_rng(5).permutation(len(keys))
    found = gather(keys[shuffled], frames[shuffled])
    assert len(found.keys) == 16
    for row, key in enumerate(found.keys):
        own = frames[(keys == key).all(axis=1)].astype(np.float64)
        assert found.counts[row] == len(own)
        np.testing.assert_allclose(found.sums[row], own.sum(axis=0))
        np.testing.assert_allclose(found.squares[row], (own**2).sum(axis=0))


def test_likelihood_is_that_of_the_gaussian_that_fits() -> None:
    """Up to what depends on the count alone."""
    rng = np.random.default_rng(6)
    frames = rng.normal(size=(100, 3)) * [0.5, 1, 2]
    fitted = multivariate_normal(frames.mean(axis=0), np.diag(frames.var(axis=0)))
    found = log_likelihood(np.array(100), frames.sum(axis=0), (frames**2).sum(axis=0), np.zeros(3))
    constant = -0.5 * 100 * 3 * (np.log(2 * np.pi) + 1)
    assert found == pytest.approx(fitted.logpdf(frames).sum() - constant, rel=1e-9)


def test_the_tree_finds_what_matters() -> None:
    keys, frames = seen(np.random.default_rng(7))
    statistics = gather(keys, frames)
    questions = asked({"bc": ["b", "c"], "ab": ["a", "b"], "d": ["d"]}, PHONES)
    options = TreeOptions(max_states=100, min_gain=300.0, min_frames=50)
    trees = grow(statistics, PHONES, questions, FLOOR, options, alone=(SILENCE,))
    assert trees.states == 3 * 5 + 1
    of = {left: trees.find("a", left, "d")[0] for left in PHONES[1:]}
    assert of["b"] == of["c"] != of["a"] == of["d"]
    assert trees.find("a", "b", "a") == trees.find("a", "b", "d")
    assert trees.find("b", "a", "a") == trees.find("b", "c", "d")
    best = max(
        (naive_gain(statistics, side, row), side, i)
        for side in (0, 1)
        for i, row in enumerate(questions)
    )
    root = trees.nodes[trees.roots[1, 0]]
    assert best[1:] == (root[0], root[1])
    for few in (
        TreeOptions(max_states=15),
        TreeOptions(min_gain=1e9),
        TreeOptions(min_frames=9999),
    ):
        assert grow(statistics, PHONES, questions, FLOOR, few).states == 15


def naive_gain(statistics: Statistics, side: int, question: np.ndarray) -> float:
    yes = question[statistics.keys[:, 1 + side]]
    total = 0.0
    for part, sign in ((yes, 1), (~yes, 1), (np.ones_like(yes), -1)):
        n = statistics.counts[part].sum()
        if n:
            mean = statistics.sums[part].sum(axis=0) / n
            variance = np.maximum(statistics.squares[part].sum(axis=0) / n - mean**2, FLOOR)
            total -= sign * 0.5 * n * np.log(variance).sum()
    return total


def test_questions_from_data_put_alike_phones_together() -> None:
    rng = np.random.default_rng(8)
    centres = {1: 0.0, 2: 0.3, 3: 8.0, 4: 8.3}
    keys = np.concatenate([np.tile([p, 0, 0, 1], (100, 1)) for p in centres])
    frames = np.concatenate([rng.normal(c, 1, (100, 3)) for c in centres.values()])
    questions = clustered(gather(keys, frames), 5, FLOOR)
    rows = {tuple(np.flatnonzero(row).tolist()) for row in questions}
    assert {(1, 2), (3, 4)} <= {tuple(p for p in row if p) for row in rows}
    with pytest.raises(InputError, match="questions about z"):
        asked({"q": ["z"]}, PHONES)


# Training on sound that a known model made

LEXICON = {"ab": (("a", "b"),), "ba": (("b", "a"),), "ca": (("c", "a"),), "cab": (("c", "a", "b"),)}


def spoken(seed: int, count: int, contexts: bool = False) -> tuple[list, list[str], list]:
    """Features, texts and the true phone of each frame: each phone has three places, each silence
    one; with contexts, phone a is elsewhere after c."""
    rng = np.random.default_rng(seed)
    places = np.random.default_rng(99).normal(0, 4, (5, 3, 3))
    features, texts, truth = [], [], []
    for _ in range(count):
        words = [str(word) for word in rng.choice(sorted(LEXICON), rng.integers(1, 4))]
        frames, own = [], []
        for word in words:
            frames.append(rng.normal(-9, 1, (rng.integers(4, 9), 3)))
            own += [0] * len(frames[-1])
            before = ""
            for phone in LEXICON[word][0]:
                row = 4 if contexts and phone == "a" and before == "c" else "abc".index(phone) + 1
                for place in places[row]:
                    frames.append(rng.normal(place, 1, (rng.integers(2, 6), 3)))
                    own += ["abc".index(phone) + 1] * len(frames[-1])
                before = phone
        frames.append(rng.normal(-9, 1, (6, 3)))
        own += [0] * 6
        features.append(np.concatenate(frames).astype(np.float32))
        texts.append(" ".join(words))
        truth.append(np.array(own))
    return features, texts, truth


@pytest.fixture(scope="module")
def trained() -> tuple[GaussianModel, list[Progress]]:
    """A model of 40 utterances, from a flat start."""
    told: list[Progress] = []
    features, texts, _ = spoken(0, 40)
    options = TrainingOptions(iterations=10, gaussians=16)
    return fit_hmm(features, texts, LEXICON, options, report=told.append), told


def test_a_flat_start_finds_the_phones(trained: tuple[GaussianModel, list[Progress]]) -> None:
    model, told = trained
    assert [each.iteration for each in told] == list(range(1, 11))
    assert told[-1].log_density > told[0].log_density + 1
    assert told[-1].unaligned == 0
    assert told[-1].gaussians == len(model.mixtures.means) == 16
    features, texts, truth = spoken(1, 30)
    states = align_states(model, features, texts, LEXICON)
    phones = np.concatenate(states) // 3
    assert (phones == np.concatenate(truth)).mean() > 0.97
    priors = log_priors(states, 12)
    assert np.exp(priors).sum() == pytest.approx(1)
    assert np.exp(priors[:3]).sum() == pytest.approx((np.concatenate(truth) == 0).mean(), abs=0.03)


def test_the_same_again() -> None:
    features, texts, _ = spoken(0, 8)
    options = TrainingOptions(iterations=3, gaussians=16)
    first, again = (fit_hmm(features, texts, LEXICON, options) for _ in range(2))
    np.testing.assert_array_equal(again.mixtures.means, first.mixtures.means)


def test_phones_in_context_are_told_apart() -> None:
    features, texts, _ = spoken(2, 40, contexts=True)
    options = TrainingOptions(
        iterations=6,
        gaussians=12,
        triphone_iterations=3,
        triphone_gaussians=20,
        trees=TreeOptions(max_states=40, min_gain=50, min_frames=15),
    )
    model = fit_hmm(features, texts, LEXICON, options)
    trees = model.phones.trees
    assert trees.find("a", "c", SILENCE) != trees.find("a", "b", SILENCE)
    assert trees.states > 12
    held, words, _ = spoken(3, 20, contexts=True)
    plain = fit_hmm(features, texts, LEXICON, TrainingOptions(iterations=6, gaussians=12))
    assert density(model, held, words) > density(plain, held, words) + 0.3


def density(model: GaussianModel, features: list, texts: list[str]) -> float:
    """Mean log density of a frame in its aligned state."""
    states = align_states(model, features, texts, LEXICON)
    scores = [model.scores(f)[range(len(s)), s] for f, s in zip(features, states, strict=True)]
    return float(np.concatenate(scores).mean())


def test_a_hybrid_aligns_as_what_it_was_made_of(
    trained: tuple[GaussianModel, list[Progress]],
) -> None:
    """Posteriors made of the Gaussians' scores and priors: the same alignment comes out."""
    model = trained[0]
    features, texts, _ = spoken(4, 10)
    states = align_states(model, features, texts, LEXICON)
    priors = np.log(np.random.default_rng(0).dirichlet(np.ones(12)))

    def log_posteriors(frames: np.ndarray) -> np.ndarray:
        joint = model.scores(frames).astype(np.float64) + priors
        return joint - logsumexp(joint, axis=1, keepdims=True)

    hybrid = HybridModel(model.phones, log_posteriors, priors)
    for ours, theirs in zip(align_states(hybrid, features, texts, LEXICON), states, strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_training_that_can_not_be() -> None:
    features, texts, _ = spoken(5, 2)
    with pytest.raises(InputError, match="no pronunciation"):
        fit_hmm(features, ["zebra", "ab"], LEXICON)
    with pytest.raises(InputError, match="give one text each"):
        fit_hmm(features, texts[:1], LEXICON)
    with pytest.raises(InputError, match="one utterance at least"):
        fit_hmm([], [], LEXICON)
    with pytest.raises(InputError, match="NaN or infinity"):
        fit_hmm([features[0], features[1] * np.nan], texts, LEXICON)
    with pytest.raises(InputError, match="differ in shape"):
        fit_hmm([features[0], features[1][:, :2]], texts, LEXICON)
    with pytest.raises(InputError, match="as long as its words"):
        fit_hmm([features[0][:2]], ["cab"], LEXICON)
    with pytest.raises(InputError, match="has no words"):
        fit_hmm(features, ["ab", "..."], LEXICON)
    for wrong in ({"iterations": 0}, {"gaussians": 0}, {"triphone_gaussians": -1}):
        with pytest.raises(InputError):
            TrainingOptions(**wrong)
    short = fit_hmm([*features, features[0][:1]], [*texts, "cab"], LEXICON)
    last = align_states(short, [features[0][:1]], ["cab"], LEXICON)
    assert last[0].tolist() == [-1]


# Files


def test_a_model_comes_back_from_its_file(
    trained: tuple[GaussianModel, list[Progress]], tmp_path: Path
) -> None:
    save_model(tmp_path / "model.npz", trained[0])
    again = load_model(tmp_path / "model.npz")
    frames = spoken(6, 1)[0][0]
    np.testing.assert_array_equal(again.scores(frames), trained[0].scores(frames))
    np.testing.assert_array_equal(again.phones.stay, trained[0].phones.stay)
    assert again.phones.trees.phones == (SILENCE, "a", "b", "c")
    graphs = [
        speech_graph(sequence(["cab"]), LEXICON, each.phones).graph for each in (again, trained[0])
    ]
    np.testing.assert_array_equal(graphs[0].weights, graphs[1].weights)


def test_files_that_are_no_model(
    trained: tuple[GaussianModel, list[Progress]], tmp_path: Path
) -> None:
    path = tmp_path / "model.npz"
    with pytest.raises(InputError, match="can't be read"):
        load_model(path)
    path.write_bytes(b"nothing like it")
    with pytest.raises(InputError, match="can't be read"):
        load_model(path)
    save_model(path, trained[0])
    arrays = dict(np.load(path))
    for name, value in (
        ("nodes", arrays["nodes"] + 1),
        ("roots", arrays["roots"] + 100),
        ("stay", arrays["stay"] * 0),
        ("starts", arrays["starts"].astype(float)),
        ("starts", arrays["starts"] + 1),
        ("means", arrays["means"][:, :2]),
        ("phones", arrays["phones"][:2]),
        ("nodes", arrays["nodes"][:, :3]),
        ("extra", arrays["means"]),
        ("phones", np.array(["a", None], object)),
    ):
        np.savez(path, **arrays | {name: value})
        with pytest.raises(InputError):
            load_model(path)


def test_lexicons(tmp_path: Path) -> None:
    path = tmp_path / "lexicon.txt"
    path.write_text(";;; a comment\n\nread R EH D\nread(2) R IY D\nread(3) R IY D\nwell-known W\n")
    lexicon = read_lexicon(path)
    assert lexicon == {"read": (("R", "EH", "D"), ("R", "IY", "D")), "well-known": (("W",),)}
    write_lexicon(tmp_path / "again.txt", lexicon)
    assert read_lexicon(tmp_path / "again.txt") == lexicon
    assert set(read_lexicon(path, ["read"])) == {"read"}
    path.write_text("read\n")
    with pytest.raises(InputError, match="line 1: 'read' has no phones"):
        read_lexicon(path)
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(InputError, match="not UTF-8"):
        read_lexicon(path)
    with pytest.raises(InputError, match="can't be read"):
        read_lexicon(tmp_path / "missing.txt")
    assert spelled(["Größe", "it's", "..."]) == {
        "Größe": (("g", "r", "ö", "ß", "e"),),
        "it's": (("i", "t", "s"),),
    }


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Well, don\u2019t!", [("Well", "well"), ("don't", "don't")]),
        (
            "\u201cill-disposed\u201d \u2014 well",
            [("ill", "ill"), ("disposed", "disposed"), ("well", "well")],
        ),
        ("WELL ill.", [("WELL", "well"), ("ill", "ill")]),
        ("... -- !", []),
        ("", []),
    ],
)
def test_words_of_a_text(text: str, expected: list) -> None:
    lexicon = dict.fromkeys(("well", "don't", "ill", "disposed"), (("X",),))
    assert words_of(text, lexicon) == expected


def test_unknown_words_are_named() -> None:
    with pytest.raises(InputError, match="'zebra', 'gnu'"):
        words_of("a zebra, gnu", {"a": (("X",),)})


# Features and the family


def test_cepstra(examples: Path) -> None:
    rng = np.random.default_rng(0)
    samples = rng.normal(0, 0.1, 16000).astype(np.float32)
    made = CepstraOptions().cepstra(samples)
    assert made.shape == (100, 39)
    assert made.dtype == np.float32
    np.testing.assert_allclose(made.mean(axis=0), 0, atol=1e-4)
    np.testing.assert_allclose(made.std(axis=0), 1, atol=1e-3)
    assert CepstraOptions().cepstra(samples[:0]).shape == (0, 39)
    assert np.isfinite(CepstraOptions().cepstra(np.zeros(8000, np.float32))).all()
    with pytest.raises(InputError, match="one channel"):
        CepstraOptions().cepstra(samples.reshape(2, -1))


@pytest.fixture(scope="module")
def tones(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory of a model of two words: a low and a high tone, in noise."""
    features, texts = [], []
    for seed in range(12):
        word = ("low", "high")[seed % 2]
        features.append(CepstraOptions(fmax=3800).cepstra(tone(word, seed)))
        texts.append(word)
    lexicon = {"low": (("l", "o"),), "high": (("h", "i"),)}
    model = fit_hmm(features, texts, lexicon, TrainingOptions(iterations=6, gaussians=20))
    directory = tmp_path_factory.mktemp("hmm") / "tones"
    hmm.save(directory, model, lexicon, hmm.Config(language="xx", fmax=3800))
    return directory


def tone(word: str, seed: int) -> np.ndarray:
    """A quarter of a second between others of noise."""
    rng = np.random.default_rng(seed)
    time = np.arange(4000) / 16000
    first, second = {"low": (300, 500), "high": (1500, 2500)}[word]
    sound = 0.3 * np.sin(2 * np.pi * (first + (second - first) * time * 2) * time)
    whole = np.concatenate((np.zeros(4000), sound, np.zeros(4000)))
    return (whole + rng.normal(0, 0.003, 12000)).astype(np.float32)


def test_an_own_model_hears(tones: Path) -> None:
    model = models.load(f"hmm@{tones}", Recogniser)
    windows = [
        tone("low", 50),
        tone("high", 51),
        np.concatenate((tone("low", 52), tone("high", 53))),
    ]
    found = model.recognise(windows, hmm.DecodingOptions())
    assert [each.segment.text for each in found] == [" low", " high", " low high"]
    assert found == model.recognise(windows, hmm.DecodingOptions(language="xx"))
    assert [each.language for each in found] == ["xx"] * 3
    word = found[0].segment.words[0]
    assert (word.start, word.end) == (pytest.approx(0.25, abs=0.05), pytest.approx(0.5, abs=0.05))
    assert 0 < word.probability <= 1
    assert model.identify_language(windows)[0].language == "xx"
    short = model.recognise(
        [np.zeros(0, np.float32), np.zeros(200, np.float32)], hmm.DecodingOptions()
    )
    assert [each.segment.text for each in short] == ["", ""]


def test_an_own_model_aligns_and_follows_a_language_model(tones: Path, tmp_path: Path) -> None:
    model = models.load(f"hmm@{tones}")
    both = np.concatenate((tone("low", 60), tone("high", 61)))
    aligned = model.align(both, "Low, high!")
    assert [word.text for word in aligned.words] == ["Low", "high"]
    assert [phone.text for phone in aligned.phones] == ["l", "o", "h", "i"]
    assert aligned.words[1].start == pytest.approx(1.0, abs=0.05)
    wrong = model.align(both, "high low")
    assert min(w.probability for w in aligned.words) > max(w.probability for w in wrong.words)
    arpa = tmp_path / "lm.arpa"
    arpa.write_text(
        "\\data\\\nngram 1=4\n\n\\1-grams:\n-99 <s>\n-0.1 </s>\n-9 <unk>\n-0.1 high\n\n\\end\\\n"
    )
    options = hmm.DecodingOptions(language_model=str(arpa))
    heard = model.recognise([tone("low", 62)], options)[0].segment.text
    assert set(heard.split()) == {"high"}, "low is no word of the language model"
    arpa.write_text(arpa.read_text().replace("high", "tall"))
    with pytest.raises(InputError, match="none of the lexicon's 2 words"):
        model.recognise([tone("low", 62)], hmm.DecodingOptions(None, str(arpa), 0.7))


def test_what_an_own_model_refuses(tones: Path) -> None:
    model = models.load(f"hmm@{tones}")
    with pytest.raises(InputError, match="unknown language 'en'"):
        model.check(hmm.DecodingOptions(language="en"))
    with pytest.raises(InputError, match="DecodingOptions"):
        model.check(None)
    with pytest.raises(InputError, match="too short"):
        model.align(np.zeros(500, np.float32), "low")
    with pytest.raises(InputError, match="no words"):
        model.align(tone("low", 0), " ... ")
    with pytest.raises(InputError, match="NaN"):
        model.align(np.full(8000, np.nan, np.float32), "low")
    with pytest.raises(InputError, match="one channel"):
        model.align(np.zeros((2, 8000), np.float32), "low")
    with pytest.raises(InputError, match="at most 600 s"):
        model.align(np.zeros(16000 * 601, np.float32), "low")
    for wrong in ({"device": "cuda"}, {"compute_type": "int8"}):
        with pytest.raises(InputError):
            models.load(f"hmm@{tones}", **wrong)


def test_configurations(tones: Path, tmp_path: Path) -> None:
    assert hmm.read_config(tones) == hmm.Config(language="xx", fmax=3800)
    with pytest.raises(InputError, match="can't be read"):
        hmm.read_config(tmp_path)
    for written in ("{", "[]", '{"family": "rnn"}', '{"family": "hmm", "config": {"depth": 1}}',
                    json.dumps({"family": "hmm", "config": {"grammar": "any"}})):  # fmt: skip
        (tmp_path / "config.json").write_text(written)
        with pytest.raises(InputError):
            hmm.read_config(tmp_path)
    for wrong in ({"acoustic_scale": 0.0}, {"beam": -1.0}, {"files": "kaldi"}):
        with pytest.raises(InputError):
            hmm.Config(**wrong)


def test_topology_is_left_to_right() -> None:
    topology = Topology(monophones(("SIL", "a")), np.full(6, 0.75))
    phone = topology.phone("a", "SIL", "SIL", "single")
    assert phone.columns == (3, 4, 5)
    np.testing.assert_allclose(
        np.exp(phone.log_transitions),
        [[0.75, 0.25, 0, 0], [0, 0.75, 0.25, 0], [0, 0, 0.75, 0.25]],
    )
    with pytest.raises(InputError, match="no phone 'q'"):
        topology.phone("q", "SIL", "SIL", "single")
