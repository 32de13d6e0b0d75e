"""Manifests of every kind, and the ways in which they are wrong."""

import json
from pathlib import Path

import pytest

from aural.data.manifest import LanguageSpan, Utterance, read_manifest
from aural.errors import ManifestError


def write(path: Path, text: str | bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def write_jsonl(folder: Path, *records: object) -> Path:
    return write(folder / "m.jsonl", "\n".join(json.dumps(record) for record in records))


class TestJsonl:
    def test_the_examples(self, examples: Path) -> None:
        first, *rest = read_manifest(examples / "manifest.jsonl")
        assert len(rest) == 2
        assert first.audio == examples / "sense_and_sensibility_0870.flac"
        assert first.audio.is_file()
        assert (first.duration, first.speaker, first.language) == (7.1, "librivox-reader", "en")
        assert first.text.split()[:3] == ["and", "mister", "john"]
        assert (first.id, first.offset) == ("sense_and_sensibility_0870.flac", None)

    def test_every_field(self, tmp_path: Path) -> None:
        path = write_jsonl(
            tmp_path,
            {
                "id": "u1",
                "audio_filepath": "../a.wav",
                "text": "hola my friend",
                "offset": 0,
                "duration": 2.5,
                "speaker": 7,
                "lang": "es",
                "noise": "street",
                "snr": 5,
                "words": [1, 2],
                "empty": None,
                "spans": [
                    {"start": 0, "end": 1, "language": "es"},
                    {"start": 1, "end": 3, "language": "en"},
                ],
            },
        )
        assert read_manifest(path) == [
            Utterance(
                id="u1",
                audio=tmp_path.parent / "a.wav",
                text="hola my friend",
                duration=2.5,
                offset=0.0,
                speaker="7",
                language="es",
                metadata={"noise": "street", "snr": "5", "words": "[1, 2]"},
                spans=(LanguageSpan(0, 1, "es"), LanguageSpan(1, 3, "en")),
            )
        ]

    def test_absolute_paths_stay_and_blank_lines_and_a_byte_order_mark_are_skipped(
        self, tmp_path: Path
    ) -> None:
        line = json.dumps({"audio_filepath": "/d/a.wav", "text": ""})
        path = write(tmp_path / "m.json", b"\xef\xbb\xbf" + f"\n{line}\r\n\n".encode())
        (utterance,) = read_manifest(path)
        assert (utterance.audio, utterance.text) == (Path("/d/a.wav"), "")

    def test_stretches_of_one_file_are_told_apart_by_their_offsets(self, tmp_path: Path) -> None:
        path = write_jsonl(
            tmp_path,
            {"audio_filepath": "a.wav", "text": "x", "offset": 0, "duration": 1},
            {"audio_filepath": "a.wav", "text": "y", "offset": 1.5, "duration": 1},
        )
        assert [each.id for each in read_manifest(path)] == ["a.wav@0", "a.wav@1.5"]

    @pytest.mark.parametrize(
        ("line", "message"),
        [
            (b"{", "not a JSON object"),
            (b"[1]", "not a JSON object"),
            (b"[" * 100_000, "not a JSON object"),
            (b'{"text": "x"}', "no audio"),
            (b'{"audio": "a.wav"}', "no text"),
            (b'{"audio": ["a"], "text": "x"}', "audio is"),
            (b'{"audio": "a.wav", "text": true}', "text is True"),
            (b'{"audio": "a.wav", "text": "\\ud800"}', "surrogate"),
            (b'{"audio": "a\\u0000.wav", "text": "x"}', "not a path"),
            (b'{"audio": "cat x |", "text": "x"}', "command to run"),
            (b'{"audio": "https://a/b.wav", "text": "x"}', "is a URL"),
            (b'{"audio": "a.wav", "text": "x", "duration": -1}', "duration is '-1'"),
            (b'{"audio": "a.wav", "text": "x", "duration": NaN}', "duration is 'nan'"),
            (b'{"audio": "a.wav", "text": "x", "duration": true}', "duration is 'True'"),
            (b'{"audio": "a.wav", "text": "x", "offset": "soon"}', "offset is 'soon'"),
            (b'{"audio": "a.wav", "text": "\xff"}', "not UTF-8"),
            (b'{"audio": "a.wav", "text": "' + b"x" * (1 << 20) + b'"}', "a line of more than"),
        ],
    )
    def test_a_bad_line_is_named_by_file_and_number(
        self, tmp_path: Path, line: bytes, message: str
    ) -> None:
        good = b'{"audio": "good.wav", "text": "x"}\n'
        path = write(tmp_path / "m.jsonl", good + b"\n" + line)
        with pytest.raises(ManifestError, match="m.jsonl:3: .*" + message):
            read_manifest(path)

    @pytest.mark.parametrize(
        ("spans", "message"),
        [
            ("es", "list"),
            ([{"start": 0, "end": 2}], "start, end, language"),
            ([{"start": 0, "end": "2", "language": "es"}], "start, end, language"),
            ([{"start": 1, "end": 3, "language": "es"}], "from word 0"),
            ([{"start": 0, "end": 0, "language": "es"}], "from word 0"),
            ([{"start": 0, "end": 2, "language": "es"}], "end at word 2, the text has 3"),
        ],
    )
    def test_spans_cover_the_words(self, tmp_path: Path, spans: object, message: str) -> None:
        path = write_jsonl(tmp_path, {"audio": "a.wav", "text": "a b c", "spans": spans})
        with pytest.raises(ManifestError, match=message):
            read_manifest(path)

    def test_a_duplicate_names_both_lines(self, tmp_path: Path) -> None:
        record = {"audio_filepath": "a.wav", "text": "x"}
        path = write_jsonl(tmp_path, record, record)
        with pytest.raises(ManifestError, match=r"m.jsonl:2: 'a.wav' .* m.jsonl:1"):
            read_manifest(path)

    def test_an_empty_manifest_is_an_error(self, tmp_path: Path) -> None:
        with pytest.raises(ManifestError, match="no utterances"):
            read_manifest(write(tmp_path / "m.jsonl", ""))


class TestTables:
    def test_csv(self, tmp_path: Path) -> None:
        text = 'path,sentence,accent,snr\na.wav,"one, two",scots,\nb.wav,,irish,5\n'
        first, second = read_manifest(write(tmp_path / "m.csv", text))
        assert (first.audio, first.text) == (tmp_path / "a.wav", "one, two")
        assert (first.metadata, second.metadata) == (
            {"accent": "scots"},
            {"accent": "irish", "snr": "5"},
        )
        assert second.text == ""

    def test_common_voice(self, tmp_path: Path) -> None:
        (tmp_path / "clips").mkdir()
        text = (
            "client_id\tpath\tsentence\tup_votes\tage\tgender\taccents\tlocale\n"
            'c1\tcv_1.mp3\t"Quoted he said.\t2\ttwenties\tfemale_feminine\t\tga-IE\n'
        )
        (utterance,) = read_manifest(write(tmp_path / "test.tsv", text))
        assert utterance == Utterance(
            id="cv_1.mp3",
            audio=tmp_path / "clips" / "cv_1.mp3",
            text='"Quoted he said.',
            speaker="c1",
            language="ga-IE",
            metadata={"up_votes": "2", "age": "twenties", "gender": "female_feminine"},
        )

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("path,text\na.wav\n", "m.csv:2: 1 fields, the header has 2"),
            ("path,text,text\na.wav,x,y\n", "m.csv:1: .*twice"),
            ('path,text\na.wav,"x\n', "m.csv:2: not a row"),
            ("wav_path,words\na.wav,x\n", "m.csv:2: no audio"),
            ("path,text\n", "no utterances"),
        ],
    )
    def test_bad_tables(self, tmp_path: Path, text: str, message: str) -> None:
        with pytest.raises(ManifestError, match=message):
            read_manifest(write(tmp_path / "m.csv", text))


