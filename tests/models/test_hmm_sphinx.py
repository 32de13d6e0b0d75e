"""The model of CMU Sphinx against pocketsphinx itself: cepstra, scores of senones, alignments."""

import struct
from pathlib import Path

import numpy as np
import pocketsphinx
import pytest
import soundfile

from aural import models
from aural.decode.graph import loop
from aural.errors import InputError
from aural.models.hmm import sphinx, sphinx_files
from aural.models.hmm.recogniser import Aligner

TEXTS = {
    "0880": "he was not an ill disposed young man",
    "0890": "unless to be rather cold hearted and rather selfish is to be ill disposed",
}
FILLERS = ("<sil>", "<s>", "</s>", "[NOISE]", "[SPEECH]", "(NULL)")


@pytest.fixture(scope="module")
def model() -> Aligner:
    """On its pinned files."""
    return models.load("hmm/en-us", Aligner)


def samples_of(examples: Path, name: str) -> np.ndarray:
    """int16 at 16 kHz."""
    return soundfile.read(examples / f"sense_and_sensibility_{name}.flac", dtype="int16")[0]


def decoder(**options: object) -> pocketsphinx.Decoder:
    """pocketsphinx's own, without a language model."""
    return pocketsphinx.Decoder(lm=None, loglevel="FATAL", cmn="batch", **options)


