"""Arrays and tensors: what is taken, what is kept, what is not imported."""

import doctest
import importlib
import subprocess
import sys

import numpy as np
import pytest
import torch

from aural.audio import features as f
from aural.audio.features.array import project
from aural.errors import InputError

torch.set_num_threads(1)

SMALL = f.STFTOptions(n_fft=16, hop_length=6)
SMALL_MEL = f.MelOptions(n_fft=16, hop_length=6, n_mels=3)
SMALL_DB = f.LogMelOptions(SMALL_MEL, scale=10.0, dynamic_range=20.0)
SMALL_MFCC = f.MFCCOptions(SMALL_DB, n_mfcc=2, lifter=22)

# name -> function of samples, of any kind of array
FUNCTIONS = {
    "stft": lambda x: f.stft(x, SMALL),
    "power_spectrogram": lambda x: f.power_spectrogram(x, SMALL, 1.0),
    "istft": lambda x: f.istft(f.stft(x, SMALL), SMALL),
    "power_to_db": lambda x: f.power_to_db(f.power_spectrogram(x, SMALL), "max"),
    "mel_spectrogram": lambda x: f.mel_spectrogram(x, SMALL_MEL),
    "log_mel": lambda x: f.log_mel(x, SMALL_DB),
    "mfcc": lambda x: f.mfcc(x, SMALL_MFCC),
    "delta": lambda x: f.delta(f.mfcc(x, SMALL_MFCC), 3, mode="nearest"),
    "griffin_lim": lambda x: f.griffin_lim(
        f.power_spectrogram(x, SMALL, 1.0), SMALL, np.random.default_rng(2), 2
    ),
}


def noise(*shape: int, dtype: str = "float64") -> np.ndarray:
    return np.random.default_rng(0).standard_normal(shape).astype(dtype)


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shape", [(61,), (2, 61), (2, 3, 61), (0, 61), (2, 0, 61), (2, 0)])
def test_a_tensor_is_an_array(name: str, dtype: str, shape: tuple[int, ...]) -> None:
    """One formula: the same values, precision and shape, of each recording of a batch."""
    if name == "griffin_lim" and shape[-1] == 0:
        shape = (2, 61)
    samples = noise(*shape, dtype=dtype)
    ours, theirs = FUNCTIONS[name](samples), FUNCTIONS[name](torch.from_numpy(samples))
    assert isinstance(ours, np.ndarray)
    assert isinstance(theirs, torch.Tensor)
    assert ours.shape == theirs.shape
    assert ours.dtype == theirs.numpy().dtype
    assert ours.real.dtype == dtype
    tolerance = 1e-10 if dtype == "float64" else 3e-3  # dB of float32's quiet bins
    np.testing.assert_allclose(ours, theirs.numpy(), atol=tolerance, rtol=tolerance)


@pytest.mark.parametrize("name", sorted(set(FUNCTIONS) - {"griffin_lim"}))
def test_a_recording_in_a_batch_is_as_by_itself(name: str) -> None:
    batch = noise(2, 3, 61, dtype="float32")
    alone = np.stack([[FUNCTIONS[name](each) for each in row] for row in batch])
    np.testing.assert_array_equal(FUNCTIONS[name](batch), alone)


@pytest.mark.parametrize(
    "options",
    [
        f.PRESETS["kaldi"],
        f.PRESETS["whisper"],
        f.kaldi_options(snip_edges=False, energy="raw", gain=0.3),
    ],
    ids=["kaldi", "whisper", "kaldi-mirrored"],
)
def test_layout_in_memory_changes_no_bit(options: f.LogMelOptions) -> None:
    """Recordings by themselves, in C or Fortran order, transposed, in any chunks: the same."""
    batch = noise(2, 3, 9000, dtype="float32")
    alone = np.stack([[f.log_mel(each, options) for each in row] for row in batch])
    stereo = np.ascontiguousarray(batch[0].T).T  # as of a file's (time, channel)
    np.testing.assert_array_equal(f.log_mel(stereo, options), alone[0])
    np.testing.assert_array_equal(f.log_mel(stereo[0], options), alone[0, 0])
    swapped = np.ascontiguousarray(batch.swapaxes(0, 1)).swapaxes(0, 1)
    for laid in (batch, np.asfortranarray(batch), swapped):
        np.testing.assert_array_equal(f.log_mel(laid, options), alone)
        stream = f.LogMelStream(options)
        pieces = np.split(laid, [1, 2, 150, 700, 5000], axis=-1)
        parts = [*(stream.push(piece) for piece in pieces), stream.finish()]
        streamed = options.limited(np.concatenate(parts, axis=-1))
        np.testing.assert_array_equal(streamed, alone)


def test_a_parameter_is_a_tensor_and_a_memory_map_an_array(tmp_path) -> None:
    samples = noise(9000, dtype="float32")
    samples.tofile(tmp_path / "samples")
    mapped = np.memmap(tmp_path / "samples", np.float32, "r")
    for function in (f.stft, f.log_mel, f.mfcc, f.cqt):
        np.testing.assert_array_equal(function(mapped), function(samples))
        given = torch.nn.Parameter(torch.from_numpy(samples))
        found = function(given)
        torch.testing.assert_close(found.detach(), function(torch.from_numpy(samples)))
        found.abs().sum().backward()
        assert given.grad.abs().max() > 0
    np.testing.assert_array_equal(f.pad_batch([mapped, samples[:10]]).values[0], samples)
    both = f.pad_batch([torch.zeros(3), torch.nn.Parameter(torch.ones(2))])
    assert both.values.tolist() == [[0, 0, 0], [1, 1, 0]]


