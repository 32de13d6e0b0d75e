"""A language model beside a network trained with CTC: error without one, with an n-gram, with a
Transformer-XL, and against how well the model foretells the texts.

    scripts/bench fusion        # trains what is not there yet, 45 minutes; then 15 minutes
    scripts/bench fusion --only-noise    # clean and noisy alone, the rest kept

The rows of Li et al. 2019, "Jasper", in small: one voice (corpus fillets-nl, role "big", 38 minutes
to learn from), characters, levels of the game held out whole. Recipes: `dutch`, the same with masks
over time and frequency (overlay `masks`), and `dutch_lm`, whose texts are those of all roles in the
levels that `dutch` is trained on, and no others. The n-grams are of the same texts and characters;
one of words stands beside them.

n-grams are added to the scores inside the beam search; the Transformer-XL rescores the list that
the search with the 6-gram found, as in the paper. Weight and bonus are chosen by the character
errors of the validation levels and then applied once to the test levels. For the curve of error
against perplexity every model is inside the search, the Transformer-XLs, of which there are
snapshots from their training, in a smaller beam, as they take so long.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from fusion_models import LanguageModel, ngrams, transformer_xl, word_ngrams
from machine import RESULTS, measured, measured_earlier, write_result
from machine import about as about_run
from recipes import FOLDER, Run, points, shown, train

from aural.audio.read import read
from aural.data.sound import sound_of
from aural.decode.ctc import greedy
from aural.decode.prefix_beam import BeamOptions, prefix_beam
from aural.text.normalise import NORMALISERS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from aural.data.utterance import Utterance
    from aural.decode.language import TokenScorer
    from aural.decode.prefix_beam import BeamText
    from aural.nn.recogniser import FrameScorer
    from aural.text.tokens import Tokenizer
    from aural.train.experiment import Experiment
    from aural.train.judging import Counts, Judge
    from aural.train.material import Material

    Search = Callable[["Heard"], list[list[BeamText]]]

ACOUSTIC = {
    "plain": Run("no masks", "dutch", figure="cer"),
    "masks": Run("time and frequency masks", "dutch", ("+experiments=masks",), figure="cer"),
}
AUGMENTED = ACOUSTIC | {
    "noisy": Run("noise and rooms", "dutch", ("+experiments=noisy",), figure="cer"),
}
"""Those that are heard clean and in noise, without a model of language."""
LANGUAGE = Run("Transformer-XL", "dutch_lm", figure="nats_per_token")
RUN_NAMES = {
    "plain": "dutch",
    "masks": "dutch-masks",
    "noisy": "dutch-noisy",
    "lm": "dutch-lm",
}
RESULT = RESULTS / "fusion.json"
ORDERS = (1, 2, 3, 4, 6)
BEAM = BeamOptions(beam_size=100, n_best=100, min_token_prob=1e-3)
TUNING_BEAM = 32
WEIGHTS = (0.2, 0.4, 0.6, 0.8, 1.0)
BONUSES = (0.0, 0.4, 0.8, 1.2, 1.6)
XL_BEAM = 16
XL_WEIGHTS = (0.2, 0.4, 0.6)
"""The bonus is twice the weight, where an n-gram's is about best."""
LIST_WEIGHTS = tuple(round(0.1 * i, 1) for i in range(16))
LIST_BONUSES = tuple(round(0.2 * i, 1) for i in range(-2, 11))
SNR = 10.0
FIGURES = ("cer", "wer")
SNAPSHOTS = (100, 200, 400)
"""Steps at which the Transformer-XL is looked at too."""
PICTURES = Path(__file__).resolve().parents[1] / "docs" / "results"
PICTURE = "fusion_perplexity"


