"""What is on the disk is whole or passed over."""

import hashlib
import json
import os
from pathlib import Path

import pytest
import torch
from torch import nn
from trainee import network

from aural.errors import InputError
from aural.train import checkpoint
from aural.train.average import MovingAverage, average_checkpoints
from aural.train.checkpoint import Checkpoint, CheckpointWarning


def save(directory: Path, step: int, value: float = 0.0, **numbers) -> Path:
    weights = {"a": torch.full((3,), value), "count": torch.tensor(step)}
    return checkpoint.save(
        directory, Checkpoint(step, weights, {"optimizer/a/m": torch.ones(2)}, numbers)
    )


def test_what_was_written_is_read(tmp_path):
    path = save(tmp_path, 7, 0.1, loss=0.1 + 0.2, metrics={"error": None})
    found = checkpoint.read(path)
    assert found.step == 7
    assert found.numbers == {"step": 7, "loss": 0.1 + 0.2, "metrics": {"error": None}}
    assert torch.equal(found.weights["a"], torch.full((3,), 0.1))
    assert found.weights["count"] == 7
    assert torch.equal(found.tensors["optimizer/a/m"], torch.ones(2))
    assert not any(b"pickle" in file.read_bytes() for file in path.iterdir())
    assert sorted(file.suffix for file in path.iterdir()) == [
        ".json",
        ".safetensors",
        ".safetensors",
    ]


@pytest.mark.parametrize("name", ["weights.safetensors", "state.safetensors", "state.json"])
@pytest.mark.parametrize("damage", ["cut", "flipped", "gone"])
def test_a_damaged_one_is_passed_over_for_the_one_before(tmp_path, name, damage):
    save(tmp_path, 5, loss=1.5)
    file = save(tmp_path, 10, loss=1.5) / name
    written = file.read_bytes()
    if damage == "cut":
        file.write_bytes(written[: len(written) // 2])
    elif damage == "flipped":
        at = written.index(b"1.5") if name == "state.json" else len(written) - 1
        file.write_bytes(written[:at] + bytes([written[at] ^ 1]) + written[at + 1 :])
    else:
        file.unlink()
    with pytest.warns(CheckpointWarning, match=f"step-00000010/{name}.*before it is taken"):
        assert checkpoint.newest(tmp_path) == 5


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda written: written["sha256"].pop("state.safetensors"), "hashes other files"),
        (lambda written: written["sha256"].update({"/dev/zero": ""}), "hashes other files"),
        (lambda written: written["numbers"].update(step=7), "is of step 7"),
        (lambda written: written["numbers"].pop("step"), "is of step None"),
        (lambda written: written["numbers"].update(metrics={"wer": "low"}), "metrics are no num"),
        (lambda written: written["numbers"].update(more="x" * (1 << 20)), "can't be read"),
    ],
)
def test_numbers_that_fit_their_hash_and_no_checkpoint(tmp_path, change, message):
    save(tmp_path, 5)
    file = save(tmp_path, 10) / "state.json"
    written = json.loads(file.read_text())
    change(written)
    plain = json.dumps(written["numbers"], sort_keys=True)
    written["sha256"]["numbers"] = hashlib.sha256(plain.encode()).hexdigest()
    file.write_text(json.dumps(written))
    with pytest.warns(CheckpointWarning, match=message):
        assert checkpoint.newest(tmp_path) == 5


def test_a_full_disk_is_an_error_of_the_system(tmp_path):
    resource = pytest.importorskip("resource")
    save(tmp_path, 5)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    large = Checkpoint(10, {"a": torch.zeros(5000)}, {}, {})
    resource.setrlimit(resource.RLIMIT_FSIZE, (3000, limits[1]))
    try:
        with pytest.raises(OSError, match=r"step-00000010: can't be written"):
            checkpoint.save(tmp_path, large)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert checkpoint.newest(tmp_path) == 5


def test_if_all_are_damaged_nothing_is_begun_anew(tmp_path):
    (save(tmp_path, 5) / "state.json").write_text("[1]")
    with (
        pytest.warns(CheckpointWarning),
        pytest.raises(InputError, match=r"no checkpoint can be used: .* remove .* to begin anew"),
    ):
        checkpoint.newest(tmp_path)


def test_none_where_there_is_none(tmp_path):
    assert checkpoint.newest(tmp_path / "nowhere") is None
    assert checkpoint.newest(tmp_path) is None


