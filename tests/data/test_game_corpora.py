"""Readers of digits, Fish Fillets and the Russian voice, on small trees as the originals are."""

from pathlib import Path

import pytest

from aural.data.corpora import labels
from aural.errors import ManifestError


def touch(path: Path, content: str = "") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content, encoding="utf-8")


def test_digits_are_named_by_digit_speaker_and_index(tmp_path: Path) -> None:
    for name in ("7_theo_10.flac", "7_theo_9.flac", "0_theo_3.wav", "3_jackson_0.wav"):
        touch(tmp_path / name)
    found = labels()["digits"].read(tmp_path)
    assert [(each.id, each.text, each.speaker) for each in found] == [
        ("3_jackson_0", "three", "jackson"),
        ("0_theo_3", "zero", "theo"),
        ("7_theo_9", "seven", "theo"),
        ("7_theo_10", "seven", "theo"),
    ]
    assert found[-1].metadata == {"index": "10"}
    touch(tmp_path / "notes.txt")
    with pytest.raises(ManifestError, match=r"notes\.txt"):
        labels()["digits"].read(tmp_path)


SCRIPT = """\
-- a comment
dialogId("a-m-hi", "font_small", "Hi \\"you\\", (there)")
dialogStr("Hoi \\"jij\\", (daar)")

dialogId("a-v-long", "font_big",
    "Long")
dialogStr(
    "Lang\\/breed")
dialogId("a-v-gone", "font_big", "No sound")
dialogStr("Geen geluid")
dialogId("a-v-none", "", "")
dialogStr("")
dialogId("a-v-count", "font_big", "%1 hours")
dialogStr("%1 uur")
dialogId("../../x", "font_big", "Elsewhere")
dialogStr("Elders")
"""


def test_fillets_pairs_lines_with_their_recordings(tmp_path: Path) -> None:
    game = tmp_path / "usr/share/games/fillets-ng"
    touch(game / "script/atlantis/dialogs_nl.lua", SCRIPT)
    touch(game / "script/atlantis/demo_dialogs_nl.lua", SCRIPT.replace("a-m-hi", "demo"))
    for name in ("a-m-hi", "a-v-long", "a-v-none", "a-v-count", "demo"):
        touch(game / f"sound/atlantis/nl/{name}.ogg")
    found = {each.id: each for each in labels()["fillets-nl"].read(tmp_path)}
    assert {key: (each.text, each.speaker) for key, each in found.items()} == {
        "atlantis/a-m-hi": ('Hoi "jij", (daar)', "fillets-nl-small"),
        "atlantis/a-v-long": ("Lang/breed", "fillets-nl-big"),
        "atlantis/demo": ('Hoi "jij", (daar)', "fillets-nl-small"),
    }
    assert found["atlantis/a-v-long"].metadata == {"level": "atlantis", "role": "big"}
    with pytest.raises(ManifestError, match="in cs"):
        labels()["fillets-cs"].read(tmp_path)


def test_fillets_leaves_out_the_recordings_without_a_sample(tmp_path: Path) -> None:
    game = tmp_path / "usr/share/games/fillets-ng"
    for language in ("nl", "cs"):
        line = 'dialogId("zav-v-sto", "font_big", "x")\ndialogStr("Stop")\n'
        touch(game / f"script/gems/dialogs_{language}.lua", line)
        touch(game / f"sound/gems/{language}/zav-v-sto.ogg")
    assert len(labels()["fillets-cs"].read(tmp_path)) == 1
    with pytest.raises(ManifestError):
        labels()["fillets-nl"].read(tmp_path)


def test_the_russian_voice_has_no_stress_marks(tmp_path: Path) -> None:
    voice = tmp_path / "usr/share/festival/voices/russian/msu_ru_nsh_clunits"
    touch(voice / "etc/txt.done.data", '( ru_0002 "прядь вол+ос, за ухо." )\n')
    (sentence,) = labels()["festvox-ru"].read(tmp_path)
    assert (sentence.text, sentence.language) == ("прядь волос, за ухо.", "ru")
    assert sentence.audio == voice / "wav/ru_0002.wav"
    touch(voice / "etc/txt.done.data", "ru_0002 прядь\n")
    with pytest.raises(ManifestError, match=r"txt\.done\.data:1"):
        labels()["festvox-ru"].read(tmp_path)
