"""The first examples of a source, and no more of it than they need."""

import itertools
import json
from pathlib import Path

import numpy as np
import pytest

from aural.audio.read import read
from aural.audio.write import write
from aural.data.columns import NAMES
from aural.data.files import bytes_below, metered, replacing
from aural.data.manifest import Utterance, read_manifest, stream_manifest
from aural.data.pack import write_shards
from aural.data.take import Example, apart, extent, stream_source, take
from aural.errors import InputError, ManifestError, Unreachable
from aural.store.corpora import corpus_directory
from aural.types import Audio

SUFFIXES = (".flac", ".wav")
CLIP = "sense_and_sensibility_0880.flac"


@pytest.fixture
def shards(tmp_path: Path, examples: Path) -> str:
    """Thirty examples in ten shards."""
    three = read_manifest(examples / "manifest.jsonl")
    write_shards(itertools.islice(itertools.cycle(three), 30), tmp_path / "s", max_count=3)
    return f"{tmp_path}/s-{{000000..000009}}.tar"


def test_an_example_says_what_the_header_says(examples: Path) -> None:
    first, second = take(2, stream_source(str(examples / "manifest.jsonl"), suffixes=SUFFIXES))
    assert second == Example(
        CLIP,
        str(examples / CLIP),
        2.99,
        16000,
        1,
        "he was not an ill disposed young man",
        "librivox-reader",
        "en",
    )
    assert first.seconds == 7.1


def test_what_comes_after_is_not_read(tmp_path: Path, examples: Path) -> None:
    good = json.dumps({"audio": str(examples / CLIP), "text": "x"})
    (tmp_path / "m.jsonl").write_text(f"{good}\nthis line is wrong\n")
    (found,) = take(1, stream_source(str(tmp_path / "m.jsonl"), suffixes=SUFFIXES))
    assert found.error == ""
    with pytest.raises(ManifestError, match=":2:"):
        list(take(2, stream_source(str(tmp_path / "m.jsonl"), suffixes=SUFFIXES)))


def test_shards_are_read_as_far_as_is_needed(shards: str) -> None:
    size = extent(shards)
    assert size.whole
    with metered() as meter:
        found = list(take(4, stream_source(shards, suffixes=SUFFIXES)))
    assert [each.audio[-23:] for each in found[2:]] == [
        "000000.tar:000000002.flac"[-23:],
        "000001.tar:000000003.flac"[-23:],
    ]
    assert 0 < meter.lists < size.size / 4
    assert meter.recordings == 0


def test_a_folder_without_labels(tmp_path: Path, examples: Path) -> None:
    for name in ("b/2.wav", "a.wav", ".hidden/3.wav", "b/.4.wav", "b/1.wav"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        write(tmp_path / name, read(examples / CLIP))
    (tmp_path / "notes.txt").write_text("x")
    with metered() as meter:
        found = list(take(2, stream_source(str(tmp_path), suffixes=SUFFIXES)))
    assert [each.id for each in found] == ["a.wav", "b/1.wav"]
    assert [each.text for each in found] == ["", ""]
    assert extent(str(tmp_path)).size == bytes_below(tmp_path)
    assert 0 < meter.recordings < bytes_below(tmp_path) / 2
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="no recording in it"):
        list(take(1, stream_source(str(tmp_path / "empty"), suffixes=SUFFIXES)))


