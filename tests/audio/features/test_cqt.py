"""The constant-Q transform against its sum written out, librosa, torch and itself in pieces."""

import math

import librosa
import numpy as np
import pytest
import soundfile
import torch
from equality import Case
from equality_cqt import CASES, chord, direct_sum
from hypothesis import given, settings
from hypothesis import strategies as st

from aural.audio.features import (
    CQTOptions,
    CQTStream,
    STFTOptions,
    chroma,
    chroma_cqt,
    chroma_filters,
    cqt,
    power_spectrogram,
)
from aural.audio.features.cqt import BLOCK_FRAMES
from aural.audio.resample import resample
from aural.errors import InputError, UnknownName

torch.set_num_threads(1)

RATE = 22050

OPTIONS = {
    "default": CQTOptions(),
    "16 kHz": CQTOptions(sample_rate=16000),
    "hop 160": CQTOptions(sample_rate=16000, hop_length=160),
    "odd hop, never halved": CQTOptions(hop_length=441, fmin=110, n_bins=60),
    "36 an octave": CQTOptions(bins_per_octave=36, n_bins=252),
    "high and few": CQTOptions(sample_rate=44100, fmin=1760, n_bins=7, hop_length=1024),
    "low and few": CQTOptions(sample_rate=44100, fmin=55, n_bins=5, hop_length=1024),
    "up to half the rate": CQTOptions(n_bins=99),
    "one bin": CQTOptions(n_bins=1, fmin=440),
    "blackman": CQTOptions(window="blackman"),
    "square norm": CQTOptions(norm=2),
    "not scaled": CQTOptions(scale=False),
    "tuned": CQTOptions(tuning=-0.3),
    "short kernels": CQTOptions(filter_scale=0.5),
    "long kernels": CQTOptions(filter_scale=2),
    "odd rate": CQTOptions(sample_rate=44099, hop_length=700),
}


def loudest(options: CQTOptions) -> np.ndarray:
    """What a sum can be at most for samples in [-1, 1]; shape = (n_bins, 1)."""
    unit = CQTOptions(
        options.sample_rate,
        options.hop_length,
        options.fmin,
        options.n_bins,
        options.bins_per_octave,
        options.window,
        tuning=options.tuning,
        filter_scale=options.filter_scale,
        scale=options.scale,
    )
    gain = np.sqrt(unit.lengths) if options.scale else unit.lengths
    if options.norm == 2:  # of a Hann window: sum / root of square sum
        gain = gain * np.sqrt(unit.lengths) * 0.5 / np.sqrt(0.375)
    return gain[:, None]


@pytest.fixture(scope="module")
def speech(examples) -> np.ndarray:
    path = examples / "sense_and_sensibility_0880.flac"
    return resample(soundfile.read(path, dtype="float32")[0], 16000, RATE)[: 4 * RATE]


@pytest.fixture(scope="module")
def signals(speech) -> dict[str, np.ndarray]:
    time = np.arange(2 * RATE) / RATE
    rng = np.random.default_rng(0)
    click = np.zeros(RATE)
    click[9000] = 1
    return {
        "speech": speech,
        "noise": rng.uniform(-1, 1, 2 * RATE).astype(np.float32),
        "chord": chord(RATE),
        "sweep": np.sin(2 * np.pi * 2500 * time**2).astype(np.float32),
        "5 kHz": np.sin(2 * np.pi * 5000 * time).astype(np.float32),
        "click": click.astype(np.float32),
    }


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.name}-{case.reference}")
def test_as_near_as_the_table_says(case: Case) -> None:
    assert case.difference() <= case.tolerance


@pytest.mark.parametrize("name", OPTIONS)
def test_equals_the_direct_sum(signals, name: str) -> None:
    """Within 3e-6 of full scale; float64 likewise, so what is left is not rounding alone."""
    options = OPTIONS[name]
    kinds = signals if name == "default" else ("speech", "noise")
    for samples in map(signals.get, kinds):
        frames = np.linspace(0, options.frames(samples.size) - 1, 4).astype(int)
        expected = direct_sum(samples, options, frames)
        got = cqt(samples, options)
        assert got.shape == (options.n_bins, options.frames(samples.size))
        assert got.dtype == np.complex64
        assert np.abs((got[:, frames] - expected) / loudest(options)).max() <= 3e-6
    precise = cqt(samples.astype(np.float64), options)
    assert precise.dtype == np.complex128
    assert np.abs((precise[:, frames] - expected) / loudest(options)).max() <= 3e-6


