"""ARPA files: kenlm 0.3.0's own scores of the same files, round trips, and files that lie."""

import gzip
import io
from pathlib import Path

import numpy as np
import pytest

from aural.decode.arpa import LN10, read_arpa, write_arpa
from aural.decode.kneser_ney import estimate
from aural.decode.ngram import BEGIN, NGramModel, NGramScorer
from aural.errors import InputError
from aural.text.tokens import words

TEXT = [
    line.split()
    for line in (
        "the boat left the harbour at dawn",
        "the boat came back at dusk",
        "a small boat left the harbour",
        "the harbour was quiet at dawn",
        "the gulls left the harbour at dusk",
        "the gulls came back at dawn",
        "a quiet dusk fell on the harbour",
        "the small boat was quiet",
        "dawn fell on the small harbour",
        "the gulls fell quiet",
        "the boat left",
        "dawn",
    )
]
OURS_BY_KENLM = {
    "the boat left the harbour at dawn": [
        *(-0.35566, -0.941297, -0.372269, -0.328188, -0.098301, -0.384846, -0.485505, -0.243333)
    ],
    "the small gulls came on a boat": [
        *(-0.35566, -1.014972, -1.723732, -0.682472, -1.343204, -1.531879, -1.631774, -1.180624)
    ],
    "zebra the harbour was zebra quiet": [
        *(-1.615584, -1.355127, -1.372079, -0.792992, -1.817361, -1.355127, -0.929854)
    ],
    "dusk": [-1.542352, -0.494211],
    "": [-1.268353],
}
"""log10, of the model of four words that estimate makes of TEXT, written as ARPA."""
ODD_BY_KENLM = {
    "a b c": [-0.4, -0.8, -0.75, -1.65],
    "a c a a b": [-0.4, -0.2, -0.35, -0.05, -0.6, -1.2],
    "c a a c": [-1.8, -0.35, -0.05, -1.55, -1.5],
    "b b a b b c z a": [-1.3, -0.675, -0.575, -0.6, -0.15, -0.45, -1.85, -0.7, -1.15],
    "z": [-1.6, -0.9],
}


def odd() -> str:
    """A model whose 3-grams end in 2-grams that are not there, with a back-off above 1."""
    single = ["-1.1\t<unk>", "-99\t<s>\t-0.5", "-0.9\t</s>", "-0.7\ta\t-0.25", "-0.8\tb\t0.125"]
    single += ["-1.3\tc\t-0.6", *(f"-2\t{word}\t-0.1" for word in "defgh")]
    pairs = ["-0.4\t<s> a\t-0.2", "-0.6\ta b\t-0.3", "-0.35\tc a\t-0.1", "-0.9\tb </s>"]
    pairs += ["-0.45\tb c\t-0.15", *(f"-1.5\t{a} {b}\t-0.05" for a in "defgh" for b in "defgh")]
    return arpa(single, pairs, ["-0.2\t<s> a c", "-0.15\ta b b", "-0.05\tc a a"])


def arpa(*sections: list[str]) -> str:
    counts = "".join(f"ngram {i}={len(rows)}\n" for i, rows in enumerate(sections, 1))
    parts = (
        "".join([f"\n\\{i}-grams:\n", *(f"{row}\n" for row in rows)])
        for i, rows in enumerate(sections, 1)
    )
    return f"\\data\\\n{counts}{''.join(parts)}\n\\end\\\n"


def written(model: NGramModel, *, packed: bool = False) -> bytes:
    file = io.BytesIO()
    write_arpa(model, file, packed=packed)
    return file.getvalue()


@pytest.fixture
def read(tmp_path: Path):
    """The model of such content, as text or bytes."""

    def reader(content: str | bytes) -> NGramModel:
        path = tmp_path / "model.arpa"
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return read_arpa(path)

    return reader


@pytest.mark.parametrize("packed", [False, True])
def test_scores_of_our_model_are_those_of_kenlm(read, packed: bool) -> None:
    model = read(written(estimate(TEXT, 4), packed=packed))
    found = model.score([line.split() for line in OURS_BY_KENLM])
    for scores, expected in zip(found, OURS_BY_KENLM.values(), strict=True):
        np.testing.assert_allclose(scores / LN10, expected, atol=2e-6)


