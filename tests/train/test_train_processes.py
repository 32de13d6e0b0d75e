"""Runs in processes of their own: killed and gone on with, and as two under torchrun's agent.

All are forked from one that has imported torch and run nothing: an import takes longer than a run.
"""

import multiprocessing
import os
import random
import re
import signal
import socket
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from multiprocessing.process import BaseProcess
from pathlib import Path

import pytest
import trainee
from safetensors.torch import load_file
from torch.distributed.launcher.api import LaunchConfig, elastic_launch
from trainee import train

from aural.errors import TrainingError
from aural.train import checkpoint
from aural.train.run import read_metrics

FORKING = multiprocessing.get_context("forkserver")
TIMED = {"seconds", "sound_per_second"}


@pytest.fixture(scope="module")
def whole_run(tmp_path_factory):
    """Thirty steps without a break, in this process."""
    directory = tmp_path_factory.mktemp("whole")
    return directory, train(directory, 30, log_every=1)


@pytest.fixture(scope="module", autouse=True)
def _imported_once():
    FORKING.set_forkserver_preload(["trainee", "accelerate"])


def start(said: Path, *arguments: object, **told: object) -> BaseProcess:
    """A run whose stderr goes to the file, with these variables in its environment."""
    variables = {name: str(value) for name, value in told.items()}
    process = FORKING.Process(target=trained, args=(said, [*map(str, arguments)], variables))
    process.start()
    return process


def trained(said: Path, arguments: list[str], variables: Mapping[str, str]) -> None:
    os.environ.update(variables)
    os.dup2(os.open(said, os.O_WRONLY | os.O_CREAT), 2)
    os._exit(trainee.main(arguments))


def under_torchrun(arguments: list[str]) -> int:
    return trainee.main(arguments)


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


@contextmanager
def signals_kept() -> Iterator[None]:
    """The agent sets handlers and leaves them."""
    before = {number: signal.getsignal(number) for number in signal.valid_signals()}
    try:
        yield
    finally:
        for number, handler in before.items():
            if signal.getsignal(number) != handler:
                signal.signal(number, handler)


def wait_for_step(process: BaseProcess, directory: Path, step: int) -> None:
    deadline = time.monotonic() + 60
    while not any(line["step"] >= step for line in read_metrics(directory)):
        assert process.is_alive()
        assert time.monotonic() < deadline
        time.sleep(0.005)


def untimed(directory: Path) -> list[dict]:
    return [
        {name: value for name, value in line.items() if name not in TIMED}
        for line in read_metrics(directory)
    ]


def bytes_of_last(directory: Path) -> list[bytes]:
    last = checkpoint.path_of(directory / "checkpoints", 30)
    return [(last / name).read_bytes() for name in ("weights.safetensors", "state.safetensors")]


def differ(one: Path, other: Path) -> float:
    """The most by which any weight, average or moment of the last checkpoints differs."""
    tensors = [
        {
            **load_file(checkpoint.path_of(each / "checkpoints", 30) / "weights.safetensors"),
            **load_file(checkpoint.path_of(each / "checkpoints", 30) / "state.safetensors"),
        }
        for each in (one, other)
    ]
    assert tensors[0].keys() == tensors[1].keys()
    return max(
        (value.double() - tensors[1][name].double()).abs().max().item()
        for name, value in tensors[0].items()
    )


def test_killed_at_a_random_step_and_gone_on_with_is_the_same_to_the_bit(tmp_path, whole_run):
    directory, result = whole_run
    step = random.SystemRandom().randint(1, 28)
    process = start(tmp_path / "said", tmp_path, "--pause", 0.02, "--log-every", 1)
    wait_for_step(process, tmp_path, step)
    process.kill()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    assert 30 not in checkpoint.steps(tmp_path / "checkpoints")

    resumed = train(tmp_path, 30, log_every=1)

    assert resumed.loss == result.loss, f"killed at step {step}"
    assert (resumed.metrics, resumed.best, resumed.steps) == (result.metrics, result.best, 30)
    assert bytes_of_last(tmp_path) == bytes_of_last(directory), f"killed at step {step}"
    assert untimed(tmp_path) == untimed(directory)


def test_two_processes_learn_what_one_does(tmp_path, whole_run):
    """Three batches a step are shared unevenly; dropout and running statistics are on."""
    directory, _ = whole_run
    config = LaunchConfig(
        min_nodes=1, max_nodes=1, nproc_per_node=2, run_id="two", max_restarts=0,
        rdzv_backend="c10d", rdzv_endpoint="localhost:0", monitor_interval=0.1,
        start_method="forkserver",
    )  # fmt: skip
    arguments = [str(tmp_path), "--parallel", "ddp", "fsdp", "--log-every", "1"]
    with signals_kept():
        assert elastic_launch(config, under_torchrun)(arguments) == {0: 0, 1: 0}
    for parallel in ("ddp", "fsdp"):
        assert differ(tmp_path / parallel, directory) < 1e-6
        for ours, theirs in zip(
            read_metrics(tmp_path / parallel), read_metrics(directory), strict=True
        ):
            for name in ours.keys() - TIMED - {"kind"}:
                assert ours[name] == pytest.approx(theirs[name], abs=2e-6), (parallel, name)


def test_a_killed_process_ends_the_other_and_one_can_go_on_alone(tmp_path, whole_run):
    directory, _ = whole_run
    told = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": free_port(), "WORLD_SIZE": 2}
    arguments = (tmp_path, "--pause", 0.05, "--log-every", 1, "--timeout", 10)
    first, second = (
        start(tmp_path / f"said-{rank}", *arguments, RANK=rank, LOCAL_RANK=rank, **told)
        for rank in range(2)
    )
    wait_for_step(first, tmp_path, 7)
    killed = time.monotonic()
    second.kill()
    first.join(60)
    second.join()
    assert time.monotonic() - killed < 10
    assert first.exitcode == TrainingError.exit_code
    errors = (tmp_path / "said-0").read_text()
    lines = [line for line in errors.splitlines() if "Warning: find_unused" not in line]
    assert re.fullmatch(
        r"TrainingError: process 0 of 2 waits in vain after step \d+: another one has ended or "
        r"does not answer; start again to go on from the last checkpoint",
        "\n".join(lines),
    ), errors

    assert checkpoint.newest(tmp_path / "checkpoints") >= 5
    assert train(tmp_path, 30, log_every=1).steps == 30
    assert differ(tmp_path, directory) < 1e-6
