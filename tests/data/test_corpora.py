"""Label readers, on small trees laid out as the packages are."""

import gzip
from pathlib import Path

import pytest

from aural.data.corpora import labels, read_corpus
from aural.errors import ManifestError, UnknownName, Unreachable
from aural.store.corpora import CORPORA, corpus_directory


def touch(path: Path, content: bytes = b"") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def asterisk(root: Path, language: str, folder: str, ending: str, lines: str) -> None:
    name = f"usr/share/doc/asterisk-core-sounds-{language}/core-sounds-{language}.txt.gz"
    touch(root / name, gzip.compress(lines.encode()))
    for line in lines.splitlines():
        if ":" in line and "missing" not in line:
            key = line.partition(":")[0]
            touch(root / "usr/share/asterisk/sounds" / folder / f"{key}.{ending}")


def test_asterisk_leaves_out_tones_comments_and_prompts_without_a_recording(tmp_path: Path) -> None:
    lines = """\
; Core: sounds

beep: [this is a simple beep tone]
confbridge-join: <beep ascending>
silence/1: (1 second of silence)
letters/at: at [@]
vm-intro: Hang up. (simple tone sound plays)
vm-login: Comedian Mail.  Mailbox?
a-missing: Not recorded.
"""
    asterisk(tmp_path, "en", "en_US_f_Allison", "g722", lines)
    found = labels()["asterisk-en"].read(tmp_path)
    assert [(each.id, each.text) for each in found] == [
        ("letters/at", "at"),
        ("vm-intro", "Hang up."),
        ("vm-login", "Comedian Mail. Mailbox?"),
    ]
    assert found[0].audio.is_file()
    assert {(each.speaker, each.language) for each in found} == {("Allison Smith", "en")}
    assert {each.metadata["reference"] for each in found} == {"sound"}


def test_asterisk_marks_italian_texts_that_lost_letters(tmp_path: Path) -> None:
    lines = """\
\ufeff; Core
beep: un suono beep
conf-full: La conferenza ? piena.
at-tone: il tempo sar? esattamente
vm-changeto: Cambia verso quale cartella?
vm-login: Posta vocale. Casella di posta?
"""
    asterisk(tmp_path, "it", "it_IT_m_Carlo", "wav", lines)
    found = labels()["asterisk-it"].read(tmp_path)
    assert [each.metadata["reference"] for each in found] == ["damaged"] * 2 + ["sound"] * 2


def test_asterisk_without_its_files_says_which(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match=r"core-sounds-en\.txt\.gz"):
        labels()["asterisk-en"].read(tmp_path)
    touch(tmp_path / "usr/share/doc/asterisk-core-sounds-en/core-sounds-en.txt.gz", b"not gzip")
    with pytest.raises(ManifestError, match="gzip"):
        labels()["asterisk-en"].read(tmp_path)


def test_tuxpaint_pairs_descriptions_with_their_language(tmp_path: Path) -> None:
    folder = tmp_path / "usr/share/tuxpaint/stamps/animals/birds"
    text = "A gull.\nfr.utf8=Une mouette.\nes.utf8=Una gaviota.\nro.utf8=\n"
    touch(folder / "gull.txt", text.encode())
    for language in ("fr", "es", "ro", "ru"):
        touch(folder / f"gull_desc_{language}.ogg")
    (gull,) = labels()["tuxpaint"].read(tmp_path)
    assert (gull.id, gull.text) == ("animals/birds/gull_desc_fr", "Une mouette.")
    assert (gull.speaker, gull.language) == ("tuxpaint-fr", "fr")
    assert gull.metadata == {"topic": "animals"}
    assert labels()["tuxpaint-fr"].read(tmp_path) == [gull]
    with pytest.raises(ManifestError, match="no described stamp in bg"):
        labels()["tuxpaint-bg"].read(tmp_path)


def test_librivox_leaves_out_the_word_that_is_not_said(tmp_path: Path) -> None:
    folder = tmp_path / "usr/share/pocketsphinx/test/data/librivox"
    line = "<s> had he married a more a amiable woman </s> (sense_64kb-0920)\n"
    touch(folder / "transcription", line.encode())
    (sentence,) = labels()["librivox"].read(tmp_path)
    assert sentence.text == "had he married a more amiable woman"
    assert sentence.audio == folder / "sense_64kb-0920.wav"
    touch(folder / "transcription", b"plain text\n")
    with pytest.raises(ManifestError, match="transcription:1"):
        labels()["librivox"].read(tmp_path)


def test_an_unknown_corpus_lists_the_corpora() -> None:
    with pytest.raises(UnknownName, match=r"asterisk-en, .*librivox, tuxpaint"):
        read_corpus("asterisk")


def test_every_labelled_corpus_is_one_the_store_has() -> None:
    assert {each.corpus for each in labels().values()} <= CORPORA.keys()


def test_a_corpus_in_the_cache_is_read_from_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AURAL_CACHE", str(tmp_path))
    asterisk(
        corpus_directory("asterisk-en"), "en", "en_US_f_Allison", "g722", "activated: Activated.\n"
    )
    assert [each.id for each in read_corpus("asterisk-en")] == ["activated"]
    monkeypatch.setenv("AURAL_OFFLINE", "1")
    with pytest.raises(Unreachable, match="tuxpaint"):
        read_corpus("tuxpaint-fr")
