"""Manifests one utterance at a time: the same as read whole, in memory that stays."""

import itertools
import json
import pathlib
import tracemalloc
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from aural.data.files import metered
from aural.data.manifest import read_manifest, stream_manifest
from aural.data.stream import shard_for, shuffled
from aural.errors import InputError, ManifestError, UnknownName, Unreachable


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def jsonl(folder: Path) -> Path:
    lines = (json.dumps({"audio": f"{i}.wav", "text": f"t {i}"}) for i in range(5))
    return write(folder / "m.jsonl", "\n".join(lines))


def csv(folder: Path) -> Path:
    return write(folder / "m.csv", 'path,text\na.wav,"one,\ntwo"\nb.wav,\n')


def common_voice(folder: Path) -> Path:
    return write(folder / "m.tsv", "path\tsentence\nb.mp3\tone\na.mp3\ttwo\n")


def kaldi(folder: Path) -> Path:
    write(folder / "wav.scp", "r1 a.wav\nr2 b.wav\n")
    write(folder / "segments", "s1 r1 0 1\ns2 r1 1 2\ns3 r2 0 -1\n")
    write(folder / "text", "s1 one\ns2 two\ns3\n")
    write(folder / "utt2spk", "s1 x\ns3 y\n")
    write(folder / "spk2gender", "x f\ny m\n")
    return folder


def librispeech(folder: Path) -> Path:
    for speaker in (9, 10, 8):
        name = f"{speaker}-1"
        write(folder / f"{speaker}/1/{name}.trans.txt", f"{name}-0000 A\n{name}-0001 B\n")
    return folder


@pytest.mark.parametrize("make", [jsonl, csv, common_voice, kaldi, librispeech])
def test_a_stream_is_what_is_read_whole(make, tmp_path: Path) -> None:
    source = make(tmp_path)
    streamed = list(stream_manifest(source))
    assert streamed == read_manifest(source)
    assert len(streamed) > 1


def test_ids_are_not_compared_and_nothing_is_not_an_error(tmp_path: Path) -> None:
    line = '{"audio": "a.wav", "text": "x"}\n'
    assert len(list(stream_manifest(write(tmp_path / "m.jsonl", line * 3)))) == 3
    assert list(stream_manifest(write(tmp_path / "m.jsonl", ""))) == []


def test_a_fault_is_met_where_it_stands(tmp_path: Path) -> None:
    stream = stream_manifest(write(tmp_path / "m.jsonl", '{"audio": "a", "text": "x"}\nno\n'))
    assert next(stream).id == "a"
    with pytest.raises(ManifestError, match=r"m\.jsonl:2"):
        next(stream)


def test_a_corpus_is_not_fetched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AURAL_CACHE", str(tmp_path))
    with pytest.raises(Unreachable, match="type: aural data fetch librivox"):
        stream_manifest("corpus:librivox")
    with pytest.raises(UnknownName):
        stream_manifest("corpus:nothing")


LINES, BOUND = 5_000, 100_000
"""Held, so many utterances take more than 4 MB: a dataclass of nine fields, a path, strings."""


def held(stream: Iterator[object]) -> int:
    """Bytes of Python's objects that a stream holds on to at its last line.

    Without those of pathlib, whose interned names make a table of the whole process grow.
    """
    next(stream)  # what is imported and compiled once is not counted
    tracemalloc.start()
    try:
        assert sum(1 for _ in itertools.islice(stream, LINES - 2)) == LINES - 2
        there = tracemalloc.take_snapshot().filter_traces(
            [tracemalloc.Filter(False, pathlib.__file__)]
        )
        return sum(each.size for each in there.statistics("filename"))
    finally:
        tracemalloc.stop()


def test_what_is_held_is_measured() -> None:
    kept: list[object] = []
    growing = (kept.append(str(number)) or number for number in range(LINES))
    assert held(growing) > 2 * BOUND


def test_memory_does_not_grow_with_a_jsonl(tmp_path: Path) -> None:
    lines = (json.dumps({"audio": f"{i}.wav", "text": f"text {i}"}) for i in range(LINES))
    assert held(stream_manifest(write(tmp_path / "m.jsonl", "\n".join(lines)))) < BOUND


