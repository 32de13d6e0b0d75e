"""Samples in few bits: mu-law, bit depth with and without dither, and the peak.

mu-law is the continuous formula of ITU-T G.711's North American curve,
sign(x) ln(1 + mu |x|) / ln(1 + mu), not G.711's piecewise code words.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from array_api_compat import array_namespace

from aural.errors import InputError, UnknownName

if TYPE_CHECKING:
    Array = Any  # a numpy.ndarray or a torch.Tensor: the result is of the kind given

Dither = Literal["triangular"]


def mu_law_compress(samples: Array, mu: int = 255) -> Array:
    """Samples in [-1, 1] on the companded scale, also in [-1, 1]; what is louder is clipped.

    >>> np.round(mu_law_compress(np.array([0.0, 0.01, -0.1, 1.0])), 3)
    array([ 0.   ,  0.228, -0.591,  1.   ])
    """
    samples, xp = _real(samples, mu)
    size = xp.clip(xp.abs(samples), max=1.0)
    return xp.sign(samples) * xp.log1p(mu * size) / math.log1p(mu)


def mu_law_expand(companded: Array, mu: int = 255) -> Array:
    """The inverse of `mu_law_compress`."""
    companded, xp = _real(companded, mu)
    size = xp.clip(xp.abs(companded), max=1.0)
    return xp.sign(companded) * xp.expm1(size * math.log1p(mu)) / mu


def mu_law_encode(samples: Array, mu: int = 255) -> Array:
    """Codes 0 to mu of samples in [-1, 1]: uint8 up to mu 255, else int32; shape as given.

    The companded scale is cut into mu + 1 even steps, as in WaveNet (arXiv:1609.03499); silence is
    code (mu + 1) / 2 rounded down. InputError for a sample that is not finite: there is no code.
    A sample x comes back from `mu_law_decode` within ((1 + mu) ** (1 / mu) - 1) (|x| + 1 / mu):
    2.2 % of |x| + 0.004 for mu = 255.
    """
    companded = mu_law_compress(samples, mu)
    xp = array_namespace(companded)
    if not xp.all(xp.isfinite(companded)):
        raise InputError("samples are not all finite; replace NaN and infinity before coding")
    return xp.astype(xp.floor((companded + 1) / 2 * mu + 0.5), xp.uint8 if mu <= 255 else xp.int32)


def mu_law_decode(codes: Array, mu: int = 255) -> Array:
    """Samples of codes 0 to mu: float32 in [-1, 1], shape as given; InputError for other codes."""
    _check_mu(mu)
    xp = array_namespace(codes)
    if not xp.isdtype(codes.dtype, "integral"):
        raise InputError(f"codes are {codes.dtype}; give whole numbers from 0 to {mu}")
    wide = xp.astype(codes, xp.int64)
    if xp.any((wide < 0) | (wide > mu)):
        raise InputError(f"codes lie in {int(xp.min(wide))} to {int(xp.max(wide))}; give 0 to {mu}")
    return mu_law_expand(xp.astype(wide, xp.float32) * (2 / mu) - 1, mu)


def quantise(
    samples: np.ndarray,
    bits: int,
    dither: Dither | None = None,
    rng: np.random.Generator | None = None,
) -> np.ndarray:
    """Samples rounded to `bits` bits, 2 to 24, and back; float32 or float64 as given.

    The values are k / 2 ** (bits - 1) for whole k from -2 ** (bits - 1) to 2 ** (bits - 1) - 1;
    what lies beyond is clipped. Without dither the noise of a full-scale sine is 6.02 bits +
    1.76 dB below it, and depends on the signal. "triangular" adds noise of two steps peak to peak
    from `rng` first: 4.8 dB more noise, whose mean and power no longer depend on the signal.
    """
    samples, _ = _real(np.asarray(samples))
    if bits not in range(2, 25):
        raise InputError(f"bits is {bits}; give a whole number from 2 to 24")
    if dither not in (None, "triangular"):
        raise UnknownName("dither", str(dither), ("triangular",))
    full = 2.0 ** (bits - 1)
    steps = samples.astype(np.float64) * full
    if dither:
        if rng is None:
            raise InputError("dither is random; give rng, such as numpy.random.default_rng(0)")
        steps += rng.random(steps.shape) - rng.random(steps.shape)
    np.clip(np.rint(steps, out=steps), -full, full - 1, out=steps)
    return (steps / full).astype(samples.dtype)


def peak(samples: np.ndarray) -> float:
    """The largest magnitude: 0 for no sample, NaN when one is NaN."""
    return float(np.abs(samples).max(initial=0.0))


def peak_normalise(samples: np.ndarray, dbfs: float = 0.0) -> np.ndarray:
    """Samples scaled so that the peak, over all channels, is at dbfs (0 is full scale, 1.0).

    Silence stays as it is; InputError when a sample is not finite, or for dbfs above 0.

    >>> peak_normalise(np.array([0.1, -0.25], np.float32), dbfs=-6.0206)
    array([ 0.2, -0.5], dtype=float32)
    """
    samples, _ = _real(np.asarray(samples))
    if not dbfs <= 0:
        raise InputError(f"dbfs is {dbfs}; give 0 (full scale) or less")
    height = peak(samples)
    if not math.isfinite(height):
        raise InputError("samples are not all finite; replace NaN and infinity first")
    if not height:
        return samples.copy()
    full = 10 ** (dbfs / 20)
    if full <= height * float(np.finfo(samples.dtype).max):
        return samples * samples.dtype.type(full / height)
    # A factor that the samples' type can't hold: in two steps, each of them within float64.
    return (samples.astype(np.float64) / height * full).astype(samples.dtype)


def _real(samples: Array, mu: int = 255) -> tuple[Array, Any]:
    _check_mu(mu)
    xp = array_namespace(samples)
    if not xp.isdtype(samples.dtype, "real floating"):
        raise InputError(f"samples are {samples.dtype}; give float32 in [-1, 1]")
    return samples, xp


def _check_mu(mu: int) -> None:
    if mu != int(mu) or not 1 <= mu < 2**16:
        raise InputError(f"mu is {mu}; give a whole number from 1 to 65535")