@pytest.mark.parametrize(
    ("rate", "hop", "per_octave", "octaves"),
    [(22050, 512, 12, 7), (16000, 512, 12, 7), (22050, 512, 36, 7)],
)
@pytest.mark.filterwarnings("ignore:n_fft=")  # librosa, of a signal shorter than a kernel
def test_magnitudes_are_librosas(signals, rate, hop, per_octave, octaves) -> None:
    """Within 3 % of the largest, most where sound sets in: at librosa's lower rates its kernels are
    off centre by half a sample, which is up to 32 of the signal's, and 1 % of each is dropped."""
    options = CQTOptions(rate, hop, n_bins=octaves * per_octave, bins_per_octave=per_octave)
    for name in ("speech", "chord", "5 kHz", "sweep"):
        expected = librosa.cqt(
            signals[name],
            sr=rate,
            hop_length=hop,
            n_bins=options.n_bins,
            bins_per_octave=per_octave,
        )
        got = cqt(signals[name], options)
        assert got.shape == expected.shape
        largest = np.abs(expected).max() if name != "5 kHz" else np.sqrt(options.lengths[0]) / 2
        assert np.abs(np.abs(got) - np.abs(expected)).max() <= 0.03 * largest
        assert np.abs(got - expected).max() <= 0.05 * largest


@pytest.mark.parametrize("scale", [True, False])
def test_a_tone_is_half_its_amplitude_in_its_bin(scale: bool) -> None:
    options = CQTOptions(scale=scale)
    time = np.arange(3 * RATE) / RATE
    for index in (12, 45, 83):
        tone = 0.8 * np.cos(2 * np.pi * options.frequencies[index] * time)
        frame = np.abs(cqt(tone.astype(np.float32), options))[:, 65]
        assert frame.argmax() == index
        length = options.lengths[index]
        assert frame[index] == pytest.approx(0.4 * (length**0.5 if scale else length), rel=1e-3)


def test_lengths_and_frequencies_are_librosas() -> None:
    options = CQTOptions(tuning=0.25, filter_scale=0.7)
    frequencies = librosa.cqt_frequencies(84, fmin=librosa.note_to_hz("C1"), tuning=0.25)
    np.testing.assert_allclose(options.frequencies, frequencies, rtol=1e-12)
    lengths, _ = librosa.filters.wavelet_lengths(freqs=frequencies, sr=22050, filter_scale=0.7)
    np.testing.assert_allclose(options.lengths, lengths, rtol=1e-12)


STREAMED = [
    CQTOptions(16000, 512),
    CQTOptions(8000, 64, fmin=200, n_bins=50),
    CQTOptions(8000, 75, fmin=300, n_bins=30),
    CQTOptions(16000, 4096, fmin=3000, n_bins=12),  # kernels shorter than the hop
]


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(STREAMED),
    st.integers(0, 9000),
    st.lists(st.integers(0, 2500), max_size=9),
    st.booleans(),
    st.integers(0, 2**32 - 1),
)
def test_stream_equals_offline(options, length, cuts, channels, seed) -> None:
    shape = (2, length) if channels else (length,)
    samples = np.random.default_rng(seed).standard_normal(shape).astype(np.float32)
    stream = CQTStream(options)
    parts = [stream.push(part) for part in np.split(samples, np.cumsum(cuts), axis=-1)]
    joined = np.concatenate([*parts, stream.finish()], axis=-1)
    np.testing.assert_array_equal(joined, cqt(samples, options))


@pytest.mark.parametrize("chunk", [1700, 1 << 18])
def test_long_stream_equals_offline_and_can_be_used_again(chunk: int) -> None:
    options = CQTOptions()
    length = 512 * BLOCK_FRAMES * 3 + 77
    samples = np.random.default_rng(1).uniform(-1, 1, length).astype(np.float32)
    offline = cqt(samples, options)
    stream = CQTStream(options)
    for _ in range(2):
        buffer = np.empty(chunk, np.float32)  # a caller may use one buffer for every push
        parts = []
        for first in range(0, length, chunk):
            piece = samples[first : first + chunk]
            buffer[: piece.size] = piece
            parts.append(stream.push(buffer[: piece.size]))
        np.testing.assert_array_equal(np.concatenate([*parts, stream.finish()], axis=1), offline)