@pytest.fixture(scope="module")
def theirs(examples: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[np.ndarray, ...]:
    """Cepstra (frame, 13) and scores of all senones (frame, senone), nats below the best."""
    folder = tmp_path_factory.mktemp("sphinx")
    one = decoder(mfclogdir=str(folder), senlogdir=str(folder), compallsen=True)
    one.set_align_text(TEXTS["0880"])
    one.start_utt()
    one.process_raw(samples_of(examples, "0880").tobytes(), full_utt=True)
    one.end_utt()
    (cepstra,), (scores,) = (list(folder.glob(f"*.{suffix}")) for suffix in ("mfc", "sen"))
    raw = cepstra.read_bytes()
    order = ">" if struct.unpack(">i", raw[:4])[0] * 4 == len(raw) - 4 else "<"
    mfcc = np.frombuffer(raw[4:], f"{order}f4").reshape(-1, 13)
    raw = scores.read_bytes()
    rows = np.frombuffer(raw[raw.index(b"endhdr\n") + 11 :], "<i2").reshape(len(mfcc), -1)
    assert (rows[:, 0] == rows.shape[1] - 1).all(), "each row begins with how many follow"
    steps = rows[:, 1:].astype(np.float64)
    steps -= steps.min(axis=1, keepdims=True)
    return mfcc, steps * np.log(1.0001) * 1024


def test_cepstra_are_theirs(examples: Path, theirs: tuple[np.ndarray, ...]) -> None:
    ours = sphinx.cepstra(samples_of(examples, "0880") / np.float32(32768))
    np.testing.assert_allclose(ours, theirs[0], atol=1e-4)


def test_scores_are_theirs(model: Aligner, examples: Path, theirs: tuple[np.ndarray, ...]) -> None:
    """Theirs are sums of three numbers in steps of 0.1 nat: 99 of 100 of those that matter are
    within 0.6."""
    features = sphinx.features(samples_of(examples, "0880") / np.float32(32768))
    scores = model.listening.acoustics.scores(features).astype(np.float64)
    below = scores.max(axis=1, keepdims=True) - scores
    difference = np.abs(below - theirs[1])
    assert np.median(difference) < 0.15
    assert np.percentile(difference[theirs[1] < 10], 99) < 0.6
    assert np.corrcoef(below.ravel(), theirs[1].ravel())[0, 1] > 0.999


def naive(model: sphinx.SphinxModel, frame: np.ndarray, senone: int) -> float:
    """One senone's score by loops: in each stream the four best Gaussians of its codebook."""
    total, book = 0.0, model.phones.definition.codebooks[senone]
    for stream in range(3):
        part = frame[13 * stream : 13 * (stream + 1)].astype(np.float64)
        variances = np.maximum(model.variances[:, stream], 1e-4).astype(np.float64)
        distances = (part - model.means[:, stream]) ** 2 / variances
        logs = -0.5 * (distances + np.log(2 * np.pi * variances)).sum(axis=2)
        best = logs.max()
        chosen = np.argsort(-logs[book])[:4]
        densities = np.exp(np.maximum(logs[book][chosen] - best, -96 * 1024 * np.log(1.0001)))
        weights = np.exp(model.log_weights[stream, chosen, senone])
        total += np.log((densities * weights).sum()) + best
    return total


def test_scores_are_the_formula(model: Aligner, examples: Path) -> None:
    acoustics = model.listening.acoustics
    features = sphinx.features(samples_of(examples, "0880")[20000:26000] / np.float32(32768))
    scores = acoustics.scores(features)
    for frame, senone in ((0, 0), (10, 5125), (20, 1000), (30, 3333)):
        expected = naive(acoustics, features[frame], senone)
        assert scores[frame, senone] == pytest.approx(expected, abs=1e-3)
    with pytest.raises(InputError, match=r"give \(frame, 39\)"):
        acoustics.scores(np.zeros((3, 13), np.float32))


def test_alignments_are_theirs(model: Aligner, examples: Path) -> None:
    """Phones begin and end where pocketsphinx has them: median 0, nine of ten within 30 ms."""
    apart = []
    for name, text in TEXTS.items():
        samples = samples_of(examples, name)
        one = decoder()
        one.set_align_text(text)
        for second in (False, True):
            if second:
                one.set_alignment()
            one.start_utt()
            one.process_raw(samples.tobytes(), full_utt=True)
            one.end_utt()
        phones = [  # read in one go: what the iterator gives is gone with its next step
            (phone.name, phone.start / 100, (phone.start + phone.duration) / 100)
            for word in one.get_alignment()
            if word.name not in FILLERS
            for phone in word
        ]
        found = model.align(samples / np.float32(32768), text)
        assert [word.text for word in found.words] == text.split()
        assert [phone.text for phone in found.phones] == [name for name, _, _ in phones]
        for ours, (_, start, end) in zip(found.phones, phones, strict=True):
            apart.append(abs(ours.start - sphinx.OFFSET_SECONDS - start))
            apart.append(abs(ours.end - sphinx.OFFSET_SECONDS - end))
    assert np.median(apart) < 0.005
    assert np.percentile(apart, 90) <= 0.031


def test_the_definition_finds_what_theirs_lists(model: Aligner) -> None:
    """Triphones that are in the file, one that is not, and silence."""
    phones = model.listening.acoustics.phones
    definition = phones.definition
    assert len(definition.keys) == 137_095 - 42
    count = len(definition.names)
    for row in (0, 77_777, 137_000):
        key, right = divmod(int(definition.keys[row]), count)
        key, left = divmod(key, count)
        place, phone = divmod(key, count)
        senones, matrix = definition.find(phone, left, right, place)
        np.testing.assert_array_equal(senones, definition.sequences[definition.rows[count + row]])
        assert set(definition.codebooks[senones]) == {phone}
        assert matrix == definition.matrices[count + row]
    silence = phones.phone("SIL", "AA", "B", "single")
    assert silence.columns == phones.phone("SIL", "SIL", "SIL", "begin").columns
    odd = phones.phone("ZH", "ZH", "ZH", "single")
    assert set(definition.codebooks[list(odd.columns)]) == {definition.names.index("ZH")}
    with pytest.raises(InputError, match="no phone Q"):
        phones.phone("Q", "SIL", "SIL", "single")


def test_words_of_a_small_grammar(model: Aligner, examples: Path) -> None:
    words = {*TEXTS["0880"].split(), "woman", "old", "good", "child", "is", "she", "all", "on"}
    samples = samples_of(examples, "0880") / np.float32(32768)
    heard = model.hear(samples, loop(sorted(words), -1.0))
    assert " ".join(word.text for word in heard.words) == TEXTS["0880"]
    assert model.hear(samples[:100], loop(["he"])).words == ()


def test_odd_sound(model: Aligner) -> None:
    assert sphinx.features(np.zeros(0, np.float32)).shape == (0, 39)
    assert np.isfinite(sphinx.features(np.zeros(16000, np.float32))).all()
    assert sphinx.cepstra(np.ones(1, np.float32)).shape == (1, 13)
    assert sphinx.cepstra(np.zeros(410, np.float32)).shape == (1, 13)
    with pytest.raises(InputError, match="one channel"):
        sphinx.cepstra(np.zeros((2, 800), np.float32))
    silence = model.align(np.zeros(32000, np.float32), "silence")
    assert silence.words[0].end <= 2.0


@pytest.mark.parametrize(
    ("name", "read"),
    [
        ("mdef.txt", sphinx_files.read_definition),
        ("means.txt", sphinx_files.read_gaussians),
        ("transition_matrices.txt", sphinx_files.read_transitions),
        ("sendump.txt", lambda path: sphinx_files.read_weights(path, 5126)),
    ],
)
def test_damaged_files_are_refused(name: str, read, tmp_path: Path) -> None:
    """Cut anywhere, or with a number of the header made huge or negative: InputError."""
    whole = (models.locate(models.find("hmm/en-us")) / name).read_bytes()
    path = tmp_path / name
    read_whole = tmp_path / "whole"
    read_whole.write_bytes(whole)
    read(read_whole)
    for cut in (0, 3, 50, 700, len(whole) // 2, len(whole) - 5):
        path.write_bytes(whole[:cut])
        with pytest.raises(InputError):
            read(path)
    header = {"mdef.txt": 12 + 0x41C, "sendump.txt": 632}.get(name, whole.find(b"endhdr") + 11)
    for value in (0x7FFFFFFF, -1):
        path.write_bytes(whole[:header] + struct.pack("<i", value) + whole[header + 4 :])
        with pytest.raises(InputError):
            read(path)
    path.write_bytes(b"\x80\x04pickle" + whole[8:])
    with pytest.raises(InputError):
        read(path)
    with pytest.raises(InputError, match="can't be read"):
        read(tmp_path / "missing")