@dataclass(frozen=True, eq=False)
class Heard:
    """A part as a network hears it: log probabilities, each (frame, tokens)."""

    tokenizer: Tokenizer
    texts: list[str]
    log_probs: list[np.ndarray]

    def search(self, options: BeamOptions, lm: TokenScorer | None = None) -> list[list[BeamText]]:
        """The best texts of each recording."""
        lengths = [len(each) for each in self.log_probs]
        batch = np.zeros((len(lengths), max(lengths), self.tokenizer.size), np.float32)
        for row, each in zip(batch, self.log_probs, strict=True):
            row[: len(each)] = each
        return prefix_beam(batch, lengths, options, lm=lm)

    def search_apart(
        self, options: BeamOptions, scorer: Callable[[], TokenScorer]
    ) -> list[list[BeamText]]:
        """The same one by one, each with a new scorer: a network's keeps what it is asked."""
        return [prefix_beam(each, options=options, lm=scorer())[0] for each in self.log_probs]

    def written(self, found: Iterable[BeamText]) -> list[str]:
        """Their texts."""
        return [self.tokenizer.decode(each.tokens).strip() for each in found]

    def greedy(self) -> list[str]:
        """The likeliest path of each recording, as text."""
        return self.written(greedy(each)[0] for each in self.log_probs)  # type: ignore[arg-type]


@dataclass(frozen=True, eq=False)
class Listed:
    """Texts that a search found, laid out for rescoring.

    owner: the recording of each; scores: what the search has for it; tokens: how many.
    """

    texts: list[str]
    owner: np.ndarray
    scores: np.ndarray
    tokens: np.ndarray

    @classmethod
    def of(
        cls, heard: Heard, found: Sequence[Sequence[BeamText]], *, whole: bool = False
    ) -> Listed:
        """The lists of all recordings, one after the other; whole: the scores have in them what the
        search's own model of language said, and not the network's log probability alone."""
        every = [each for texts in found for each in texts]
        return cls(
            heard.written(every),
            np.repeat(np.arange(len(found)), [len(texts) for texts in found]),
            np.array([each.score if whole else each.log_prob for each in every]),
            np.array([len(each.tokens) for each in every], float),
        )

    def best(self, language: np.ndarray, weight: float, bonus: float) -> np.ndarray:
        """Of each recording the place of its best text; the first of equals."""
        score = self.scores + weight * language + bonus * self.tokens
        order = np.lexsort((-score, self.owner))
        return order[np.flatnonzero(np.diff(self.owner[order], prepend=-1))]


def hear(
    model: FrameScorer, utterances: Sequence[Utterance], texts: list[str], sound: Any = sound_of
) -> Heard:
    """What a network says of utterances, whose sound is where `sound` tells."""
    rate = model.sample_rate
    found = [model.log_probs(read(sound(each), sample_rate=rate).samples) for each in utterances]
    return Heard(model.tokenizer, texts, found)


def errors(references: Sequence[str], heard: Sequence[str]) -> Counts:
    """Word and character errors, one a recording."""
    from aural.train.judging import text_counts

    return text_counts(references, heard)


def tuned(
    references: list[str],
    found_with: Callable[[BeamOptions], list[str]],
    grid: Iterable[tuple[float, float]],
) -> dict[str, float]:
    """The weight and the bonus with the fewest character errors; of equals the first."""
    rates = {}
    for weight, bonus in grid:
        options = replace(BEAM, n_best=1, lm_weight=weight, insertion_bonus=bonus)
        wrong, out_of = errors(references, found_with(options))["cer"]
        rates[weight, bonus] = sum(wrong) / sum(out_of)
    return chosen(rates)


def tuned_on_list(listed: Listed, language: np.ndarray, references: list[str]) -> dict[str, float]:
    """The same for rescoring a list."""
    counts = errors([references[i] for i in listed.owner], listed.texts)["cer"]
    wrong, out_of = np.array(counts[0]), sum(map(len, references))
    rates = {}
    for weight, bonus in product(LIST_WEIGHTS, LIST_BONUSES):
        rates[weight, bonus] = wrong[listed.best(language, weight, bonus)].sum() / out_of
    return chosen(rates)


def chosen(rates: Mapping[tuple[float, float], float]) -> dict[str, float]:
    """The lowest rate's weight and bonus, and that rate."""
    weight, bonus = min(rates, key=lambda each: rates[each])
    return {"weight": weight, "bonus": bonus, "validation_cer": float(rates[weight, bonus])}


