"""MFCC and deltas, offline and in streams; beside other programs: equality.py."""

from dataclasses import replace

import numpy as np
import pytest
import scipy.fft
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from oracles import kaldi_deltas, regression, speech

from aural.audio import features as f
from aural.errors import InputError, UnknownName

MODES = ["interp", "nearest", "mirror", "constant", "replicate"]


def test_the_shapes_of_a_second() -> None:
    mel = f.MelOptions(n_fft=512, hop_length=128, n_mels=64)
    options = f.MFCCOptions(f.LogMelOptions(mel, scale=10.0), n_mfcc=13)
    second = speech()[:16000]
    assert f.power_spectrogram(second, mel).shape == (257, 126)
    assert f.log_mel(second, options.log_mel).shape == (64, 126)
    coefficients = f.mfcc(second, options)
    assert coefficients.shape == (13, 126)
    once, twice = f.delta(coefficients), f.delta(coefficients, order=2)
    assert np.concatenate([coefficients, once, twice]).shape == (39, 126)


@pytest.mark.parametrize("norm", ["ortho", None])
def test_the_dct_is_scipys(norm: str | None) -> None:
    options = f.MFCCOptions(f.PRESETS["kaldi"], n_mfcc=80, norm=norm)
    expected = scipy.fft.dct(f.log_mel(speech(), "kaldi"), axis=0, norm=norm)
    np.testing.assert_allclose(f.mfcc(speech(), options), expected, atol=2e-4 * 80**0.5)


def test_the_energy_takes_the_place_of_the_first_coefficient() -> None:
    cut = speech()[16000:16400].astype(float)
    level = ((cut - cut.mean()) ** 2).sum()
    with_energy = f.mfcc(speech()[16000:].astype(float), "kaldi")
    assert with_energy[0, 0] == pytest.approx(np.log(level), rel=1e-12)
    without = replace(f.MFCC_PRESETS["kaldi"], log_mel=f.kaldi_options(n_mels=23))
    plain = f.mfcc(speech()[16000:].astype(float), without)
    np.testing.assert_array_equal(with_energy[1:], plain[1:])


@pytest.mark.parametrize("preset", f.MFCC_PRESETS)
@pytest.mark.parametrize("length", [0, 1, 300, 40000])
def test_every_preset_streams(preset: str, length: int) -> None:
    known = f.MFCC_PRESETS[preset]
    unlimited = replace(known, log_mel=replace(known.log_mel, dynamic_range=None))
    samples = speech()[:length]
    stream = f.MFCCStream(preset)
    for _ in range(2):
        parts = [stream.push(part) for part in np.split(samples, [7, 190, 191, 6000])]
        joined = np.concatenate([*parts, stream.finish()], axis=-1)
        np.testing.assert_array_equal(joined, f.mfcc(samples, unlimited))
        assert joined.shape == (known.n_mfcc, known.log_mel.mel.frames(length))
    assert f.mfcc(samples, preset).shape == joined.shape


@settings(max_examples=150, deadline=None)
@given(
    st.sampled_from(MODES),
    st.sampled_from([3, 5, 9]),
    st.sampled_from([1, 2]),
    st.integers(0, 40),
    st.lists(st.integers(0, 12), max_size=8),
    st.booleans(),
)
def test_a_stream_of_deltas_equals_offline(mode, width, order, length, cuts, tensor) -> None:
    features = np.random.default_rng(length).standard_normal((2, 3, length))
    make = torch.from_numpy if tensor else np.asarray
    stream = f.DeltaStream(width, order, mode)
    parts = []
    for piece in np.split(features, np.cumsum(cuts), axis=-1):
        given_piece = piece.copy()
        parts.append(np.array(stream.push(make(given_piece)).tolist()).reshape(2, 3, -1))
        given_piece[...] = np.nan  # a caller may use its memory again
    if mode == "interp" and 0 < length < width:
        with pytest.raises(InputError, match=f"{length} frames are fewer than width {width}"):
            stream.finish()
        return
    parts.append(np.asarray(stream.finish()).reshape(2, 3, -1))
    joined = np.concatenate(parts, axis=-1)
    np.testing.assert_array_equal(joined, f.delta(features, width, order, mode))


def test_a_delta_comes_when_its_look_ahead_has() -> None:
    features = np.random.default_rng(0).standard_normal((3, 50))
    whole = f.delta(features, 9, 1, "nearest")
    stream = f.DeltaStream(9, 1, "nearest")
    came = 0
    for moment in range(50):
        came += stream.push(features[:, moment : moment + 1]).shape[-1]
        assert came == (max(0, moment + 1 - stream.look_ahead) if moment >= 8 else 0)
    changed = features.copy()
    changed[:, 30:] += 1
    late = f.delta(changed, 9, 1, "nearest")
    np.testing.assert_array_equal(late[:, : 30 - 4], whole[:, : 30 - 4])


