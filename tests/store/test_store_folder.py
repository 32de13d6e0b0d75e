"""A corpus that is in no package: a folder whose recordings' samples are pinned."""

import hashlib
from pathlib import Path

import numpy as np
import pytest
import soundfile

from aural.errors import HashMismatch, Unreachable
from aural.store.corpora import (
    CORPORA,
    Corpus,
    Folder,
    corpus_directory,
    ensure_corpus,
    samples_digest,
)

CLIPS = {
    name: np.random.default_rng(seed).integers(-32768, 32767, 400, np.int16)
    for seed, name in enumerate(("1_ann_0", "1_ann_1", "0_bob_0"))
}


def write(folder: Path, ending: str, clips: dict[str, np.ndarray] = CLIPS) -> Path:
    folder.mkdir(parents=True)
    for name, samples in clips.items():
        soundfile.write(folder / f"{name}{ending}", samples, 8000, subtype="PCM_16")
    return folder


@pytest.fixture
def pinned(monkeypatch: pytest.MonkeyPatch) -> None:
    """The corpus "clips" with the digest written out by hand."""
    digest = hashlib.sha256()
    for name in sorted(CLIPS):
        own = hashlib.sha256(CLIPS[name].astype("<i4").tobytes()).hexdigest()
        digest.update(f"{name} 8000 1x400 {own}\n".encode())
    folder = Folder(3, digest.hexdigest(), 2400, "https://example.org/clips")
    monkeypatch.setitem(CORPORA, "clips", Corpus((), "CC0-1.0", "three clips", folder))


@pytest.mark.usefixtures("pinned")
@pytest.mark.parametrize("ending", [".wav", ".flac"])
def test_either_coding_of_the_same_samples_is_taken(tmp_path: Path, ending: str) -> None:
    directory = ensure_corpus("clips", source=write(tmp_path / "own", ending))
    assert directory == corpus_directory("clips")
    assert sorted(path.name for path in directory.iterdir()) == sorted(
        f"{name}{ending}" for name in CLIPS
    )
    assert ensure_corpus("clips", offline=True) == directory


@pytest.mark.usefixtures("pinned")
def test_the_folder_recordings_of_a_checkout_is_found(tmp_path: Path) -> None:
    write(tmp_path / "checkout/recordings", ".wav")
    assert len(list(ensure_corpus("clips", source=tmp_path / "checkout").iterdir())) == 3


@pytest.mark.usefixtures("pinned")
@pytest.mark.parametrize("change", ["sample", "name", "one less"])
def test_other_recordings_are_refused_and_nothing_is_left(tmp_path: Path, change: str) -> None:
    clips = {name: samples.copy() for name, samples in CLIPS.items()}
    if change == "sample":
        clips["1_ann_0"][7] ^= 1
    else:
        samples = clips.pop("1_ann_0")
        if change == "name":
            clips["1_ann_9"] = samples
    with pytest.raises(HashMismatch, match="clips"):
        ensure_corpus("clips", source=write(tmp_path / "own", ".wav", clips))
    assert not corpus_directory("clips").exists()


@pytest.mark.usefixtures("pinned")
def test_without_a_folder_the_message_says_where_to_get_it() -> None:
    message = r"https://example.org/clips and type: aural data fetch clips --from DIR"
    with pytest.raises(Unreachable, match=message):
        ensure_corpus("clips")


def test_the_digest_knows_names_rates_and_samples(tmp_path: Path) -> None:
    plain = samples_digest(write(tmp_path / "a", ".wav"))
    assert samples_digest(write(tmp_path / "b", ".flac")) == plain
    other = write(tmp_path / "c", ".wav")
    soundfile.write(other / "0_bob_0.wav", CLIPS["0_bob_0"], 16000, subtype="PCM_16")
    assert samples_digest(other) != plain