@dataclass(frozen=True, eq=False)
class Bench:
    """Both parts as one network hears them, and who judges the test set."""

    validation: Heard
    test: Heard
    judge: Judge

    def searched(self, lm: LanguageModel) -> tuple[dict[str, float], Search]:
        """The search with the model inside it, and the weight and bonus it has."""
        scorer, seen = lm.scorer(self.test.tokenizer), self.validation

        def found_with(options: BeamOptions) -> list[str]:
            tuning = replace(options, beam_size=TUNING_BEAM)
            return seen.written(texts[0] for texts in seen.search(tuning, scorer))

        took = tuned(seen.texts, found_with, product(WEIGHTS, BONUSES))
        options = replace(BEAM, lm_weight=took["weight"], insertion_bonus=took["bonus"])
        return took, lambda heard: heard.search(options, scorer)

    def searched_apart(self, lm: LanguageModel) -> tuple[dict[str, float], Search]:
        """The same with a network, in a small beam."""
        seen = self.validation

        def small(heard: Heard, options: BeamOptions) -> list[list[BeamText]]:
            options = replace(options, beam_size=XL_BEAM, n_best=1)
            return heard.search_apart(options, lambda: lm.scorer(heard.tokenizer))

        def found_with(options: BeamOptions) -> list[str]:
            return seen.written(texts[0] for texts in small(seen, options))

        took = tuned(seen.texts, found_with, [(each, 2 * each) for each in XL_WEIGHTS])
        options = replace(BEAM, lm_weight=took["weight"], insertion_bonus=took["bonus"])
        return took, lambda heard: small(heard, options)

    def rescored(
        self, lm: LanguageModel, lists: tuple[Listed, Listed]
    ) -> tuple[dict[str, float], Counts]:
        """The errors on the test set after rescoring; lists: of validation and test."""
        assert lm.log_probs is not None
        seen, unseen = lists
        took = tuned_on_list(seen, lm.log_probs(seen.texts), self.validation.texts)
        places = unseen.best(lm.log_probs(unseen.texts), took["weight"], took["bonus"])
        return took, errors(self.test.texts, [unseen.texts[i] for i in places])

    def row(
        self, title: str, counts: Counts, beside: Counts | None, took: Mapping[str, float] | None
    ) -> dict[str, Any]:
        """A system as JSON, with its paired difference from another."""
        return {
            "title": title,
            "chosen": took,
            "figures": self.judge.figures(counts),
            "difference": None if beside is None else self.judge.differences(counts, beside),
        }


def searches(
    bench: Bench, six: LanguageModel, words: LanguageModel, xl: LanguageModel
) -> tuple[list[dict[str, Any]], Counts]:
    """The rows of one network, each beside the same beam without a model; and the errors of the
    Transformer-XL's."""
    heard = bench.test
    plain = errors(heard.texts, heard.written(texts[0] for texts in heard.search(BEAM)))
    rows = [
        bench.row("greedy, no language model", errors(heard.texts, heard.greedy()), plain, None),
        bench.row("beam, no language model", plain, None, None),
    ]
    for lm in (words, six):
        took, search = bench.searched(lm)
        found = search(heard)
        counts = errors(heard.texts, heard.written(texts[0] for texts in found))
        rows.append(bench.row(f"beam, {lm.name}", counts, plain, took))
    parts = (bench.validation, search(bench.validation)), (heard, found)
    for whole in (True, False):
        seen, unseen = (Listed.of(*each, whole=whole) for each in parts)
        took, counts = bench.rescored(xl, (seen, unseen))
        both = f"{six.name} and {xl.name}" if whole else xl.name
        rows.append(bench.row(f"{six.name}'s list, {both}", counts, plain, took))
    return rows, counts


def curve(
    bench: Bench, ngram_models: Sequence[LanguageModel], networks: Sequence[LanguageModel]
) -> list[dict[str, Any]]:
    """Error against perplexity: a point for each model inside the search; each beside the same beam
    without a model."""
    test, points = bench.test, []
    for kind, some in (("n-gram", ngram_models), ("network", networks)):
        options = BEAM if kind == "n-gram" else replace(BEAM, beam_size=XL_BEAM, n_best=1)
        plain = errors(test.texts, test.written(texts[0] for texts in test.search(options)))
        for lm in some:
            took, search = (bench.searched if kind == "n-gram" else bench.searched_apart)(lm)
            found = errors(test.texts, test.written(texts[0] for texts in search(test)))
            points.append(
                {
                    "kind": kind,
                    "perplexity": lm.perplexity(test.texts),
                    "validation_perplexity": lm.perplexity(bench.validation.texts),
                    **bench.row(lm.name, found, plain, took),
                }
            )
    return points


