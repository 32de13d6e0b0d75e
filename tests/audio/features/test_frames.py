"""Windows, options, and frames of a stream."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from aural.audio import features as f
from aural.errors import InputError, UnknownName

OPTIONS = [
    f.STFTOptions(n_fft=8, hop_length=3),
    f.STFTOptions(n_fft=9, hop_length=4, pad_mode="symmetric"),
    f.STFTOptions(n_fft=8, hop_length=8, pad_mode="constant"),
    f.STFTOptions(n_fft=8, hop_length=3, win_length=5, window_at="start", center=False),
    f.STFTOptions(n_fft=4, hop_length=11, padding=(3, 1)),
    f.STFTOptions(n_fft=8, hop_length=2, padding=(0, 6)),
    f.STFTOptions(n_fft=8, hop_length=2, padding=(5, 0), pad_mode="symmetric"),
]


def whole(samples: np.ndarray, options: f.STFTOptions) -> np.ndarray:
    """Frames one by one of the signal padded at once."""
    if samples.shape[-1] == 0:
        return np.empty((*samples.shape[:-1], 0, options.frame_length))
    ends = [(0, 0)] * (samples.ndim - 1) + [options.pads]
    padded = np.pad(samples, ends, mode=options.pad_mode)
    starts = range(0, padded.shape[-1] - options.frame_length + 1, options.hop_length)
    cuts = [padded[..., at : at + options.frame_length] for at in starts]
    empty = np.empty((*samples.shape[:-1], 0, options.frame_length))
    return np.stack(cuts, axis=-2) if cuts else empty


def copied(frames: np.ndarray | torch.Tensor) -> np.ndarray:
    return (frames.numpy() if isinstance(frames, torch.Tensor) else frames).copy()


@settings(max_examples=150, deadline=None)
@given(
    st.sampled_from(OPTIONS),
    st.integers(0, 40),
    st.lists(st.integers(0, 12), max_size=8),
    st.sampled_from([(), (2,)]),
    st.booleans(),
)
def test_a_stream_cuts_the_frames_of_the_whole(options, length, cuts, lead, tensor) -> None:
    samples = np.arange(math.prod(lead) * length, dtype=float).reshape(*lead, length)
    stream = f.FrameStream(options)
    for _ in range(2):  # and is ready for another signal then
        found = [np.empty((*lead, 0, options.frame_length))]
        for piece in np.split(samples, np.cumsum(cuts), axis=-1):
            given_piece = torch.from_numpy(piece.copy()) if tensor else piece.copy()
            found.extend(copied(frames) for frames in stream.push(given_piece))
            given_piece[...] = -1  # a caller may use its memory again
        found.extend(copied(frames) for frames in stream.finish())
        assert [*stream.finish()] == []
        joined = np.concatenate(found, axis=-2)
        np.testing.assert_array_equal(joined, whole(samples, options))
        assert joined.shape[-2] == options.frames(length)


def test_frames_are_views_and_overlap() -> None:
    samples = np.arange(10, dtype=np.float32)
    found = f.frame(samples, 4, 3)
    np.testing.assert_array_equal(found, [[0, 1, 2, 3], [3, 4, 5, 6], [6, 7, 8, 9]])
    assert np.shares_memory(found, samples)
    assert f.frame(samples[:3], 4, 3).shape == (0, 4)
    assert f.frame(torch.zeros(2, 10), 4, 3).shape == (2, 3, 4)
    with pytest.raises(InputError, match="hop_length is 0"):
        f.frame(samples, 4, 0)


def test_pieces_of_another_kind_are_refused() -> None:
    for other in (np.zeros(3), np.zeros((2, 3), np.float32), torch.zeros(3)):
        stream = f.FrameStream(OPTIONS[0])
        list(stream.push(np.zeros(3, np.float32)))
        with pytest.raises(InputError, match=r"float32 of shape .*'time'.*give like ones"):
            list(stream.push(other))
        assert not next(stream.finish()).any()


def test_windows_of_one_sample_and_povey() -> None:
    for name in ("hann", "hamming", "povey", "blackman", "rectangular"):
        assert f.window(name, 1).tolist() == f.window(name, 1, periodic=False).tolist() == [1]
    i = np.arange(400)
    naive = (0.5 - 0.5 * np.cos(2 * np.pi * i / 399)) ** 0.85
    np.testing.assert_allclose(f.window("povey", 400, periodic=False), naive, rtol=1e-14)
    with pytest.raises(UnknownName, match="hann, hamming, rectangular, povey, blackman"):
        f.window("kaiser", 4)
    with pytest.raises(InputError, match="length is 0"):
        f.window("hann", 0)


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ({"n_fft": 0}, "n_fft is 0; give a whole number of at least 1"),
        ({"n_fft": 400.0}, "n_fft is 400.0; give a whole number"),
        ({"hop_length": -1}, "hop_length is -1"),
        ({"hop_length": True}, "hop_length is True"),
        ({"win_length": 0}, "win_length is 0"),
        ({"win_length": 401}, r"win_length is 401; give 1 to n_fft \(400\)"),
        ({"window": "kaiser"}, "unknown window 'kaiser'; .*hann, hamming"),
        ({"pad_mode": "wrap"}, "unknown pad mode 'wrap'; .*reflect, constant, symmetric"),
        ({"window_at": "end"}, "unknown place of the window 'end'"),
        ({"padding": (1, -1)}, "padding is -1"),
        ({"padding": (1,)}, r"padding is \(1,\); give \(before, after\)"),
        ({"padding": [200, 40]}, r"padding is \[200, 40\]; give \(before, after\), a tuple"),
        ({"padding": 5}, r"padding is 5; give \(before, after\), a tuple"),
        ({"padding": (0, 10**9)}, "padding is 1000000000; give at most 16777216"),
        ({"n_fft": 10**9}, "n_fft is 1000000000; give at most 1048576"),
        ({"hop_length": 1 << 62}, "hop_length is .*; give at most"),
    ],
)
def test_options_out_of_range_are_refused(fault: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        f.STFTOptions(**fault)