def test_a_frame_comes_half_a_kernel_after_its_centre() -> None:
    options = CQTOptions()
    stream = CQTStream(options)
    came = [stream.push(np.zeros(512, np.float32)).shape[1] for _ in range(40)]
    late = math.ceil(options.lengths[0] / 2 / 512)
    assert came == [0] * late + [1] * (40 - late)


def test_later_samples_change_no_earlier_frame(speech) -> None:
    options = CQTOptions()
    stream = CQTStream(options)
    early = stream.push(speech[:30000])
    np.testing.assert_array_equal(early, cqt(speech, options)[:, : early.shape[1]])


@pytest.mark.parametrize("name", ["default", "odd hop, never halved", "square norm"])
def test_torch_equals_numpy_in_batches(signals, name: str) -> None:
    options = OPTIONS[name]
    batch = np.stack((signals["noise"], signals["chord"])).reshape(2, 1, -1)
    expected = cqt(batch, options)
    got = cqt(torch.from_numpy(batch), options)
    assert got.dtype == torch.complex64
    assert got.shape == expected.shape == (2, 1, options.n_bins, options.frames(batch.shape[-1]))
    assert (np.abs(got.numpy() - expected) / loudest(options)).max() <= 1e-6
    stream = CQTStream(options)
    parts = [stream.push(part) for part in torch.from_numpy(batch).split(9999, dim=-1)]
    streamed = torch.cat([*parts, stream.finish()], dim=-1)
    assert (np.abs(streamed.numpy() - expected) / loudest(options)).max() <= 1e-6
    for row in range(2):
        np.testing.assert_array_equal(expected[row], cqt(batch[row], options))