def test_filters_are_built_once_for_the_pieces_of_a_stream() -> None:
    calls = []

    def matrix(key: int) -> np.ndarray:
        calls.append(key)
        return np.eye(3) * key

    for rows in (torch.ones(2, 3), torch.ones(2, 3, dtype=torch.float64)):
        for _ in range(3):
            assert (project(matrix, 5, rows) == 5 * torch.eye(3).sum(1)[:, None]).all()
    assert calls == [5]


@pytest.mark.parametrize("name", FUNCTIONS)
def test_gradients_are_those_of_differences(name: str) -> None:
    samples = torch.from_numpy(noise(2, 31)).requires_grad_()
    function = FUNCTIONS[name]
    assert torch.autograd.gradcheck(lambda x: _real(function(x)), (samples,), fast_mode=True)


def _real(values: torch.Tensor) -> torch.Tensor:
    return torch.view_as_real(values) if values.is_complex() else values


@pytest.mark.parametrize("preset", f.PRESETS)
def test_every_preset_has_a_finite_gradient_even_of_silence(preset: str) -> None:
    for sound in (noise(4000), np.zeros(4000)):
        samples = torch.from_numpy(sound).requires_grad_()
        f.log_mel(samples, preset).sum().backward()
        assert torch.isfinite(samples.grad).all()
        assert (samples.grad.abs().max() > 0) == sound.any()


def test_what_was_made_without_gradients_serves_with_them() -> None:
    samples = torch.from_numpy(noise(500)).requires_grad_()
    options = f.LogMelOptions(f.MelOptions(n_mels=11))
    with torch.inference_mode():
        f.log_mel(samples.detach(), options)
    f.log_mel(samples, options).sum().backward()
    assert samples.grad.abs().max() > 0


def test_a_tensor_stays_on_its_device() -> None:
    """The device without data tells where everything is made."""
    samples = torch.empty(2, 4000, device="meta")
    for found, rows in (
        (f.stft(samples), 201),
        (f.mel_spectrogram(samples), 80),
        (f.log_mel(samples, "kaldi"), 80),
        (f.mfcc(samples, "kaldi"), 13),
        (f.istft(f.stft(samples))[..., None, :], 1),
    ):
        assert found.device.type == "meta"
        assert found.shape[:2] == (2, rows)


@pytest.mark.parametrize(
    ("samples", "message"),
    [
        (np.zeros(9, np.int16), r"int16; give float32 in \[-1, 1\], as of samples / 32768"),
        (np.zeros(9, np.int32), "int32; .*samples / 2147483648"),
        (np.zeros(9, np.uint8), r"uint8; .*\(samples - 128\) / 128"),
        (torch.zeros(9, dtype=torch.int16), "int16; .*samples / 32768"),
        (torch.zeros(9, dtype=torch.bfloat16), "bfloat16; give float32 or float64"),
        (np.zeros(9, np.float16), "float16; give float32 or float64"),
        (np.zeros(9, np.complex64), "complex64; give float32 or float64"),
        (np.zeros(9, bool), "bool; give float32 or float64"),
        (np.array(["a"]), "give float32 or float64"),
        ([0.0, 0.1], "are a list; give a NumPy array or a torch tensor"),
        (None, "are a NoneType"),
        (np.float32(0.5), r"shape \(\), one number"),
    ],
)
@pytest.mark.parametrize("function", [f.stft, f.mel_spectrogram, f.log_mel, f.mfcc])
def test_what_are_no_samples_is_told_how(function, samples, message: str) -> None:
    with pytest.raises(InputError, match=message):
        function(samples)


@pytest.mark.parametrize("fault", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("of", ["array", "tensor"])
def test_a_sample_that_is_not_finite_stays_in_its_frames(fault: float, of: str) -> None:
    samples = noise(8000, dtype="float32")
    broken = samples.copy()
    broken[4000] = fault
    made = (np.asarray, np.asarray) if of == "array" else (torch.from_numpy, np.asarray)
    for function in (
        f.stft,
        f.mel_spectrogram,
        lambda x: f.log_mel(x, "whisper"),
        lambda x: f.log_mel(x, "kaldi"),
        lambda x: f.mfcc(x, "kaldi"),
    ):
        right, wrong = (made[1](function(made[0](each))) for each in (samples, broken))
        changed = np.flatnonzero(~np.isfinite(wrong).all(axis=0))
        assert 2 <= changed.size <= 3  # 400 samples under a window that moves by 160
        assert abs(changed.mean() - 25) <= 1.5  # Kaldi's frames start where they do
        kept = np.delete(np.arange(right.shape[1]), changed)
        np.testing.assert_allclose(wrong[:, kept], right[:, kept], atol=1e-5)


def test_numpy_needs_no_torch() -> None:
    script = """
import sys, numpy as np
from aural.audio import features as f
x = np.zeros(8000, np.float32)
for preset in f.PRESETS: f.log_mel(x, preset)
f.delta(f.mfcc(x)), f.istft(f.stft(x)), f.power_to_db(f.power_spectrogram(x))
assert "torch" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", script], check=True)


@pytest.mark.parametrize("name", ["array", "frames", "stft", "mel", "mfcc"])
def test_the_examples_in_the_docstrings_are_true(name: str) -> None:
    module = importlib.import_module(f"aural.audio.features.{name}")
    assert doctest.testmod(module).failed == 0


def test_the_public_names_are_sorted_and_there() -> None:
    assert f.__all__ == sorted(f.__all__, key=lambda n: (not n.isupper(), n[0].islower(), n))
    assert all(hasattr(f, name) for name in f.__all__)
