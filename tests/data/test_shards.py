"""Tar shards: what Python's tarfile writes is read, what is hostile is not believed."""

import contextlib
import gzip
import io
import json
import lzma
import tarfile
import tracemalloc
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile

from aural.audio.read import read
from aural.data.manifest import Clip, Utterance, read_manifest, stream_manifest
from aural.data.pack import packed, write_shards
from aural.data.shards import expand_braces, shard_paths, stream_shards
from aural.data.sound import sound_of
from aural.data.tar import TarLimits
from aural.data.utterance import LanguageSpan
from aural.errors import AudioError, AuralError, InputError, ManifestError

FORMATS = {"ustar": tarfile.USTAR_FORMAT, "gnu": tarfile.GNU_FORMAT, "pax": tarfile.PAX_FORMAT}
LONG = "ä" * 120


def wav(seconds: float = 0.01) -> bytes:
    made = io.BytesIO()
    soundfile.write(made, np.full(int(8000 * seconds), 0.25), 8000, format="WAV")
    return made.getvalue()


def tar(*members: tuple[str, bytes] | tarfile.TarInfo, form: int = tarfile.PAX_FORMAT) -> bytes:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w", format=form) as archive:
        for member in members:
            if isinstance(member, tarfile.TarInfo):
                archive.addfile(member)
            else:
                info = tarfile.TarInfo(member[0])
                info.size = len(member[1])
                archive.addfile(info, io.BytesIO(member[1]))
    return made.getvalue()