def test_gradients_are_those_of_differences() -> None:
    options = CQTOptions(4000, 64, fmin=200, n_bins=14)
    assert len(CQTStream(options)._bands) > 1  # the halving is in it
    samples = torch.randn(2, 90, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    assert torch.autograd.gradcheck(
        lambda x: cqt(x, options).abs().square(), samples.requires_grad_(), eps=1e-5, atol=1e-6
    )


@pytest.mark.parametrize("length", [0, 1, 100, 511, 512, 5000])
def test_short_input_has_a_defined_outcome(length: int) -> None:
    samples = np.full((3, length), 0.5, np.float32)
    got = cqt(samples)
    assert got.shape == (3, 84, 1 + length // 512 if length else 0)
    assert got.dtype == np.complex64
    assert cqt(torch.from_numpy(samples)).shape == got.shape
    if length:
        expected = direct_sum(samples[0], CQTOptions(), np.arange(got.shape[-1]))
        assert (np.abs(got[0] - expected) / loudest(CQTOptions())).max() <= 1e-6
    assert not np.any(cqt(np.zeros(length, np.float32)))


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_what_is_not_finite_stays_near(speech, value: float) -> None:
    options = CQTOptions()
    spoiled = speech.copy()
    spoiled[40000] = value
    got, expected = cqt(spoiled, options), cqt(speech, options)
    reach = options.lengths[0] / 2 + 64 * 24
    far = np.abs(np.arange(got.shape[1]) * 512 - 40000) > reach
    np.testing.assert_array_equal(got[:, far], expected[:, far])
    assert not np.isfinite(got[:, 78]).any()


@pytest.mark.parametrize(
    ("samples", "message"),
    [
        (np.zeros(100, np.int16), "give float32 in"),
        (np.float32(0.5), r"shape \(\)"),
        ([0.1, 0.2], "give a NumPy array or a torch tensor"),
        (np.zeros(100, complex), "complex128"),
    ],
)
def test_what_is_no_signal_is_named(samples, message: str) -> None:
    with pytest.raises(InputError, match=message):
        cqt(samples)
    with pytest.raises(InputError, match=message):
        CQTStream().push(samples)


def test_pieces_must_be_alike() -> None:
    stream = CQTStream()
    stream.push(np.zeros((2, 10), np.float32))
    for other in (np.zeros(10, np.float32), np.zeros((2, 10)), torch.zeros(2, 10)):
        with pytest.raises(InputError, match="call finish first"):
            stream.push(other)
    stream.finish()
    assert stream.push(np.zeros(10)).dtype == np.complex128
    assert CQTStream().finish().shape == (84, 0)


@pytest.mark.parametrize(
    "fault",
    [
        {"sample_rate": 0},
        {"hop_length": 1.5},
        {"n_bins": -3},
        {"bins_per_octave": 0},
        {"fmin": 0.0},
        {"fmin": math.nan},
        {"filter_scale": 0.0},
        {"fmin": math.inf},
        {"fmin": 1e-4},
        {"fmin": 5e-324},
        {"filter_scale": 1e300},
        {"n_bins": 2 * 10**9},
        {"bins_per_octave": 10**6},
        {"bins_per_octave": 1, "n_bins": 1 << 14},
        {"tuning": -200},
        {"tuning": math.inf},
        {"norm": 3},
        {"n_bins": 101},
        {"sample_rate": 8000},
    ],
)
def test_options_out_of_range_are_refused(fault: dict) -> None:
    with pytest.raises(InputError, match="give"):
        CQTOptions(**fault)


def test_unknown_window_names_the_choices() -> None:
    with pytest.raises(UnknownName, match="hann, blackman"):
        CQTOptions(window="rectangular")  # type: ignore[arg-type]


@pytest.mark.parametrize(("rate", "n_fft"), [(22050, 2048), (16000, 400), (44100, 4097)])
@pytest.mark.parametrize("n_chroma", [12, 24, 7])
@pytest.mark.parametrize("tuning", [0.0, -0.37])
def test_chroma_filters_equal_librosas(rate, n_fft, n_chroma, tuning) -> None:
    expected = librosa.filters.chroma(sr=rate, n_fft=n_fft, n_chroma=n_chroma, tuning=tuning)
    got = chroma_filters(rate, n_fft, n_chroma, tuning)
    assert got.shape == expected.shape
    assert np.abs(got - expected).max() <= 1e-7  # librosa's are float32


@pytest.mark.parametrize("norm", [np.inf, 1, 2, None])
def test_chroma_equals_librosas(signals, norm) -> None:
    """Within 1e-5 of the largest; power is aural's, librosa's is the same to rounding."""
    for name in ("speech", "chord", "noise"):
        expected = librosa.feature.chroma_stft(
            y=signals[name], sr=RATE, tuning=0, norm=norm, pad_mode="reflect"
        )
        power = power_spectrogram(signals[name], STFTOptions(n_fft=2048, hop_length=512))
        got = chroma(power, RATE, norm=norm)
        assert got.shape == expected.shape
        assert got.dtype == np.float32
        assert np.abs(got - expected).max() <= 1e-5 * expected.max()
        again = chroma(torch.from_numpy(power), RATE, norm=norm)
        assert np.abs(again.numpy() - got).max() <= 1e-5 * got.max()


@pytest.mark.parametrize(("per_octave", "n_chroma"), [(12, 12), (36, 12), (24, 24), (24, 12)])
@pytest.mark.parametrize("fmin", [librosa.note_to_hz("C1"), 110.0, librosa.note_to_hz("F#2")])
def test_chroma_cqt_equals_librosas(signals, per_octave, n_chroma, fmin) -> None:
    options = CQTOptions(fmin=fmin, n_bins=5 * per_octave - 3, bins_per_octave=per_octave)
    magnitude = np.abs(cqt(signals["chord"], options))
    for norm in (np.inf, 2, None):
        expected = librosa.feature.chroma_cqt(
            C=magnitude,
            fmin=fmin,
            bins_per_octave=per_octave,
            n_chroma=n_chroma,
            norm=norm,
        )
        got = chroma_cqt(magnitude, options, n_chroma=n_chroma, norm=norm)
        np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-7 * expected.max())


def test_an_a_is_the_tenth_pitch_class_at_every_octave() -> None:
    time = np.arange(2 * RATE) / RATE
    for frequency in (110, 220, 440, 880, 1760):
        tone = np.sin(2 * np.pi * frequency * time).astype(np.float32)
        power = power_spectrogram(tone, STFTOptions(n_fft=4096, hop_length=512))
        assert chroma(power, RATE)[:, 40].argmax() == 9
        assert chroma_cqt(np.abs(cqt(tone)))[:, 40].argmax() == 9


def test_chroma_of_silence_and_of_nothing() -> None:
    assert not chroma(np.zeros((1025, 3), np.float32), RATE).any()
    assert not chroma_cqt(np.zeros((84, 3), np.float32), norm=2).any()
    assert chroma(np.zeros((4, 1025, 0)), RATE).shape == (4, 12, 0)
    assert chroma_cqt(np.zeros((4, 84, 0))).shape == (4, 12, 0)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_chroma_of_what_is_not_finite_is_not_finite_in_that_frame(value: float) -> None:
    power = np.ones((1025, 3), np.float32)
    power[40, 1] = value
    assert np.isfinite(chroma(power, RATE)).all(0).tolist() == [True, False, True]
    magnitude = np.ones((84, 3), np.float32)
    magnitude[40, 1] = value
    assert np.isfinite(chroma_cqt(magnitude)).all(0).tolist() == [True, False, True]


def test_gradient_reaches_power_through_chroma() -> None:
    power = torch.rand(2, 33, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    for norm in (math.inf, 2):
        held = power.clone().requires_grad_()
        assert torch.autograd.gradcheck(lambda x, norm=norm: chroma(x, 8000, norm=norm), held)


@pytest.mark.parametrize("norm", [0.5, 1, 2, 3.5, math.inf])
def test_gradient_where_a_frame_is_silent_is_finite(norm: float) -> None:
    """And elsewhere that of the frames by themselves."""
    rng = torch.Generator().manual_seed(0)
    power = torch.rand(33, 3, dtype=torch.float64, generator=rng)
    power[:, 1] = 0
    weights = torch.rand(12, 3, dtype=torch.float64, generator=rng)
    gradients = []
    for held in (power.clone().requires_grad_(), power[:, [0, 2]].clone().requires_grad_()):
        kept = weights if held.shape[1] == 3 else weights[:, [0, 2]]
        (chroma(held, 8000, norm=norm) * kept).sum().backward()
        gradients.append(held.grad)
    assert torch.isfinite(gradients[0]).all()
    torch.testing.assert_close(gradients[0][:, [0, 2]], gradients[1])
    magnitude = torch.zeros(84, 3, dtype=torch.float64)
    magnitude[9, 0] = magnitude[40, 2] = 1.0  # most classes are 0 there too
    magnitude.requires_grad_()
    chroma_cqt(magnitude, norm=norm).square().sum().backward()
    assert torch.isfinite(magnitude.grad).all()


@pytest.mark.parametrize("shape", [(2, 0, 100), (0, 100), (0, 2, 30000)])
def test_a_batch_of_nothing_has_its_shape(shape: tuple[int, ...]) -> None:
    expected = (*shape[:-1], 84, CQTOptions().frames(shape[-1]))
    assert cqt(np.zeros(shape, np.float32)).shape == expected
    assert tuple(cqt(torch.zeros(shape)).shape) == expected


def test_chroma_refuses_what_does_not_fit() -> None:
    with pytest.raises(InputError, match="83 bins"):
        chroma_cqt(np.zeros((83, 3), np.float32))
    with pytest.raises(InputError, match="divisor of the 12 bins"):
        chroma_cqt(np.zeros((84, 3), np.float32), n_chroma=24)
    with pytest.raises(InputError, match="complex64"):
        chroma_cqt(np.zeros((84, 3), np.complex64))
    with pytest.raises(InputError, match=r"shape \(1025,\)"):
        chroma(np.zeros(1025, np.float32), RATE)
    with pytest.raises(InputError, match="norm is -1"):
        chroma(np.zeros((1025, 2), np.float32), RATE, norm=-1)
    with pytest.raises(InputError, match="norm is 'max'; give inf"):
        chroma(np.zeros((1025, 2), np.float32), RATE, norm="max")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="n_fft is 0; give a whole number of at least 2"):
        chroma(np.zeros((1, 2), np.float32), RATE)
    with pytest.raises(InputError, match="n_chroma is 100000000; give at most 1200"):
        chroma(np.zeros((1025, 2), np.float32), RATE, n_chroma=10**8)
    with pytest.raises(InputError, match="sample_rate is nan; give a number above 0"):
        chroma(np.zeros((1025, 2), np.float32), math.nan)
    with pytest.raises(InputError, match="tuning is nan; give a part of a class"):
        chroma(np.zeros((1025, 2), np.float32), RATE, tuning=math.nan)