def test_a_polynomials_derivative() -> None:
    time = np.arange(30.0)
    features = np.stack([3 * time + 1, time**2])
    np.testing.assert_allclose(f.delta(features[:1]), 3, rtol=1e-12)
    np.testing.assert_allclose(f.delta(features, order=2), [[0] * 30, [2] * 30], atol=1e-12)
    assert f.delta(time, 5).shape == (30,)


@pytest.mark.parametrize("count", [1, 2, 3, 7])
@pytest.mark.parametrize("width", [3, 5, 11])
def test_few_frames(count: int, width: int) -> None:
    features = np.random.default_rng(count).standard_normal((2, count))
    reach = width // 2
    np.testing.assert_allclose(
        f.delta(features, width, 1, "replicate"), regression(features, reach), atol=1e-12
    )
    np.testing.assert_allclose(
        f.delta(features, width, 2, "replicate"), kaldi_deltas(features, reach, 2), atol=1e-12
    )
    for mode in ("nearest", "mirror", "constant", "wrap"):
        assert np.isfinite(f.delta(features, width, 2, mode)).all()
    if count < width:
        with pytest.raises(InputError, match=f"{count} frames are fewer than width {width}"):
            f.delta(features, width)


def test_what_is_not_finite_stays_within_the_width() -> None:
    features = np.zeros((2, 30), np.float32)
    features[:, 15] = np.nan
    for mode in MODES:
        found = np.isnan(f.delta(features, 5, mode=mode)).all(axis=0)
        assert set(np.flatnonzero(found)) <= {13, 14, 15, 16, 17}
        assert found[14]
    features[:, 16] = np.inf
    assert not np.isfinite(f.delta(features, 5)[:, 14:18]).any()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: f.MFCCOptions(n_mfcc=0), "n_mfcc is 0"),
        (lambda: f.MFCCOptions(n_mfcc=129), r"n_mfcc is 129; give 1 to n_mels \(128\)"),
        (lambda: f.MFCCOptions(norm="slaney"), "unknown DCT norm 'slaney'"),
        (lambda: f.MFCCOptions(lifter=-1), "lifter is -1"),
        (lambda: f.MFCCOptions(lifter=np.nan), "lifter is nan"),
        (lambda: f.MFCCOptions(lifter=np.inf), "lifter is inf"),
        (lambda: f.mfcc(np.zeros(9), f.PRESETS["kaldi"]), "options are LogMelOptions; give MFCCO"),
        (lambda: f.delta(np.zeros((2, 9)), 10**9 + 1), "width is 1000000001; give at most 2001"),
        (lambda: f.delta(np.zeros((2, 9)), 9, 10**6, "replicate"), "order is 1000000; give at mo"),
        (lambda: f.MFCCOptions(lifter_from=2), "from 2; give 0 or more, from 0 or 1"),
        (lambda: f.delta(np.zeros((2, 9)), 4), "width is 4; give an odd number"),
        (lambda: f.delta(np.zeros((2, 9)), 1), "width is 1; give a whole number of at least 3"),
        (lambda: f.delta(np.zeros((2, 9)), 5, 0), "order is 0"),
        (lambda: f.delta(np.zeros((2, 9)), 3, 3), r"order is 3; give less than width \(3\)"),
        (lambda: f.delta(np.zeros((2, 9)), 5, 1, "edge"), "unknown delta mode 'edge'; .*interp"),
        (lambda: f.delta(np.zeros((2, 9), int)), "features are int64; give float32 or float64"),
        (lambda: f.delta(np.float32(1)), r"shape \(\)"),
        (lambda: f.DeltaStream(5, 1, "wrap"), "mode is 'wrap'; a stream does not know its end"),
        (lambda: f.DeltaStream().finish(), "no features came"),
    ],
)
def test_what_is_not_allowed_is_named(make, message: str) -> None:
    with pytest.raises(InputError, match=message):
        make()


def test_unknown_presets_name_the_choices() -> None:
    for make in (lambda: f.mfcc(np.zeros(9, np.float32), "htk"), lambda: f.MFCCStream("htk")):
        with pytest.raises(UnknownName, match="librosa, kaldi, torchaudio"):
            make()


def test_pieces_of_another_shape_are_refused() -> None:
    stream = f.DeltaStream()
    stream.push(np.zeros((2, 3)))
    with pytest.raises(InputError, match=r"shape \(3, 3\) after pieces of \(2, 'frame'\)"):
        stream.push(np.zeros((3, 3)))
