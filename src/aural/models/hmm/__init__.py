"""Hidden Markov models with Gaussian mixtures: the classical recogniser, in numpy.

Phones are three states each, left to right (Rabiner 1989); a state's sound is a mixture of
Gaussians over MFCC and their differences; phones in context share states by decision trees (Young,
Odell & Woodland 1994). Samples (time,) become features (frame, 39) every 10 ms, these scores
(frame, state), and a search through the states of a grammar's words tells which were said, and
when.

Own models are trained by `training.fit_hmm` (`aural train`, recipe digits_hmm) and kept as a
directory: config.json (the fields of Config), lexicon.txt (CMUdict's form) and model.npz (numbers,
no pickle). A hybrid has a network in the Gaussians' place (network.py, model.safetensors), which
needs torch.

"en-us" aligns English: the phonetically tied model that comes with CMU Sphinx (Alpha Cephei, 2015;
licence BSD-2-Clause), its weights out of the wheel of pocketsphinx 5.1.1, which is not installed or
run. Its features and scores are those of pocketsphinx, within the rounding of its 8 bits. It aligns
texts and hears small grammars; it is no Recogniser, as it comes without a language model here.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields
from math import isfinite
from typing import TYPE_CHECKING, Literal, get_args

from aural.errors import InputError, MissingExtra, UnknownName
from aural.models import Variant
from aural.models.hmm.recogniser import DecodingOptions
from aural.store.weights import WeightFile, Weights, WheelPart

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from aural.decode.graph import Pronunciation
    from aural.models.hmm.acoustic import GaussianModel, HybridModel
    from aural.models.hmm.recogniser import Aligner

__all__ = [
    "EXTRA",
    "VARIANTS",
    "Config",
    "DecodingOptions",
    "load",
    "read_config",
    "save",
]

EXTRA = ""
Files = Literal["own", "sphinx"]
GrammarKind = Literal["word", "loop"]
MAX_JSON_BYTES = 1 << 20


@dataclass(frozen=True)
class Config:
    """files: "own" as trained here, or "sphinx". sample_rate in Hz, n_mels, n_mfcc, fmin and fmax
    are what own features are made with. grammar: one "word" a window, or a "loop" of any number.

    Log densities are multiplied by acoustic_scale; a word costs word_log_weight, a silence
    silence_log_weight. States more than beam below the best are given up (0: none), as are all but
    max_active (0: all). hidden, layers, context: of the network in the Gaussians' place
    (network.py); hidden 0: there is none.
    """

    files: Files = "own"
    language: str = "en"
    sample_rate: int = 16000
    n_mels: int = 23
    n_mfcc: int = 13
    fmin: float = 20.0
    fmax: float = 7600.0
    grammar: GrammarKind = "loop"
    acoustic_scale: float = 0.1
    word_log_weight: float = -2.0
    silence_log_weight: float = -0.1
    beam: float = 0.0
    max_active: int = 0
    hidden: int = 0
    layers: int = 2
    context: int = 7

    def __post_init__(self) -> None:
        for field in fields(self):
            value, told = getattr(self, field.name), type(field.default)
            right = type(value) in (int, float) if told is float else type(value) is told
            if not right or (told is not str and not isfinite(value)):
                raise InputError(
                    f"{field.name} is {value!r:.40}; give a value as {field.default!r}"
                )
        for name, kind in (("files", Files), ("grammar", GrammarKind)):
            if getattr(self, name) not in get_args(kind):
                raise UnknownName(name, str(getattr(self, name)), get_args(kind))
        if not self.acoustic_scale > 0:
            raise InputError(f"acoustic_scale is {self.acoustic_scale}; give a number above 0")
        for name, least, most in (
            ("sample_rate", 1000, 384_000),
            ("n_mels", 1, 512),
            ("n_mfcc", 1, self.n_mels),
            ("hidden", 0, 8192),
            ("layers", 1, 16),
            ("context", 0, 100),
        ):
            if not least <= getattr(self, name) <= most:
                raise InputError(f"{name} is {getattr(self, name)}; give {least} to {most}")
        if not self.beam >= 0 or self.max_active < 0:
            raise InputError(f"beam is {self.beam}, max_active {self.max_active}; give 0 or more")


def _member(name: str, member: str, sha256: str, size: int) -> WeightFile:
    part = WheelPart("pocketsphinx", "5.1.1", f"pocketsphinx/model/en-us/{member}")
    return WeightFile(name, sha256, size, parts=(part,))


VARIANTS = {
    "en-us": Variant(
        config=Config(files="sphinx"),
        weights=Weights(
            files=(
                _member(
                    "mdef.txt",
                    "en-us/mdef",
                    "2360f9a86889c1cfee8bd618a0269387911e5fb2920a594f506b18b8c79683b0",
                    2959176,
                ),
                _member(
                    "means.txt",
                    "en-us/means",
                    "832019e32cac12eb318964f96f469034acb12d0348eeddc3831831a100cb4dd4",
                    838732,
                ),
                _member(
                    "variances.txt",
                    "en-us/variances",
                    "b00d696f85e96834fc10f8e5f06428d8c4db6bffdbe5845b6f69bf6efbc48fa5",
                    838732,
                ),
                _member(
                    "sendump.txt",
                    "en-us/sendump",
                    "8c9564c0d5bef69ca9d9bf1014abe162f071644cf02cf1fa8a483c3dc165a7a8",
                    1969024,
                ),
                _member(
                    "transition_matrices.txt",
                    "en-us/transition_matrices",
                    "c1f7f28ea43177be734be1f88bd7f1b9a853d0e660f8599c67c6eaeca8bb539a",
                    2080,
                ),
                _member(
                    "lexicon.txt",
                    "cmudict-en-us.dict",
                    "20b5c293e1f311fb375fe067e500ec5636f4fc7af5594967263696def9b23bfe",
                    3275645,
                ),
            )
        ),
        licence="BSD-2-Clause",
        description="aligns English texts with speech, by words and phones",
    ),
}


def load(
    directory: Path, config: Config, *, device: str, compute_type: str, threads: int
) -> Aligner:
    """The model of a directory, on the CPU, in float32: own ones are Recognisers and aligners,
    those of Sphinx align. threads: NumPy's own setting decides."""
    from aural.models.hmm import sphinx
    from aural.models.hmm.acoustic import load_model
    from aural.models.hmm.features import CepstraOptions
    from aural.models.hmm.lexicon import read_lexicon
    from aural.models.hmm.recogniser import Aligner, Listening, WordRecogniser

    if device not in ("auto", "cpu"):
        raise InputError(f"hmm runs on the CPU; device is {device!r}, give 'auto' or 'cpu'")
    if compute_type not in ("auto", "float32"):
        raise InputError(f"hmm computes in float32; compute type is {compute_type!r}")
    lexicon = read_lexicon(directory / "lexicon.txt")
    if config.files == "sphinx":
        model = sphinx.load_sphinx(directory)
        return Aligner(Listening(model, sphinx.features, lexicon, config, sphinx.OFFSET_SECONDS))
    names = ("sample_rate", "n_mels", "n_mfcc", "fmin", "fmax")
    options = CepstraOptions(**{name: getattr(config, name) for name in names})
    gaussians = load_model(directory / "model.npz")
    if gaussians.mixtures.means.shape[1] != 3 * config.n_mfcc:
        raise InputError(
            f"{directory}: Gaussians of {gaussians.mixtures.means.shape[1]} values; n_mfcc is "
            f"{config.n_mfcc}, of which come {3 * config.n_mfcc}"
        )
    own = _hybrid(directory, gaussians, config) if config.hidden else gaussians
    return WordRecogniser(Listening(own, options.cepstra, lexicon, config))