class TestKaldi:
    def make(self, folder: Path, **tables: str) -> Path:
        defaults = {"wav.scp": "u1 a.wav\nu2 /d/b.wav\n", "text": "u1 hello there\nu2\n"}
        for name, text in (defaults | {k.replace("_", "."): v for k, v in tables.items()}).items():
            write(folder / name, text)
        return folder

    def test_whole_recordings(self, tmp_path: Path) -> None:
        self.make(tmp_path, utt2spk="u1 s1\nu2 s1\n", utt2lang="u1 en\n", spk2gender="s1 f\n")
        first, second = read_manifest(tmp_path)
        assert first == Utterance(
            "u1", tmp_path / "a.wav", "hello there", speaker="s1", language="en",
            metadata={"gender": "f"},
        )  # fmt: skip
        assert (second.audio, second.text, second.language) == (Path("/d/b.wav"), "", "")

    def test_segments(self, tmp_path: Path) -> None:
        self.make(
            tmp_path, text="s1 one\ns2\ttwo words\n", segments="s1 u1 0.5 2.0\ns2 u1 2.0 -1\n"
        )
        first, second = read_manifest(tmp_path)
        assert (first.offset, first.duration, first.audio) == (0.5, 1.5, tmp_path / "a.wav")
        assert (second.offset, second.duration, second.text) == (2.0, None, "two words")

    @pytest.mark.parametrize(
        ("tables", "message"),
        [
            ({"wav_scp": "u1 sph2pipe -f wav a.sph |\n"}, "wav.scp:1: .*command to run"),
            ({"wav_scp": "u1 |\n"}, "wav.scp:1: .*command to run"),
            ({"wav_scp": "u1 raw.ark:123\n"}, "wav.scp:1: .*archive"),
            ({"wav_scp": "u1\n"}, "wav.scp:1: .*not a path"),
            ({"wav_scp": "u1 a.wav\nu1 b.wav\n"}, "wav.scp:2: 'u1' was already given on line 1"),
            ({"text": "u1 x\nu3 y\n"}, "text:2: 'u3' is not in wav.scp"),
            ({"segments": "u1 u1 0 1\n"}, "text:2: 'u2' is not in segments"),
            ({"segments": "u1 u1 0\n"}, "segments:1: a segment is"),
            ({"segments": "u1 u1 0 end\n"}, "segments:1: .*seconds"),
            ({"segments": "u1 u1 2 1\n"}, "segments:1: .*ends after"),
            ({"segments": "u1 u1 nan 1\n"}, "segments:1: .*starts at 0"),
        ],
    )
    def test_bad_directories(self, tmp_path: Path, tables: dict[str, str], message: str) -> None:
        with pytest.raises(ManifestError, match=message):
            read_manifest(self.make(tmp_path, **tables))

    def test_a_command_is_never_run(self, tmp_path: Path) -> None:
        proof = tmp_path / "ran"
        with pytest.raises(ManifestError):
            read_manifest(self.make(tmp_path / "k", wav_scp=f"u1 touch {proof} |\n"))
        assert not proof.exists()

    def test_without_text(self, tmp_path: Path) -> None:
        write(tmp_path / "wav.scp", "u1 a.wav\n")
        with pytest.raises(ManifestError, match="text: no such file"):
            read_manifest(tmp_path)