def noise_rows(bench: Bench, utterances: Sequence[Utterance]) -> list[dict[str, Any]]:
    """Every network on clean and on noisy sound, the likeliest path; each beside `plain`."""
    from aural.evaluate.conditions import Condition
    from aural.evaluate.distort import Distortions

    models = {name: network(name) for name in AUGMENTED}
    noisy = Distortions(utterances)(Condition(noise="white", snr=SNR))
    rows = []
    for condition, sound in (("clean", sound_of), ("noisy", noisy)):
        counts = {}
        for name, model in models.items():
            texts = bench.test.texts
            counts[name] = errors(texts, hear(model, utterances, texts, sound).greedy())
            beside = counts["plain"] if name != "plain" else None
            row = bench.row(AUGMENTED[name].title, counts[name], beside, None)
            rows.append({"name": name, "condition": condition, **row})
    return rows


def draw(result: Mapping[str, Any]) -> None:
    """The pictures of error against perplexity."""
    from aural.plot.canvas import save
    from aural.plot.points import error_curve

    for kind in ("svg", "png"):
        figure = error_curve(
            series_of(result["points"]),
            x_label="perplexity by character, on the test set",
            y_label="error rate (%)",
        )
        save(figure, PICTURES / f"{PICTURE}.{kind}")


def series_of(points: Sequence[Mapping[str, Any]]) -> list[Any]:
    """A series for each kind of model and figure, by rising perplexity."""
    from aural.plot.points import Series

    made = []
    for figure, kind in product(FIGURES, dict.fromkeys(each["kind"] for each in points)):
        some = sorted(
            (each for each in points if each["kind"] == kind), key=lambda each: each["perplexity"]
        )
        rates = [each["figures"][figure] for each in some]
        y, low, high = (tuple(each[key] for each in rates) for key in ("value", "low", "high"))
        x = tuple(each["perplexity"] for each in some)
        name = "n-grams" if kind == "n-gram" else "Transformer-XL"
        made.append(Series(f"{figure.upper()}, {name}", x, y, low, high))
    return made


def difference(found: Mapping[str, Any] | None, figure: str) -> str:
    """A paired difference in points, with its interval."""
    return points(found and found[figure])


def cells(row: Mapping[str, Any]) -> list[str]:
    """CER, WER, and their differences."""
    rates = [shown(row["figures"][figure]) for figure in FIGURES]
    return [*rates, *(difference(row["difference"], figure) for figure in FIGURES)]


def weights(row: Mapping[str, Any]) -> str:
    """Weight and bonus, where there are any."""
    return "{weight:g}, {bonus:g}".format_map(row["chosen"]) if row["chosen"] else ""


def lowered(rows: Sequence[Mapping[str, Any]], figure: str) -> tuple[list[str], list[str]]:
    """Titles of the rows with a language model whose paired interval lies below 0, and of the
    others."""
    with_model = [row for row in rows if row["chosen"]]
    surely = [row["title"] for row in with_model if row["difference"][figure]["high"] < 0]
    return surely, [row["title"] for row in with_model if row["title"] not in surely]


def verdict(rows: Mapping[str, Sequence[Mapping[str, Any]]]) -> str:
    """What the rows say of the claim."""
    said = []
    for (name, some), figure in product(rows.items(), FIGURES):
        surely, others = lowered(some, figure)
        by = f"lowered by {'; '.join(surely)}" if surely else "**lowered by none**"
        not_by = f". Not surely by {'; '.join(others)}" if others else ""
        said.append(f"- {ACOUSTIC[name].title}, {figure.upper()}: {by}{not_by}.")
    return "\n".join(said)


def direction(found: Mapping[str, float]) -> str:
    """What a paired interval says of a difference."""
    if found["low"] <= 0 <= found["high"]:
        return "no sure difference"
    return "surely higher" if found["low"] > 0 else "surely lower"


