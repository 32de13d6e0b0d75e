"""Recipes for corpora that are not here: each starts on a few readings in the corpus's own form."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import soundfile
import torch

pytest.importorskip("hydra")

from aural.data.manifest import read_manifest
from aural.train.compose import compose
from aural.train.experiment import run_experiment

SMALL = (
    "train.steps=1",
    "train.precision='no'",
    "train.tensorboard=false",
    "train.machine.device=cpu",
    "judge.resamples=100",
)


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def readings(examples: Path) -> list[tuple[Path, str]]:
    lines = map(json.loads, (examples / "manifest.jsonl").read_text().splitlines())
    return [(examples / line["audio_filepath"], line["text"]) for line in lines]


def test_librispeech(readings: list[tuple[Path, str]], tmp_path: Path) -> None:
    subsets = ("train-clean-100", "dev-clean", "test-clean", "test-other")
    for number, subset in enumerate(subsets):
        audio, text = readings[number % 3]
        folder = tmp_path / f"LibriSpeech/{subset}/{number}/1"
        folder.mkdir(parents=True)
        shutil.copyfile(audio, folder / f"{number}-1-0000.flac")
        (folder / f"{number}-1.trans.txt").write_text(f"{number}-1-0000 {text.upper()}\n")
    source = str(tmp_path / "LibriSpeech")
    assert {each.metadata["subset"] for each in read_manifest(source)} == set(subsets)
    experiment = compose(
        "librispeech",
        [
            *SMALL,
            "model.variant=test",
            f"data.source={source}",
            "data.split.train=[train-clean-100]",
        ],
    )
    found = run_experiment(experiment, tmp_path / "run")
    assert found["data"]["held_out"] == {"validation": ["dev-clean"], "test": ["test-clean"]}
    assert [found["data"][part]["speakers"] for part in ("train", "validation", "test")] == [1] * 3
    assert found["training"]["steps"] == 1
    assert found["figures"]["wer"]["value"] > 0


def test_common_voice(readings: list[tuple[Path, str]], tmp_path: Path) -> None:
    clips = tmp_path / "hi/clips"
    clips.mkdir(parents=True)
    rows = ["client_id\tpath\tsentence"]
    for speaker, (audio, text) in zip(("a", "b", "c"), readings, strict=True):
        samples, rate = soundfile.read(audio)
        soundfile.write(clips / f"{speaker}.mp3", samples[: 2 * rate], rate)
        rows.append(f"{speaker}\t{speaker}.mp3\t{text[:20]}")
    (tmp_path / "hi/train.tsv").write_text("\n".join(rows) + "\n")
    told = [
        *SMALL,
        f"data.source={tmp_path / 'hi/train.tsv'}",
        "model.variant=tiny.en",
        "model.config.language=en",
        "judge.untrained=false",
    ]
    found: dict[str, Any] = run_experiment(compose("common_voice", told), tmp_path / "run")
    assert found["data"]["train"]["speakers"] == 1
    assert len(found["data"]["held_out"]["test"]) == 1
    assert found["figures"]["wer"]["value"] >= 0