class TestLibriSpeech:
    def test_a_tree(self, tmp_path: Path) -> None:
        root = tmp_path / "LibriSpeech" / "test-clean"
        write(root / "61/70968/61-70968.trans.txt", "61-70968-0000 HE BEGAN\n61-70968-0001 I AM\n")
        write(root / "121/5/121-5.trans.txt", "121-5-0000 ALSO\n")
        write(root / "121/5/121-5-0000.mp3", b"")
        write(root.parent / "SPEAKERS.TXT", "; comment\n61  | M | test-clean | 8.08 | A Name\n")
        also, first, second = read_manifest(root)
        assert first == Utterance(
            "61-70968-0000", root / "61/70968/61-70968-0000.flac", "HE BEGAN", speaker="61",
            metadata={"chapter": "70968", "sex": "M"},
        )  # fmt: skip
        assert second.id == "61-70968-0001"
        assert also.audio.suffix == ".mp3"

    def test_a_name_that_leaves_the_tree_is_refused(self, tmp_path: Path) -> None:
        write(tmp_path / "1/2/1-2.trans.txt", "../../1-2-3 TEXT\n")
        with pytest.raises(ManifestError, match=r"1-2.trans.txt:1: .*SPEAKER-CHAPTER-NUMBER"):
            read_manifest(tmp_path)


@pytest.mark.parametrize(
    ("name", "message"), [("none.jsonl", "no such file"), ("m.txt", "by its name")]
)
def test_what_is_not_a_manifest_is_told_what_would_be(
    tmp_path: Path, name: str, message: str
) -> None:
    write(tmp_path / "m.txt", "x")
    with pytest.raises(ManifestError, match=message + ".*Kaldi"):
        read_manifest(tmp_path / name)


def test_a_common_voice_folder_is_asked_for_one_of_its_tables(tmp_path: Path) -> None:
    write(tmp_path / "test.tsv", "")
    with pytest.raises(ManifestError, match=r"name one of test\.tsv"):
        read_manifest(tmp_path)
