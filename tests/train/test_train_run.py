"""The run folder: what it says, that it is not another's, and the model card."""

import json
import subprocess

import pytest
import torch
from trainee import options, train

from aural.errors import InputError
from aural.train.run import Card, MetricsLog, Run, git_state, model_card, read_metrics


def read(directory, name):
    return json.loads((directory / name).read_text())


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    directory = tmp_path_factory.mktemp("run")
    train(directory, 4, tensorboard=True)
    return directory


def test_it_says_what_was_done(finished):
    assert read(finished, "data.json") == {"fingerprint": "abc"}
    config = read(finished, "config.json")
    assert config["model"] == "tiny"
    assert (config["train"]["steps"], config["train"]["seed"]) == (4, 0)
    assert config["train"]["optimizer"]["betas"] == [0.9, 0.98]
    (start,) = read(finished, "environment.json")
    assert start["packages"]["torch"] == torch.__version__
    assert (start["step"], start["processes"]) == (0, 1)
    assert {"time", "system", "cores", "python", "gpus", "git", "command"} <= start.keys()
    assert [line["kind"] for line in read_metrics(finished)] == ["train", "validation"]


def test_the_curves_are_those_of_the_lines(finished):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    curves = EventAccumulator(str(finished / "tensorboard"))
    curves.Reload()
    line = read_metrics(finished)[0]
    (point,) = curves.Scalars("train/loss")
    assert (point.step, point.value) == (4, pytest.approx(line["loss"], rel=1e-6))
    assert "validation/error" in curves.Tags()["scalars"]


def test_a_folder_of_other_settings_or_data_is_refused(finished):
    with pytest.raises(
        InputError, match=r"other settings, in config.json: train.seed is 0 there and 3"
    ):
        train(finished, 4, tensorboard=True, seed=3)
    run = Run(finished, {"model": "tiny"}, {"fingerprint": "xyz"})
    with pytest.raises(InputError, match=r"data.json: fingerprint is 'abc' there and 'xyz' here"):
        run.check(read(finished, "config.json")["train"])


def test_a_long_value_that_differs_is_cut_short(finished):
    run = Run(finished, {"model": "tiny"}, {"fingerprint": ["x"] * 5000})
    with pytest.raises(InputError, match=r"'x', \.\.\. here") as caught:
        run.check(read(finished, "config.json")["train"])
    assert len(str(caught.value)) < 500


def test_checkpoints_of_nobody_knows_what_are_not_gone_on_with(tmp_path):
    train(tmp_path, 4)
    (tmp_path / "config.json").unlink()
    with pytest.raises(InputError, match=r"config\.json is missing; give another directory"):
        train(tmp_path, 4)


@pytest.mark.parametrize("line", ["[1]", "3", '{"kind": "train"}', '{"step": "x"}'])
def test_lines_that_are_none_of_ours_end_the_metrics(tmp_path, line):
    (tmp_path / "metrics.jsonl").write_text('{"step": 1, "kind": "train"}\n' + line + "\n")
    assert read_metrics(tmp_path) == [{"step": 1, "kind": "train"}]


def test_another_machine_may_go_on(finished):
    settings = read(finished, "config.json")["train"]
    settings["machine"] = {"device": "cuda", "parallel": "fsdp"}
    Run(finished, {"model": "tiny"}, {"fingerprint": "abc"}).check(settings)


def test_lines_beyond_the_checkpoint_or_broken_off_are_taken_out(tmp_path):
    lines = [{"step": step, "kind": "train"} for step in (5, 10, 15)]
    text = "".join(json.dumps(line) + "\n" for line in lines) + '{"step": 20, "ki'
    (tmp_path / "metrics.jsonl").write_text(text)
    log = MetricsLog(tmp_path, step=10, tensorboard=False)
    log.write(11, "validation", {"error": float("inf"), "why": "a"})
    log.close()
    assert read_metrics(tmp_path) == [
        *lines[:2],
        {"step": 11, "kind": "validation", "error": None, "why": "a"},
    ]


def test_the_state_of_the_code(tmp_path):
    def git(*arguments: str) -> None:
        about = ("-c", "user.name=a", "-c", "user.email=a@b", "-c", "commit.gpgsign=false")
        subprocess.run(["git", "-C", tmp_path, *about, *arguments], check=True, capture_output=True)

    assert git_state(tmp_path) is None
    git("init", "-q")
    (tmp_path / "a").write_text("1")
    assert git_state(tmp_path) is None
    git("add", "a")
    git("commit", "-qm", "first")
    clean = git_state(tmp_path)
    assert len(clean["commit"]) == 40
    assert clean["dirty"] is False
    (tmp_path / "a").write_text("2")
    assert git_state(tmp_path) == {"commit": clean["commit"], "dirty": True}


def test_the_model_card(finished):
    run = Run(finished, {}, {"fingerprint": "abc"})
    card = Card(
        name="tiny/test",
        what="It tells four classes apart.",
        data="Drawn at random.",
        metrics={"error": 0.15625, "seconds a step": 0.01},
        baseline={"error": 0.75},
        command="aural train tiny",
        minutes=0.25,
        licence="CC0-1.0",
    )
    text = model_card(run, card).read_text()
    assert text.startswith("# tiny/test\n\nIt tells four classes apart.\n\n## Data\n")
    assert "| error | 0.1562 | 0.75 |" in text
    assert "| seconds a step | 0.01 |  |" in text
    for said in ("`aural train tiny`", "0.2 minutes", "## Licence\n\nCC0-1.0", "torch 2", '"abc"'):
        assert said in text
    with pytest.raises(InputError, match="baseline has accuracy"):
        Card("a", "b", "c", {}, {"accuracy": 1.0}, "d", 1, "e")


def test_options_are_plain_json(finished):
    assert read(finished, "config.json")["train"]["log_every"] == options(4).log_every
