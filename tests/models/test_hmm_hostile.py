"""Directories of an hmm that nobody has checked."""

import json
import zipfile
from pathlib import Path

import numpy as np
import pytest

from aural import models
from aural.errors import InputError
from aural.models import hmm
from aural.models.hmm.acoustic import GaussianModel, Topology, load_model, save_model
from aural.models.hmm.mixtures import Mixtures
from aural.models.hmm.trees import monophones


def model(dimension: int = 39) -> GaussianModel:
    """Two phones of three states, a Gaussian each."""
    means, variances = np.zeros((6, dimension), np.float32), np.ones((6, dimension), np.float32)
    mixtures = Mixtures(means, variances, np.zeros(6, np.float32), np.arange(6))
    return GaussianModel(Topology(monophones(["SIL", "a"]), np.full(6, 0.5)), mixtures)


def npy(shape: str) -> bytes:
    """An array's header of that shape, and little behind it."""
    header = f"{{'descr': '<f8', 'fortran_order': False, 'shape': {shape}, }}".encode()
    header += b" " * (-(len(header) + 11) % 64) + b"\n"
    return b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + bytes(80)


@pytest.mark.parametrize("shape", ["(1000000000000,)", "(-1,)", "(" * 3000])
def test_arrays_that_lie(tmp_path: Path, shape: str) -> None:
    path = tmp_path / "model.npz"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("means.npy", npy(shape))
    with pytest.raises(InputError, match="can't be read as a model"):
        load_model(path)


@pytest.mark.parametrize("name", ["means", "variances", "log_weights"])
def test_numbers_that_are_not_finite(tmp_path: Path, name: str) -> None:
    path = tmp_path / "model.npz"
    save_model(path, model())
    with np.load(path) as file:
        arrays = dict(file)
    arrays[name][0] = np.inf
    np.savez(path, **arrays)
    with pytest.raises(InputError, match="finite"):
        load_model(path)


@pytest.mark.parametrize(
    "changes",
    [
        {"sample_rate": 10**9},
        {"n_mels": 10**7},
        {"n_mels": 23.0},
        {"n_mfcc": 24},
        {"n_mfcc": 12},
        {"acoustic_scale": float("inf")},
        {"word_log_weight": "much"},
        {"language": 5},
        {"grammar": ["loop"]},
        {"max_active": True},
        {"hidden": 10**9},
        {"layers": 10**9},
        {"context": -1},
    ],
    ids=str,
)
def test_configurations_that_lie(tmp_path: Path, changes: dict[str, object]) -> None:
    hmm.save(tmp_path, model(), {"a": (("a",),)}, hmm.Config())
    path = tmp_path / "config.json"
    written = json.loads(path.read_text())
    written["config"] |= changes
    path.write_text(json.dumps(written))
    with pytest.raises(InputError, match=next(iter(changes))):
        models.load(f"hmm@{tmp_path}")