def _hybrid(directory: Path, gaussians: GaussianModel, config: Config) -> HybridModel:
    try:
        from aural.models.hmm.network import load_hybrid
    except ModuleNotFoundError as error:
        raise MissingExtra("torch", error.name or "torch") from error
    sizes = {name: getattr(config, name) for name in ("hidden", "layers", "context")}
    return load_hybrid(directory, gaussians, **sizes)


def save(
    directory: Path,
    model: GaussianModel,
    lexicon: Mapping[str, Sequence[Pronunciation]],
    config: Config,
) -> None:
    """Write the directory of a trained model, to be loaded as hmm@directory."""
    from aural.models.hmm.acoustic import save_model
    from aural.models.hmm.lexicon import write_lexicon

    directory.mkdir(parents=True, exist_ok=True)
    written = json.dumps({"family": "hmm", "config": asdict(config)}, indent=2)
    (directory / "config.json").write_text(written + "\n", encoding="utf-8")
    write_lexicon(directory / "lexicon.txt", lexicon)
    save_model(directory / "model.npz", model)


def read_config(directory: Path) -> Config:
    """The configuration of a directory of save; InputError for another."""
    from aural.nn.exported import as_dataclass
    from aural.store.objects import read_object

    path = directory / "config.json"
    written = read_object(path, MAX_JSON_BYTES)
    if written.get("family") != "hmm":
        raise InputError(f"{path}: not the configuration of an hmm")
    return as_dataclass(Config, written.get("config"), "config")
