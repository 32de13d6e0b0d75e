"""What stands between an encoder's states and a language model's embeddings.

Each takes states (item, frame, width) with their lengths and gives (item, token, llm_dim) with
theirs; `rate` states become one token. The output is normalised to the size that the language
model's own embeddings have, so that sound begins as something it can attend to; "plain_mlp" and
"plain_swiglu" are without norms, as tiny-audio publishes them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.nn import functional

from aural.errors import InputError, UnknownName

if TYPE_CHECKING:
    from torch import Tensor

    from aural.models.speech_llm import Config


class Projector(nn.Module):
    """States (item, frame, width) and lengths become embeddings (item, token, llm_dim) and theirs;
    a last token made of fewer than `rate` states has zeros in the place of the others."""

    def __init__(self, body: nn.Module, llm_dim: int, rate: int, size: float | None) -> None:
        super().__init__()
        self.rate = rate
        self.body = body
        self.norm: nn.Module = nn.Identity()
        if size is not None:
            self.norm = nn.RMSNorm(llm_dim)
            nn.init.constant_(self.norm.weight, size)

    def forward(self, states: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Padding, whatever it holds, is taken for zeros."""
        real = torch.arange(states.shape[1], device=states.device) < lengths[:, None]
        states = torch.where(real[..., None], states, 0.0)
        states = functional.pad(states, (0, 0, 0, -states.shape[1] % self.rate))
        return self.norm(self.body(states)), -(-lengths // self.rate)


class Stacked(nn.Module):
    """`rate` states side by side: (item, frame, width) to (item, frame / rate, rate * width)."""

    def __init__(self, rate: int) -> None:
        super().__init__()
        self.rate = rate

    def forward(self, states: Tensor) -> Tensor:
        """The number of frames is a multiple of rate."""
        return states.unflatten(1, (-1, self.rate)).flatten(2)


class SwiGLU(nn.Module):
    """Shazeer 2020: one projection, passed through SiLU, is the gate of another."""

    def __init__(self, width: int, inner: int, out: int) -> None:
        super().__init__()
        self.gate = nn.Linear(width, inner, bias=False)
        self.up = nn.Linear(width, inner, bias=False)
        self.down = nn.Linear(inner, out, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """(..., width) to (..., out)."""
        return self.down(functional.silu(self.gate(x)) * self.up(x))


class Convolution(nn.Module):
    """A convolution over each token's states and half as many on both sides, then a projection."""

    def __init__(self, width: int, inner: int, out: int, rate: int) -> None:
        super().__init__()
        self.rate, self.side = rate, rate // 2
        self.conv = nn.Conv1d(width, inner, rate + 2 * self.side, stride=rate, padding=self.side)
        self.out = nn.Linear(inner, out)

    def forward(self, states: Tensor) -> Tensor:
        """(item, frame, width) to (item, frame / rate, out)."""
        heard = self.conv(states.transpose(1, 2)).transpose(1, 2)
        return self.out(functional.gelu(heard))


class QFormer(nn.Module):
    """Learned queries that look at a window of states (Li et al. 2023, by windows as in SALMONN).

    A window of rate * queries states becomes as many tokens as there are queries.
    """

    def __init__(self, width: int, inner: int, out: int, rate: int, queries: int) -> None:
        super().__init__()
        self.window = rate * queries
        self.queries = nn.Parameter(torch.randn(queries, inner) * 0.02)
        self.into = nn.Linear(width, inner)
        self.places = nn.Parameter(torch.randn(self.window, inner) * 0.02)
        layer = nn.TransformerDecoderLayer(
            inner, _heads(inner), 4 * inner, 0.0, "gelu", batch_first=True, norm_first=True
        )
        self.layers = nn.TransformerDecoder(layer, 2, nn.LayerNorm(inner))
        self.out = nn.Linear(inner, out)

    def forward(self, states: Tensor) -> Tensor:
        """(item, frame, width) to (item, frame / rate, out)."""
        items, frames, _ = states.shape
        rate = self.window // len(self.queries)
        states = functional.pad(states, (0, 0, 0, -frames % self.window))
        windows = states.unflatten(1, (-1, self.window)).flatten(0, 1)
        # All of a window's padding looks alike, zeros, wherever a batch ends.
        seen = self.into(windows) + self.places
        asked = self.queries.expand(len(windows), -1, -1)
        tokens = self.out(self.layers(asked, seen))
        return tokens.unflatten(0, (items, -1)).flatten(1, 2)[:, : frames // rate]


class Adapters(nn.Module):
    """A mixture of adapters: every expert's answer, weighted by a router for each token."""

    def __init__(self, width: int, inner: int, out: int, experts: int) -> None:
        super().__init__()
        self.router = nn.Linear(width, experts)
        self.experts = nn.ModuleList(
            nn.Sequential(nn.Linear(width, inner), nn.GELU(), nn.Linear(inner, out))
            for _ in range(experts)
        )

    def forward(self, x: Tensor) -> Tensor:
        """(..., width) to (..., out)."""
        shares = self.router(x).softmax(-1)
        answers = torch.stack([expert(x) for expert in self.experts], dim=-1)
        return (answers @ shares[..., None])[..., 0]


def _heads(width: int) -> int:
    """Heads of about 64 that divide the width."""
    return next(heads for heads in range(max(1, width // 64), 0, -1) if width % heads == 0)


MAX_WEIGHTS = 1 << 28
PLAIN = ("plain_mlp", "plain_swiglu")
PROJECTORS = ("mlp", "swiglu", "convolution", "qformer", "adapters", *PLAIN)


def projector(config: Config, width: int, llm_dim: int, size: float) -> Projector:
    """The projector of config.projector, one of PROJECTORS, for states of width.

    size: root mean square of the language model's embeddings.
    """
    rate, inner = config.downsample_rate, config.projector_dim
    stacked = rate * width
    bodies = {
        "mlp": lambda: nn.Sequential(
            Stacked(rate),
            nn.LayerNorm(stacked),
            nn.Linear(stacked, inner),
            nn.GELU(),
            nn.Linear(inner, llm_dim),
        ),
        "swiglu": lambda: nn.Sequential(
            Stacked(rate), nn.RMSNorm(stacked), SwiGLU(stacked, inner, llm_dim)
        ),
        "convolution": lambda: nn.Sequential(
            nn.LayerNorm(width), Convolution(width, inner, llm_dim, rate)
        ),
        "qformer": lambda: nn.Sequential(
            nn.LayerNorm(width), QFormer(width, inner, llm_dim, rate, config.queries)
        ),
        "adapters": lambda: nn.Sequential(
            Stacked(rate), nn.LayerNorm(stacked), Adapters(stacked, inner, llm_dim, config.experts)
        ),
        "plain_mlp": lambda: nn.Sequential(
            Stacked(rate), nn.Linear(stacked, inner), nn.GELU(), nn.Linear(inner, llm_dim)
        ),
        "plain_swiglu": lambda: nn.Sequential(
            Stacked(rate), SwiGLU(stacked, inner, inner), SwiGLU(inner, inner, llm_dim)
        ),
    }
    if config.projector not in bodies:
        raise UnknownName("projector", config.projector, PROJECTORS)
    with torch.device("meta"):
        weights = sum(each.numel() for each in bodies[config.projector]().parameters())
    if weights > MAX_WEIGHTS:
        raise InputError(
            f"the projector {config.projector} would have {weights} weights, of {MAX_WEIGHTS} "
            "allowed; give less projector_dim, downsample_rate, queries or experts"
        )
    kept = None if config.projector in PLAIN else size
    return Projector(bodies[config.projector](), llm_dim, rate, kept)