def test_scores_of_an_odd_model_are_those_of_kenlm(read) -> None:
    model = read(odd())
    found = model.score([line.split() for line in ODD_BY_KENLM])
    for scores, expected in zip(found, ODD_BY_KENLM.values(), strict=True):
        np.testing.assert_allclose(scores / LN10, expected, atol=1e-9)
    for line, scores in zip(ODD_BY_KENLM, found, strict=True):
        state = np.array([model.start()])
        for word, expected in zip([*line.split(), "</s>"], scores, strict=True):
            told, state = model.step(state, np.array([model.number(word)]))
            assert told[0] == pytest.approx(expected, abs=1e-12)


def test_order_of_lines_and_spaces_do_not_matter(read) -> None:
    lines = odd().splitlines()
    first = lines.index("\\2-grams:") + 1
    swapped = [*lines[:first], *lines[first : first + 30][::-1], *lines[first + 30 :]]
    text = "\n".join(swapped).replace("\t", "   ").replace("\n", "\r\n")
    one, other = read(odd()), read(f"made by hand\n\n{text}")
    np.testing.assert_array_equal(one.keys, other.keys)
    np.testing.assert_array_equal(one.log_probs, other.log_probs)


@pytest.mark.parametrize("order", [1, 3, 6])
def test_round_trip(read, order: int) -> None:
    model = estimate(TEXT, order)
    again = read(written(model))
    assert again.words == model.words
    assert again.counts == model.counts
    np.testing.assert_array_equal(again.keys, model.keys)
    np.testing.assert_allclose(again.log_probs, model.log_probs, rtol=1e-6)
    np.testing.assert_allclose(again.backoffs, model.backoffs, rtol=1e-6)
    assert written(again) == written(model)
    assert written(model, packed=True) == written(model, packed=True)


def test_back_off_of_the_longest_is_nothing(read) -> None:
    model = read(odd().replace("-0.05\tc a a", "-0.05\tc a a\t-9"))
    state, told = np.array([model.start()]), []
    for word in ("c", "a", "a", "c"):
        log_prob, state = model.step(state, np.array([model.number(word)]))
        told += (log_prob / LN10).tolist()
    np.testing.assert_allclose(told, ODD_BY_KENLM["c a a c"][:4], atol=1e-9)


def test_what_is_missing_is_added(read) -> None:
    model = read(arpa(["-0.3\ta", "-0.3\tb"]))
    scores = model.score([["a", "z"]])[0] / LN10
    np.testing.assert_allclose(scores, [-0.3, -100, -100])
    assert read(written(model)).counts == (5,)
    assert NGramScorer(model, words(["a b z"])).scores(np.array([model.start()])).shape == (1, 5)


def lines_of(text: str, line: int, new: str) -> str:
    rows = text.splitlines(keepends=True)
    rows[line - 1] = new
    return "".join(rows)


GOOD = odd()