def test_memory_does_not_grow_with_sorted_kaldi_tables(tmp_path: Path) -> None:
    keys = [f"s{i % 9}-{i:06d}" for i in range(LINES)]
    keys.sort()
    write(tmp_path / "wav.scp", "".join(f"{key} {key}.wav\n" for key in keys))
    write(tmp_path / "text", "".join(f"{key} text {key}\n" for key in keys))
    write(tmp_path / "utt2spk", "".join(f"{key} {key[:2]}\n" for key in keys if key[-1] != "7"))
    assert held(stream_manifest(tmp_path)) < BOUND


class TestKaldiOutOfOrder:
    """Tables in step are a matter of memory, not of what comes out."""

    @pytest.mark.parametrize("order", list(itertools.permutations("abc")))
    @pytest.mark.parametrize("asked", ["abc", "cab", "bb"])
    def test_any_order_finds_the_same(
        self, tmp_path: Path, order: tuple[str, ...], asked: str
    ) -> None:
        write(tmp_path / "wav.scp", "".join(f"{key} {key}.wav\n" for key in order))
        write(tmp_path / "utt2lang", "".join(f"{key} x{key}\n" for key in order if key != "b"))
        write(tmp_path / "text", "".join(f"{key} t{key}\n" for key in asked))
        found = [(each.id, each.audio.name, each.language) for each in stream_manifest(tmp_path)]
        assert found == [(key, f"{key}.wav", "" if key == "b" else f"x{key}") for key in asked]

    def test_a_key_twice_in_a_table_is_an_error(self, tmp_path: Path) -> None:
        write(tmp_path / "wav.scp", "a a.wav\nb b.wav\na c.wav\n")
        write(tmp_path / "text", "c x\n")
        with pytest.raises(ManifestError, match=r"wav\.scp:3: 'a' was already given on line 1"):
            list(stream_manifest(tmp_path))


class TestShuffled:
    def test_every_item_comes_once_and_none_before_its_buffer(self) -> None:
        items = list(range(1000))
        drawn = list(shuffled(items, 50, np.random.default_rng(0)))
        assert sorted(drawn) == items
        assert drawn != items
        assert all(item < place + 50 for place, item in enumerate(drawn))

    def test_the_generator_decides(self) -> None:
        one, two, other = (
            list(shuffled(range(99), 9, np.random.default_rng(s))) for s in (1, 1, 2)
        )
        assert one == two != other

    @pytest.mark.parametrize(("count", "buffer"), [(0, 5), (1, 5), (5, 5), (4, 1), (3, 100)])
    def test_small_ones(self, count: int, buffer: int) -> None:
        drawn = list(shuffled(range(count), buffer, np.random.default_rng(0)))
        assert sorted(drawn) == list(range(count))
        if buffer == 1:
            assert drawn == list(range(count))

    def test_a_buffer_over_all_is_a_fair_shuffle(self) -> None:
        rng = np.random.default_rng(0)
        orders = Counter(tuple(shuffled("abc", 3, rng)) for _ in range(6000))
        # Each of 6 orders is expected 1000 times; 5 standard deviations are 144.
        assert len(orders) == 6
        assert all(abs(count - 1000) < 144 for count in orders.values())

    def test_it_draws_before_the_end_of_an_endless_stream(self) -> None:
        endless = shuffled(itertools.count(), 10, np.random.default_rng(0))
        assert all(number < 30 for number in itertools.islice(endless, 20))

    def test_no_buffer_is_an_error(self) -> None:
        with pytest.raises(InputError, match="buffer is 0"):
            shuffled([], 0, np.random.default_rng(0))


@pytest.mark.parametrize("count", [1, 3, 7])
def test_workers_share_all_and_no_item_is_two_workers(count: int) -> None:
    parts = [list(shard_for(range(10), index, count)) for index in range(count)]
    assert sorted(itertools.chain(*parts)) == list(range(10))


@pytest.mark.parametrize(("index", "count"), [(2, 2), (-1, 2), (0, 0)])
def test_a_worker_that_is_none_is_an_error(index: int, count: int) -> None:
    with pytest.raises(InputError, match="counted from 0"):
        shard_for([], index, count)


def test_what_is_read_is_counted(tmp_path: Path) -> None:
    path = write(tmp_path / "m.jsonl", '{"audio": "a", "text": "x"}\n' * 10_000)
    with metered() as meter:
        list(itertools.islice(stream_manifest(path), 10))
    assert 0 < meter.lists <= 1 << 14
    with metered() as meter:
        list(stream_manifest(path))
    assert meter.lists == path.stat().st_size
    assert meter.recordings == 0