def special(name: str, kind: bytes, target: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


def shard(folder: Path, content: bytes, name: str = "s.tar") -> Path:
    (folder / name).write_bytes(content)
    return folder / name


def load(folder: Path, content: bytes, **options: object) -> list[Utterance]:
    return list(stream_shards([shard(folder, content)], **options))  # type: ignore[arg-type]


@contextlib.contextmanager
def most_memory(bound: int) -> Iterator[None]:
    """What is done inside allocates no more than so many bytes at once."""
    tracemalloc.start()
    try:
        yield
        assert tracemalloc.get_traced_memory()[1] < bound
    finally:
        tracemalloc.stop()


PAIR = (("a.wav", wav()), ("a.txt", b"hello\n"))


class TestConvention:
    @pytest.mark.parametrize("form", FORMATS)
    @pytest.mark.parametrize("pack", [bytes, gzip.compress, lzma.compress])
    def test_every_format_and_coding(self, tmp_path: Path, form: str, pack) -> None:
        names = ["x/b", "c" * 90, "d" * 99 + "/" + "d" * 80]
        if form != "ustar":
            names += [LONG, "e/" * 150 + "e"]
        parts = [
            part
            for name in names
            for part in ((f"{name}.flac", wav()), (f"{name}.txt", name.encode()))
        ]
        found = load(tmp_path, pack(tar(*parts, form=FORMATS[form])))
        assert [each.id for each in found] == names
        assert [each.text for each in found] == names
        assert {each.audio.data for each in found} == {wav()}

    def test_keys_end_at_the_first_dot_and_labels_are_those_of_a_manifest(
        self, tmp_path: Path
    ) -> None:
        record = {"text": "not this", "sentence": "nor this", "lang": "en", "snr": 5, "path": "o"}
        content = tar(
            ("./x/1.WAV", wav()),
            ("./x/1.json", json.dumps(record).encode()),
            ("./x/1.txt", "\ufeffsaid\r\n".encode()),
            ("./x/1.seg.npy", b"more"),
            ("2.opus", b"opus"),
            ("2.json", b'{"id": "u2", "transcript": "two", "offset": 1, "duration": 2}'),
        )
        one, two = load(tmp_path, content)
        path = tmp_path / "s.tar"
        assert one == Utterance(
            "x/1",
            Clip(f"{path}:x/1.WAV", wav()),
            "said",
            language="en",
            metadata={"snr": "5", "path": "o"},
        )
        assert (two.id, two.text, two.offset, two.duration) == ("u2", "two", 1.0, 2.0)
        assert (str(two.audio), repr(two.audio)) == (
            f"{path}:2.opus",
            f"Clip(name='{path}:2.opus')",
        )

    def test_what_is_not_about_sound_is_passed_over(self, tmp_path: Path) -> None:
        members = (("README", b"x"), ("._a.wav", b"x"), ("cls.idx", b"x"), special("d", b"5"))
        assert [each.id for each in load(tmp_path, tar(*members, *PAIR))] == ["a"]

    @pytest.mark.parametrize(
        ("members", "message"),
        [
            ([("a.wav", b""), ("a.flac", b"")], "s.tar:a: two recordings, a.wav and a.flac"),
            ([("a.txt", b""), ("a.txt", b""), ("a.wav", b"")], "s.tar:a: two .txt"),
            ([("a.txt", b"x"), ("b.txt", b"x"), ("a.wav", b"")], "s.tar:a: no recording"),
            ([("a.001.wav", b"")], "s.tar:a: no recording .* beside a.001.wav; a key ends"),
            ([("a.wav", b"")], "s.tar:a.wav: no text"),
            ([("a.wav", b""), ("a.txt", b"\xff")], "s.tar:a: its .txt is not UTF-8"),
            ([("a.wav", b""), ("a.json", b"[1]")], "s.tar:a: its .json is not"),
            ([("a.wav", b""), ("a.json", b"[" * 100_000)], "s.tar:a: its .json is not"),
            ([("a.wav", b""), ("a.json", b'{"text": true}')], "s.tar:a.wav: text is True"),
            ([("a.wav", b""), ("a.txt", bytes(1 << 21))], "s.tar:a.txt: labels of more than"),
        ],
    )
    def test_bad_examples_are_named(self, tmp_path: Path, members: list, message: str) -> None:
        with pytest.raises(ManifestError, match=message):
            load(tmp_path, tar(*members))

    def test_texts_may_be_missing_where_none_is_needed(self, tmp_path: Path) -> None:
        (found,) = load(tmp_path, tar(("a.wav", wav())), require_text=False)
        assert found.text == ""

    def test_its_sound_is_what_soundfile_reads(self, tmp_path: Path, examples: Path) -> None:
        data = (examples / "sense_and_sensibility_0880.flac").read_bytes()
        sidecar = b'{"text": "x", "offset": 0.5, "duration": 1}'
        whole, cut = load(
            tmp_path, tar(("a.flac", data), ("a.txt", b""), ("b.flac", data), ("b.json", sidecar))
        )
        expected, rate = soundfile.read(io.BytesIO(data), dtype="float32")
        np.testing.assert_array_equal(read(sound_of(whole)).samples, expected)
        np.testing.assert_array_equal(
            read(sound_of(cut)).samples, expected[rate // 2 : rate * 3 // 2]
        )


class TestHostile:
    def test_links_devices_and_folders_are_passed_over(self, tmp_path: Path) -> None:
        members = (
            special("a.wav", tarfile.SYMTYPE, "/etc/passwd"),
            special("b.wav", tarfile.LNKTYPE, "../../b"),
            special("c.wav", tarfile.CHRTYPE),
            special("d.wav", tarfile.FIFOTYPE),
            special("e.wav", tarfile.DIRTYPE),
        )
        assert [each.id for each in load(tmp_path, tar(*members, *PAIR))] == ["a"]

    @pytest.mark.parametrize("name", ["../a.wav", "x/../../a.wav", "/a.wav", ".//a.wav"])
    def test_names_that_lead_out_are_refused(self, tmp_path: Path, name: str) -> None:
        with pytest.raises(ManifestError, match="leads out of the archive"):
            load(tmp_path, tar((name, b"x")))

    def test_so_are_those_of_pax_headers(self, tmp_path: Path) -> None:
        info = tarfile.TarInfo("a.wav")
        info.pax_headers = {"path": "../" * 50 + "a.wav"}
        with pytest.raises(ManifestError, match="leads out of the archive"):
            load(tmp_path, tar(info))

    def test_cut_short_anywhere(self, tmp_path: Path) -> None:
        whole = tar(*PAIR, *((f"b{i}.wav", b"x" * 700) for i in range(3)))
        end = len(whole.rstrip(b"\0"))
        for cut in [*range(0, end, 97), 512, 1024, end - end % 512 + 512]:
            with pytest.raises(ManifestError, match=r"s.tar: byte \d+: cut short"):
                load(tmp_path, whole[:cut], require_text=False)

    @pytest.mark.parametrize("pack", [gzip.compress, lzma.compress])
    def test_so_of_a_compressed_one(self, tmp_path: Path, pack) -> None:
        whole = pack(tar(*PAIR, ("b.wav", np.random.default_rng(0).bytes(90_000))))
        for cut in (12, len(whole) // 2, len(whole) * 9 // 10):
            with pytest.raises(ManifestError, match=r"s.tar: byte \d+: (damaged or )?cut short"):
                load(tmp_path, whole[:cut], require_text=False)

    @pytest.mark.parametrize("pack", [gzip.compress, lzma.compress])
    def test_the_checksum_behind_the_archive_is_read(self, tmp_path: Path, pack) -> None:
        whole = bytearray(pack(tar(*PAIR)))
        assert len(load(tmp_path, bytes(whole))) == 1
        for cut in (1, 8):
            with pytest.raises(ManifestError, match=r"byte \d+: damaged or cut short"):
                load(tmp_path, bytes(whole[:-cut]))
        whole[-8] ^= 1  # gzip: the CRC; xz: the footer
        with pytest.raises(ManifestError, match=r"byte \d+: damaged or cut short"):
            load(tmp_path, bytes(whole))

    def test_a_bomb_behind_the_archive_is_bounded(self, tmp_path: Path) -> None:
        content = gzip.compress(tar(*PAIR) + bytes(30_000_000))
        with most_memory(3_000_000), pytest.raises(ManifestError, match="more than 1000000 bytes"):
            load(tmp_path, content, limits=TarLimits(max_bytes=1_000_000))

    @pytest.mark.parametrize("ending", ["mp4", "seg.wav"])
    def test_members_of_one_key_without_end(self, tmp_path: Path, ending: str) -> None:
        one = tar(tarfile.TarInfo(f"{'d' * 4000}/k.{ending}"))[: 512 + 4096 + 512]
        (tmp_path / "s.tar").write_bytes(one * 2000 + bytes(1024))
        with most_memory(2_000_000), contextlib.suppress(ManifestError):
            assert list(stream_shards([tmp_path / "s.tar"])) == []

    @pytest.mark.parametrize(
        "pax",
        [
            b"5 a=\n",
            b"5 a=\nabcdefghi",
            b"5 a=\n7",
            b"0 a=\n",
            b" 6 a=\n",
            b"6 abc\n",
            b"99 a=b\n",
            b"a=b\n",
            b"6",
        ],
    )
    def test_pax_headers(self, tmp_path: Path, pax: bytes) -> None:
        info = special("p", b"x")
        info.size = len(pax)
        block = info.tobuf(tarfile.USTAR_FORMAT) + pax.ljust(512, b"\0")
        if pax == b"5 a=\n":
            assert len(load(tmp_path, block + tar(*PAIR))) == 1
        else:
            with pytest.raises(ManifestError, match="a pax header that is none"):
                load(tmp_path, block + tar(*PAIR))

    def test_what_came_before_the_cut_was_given(self, tmp_path: Path) -> None:
        whole = tar(*PAIR, ("b.wav", bytes(5000)))
        stream = stream_shards([shard(tmp_path, whole[:3000])])
        assert next(stream).id == "a"
        with pytest.raises(ManifestError, match="cut short"):
            next(stream)

    @pytest.mark.parametrize("pack", [bytes, gzip.compress, lzma.compress])
    def test_damaged_anywhere_is_a_clear_error(self, tmp_path: Path, pack) -> None:
        whole = pack(tar(*PAIR, (f"{LONG}.wav", wav())))
        rng = np.random.default_rng(0)
        for position in rng.integers(0, len(whole), 150):
            broken = bytearray(whole)
            broken[position] ^= int(rng.integers(1, 256))
            with contextlib.suppress(AuralError):  # any other exception fails the test
                load(tmp_path, bytes(broken), require_text=False)

    @pytest.mark.parametrize(
        "content",
        [b"", b"x" * 2000, b"BZh91AY", b"\x28\xb5\x2f\xfd123", bytes(100)],
        ids=["empty", "text", "bzip2", "zstd", "zeros"],
    )
    def test_no_tar_at_all(self, tmp_path: Path, content: bytes) -> None:
        with pytest.raises(ManifestError, match=r"s\.tar: byte (0|100):"):
            load(tmp_path, content)

    def test_a_size_is_not_believed(self, tmp_path: Path) -> None:
        """A header that states 200 MB takes no such memory, one of 8 EB is refused at once."""
        info = tarfile.TarInfo("a.wav")
        info.size = 200 << 20
        path = shard(tmp_path, info.tobuf() + b"RIFF")
        with most_memory(2_000_000), pytest.raises(ManifestError, match="cut short"):
            list(stream_shards([path]))
        info.size = 1 << 63
        content = info.tobuf(tarfile.GNU_FORMAT)
        with pytest.raises(ManifestError, match="a member of 9223372036854775808 bytes; allowed"):
            load(tmp_path, content)
        with pytest.raises(ManifestError, match="bytes in all"):
            load(tmp_path, content.replace(b"a.wav", b"a.mp4", 1)[:148] + checksum(content))

    def test_limits(self, tmp_path: Path) -> None:
        content = tar(*((f"{i}.wav", bytes(1000)) for i in range(5)))
        for limits, message in (
            (TarLimits(max_member_bytes=999), "a member of 1000 bytes; allowed are 999"),
            (TarLimits(max_members=4), "more than 4 members"),
            (TarLimits(max_bytes=4000), "more than 4000 bytes in all"),
        ):
            with pytest.raises(ManifestError, match=message):
                load(tmp_path, content, limits=limits, require_text=False)
        with pytest.raises(InputError, match="max_bytes is 0"):
            TarLimits(max_bytes=0)

    @pytest.mark.parametrize("pack", [gzip.compress, lzma.compress])
    def test_a_bomb_is_bounded(self, tmp_path: Path, pack) -> None:
        content = pack(tar(("a.mp4", bytes(30_000_000)), *PAIR))
        assert len(content) < 50_000
        message = "more than 1000000 bytes in all"
        # xz takes its window of 8 MiB whatever comes out.
        with most_memory(12_000_000), pytest.raises(ManifestError, match=message):
            load(tmp_path, content, limits=TarLimits(max_bytes=1_000_000))

    @pytest.mark.parametrize("kind", [b"x", b"L"])
    def test_a_huge_extended_header_is_refused(self, tmp_path: Path, kind: bytes) -> None:
        info = special("x", kind)
        info.size = 100_000
        with pytest.raises(ManifestError, match="an extended header of 100000 bytes"):
            load(tmp_path, info.tobuf() + bytes(200_000))

    @pytest.mark.parametrize(
        "data", [b"9 path=", b"99 path=x\n", b"-5 path=x\n", b"1\n", b"7 pa\0x\n", b"11 size=-1\n"]
    )
    def test_a_pax_header_that_is_none(self, tmp_path: Path, data: bytes) -> None:
        info = special("x", b"x")
        info.size = len(data)
        content = info.tobuf() + data.ljust(512, b"\0") + tar(*PAIR)
        with pytest.raises(ManifestError, match="a pax header"):
            load(tmp_path, content)

    def test_sparse_files_are_refused(self, tmp_path: Path) -> None:
        info = tarfile.TarInfo("a.wav")
        info.pax_headers = {"GNU.sparse.major": "1"}
        for member in (info, special("a.wav", tarfile.GNUTYPE_SPARSE)):
            with pytest.raises(ManifestError, match="sparse"):
                load(tmp_path, tar(member))

    def test_xz_that_asks_for_too_much_memory(self, tmp_path: Path) -> None:
        content = bytearray(lzma.compress(tar(*PAIR), preset=0))
        size = 4 * (content[12] + 1)  # of the block's header, its CRC-32 last
        assert content[14:16] == b"\x21\x01"  # LZMA2, one byte of properties: the window's size
        content[16] = 40  # 4 GiB
        content[8 + size : 12 + size] = zlib.crc32(content[12 : 8 + size]).to_bytes(4, "little")
        with pytest.raises(ManifestError, match="emory"):
            load(tmp_path, bytes(content))


def checksum(header: bytes) -> bytes:
    """The rest of a header from its checksum on, its name's wav made mp4."""
    changed = header.replace(b"a.wav", b"a.mp4", 1)
    total = sum(changed[:148]) + 8 * 32 + sum(changed[156:512])
    return b"%06o\0 " % total + changed[156:]


class TestNames:
    @pytest.mark.parametrize(
        ("pattern", "names"),
        [
            ("a.tar", ["a.tar"]),
            ("s-{008..011}.tar", ["s-008.tar", "s-009.tar", "s-010.tar", "s-011.tar"]),
            ("s{0..10..}.tar", ["s{0..10..}.tar"]),
            ("{9..11}", ["9", "10", "11"]),
            ("{0..2}", ["0", "1", "2"]),
            ("{a,b}-{1..2}", ["a-1", "a-2", "b-1", "b-2"]),
        ],
    )
    def test_braces_as_a_shell_expands_them(self, pattern: str, names: list[str]) -> None:
        assert expand_braces(pattern) == names

    @pytest.mark.parametrize("pattern", ["{0..1000000}", "{1..9999}{1..9999}", "{2..1}"])
    def test_braces_are_bounded(self, pattern: str) -> None:
        with pytest.raises(InputError, match=r"more than 1000000 shards|falls"):
            expand_braces(pattern)

    def test_one_several_a_glob_and_a_directory(self, tmp_path: Path) -> None:
        paths = [shard(tmp_path, tar(*PAIR), f"s-{i}.tar") for i in range(3)]
        last = shard(tmp_path, gzip.compress(tar(*PAIR)), "t.tar.gz")
        assert shard_paths(str(paths[0])) == paths[:1]
        assert shard_paths(f"{tmp_path}/s-{{0..2}}.tar") == paths
        assert shard_paths(f"{tmp_path}/s-*.tar") == paths
        assert shard_paths(f"{tmp_path}/{{s-1,t}}*.tar*") == [paths[1], last]
        assert shard_paths(str(tmp_path)) == [*paths, last]
        assert len(list(stream_manifest(f"{tmp_path}/s-{{0..2}}.tar"))) == 3
        assert len(list(stream_manifest(tmp_path))) == 4

    @pytest.mark.parametrize("name", ["s-{0..3}.tar", "none.tar", "x*.tar"])
    def test_a_missing_shard_is_told_before_reading(self, tmp_path: Path, name: str) -> None:
        shard(tmp_path, tar(*PAIR), "s-0.tar")
        with pytest.raises(ManifestError, match=r"no such shard|no tar shard"):
            stream_manifest(f"{tmp_path}/{name}")


class TestReadWhole:
    def test_the_same_key_in_two_shards_is_an_id_twice(self, tmp_path: Path) -> None:
        for i in range(2):
            shard(tmp_path, tar(*PAIR), f"s-{i}.tar")
        with pytest.raises(
            ManifestError, match=r"s-1\.tar:a\.wav: 'a' was already given at s-0\.tar:a"
        ):
            read_manifest(tmp_path)

    def test_it_is_not_held_beyond_its_bound(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("aural.data.manifest.MAX_HELD_BYTES", 1000)
        with pytest.raises(ManifestError, match="stream_manifest"):
            read_manifest(shard(tmp_path, tar(("a.wav", bytes(1001)), ("a.txt", b""))))

    def test_evaluation_takes_shards(self, tmp_path: Path, examples: Path) -> None:
        pytest.importorskip("rapidfuzz")
        from aural.evaluate.transcribe import Recogniser, evaluate_transcribe
        from aural.types import Segment, Transcript

        write_shards(stream_manifest(examples / "manifest.jsonl"), tmp_path / "s", max_count=2)

        def hear(utterance: Utterance) -> Transcript:
            seconds = read(sound_of(utterance)).duration
            return Transcript((Segment(0, seconds, utterance.text),), "en", 1.0, seconds)

        report = evaluate_transcribe(
            f"{tmp_path}/s-{{000000..000001}}.tar", Recogniser("p", hear), resamples=100
        )
        assert report.overall.wer.counts.errors == 0
        assert report.rows[0].audio == f"{tmp_path}/s-000000.tar:000000000.flac"
        assert report.speed.audio_seconds == pytest.approx(15.39, abs=0.01)


class TestWriting:
    def test_python_reads_what_was_written(self, tmp_path: Path, examples: Path) -> None:
        made = write_shards(
            stream_manifest(examples / "manifest.jsonl"), tmp_path / "s", max_count=2
        )
        assert [(each.path.name, each.examples) for each in made] == [
            ("s-000000.tar", 2),
            ("s-000001.tar", 1),
        ]
        assert [each.size for each in made] == [each.path.stat().st_size for each in made]
        names, recordings = [], []
        for each in made:
            with tarfile.open(each.path) as archive:
                for member in archive:
                    names.append(member.name)
                    data = archive.extractfile(member).read()
                    recordings += [data] if member.name.endswith(".flac") else []
        assert names[:3] == ["000000000.flac", "000000000.json", "000000001.flac"]
        assert recordings == [path.read_bytes() for path in sorted(examples.glob("*.flac"))]

    def test_everything_of_an_utterance_comes_back(self, tmp_path: Path) -> None:
        utterance = Utterance(
            "x/ü.1",
            Clip("c.mp3", wav()),
            "hola my friend",
            duration=1.5,
            speaker="s",
            language="es",
            metadata={"snr": "5", "path": "elsewhere.wav", "sentence": "other"},
            spans=(LanguageSpan(0, 1, "es"), LanguageSpan(1, 3, "en")),
        )
        silent = Utterance("2", Clip("d.wav", wav()), "")
        write_shards([utterance, silent], tmp_path / "s")
        one, two = stream_manifest(tmp_path / "s-000000.tar")
        assert one.audio == Clip(f"{tmp_path}/s-000000.tar:000000000.mp3", wav())
        for field in ("id", "text", "duration", "speaker", "language", "metadata", "spans"):
            assert getattr(one, field) == getattr(utterance, field)
        assert (two.id, two.text, two.metadata) == ("2", "", {})

    def test_a_stretch_and_another_format_become_flac(self, tmp_path: Path, examples: Path) -> None:
        path = examples / "sense_and_sensibility_0880.flac"
        cut = packed(Utterance("u", path, "x", offset=1.0, duration=0.5))
        assert (cut.offset, cut.duration, str(cut.audio)[-4:]) == (None, 0.5, "flac")
        expected = read(path).samples[16000:24000]
        np.testing.assert_array_equal(read(cut.audio.data).samples, expected)
        stereo = np.stack([expected, -expected], axis=1)
        soundfile.write(tmp_path / "s.aiff", stereo, 16000, subtype="PCM_16")
        made = packed(Utterance("u", tmp_path / "s.aiff", "x"))
        np.testing.assert_array_equal(read(made.audio.data, channel="all").samples, stereo.T)

    def test_shards_close_before_they_grow_too_large(self, tmp_path: Path) -> None:
        clips = [Utterance(str(i), Clip("c.wav", wav().ljust(3000, b"\0")), "") for i in range(7)]
        made = write_shards(clips, tmp_path / "s", max_bytes=10_240)
        assert [each.examples for each in made] == [2, 2, 2, 1]
        assert max(each.size for each in made) <= 10_240
        assert [each.examples for each in write_shards(clips, tmp_path / "t", max_bytes=1)] == [
            1
        ] * 7
        assert [each.id for each in stream_manifest(f"{tmp_path}/s-*.tar")] == list("0123456")

    def test_the_same_examples_are_the_same_bytes(self, tmp_path: Path, examples: Path) -> None:
        for name in "ab":
            write_shards(stream_manifest(examples / "manifest.jsonl"), tmp_path / name)
        first, second = (tmp_path / f"{name}-000000.tar" for name in "ab")
        assert first.read_bytes() == second.read_bytes()

    def test_a_failure_leaves_whole_shards_only(self, tmp_path: Path) -> None:
        good = Utterance("a", Clip("c.wav", wav()), "")
        missing = Utterance("b", tmp_path / "none.wav", "")
        with pytest.raises(AudioError, match=r"none\.wav: no such file"):
            write_shards([good, good, missing], tmp_path / "s", max_count=1)
        assert [path.name for path in tmp_path.iterdir()] == ["s-000000.tar"]
        with pytest.raises(AudioError):
            write_shards([good, missing], tmp_path / "t")
        assert not list(tmp_path.glob("*t-*"))

    def test_what_is_no_sound_is_not_packed(self, tmp_path: Path) -> None:
        (tmp_path / "c.wav").write_bytes(b"no sound at all")
        for audio in (tmp_path / "c.wav", Clip("c.wav", b"no sound at all")):
            with pytest.raises(AudioError, match=r"c\.wav: its bytes are no recording"):
                packed(Utterance("a", audio, ""))

    def test_each_shard_is_told_once_it_is_whole(self, tmp_path: Path) -> None:
        good = Utterance("a", Clip("c.wav", wav()), "")
        told = []

        def made(each) -> None:
            assert each.path.stat().st_size == each.size
            told.append(each.path.name)

        bad = Utterance("b", tmp_path / "none.wav", "")
        with pytest.raises(AudioError):
            write_shards([good, good, bad], tmp_path / "s", max_count=1, made=made)
        assert told == ["s-000000.tar"]

    def test_only_shards_are_in_the_way(self, tmp_path: Path) -> None:
        (tmp_path / "s-2024.tar").write_bytes(b"")
        (tmp_path / "s-1-000000.tar").write_bytes(b"")
        clips = [Utterance("a", Clip("c.wav", wav()), "")]
        assert len(write_shards(clips, tmp_path / "s")) == 1

    def test_nothing_is_written_over(self, tmp_path: Path) -> None:
        clips = [Utterance("a", Clip("c.wav", wav()), "")]
        write_shards(clips, tmp_path / "s")
        with pytest.raises(InputError, match=r"s-000000\.tar is there already"):
            write_shards(clips, tmp_path / "s")
        for prefix, options in ((tmp_path / "no" / "s", {}), (tmp_path / "n", {"max_count": 0})):
            with pytest.raises(InputError):
                write_shards(clips, prefix, **options)
        assert write_shards([], tmp_path / "empty") == []

    def test_memory_holds_one_example(self, tmp_path: Path) -> None:
        long = wav().ljust(100_000, b"\0")
        clips = (Utterance(str(i), Clip("c.wav", long), "") for i in range(100))
        with most_memory(1_500_000):
            write_shards(clips, tmp_path / "s")
            assert sum(1 for _ in stream_manifest(tmp_path / "s-000000.tar")) == 100