def test_a_corpus_that_is_here_and_one_that_is_not(
    tmp_path: Path, examples: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AURAL_CACHE", str(tmp_path))
    for name in ("librivox", "codec2"):
        with pytest.raises(Unreachable, match=f"type: aural data fetch {name}"):
            stream_source(f"corpus:{name}", suffixes=SUFFIXES)
    folder = corpus_directory("librivox") / "usr/share/pocketsphinx/test/data/librivox"
    folder.mkdir(parents=True)
    (folder / "transcription").write_text("<s> he was </s> (sense_64kb-0880)\n")
    write(folder / "sense_64kb-0880.wav", read(examples / CLIP))
    (found,) = take(9, stream_source("corpus:librivox", suffixes=SUFFIXES))
    assert (found.text, found.seconds) == ("he was", 2.99)
    assert extent("corpus:librivox").size == bytes_below(corpus_directory("librivox"))
    unlabelled = corpus_directory("codec2") / "usr/share"
    unlabelled.mkdir(parents=True)
    write(unlabelled / "x.wav", read(examples / CLIP))
    (found,) = take(9, stream_source("corpus:codec2", suffixes=SUFFIXES))
    assert (found.id, found.text) == ("usr/share/x.wav", "")


def test_what_can_not_be_read_says_so(tmp_path: Path, examples: Path) -> None:
    (tmp_path / "bad.wav").write_text("no sound")
    utterances = (
        Utterance("1", tmp_path / "none.wav", "x", duration=2.0),
        Utterance("2", tmp_path / "bad.wav", "x"),
        Utterance("3", examples / CLIP, "x"),
    )
    missing, bad, good = take(3, iter(utterances), output=tmp_path / "out")
    assert missing.error == f"{tmp_path}/none.wav: no such file"
    assert (missing.seconds, missing.sample_rate) == (2.0, None)
    assert bad.error.startswith(f"{tmp_path}/bad.wav: its bytes are no recording")
    assert good.error == ""
    assert [each.id for each in read_manifest(tmp_path / "out/manifest.jsonl")] == ["3"]


def test_clips_and_their_manifest(tmp_path: Path, examples: Path) -> None:
    tone = 0.5 * np.sin(np.arange(32000) / 10).astype(np.float32)
    write(tmp_path / "t.wav", Audio(tone, 16000))
    utterances = [
        Utterance(CLIP, examples / CLIP, "he was", language="en", metadata={"snr": "5"}),
        Utterance("../../x y", tmp_path / "t.wav", "tone", offset=0.5, duration=1.0),
        Utterance("//", tmp_path / "t.wav", ""),
    ]
    found = list(take(3, iter(utterances), output=tmp_path / "out"))
    assert [each.seconds for each in found] == [2.99, 1.0, 2.0]
    names = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert names == [
        "000000-sense_and_sensibility_0880.flac",
        "000001-x_y.flac",
        "000002.wav",
        "manifest.jsonl",
    ]
    whole, cut, silent = stream_manifest(tmp_path / "out/manifest.jsonl")
    assert whole.audio.read_bytes() == (examples / CLIP).read_bytes()
    assert (whole.id, whole.text, whole.language) == (CLIP, "he was", "en")
    assert whole.metadata == {"snr": "5"}
    np.testing.assert_allclose(read(cut.audio).samples, tone[8000:24000], atol=1 / 32768)
    assert (cut.id, cut.offset, silent.text) == ("../../x y", None, "")
    with pytest.raises(InputError, match=r"out is not empty; give a new or an empty directory"):
        list(take(1, iter(utterances), output=tmp_path / "out"))


def test_nothing_is_written_over(tmp_path: Path, examples: Path) -> None:
    (tmp_path / "000000-u.flac").write_text("mine")
    utterances = [Utterance("u", examples / CLIP, "")]
    with pytest.raises(InputError, match="is not empty"):
        list(take(1, iter(utterances), output=tmp_path))
    assert [each.read_text() for each in tmp_path.iterdir()] == ["mine"]


def test_a_long_id_of_long_letters(tmp_path: Path, examples: Path) -> None:
    utterances = [Utterance("\U00020000" * 90, examples / CLIP, "")]
    list(take(1, iter(utterances), output=tmp_path / "out"))
    (found,) = read_manifest(tmp_path / "out/manifest.jsonl")
    assert found.audio.read_bytes() == (examples / CLIP).read_bytes()


def test_labels_can_not_name_another_file(tmp_path: Path, examples: Path) -> None:
    metadata = dict.fromkeys(NAMES["audio"], "/etc/passwd") | {"snr": "5"}
    utterances = [Utterance("u", examples / CLIP, "hi", metadata=metadata)]
    list(take(1, iter(utterances), output=tmp_path))
    assert "passwd" not in (tmp_path / "manifest.jsonl").read_text()
    (found,) = read_manifest(tmp_path / "manifest.jsonl")
    assert (found.audio, found.metadata) == (tmp_path / "000000-u.flac", {"snr": "5"})


def test_what_can_not_be_written_is_told(tmp_path: Path) -> None:
    with (
        pytest.raises(InputError, match="can't be written: File name too long"),
        replacing(tmp_path / ("x" * 300)),
    ):
        pass
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="can't be written"):
        list(take(1, iter(()), output=tmp_path / "file" / "out"))


def test_the_output_lies_outside_the_source(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path)
    for output in (tmp_path, tmp_path / "a/b", tmp_path / "link/x"):
        with pytest.raises(InputError, match="give a directory outside of it"):
            apart(str(tmp_path), output)
    apart(str(tmp_path / "in"), tmp_path / "out")
    apart(str(tmp_path / "m.jsonl"), tmp_path / "out")


def test_clips_of_shards(shards: str, tmp_path: Path, examples: Path) -> None:
    list(take(2, stream_source(shards, suffixes=SUFFIXES), output=tmp_path / "out"))
    found = read_manifest(tmp_path / "out/manifest.jsonl")
    expected = read_manifest(examples / "manifest.jsonl")[:2]
    assert [(each.id, each.text, each.speaker) for each in found] == [
        (each.id, each.text, each.speaker) for each in expected
    ]
    assert [each.audio.read_bytes() for each in found] == [
        each.audio.read_bytes() for each in expected
    ]


def test_a_manifest_that_breaks_off_leaves_none_of_its_own(tmp_path: Path, examples: Path) -> None:
    def broken():
        yield Utterance("1", examples / CLIP, "x")
        raise ManifestError("line 2")

    with pytest.raises(ManifestError):
        list(take(5, broken(), output=tmp_path / "out"))
    assert [path.suffix for path in (tmp_path / "out").iterdir()] == [".flac"]


@pytest.mark.parametrize("count", [0, 10**23])
def test_what_is_no_number_of_examples(count: int) -> None:
    with pytest.raises(InputError, match=f"{count} examples"):
        take(count, iter(()))


@pytest.mark.parametrize("make", ["m.jsonl", "k", "l"])
def test_how_large_a_source_is(tmp_path: Path, make: str) -> None:
    (tmp_path / "k").mkdir()
    (tmp_path / "k/wav.scp").write_text("u a.wav\n")
    (tmp_path / "k/text").write_text("u x\n")
    (tmp_path / "k/other").write_text("x" * 99)
    (tmp_path / "l").mkdir()
    (tmp_path / "l/1-2.trans.txt").write_text("1-2-3 X\n")
    (tmp_path / "l/1-2-3.flac").write_bytes(bytes(50))
    (tmp_path / "m.jsonl").write_text("x" * 7)
    found = extent(str(tmp_path / make))
    assert (found.size, found.whole) == {"m.jsonl": (7, False), "k": (12, False), "l": (58, True)}[
        make
    ]