def page(result: Mapping[str, Any]) -> str:
    """The rows of the paper, noise, and the models of language."""
    from report import table

    data, systems = result["data"], result["systems"]
    trained = "; ".join(
        f"`{each['command']}`: {each['parameters']:,} parameters, {each['steps']} steps, "
        f"{each['minutes']:.0f} minutes"
        for each in (*systems.values(), result["language_model"])
    )
    rows, noisy = [], []
    for name, some in result["rows"].items():
        for row in some:
            rows.append([ACOUSTIC[name].title, row["title"], weights(row), *cells(row)])
    for row in result["noise"]:
        noisy.append([row["condition"], AUGMENTED[row["name"]].title, *cells(row)])
    parts = [
        f"Fish Fillets in Dutch, one voice: {data['train_minutes']:.0f} minutes to learn from, "
        f"{data['validation']} recordings to choose by and {data['test']} to be judged on "
        f"({data['characters']} characters, {data['words']} words), levels of the game held out "
        "whole. CER and WER in %, with 95 % intervals over recordings: they speak of other "
        "recordings of this voice, not of other voices. Trained on one thread, from nothing: "
        f"{trained}. The models of language know the {data['language_words']} words of all roles "
        f"in the levels trained on; {data['unknown_words']:.0%} of the test set's words are none "
        "of them. Saying the most frequent training text every time: CER "
        f"{shown(systems['plain']['baselines']['majority']['figures']['cer'])}. One run each, so "
        "short and on so little that WER is near 100 without a model of language.",
        "Differences are paired, from the same beam without a language model. Weight and bonus (a "
        "character) were chosen on the validation levels. The Transformer-XL rescores what the "
        "search with the 6-gram found.",
        table("network | search | weight, bonus | CER | WER | CER less | WER less", rows),
        "Is the error surely lower with a language model than without?\n\n"
        + verdict(result["rows"]),
        "With masks, less without them, same steps, the Transformer-XL's list: "
        + "; ".join(
            f"{figure.upper()} {difference(result['masks'], figure)}, "
            f"{direction(result['masks'][figure])}"
            for figure in FIGURES
        )
        + ".",
        f"## Clean and noisy\n\nWithout a language model, greedy; white noise at {SNR:g} dB of "
        "active speech. Differences are from the network without masks; `noise and rooms` was "
        f"trained as long in made noise of 0 to 20 dB and rooms (overlay `noisy`), on half of the "
        "examples each.",
        table("sound | network | CER | WER | CER less | WER less", noisy),
        language_section(result),
        measured_earlier(result),
    ]
    return "\n\n".join(filter(None, parts))


def language_section(result: Mapping[str, Any]) -> str:
    """Error against perplexity."""
    from report import table

    rows = [
        [
            each["title"],
            *(f"{each[key]:.2f}" for key in ("perplexity", "validation_perplexity")),
            weights(each),
            *cells(each),
        ]
        for each in result["points"]
    ]
    return "\n\n".join(
        [
            "## Error against perplexity\n\nPerplexity is by character, ends of texts counted. "
            f"The network is that of '{ACOUSTIC[result['curve_of']].title}', every model is inside "
            f"the search; beams have {BEAM.beam_size} beginnings, with a Transformer-XL {XL_BEAM}, "
            f"whose weight is one of {len(XL_WEIGHTS)} and not of "
            f"{len(WEIGHTS) * len(BONUSES)} pairs, as it takes so long. "
            "Differences are from the same beam without a model.",
            f"![errors against perplexity]({PICTURE}.png)",
            table(
                "model | perplexity | on validation | weight, bonus | CER | WER | CER less "
                "| WER less",
                rows,
            ),
        ]
    )