@pytest.mark.parametrize(
    ("content", "line", "problem"),
    [
        ("", 0, "without"),
        ("hello\n" * 20_000, 10_001, "no "),
        ("\\data\\\n", 1, "lengths"),
        (lines_of(GOOD, 2, "ngram 1=eleven\n"), 2, "COUNT"),
        (lines_of(GOOD, 2, "ngram 7=3\n"), 2, "COUNT"),
        (lines_of(GOOD, 2, "ngram 1=999999999999\n"), 5, "more than"),
        (lines_of(GOOD, 2, "ngram 1=10\n"), 17, "more than the 10"),
        (lines_of(GOOD, 2, "ngram 1=12\n"), 18, "announced"),
        (lines_of(GOOD, 6, "\\2-grams:\n"), 6, "should be"),
        (lines_of(GOOD, 10, "zero\ta\t-0.25\n"), 10, "not a log10"),
        (lines_of(GOOD, 10, "-0.7\ta\t-0.25\t-3\n"), 10, "not a log10"),
        (lines_of(GOOD, 10, "-0.7\n"), 10, "not a log10"),
        (lines_of(GOOD, 10, "nan\ta\n"), 10, "nan"),
        (lines_of(GOOD, 10, "0.5\ta\n"), 10, "0.5"),
        (lines_of(GOOD, 10, "-inf\ta\n"), 10, "inf"),
        (lines_of(GOOD, 10, "-1\ta\tinf\n"), 10, "back-off"),
        (lines_of(GOOD, 10, "-1\ta\t1e308\n"), 10, "back-off"),
        (lines_of(GOOD, 10, "-1e308\ta\n"), 10, "1e+308"),
        (lines_of(GOOD, 10, "-0.7\tb\n"), 11, "second time"),
        (lines_of(GOOD, 21, "-0.6\t<s> a\t-0.3\n"), 21, "second time"),
        (lines_of(GOOD, 21, "-0.6\ta nobody\n"), 21, "'nobody' is not among"),
        (lines_of(GOOD, 52, "-0.2\tb a c\n"), 52, "no 2-gram"),
        (lines_of(GOOD, 52, "-0.2\tb a\n"), 52, "3 words"),
        (lines_of(GOOD, 10, "-0.7\t" + "a" * 70_000 + "\n"), 10, "bytes"),
        (GOOD.replace("\\end\\", ""), 56, "cut short"),
        (GOOD[: GOOD.index("-0.05\tc a a")], 53, "cut short"),
        (GOOD[:400], 34, "announced"),
    ],
)
def test_a_file_that_lies_is_one_error_with_the_line(read, content, line, problem) -> None:
    with pytest.raises(InputError) as caught:
        read(content)
    assert problem in str(caught.value)
    assert f"model.arpa:{line}:" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_random_damage_is_an_error_or_a_model(read) -> None:
    rng = np.random.default_rng(11)
    refused = 0
    for packed in (False, True):
        whole = gzip.compress(GOOD.encode()) if packed else GOOD.encode()
        for _ in range(150):
            damaged = bytearray(whole)
            for place in rng.integers(0, len(damaged), rng.integers(1, 4)):
                damaged[place] = rng.choice([rng.integers(256), 32, 45, 10, 57])
            try:
                model = read(bytes(damaged))
            except InputError:
                refused += 1
            else:
                assert np.isfinite(model.score([["a", "b", "c"]])[0]).all()
    assert refused > 100


def test_a_word_that_is_no_text(read) -> None:
    with pytest.raises(InputError, match=r"model.arpa:10: .*UTF-8"):
        read(GOOD.encode().replace(b"-0.7\ta\t", b"-0.7\t\xff\xfe\t"))


def test_gzip_that_is_cut_or_damaged(read, tmp_path: Path) -> None:
    packed = written(estimate(TEXT, 3), packed=True)
    for content in (packed[:-20], packed[:300] + b"xxxx" + packed[304:], packed[:2]):
        with pytest.raises(InputError, match="model"):
            read(content)
    bomb = gzip.compress(b"x" * (1 << 22))
    with pytest.raises(InputError, match="a line of more than"):
        read(bomb)
    with pytest.raises(InputError, match="can't be read"):
        read_arpa(tmp_path / "none.arpa")


def test_a_large_file_in_good_time(read) -> None:
    """110 000 n-grams: at most 3 s where 0.4 s are usual."""
    rng = np.random.default_rng(3)
    names = [f"w{i}" for i in range(5000)]
    single = ["-99\t<s>", "-1\t</s>", "-5\t<unk>", *(f"-3.5\t{name}\t-0.2" for name in names)]
    pairs = np.unique(rng.integers(0, 5000, (60_000, 2)), axis=0)
    rows = [f"-2\t{names[a]} {names[b]}\t-0.1" for a, b in pairs.tolist()]
    longer = [f"-1\t{names[a]} {names[b]} {names[a]}" for a, b in pairs.tolist()[:50_000]]
    text = arpa(single, rows, longer)
    from time import process_time

    before = process_time()
    model = read(text)
    assert process_time() - before < 3
    assert model.counts == (5003, len(rows), len(longer))
    assert model.number(BEGIN) == 0
