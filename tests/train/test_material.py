"""What is trained and judged on: chosen, bounded, split, and known by a fingerprint."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile

from aural.data.split import SplitOptions
from aural.errors import AudioError, InputError, UnknownName
from aural.train.material import DataOptions, Material, TokenOptions, gather

TEST = SplitOptions(test=("s0",), validation=("s1",))


@pytest.fixture
def manifest(tmp_path: Path) -> Callable[..., str]:
    """Writes a manifest of recordings: speaker -> (seconds, text) of each."""

    def write(speakers: dict[str, list[tuple[float, str]]]) -> str:
        lines = []
        for speaker, clips in speakers.items():
            for i, (seconds, text) in enumerate(clips):
                name = f"{speaker}-{i}.wav"
                soundfile.write(tmp_path / name, np.full(round(8000 * seconds), 0.1), 8000)
                record = {"audio_filepath": name, "text": text, "speaker": speaker, "id": name}
                lines.append(json.dumps(record) + "\n")
        path = tmp_path / "manifest.jsonl"
        path.write_text("".join(lines))
        return str(path)

    return write


CLIPS = {f"s{i}": [(0.5, "one"), (0.05, "short"), (2.0, "long"), (0.4, "!?")] for i in range(3)}


def test_bounds_and_parts(manifest: Callable[..., str]) -> None:
    options = DataOptions(manifest(CLIPS), split=TEST, shortest=0.1, longest=1.0)
    material = gather(options, 0)
    assert [each.id for each in material.part("train")] == ["s2-0.wav"]
    assert [each.id for each in material.part("test")] == ["s0-0.wav"]
    assert material.part("train")[0].duration == pytest.approx(0.5)
    about = material.about()
    assert about["left_out"] == {"less than 0.1 s": 3, "more than 1 s": 3, "no text": 3}
    assert about["train"] == {"utterances": 1, "seconds": 0.5, "speakers": 1}
    assert about["held_out"] == {"validation": ["s1"], "test": ["s0"]}
    json.dumps(about)


def test_the_fingerprint_knows_texts_and_parts(manifest: Callable[..., str]) -> None:
    def digest(speakers: dict[str, list[tuple[float, str]]], split: SplitOptions = TEST) -> str:
        return gather(DataOptions(manifest(speakers), split=split), 0).about()["sha256"]

    plain = digest(CLIPS)
    assert digest(CLIPS) == plain
    assert digest(CLIPS | {"s2": [(0.5, "two")]}) != plain
    assert digest(CLIPS, SplitOptions(test=("s1",), validation=("s0",))) != plain


def test_shuffled_training_hears_another(manifest: Callable[..., str]) -> None:
    speakers = {"s0": [(0.5, "test")], "s2": [(0.2 + 0.1 * i, f"text {i}") for i in range(5)]}
    options = DataOptions(manifest(speakers), split=SplitOptions(test=("s0",)), shuffled=True)
    material = gather(options, 1)
    assert all(Path(str(each.audio)).name != each.id for each in material.part("train"))
    assert all(Path(str(each.audio)).name == each.id for each in material.part("test"))


def test_a_recording_that_is_not_there_is_named(manifest: Callable[..., str]) -> None:
    path = Path(manifest(CLIPS))
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    path.write_text("".join(json.dumps({**line, "duration": 0.5}) + "\n" for line in lines))
    (path.parent / "s1-0.wav").unlink()
    with pytest.raises(AudioError, match=r"s1-0\.wav: can't be read: No such file"):
        gather(DataOptions(str(path), split=TEST), 0).about()


def test_without(manifest: Callable[..., str]) -> None:
    material = gather(DataOptions(manifest(CLIPS), split=TEST), 0)
    left = material.without({"s2-0.wav", "s1-0.wav"}, "why not")
    assert isinstance(left, Material)
    assert [len(left.part(name)) for name in ("train", "validation", "test")] == [1, 1, 2]
    assert left.left_out["s2-0.wav"] == "why not"
    with pytest.raises(InputError, match="no utterance is left to train on: why not"):
        material.without({each.id for each in material.part("train")}, "why not")


def test_what_is_refused(manifest: Callable[..., str]) -> None:
    with pytest.raises(InputError, match="no speaker is held out to be judged by"):
        gather(DataOptions(manifest(CLIPS)), 0)
    with pytest.raises(UnknownName, match="unknown normaliser 'lower'"):
        DataOptions("x", text="lower")
    with pytest.raises(InputError, match="shortest is 3"):
        DataOptions("x", shortest=3, longest=2)
    with pytest.raises(UnknownName, match="too_long"):
        DataOptions("x", too_long="drop")  # type: ignore[arg-type]
    for wrong in ({"kind": "letters"}, {"size": 1}, {"at_least": 0}):
        with pytest.raises(InputError):
            TokenOptions(**wrong)


def test_the_licence_is_the_corpus_s() -> None:
    assert DataOptions("corpus:digits").licence == "CC-BY-SA-4.0"
    assert DataOptions("corpus:mine").licence == DataOptions("digits").licence == ""


def test_kinds_of_tokens() -> None:
    texts = ["one two", "two three", "two"]
    assert set(TokenOptions().learned(texts).symbols) == set("one two three")
    assert TokenOptions("words", at_least=2).learned(texts).symbols == ("<unk>", "two")
    assert TokenOptions("pieces", size=12).learned(texts).size == 12