def measure() -> dict[str, Any]:
    """Train what is missing, and what is written down."""
    from aural.train.checkpoint import steps
    from aural.train.compose import compose
    from aural.train.judging import Judge

    systems = trained()
    language = train(RUN_NAMES["lm"], LANGUAGE, again=False)
    own = compose("dutch")
    material, texts = gathered(own)
    corpus, corpus_texts = gathered(compose("dutch_lm"))
    told = corpus_texts["train"]
    check_apart(material, corpus)
    networks, benches = {}, {}
    for name in ACOUSTIC:
        networks[name] = network(name)
        parts = (hear(networks[name], material.part(p), texts[p]) for p in ("validation", "test"))
        benches[name] = Bench(*parts, Judge(material.part("test"), own.judge))
    tokenizer = benches["plain"].test.tokenizer
    spoken = {order: ngrams(order, told, tokenizer) for order in ORDERS}
    folder = FOLDER / RUN_NAMES["lm"]
    xl, words = transformer_xl(folder), word_ngrams(6, told)
    rows, counts = {}, {}
    for name, bench in benches.items():
        rows[name], counts[name] = searches(bench, spoken[6], words, xl)
    curve_of = min(rows, key=lambda name: rows[name][-1]["chosen"]["validation_cer"])
    kept = [each for each in steps(folder / "checkpoints") if each in SNAPSHOTS]
    snapshots = [transformer_xl(folder, step) for step in kept]
    return {
        "systems": systems,
        "language_model": language,
        "data": about(material, texts, told),
        "rows": rows,
        "masks": benches["plain"].judge.differences(counts["masks"], counts["plain"]),
        "noise": noise_rows(benches["plain"], material.part("test")),
        "curve_of": curve_of,
        "points": curve(benches[curve_of], list(spoken.values()), [*snapshots, xl]),
    }


def trained() -> dict[str, dict[str, Any] | None]:
    """What came of every network's training, trained where it is not there."""
    return {name: train(RUN_NAMES[name], run, again=False) for name, run in AUGMENTED.items()}


def network(name: str) -> FrameScorer:
    """A trained one by its name in AUGMENTED."""
    from aural import models

    return models.load(f"jasper@{FOLDER / RUN_NAMES[name]}/model", threads=1)


def measure_noise(earlier: Mapping[str, Any]) -> dict[str, Any]:
    """An earlier result with its part of clean and noisy sound measured anew."""
    from aural.train.compose import compose
    from aural.train.judging import Judge

    own = compose("dutch")
    systems = trained()
    material, texts = gathered(own)
    parts = (hear(network("plain"), material.part(p), texts[p]) for p in ("validation", "test"))
    bench = Bench(*parts, Judge(material.part("test"), own.judge))
    anew = {"systems", "noise", "measured", *about_run()}
    return {
        **{name: value for name, value in earlier.items() if name not in anew},
        "systems": systems,
        "noise": noise_rows(bench, material.part("test")),
        "measured": measured(["noise"], ["rows", "points"], earlier),
    }


def gathered(experiment: Experiment) -> tuple[Material, dict[str, list[str]]]:
    """The data of an experiment, and its texts as they are trained on, by part."""
    from aural.train.material import PARTS, gather

    material = gather(experiment.data, experiment.train.seed)
    normalise = NORMALISERS[experiment.data.text]
    texts = {part: [normalise(each.text).strip() for each in material.part(part)] for part in PARTS}
    return material, texts


def check_apart(material: Material, corpus: Material) -> None:
    """ValueError where a model of language has read what an acoustic one is chosen or judged by."""
    held = {level for part in material.parts.held for level in part}
    read_too = held & {each.metadata["level"] for each in corpus.part("train")}
    if read_too:
        raise ValueError(f"dutch_lm is trained on {', '.join(sorted(read_too))}, held out by dutch")


def about(
    material: Material, texts: Mapping[str, Sequence[str]], told: Sequence[str]
) -> dict[str, Any]:
    """Counts of what was learned from and judged on."""
    known = {word for text in told for word in text.split()}
    words = [word for text in texts["test"] for word in text.split()]
    return {
        "train_minutes": sum(each.duration or 0.0 for each in material.part("train")) / 60,
        "validation": len(texts["validation"]),
        "test": len(texts["test"]),
        "characters": sum(map(len, texts["test"])),
        "words": len(words),
        "unknown_words": sum(word not in known for word in words) / len(words),
        "language_words": sum(len(text.split()) for text in told),
    }


def main() -> None:
    """Measure, draw and write down."""
    parser = argparse.ArgumentParser(description="a language model beside CTC")
    parser.add_argument("--only-noise", action="store_true")
    if parser.parse_args().only_noise:
        result = measure_noise(json.loads(RESULT.read_text(encoding="utf-8")))
    else:
        result = measure()
        draw(result)
    write_result(result)


if __name__ == "__main__":
    main()