def test_one_that_was_not_finished_is_not_there(tmp_path, monkeypatch):
    """Whatever call fails on the way, what is found is the one before, and it can be written."""
    save(tmp_path, 5)
    for name in ("fsync", "rename"):
        with monkeypatch.context() as patched:

            def broken(*_: object) -> None:
                raise OSError("no space left")

            patched.setattr(os, name, broken)
            with pytest.raises(OSError, match="no space left"):
                save(tmp_path, 10)
        assert checkpoint.steps(tmp_path) == [5]
        assert checkpoint.newest(tmp_path) == 5
    save(tmp_path, 10)
    assert checkpoint.newest(tmp_path) == 10


def test_a_step_can_be_written_again(tmp_path):
    (save(tmp_path, 5, 1.0) / "state.json").write_text("broken")
    assert checkpoint.read_weights(save(tmp_path, 5, 2.0))["a"][0] == 2
    assert checkpoint.newest(tmp_path) == 5
    assert [each.name for each in tmp_path.iterdir()] == ["step-00000005"]


def test_best_first_and_others_are_removed(tmp_path):
    for step, error in ((1, 0.5), (2, 0.25), (3, None), (4, 0.25), (5, 0.75)):
        save(tmp_path, step, metrics={"error": error})
    save(tmp_path, 6)
    assert checkpoint.best(tmp_path, "error", lowest=True) == [2, 4, 1, 5]
    assert checkpoint.best(tmp_path, "error", lowest=False) == [5, 1, 2, 4]
    checkpoint.prune(tmp_path, {2, 6})
    assert checkpoint.steps(tmp_path) == [2, 6]


def test_tied_weights_are_kept_under_both_names(tmp_path):
    shared = torch.arange(6.0).reshape(2, 3)
    path = checkpoint.save(tmp_path, Checkpoint(1, {"a": shared, "b": shared.T}, {}, {}))
    found = checkpoint.read_weights(path)
    assert torch.equal(found["a"], shared)
    assert torch.equal(found["b"], shared.T)


def test_numbers_that_json_has_not_are_refused(tmp_path):
    with pytest.raises(ValueError, match="JSON"):
        save(tmp_path, 1, loss=float("nan"))
    assert checkpoint.steps(tmp_path) == []


def test_the_mean_of_checkpoints(tmp_path):
    paths = [save(tmp_path, step, value) for step, value in ((1, 0.1), (2, 0.7), (3, 1.3))]
    found = average_checkpoints(paths)
    assert found["a"].dtype == torch.float32
    assert found["a"].tolist() == pytest.approx([0.7] * 3, abs=1e-7)
    assert found["count"] == 3
    with pytest.raises(InputError, match="no checkpoint to average"):
        average_checkpoints([])
    other = checkpoint.save(tmp_path, Checkpoint(4, {"a": torch.zeros(4)}, {}, {}))
    with pytest.raises(InputError, match="of another network than"):
        average_checkpoints([paths[0], other])


def test_the_moving_average_is_its_formula_and_can_be_put_in_place():
    net = network(3)
    average = MovingAverage(net, 0.75)
    first, second = torch.ones(4), torch.full((4,), 3.0)
    start = net.head.bias.detach().clone()
    for value in (first, second):
        net.head.bias.data.copy_(value)
        average.update()
    expected = 0.75 * (0.75 * start + 0.25 * first) + 0.25 * second
    torch.testing.assert_close(average.tensors()["head.bias"], expected, atol=1e-7, rtol=0)
    with average.in_place():
        torch.testing.assert_close(net.head.bias.detach(), expected, atol=1e-7, rtol=0)
    assert torch.equal(net.head.bias.detach(), second)
    assert average.tensors().keys() == {name for name, _ in net.named_parameters()}


def test_the_moving_average_of_tied_weights_has_both_names():
    net = nn.ModuleDict({"a": nn.Linear(2, 2), "b": nn.Linear(2, 2)})
    net["b"].weight = net["a"].weight
    average = MovingAverage(net, 0.5)
    assert torch.equal(average.tensors()["b.weight"], average.tensors()["a.weight"])


def test_the_numbers_are_hashed(tmp_path):
    path = save(tmp_path, 1, loss=2.0)
    written = json.loads((path / "state.json").read_text())
    written["numbers"]["loss"] = 3.0
    (path / "state.json").write_text(json.dumps(written))
    with pytest.raises(InputError, match="is not what was written"):
        checkpoint.read_numbers(path)
