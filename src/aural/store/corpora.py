"""Corpora of recordings, by name: pinned Debian packages, fetched, verified and unpacked.

A package is a parcel of recordings here: it is fetched with `apt-get download` where there is one
(nothing is installed, no privileges are needed), or taken from a directory, must have the pinned
SHA-256, and is unpacked by our own reader. A corpus that is in no package is a folder that whoever
wants it has; its recordings' samples are pinned. A corpus is in place whole or not at all. The
licences forbid nothing that measuring needs, but differ: each is printed when a corpus is fetched.
"""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

from aural.errors import HashMismatch, InputError, UnknownName, Unreachable, WeightsError
from aural.store.archive import unpack_deb
from aural.store.child import Expectation, run_watched
from aural.store.location import cache_root, is_offline, only_one, say
from aural.store.verify import sha256_of

APT_SECONDS = 15.0
SPARE_BYTES = 1_000_000
RECORDINGS = frozenset({".wav", ".flac"})


@dataclass(frozen=True)
class Package:
    """A pinned .deb: SHA-256 and bytes of the file; keep are the prefixes of the files wanted."""

    name: str
    version: str
    sha256: str
    size: int
    keep: tuple[str, ...] = ("usr/share/",)

    @property
    def file_name(self) -> str:
        """As apt-get names it: an epoch's colon is written %3a."""
        return f"{self.name}_{self.version.replace(':', '%3a')}_all.deb"


@dataclass(frozen=True)
class Folder:
    """A pinned set of recordings, lying side by side in a directory as WAV or FLAC.

    sha256 is `samples_digest` of all: a lossless coding may be changed for another. homepage is
    where they are published.
    """

    recordings: int
    sha256: str
    size: int
    homepage: str


@dataclass(frozen=True)
class Corpus:
    """One set of recordings, of packages or a folder, with what it holds and on what terms."""

    packages: tuple[Package, ...]
    licence: str
    description: str
    folder: Folder | None = None

    @property
    def size(self) -> int:
        """Bytes to fetch."""
        return self.folder.size if self.folder else sum(each.size for each in self.packages)

    @property
    def pins(self) -> tuple[str, ...]:
        """SHA-256 of what it is made of."""
        return (self.folder.sha256,) if self.folder else tuple(p.sha256 for p in self.packages)


def find_corpus(name: str) -> Corpus:
    """The corpus of a name; UnknownName lists them."""
    if name not in CORPORA:
        raise UnknownName("corpus", name, tuple(sorted(CORPORA)))
    return CORPORA[name]


def corpus_directory(name: str) -> Path:
    """Where a corpus lies once fetched, there or not; another pin is another directory."""
    pins = "".join(find_corpus(name).pins)
    return cache_root() / "corpora" / f"{name}-{hashlib.sha256(pins.encode()).hexdigest()[:12]}"


def path(name: str) -> Path:
    """The directory of a fetched corpus; Unreachable says what to type where it is not there."""
    directory = corpus_directory(name)
    if not directory.is_dir():
        raise Unreachable(f"corpus {name} is not on this machine; type: aural data fetch {name}")
    return directory


def ensure_corpus(name: str, *, source: Path | None = None, offline: bool = False) -> Path:
    """The directory with the corpus's files (usr/share/...), fetched where needed.

    source is a directory that holds the .deb files, or the recordings of a corpus that is in no
    package; None asks apt-get. Raises Unreachable with what to type, or HashMismatch.
    """
    directory = corpus_directory(name)
    if directory.is_dir():
        return directory
    with only_one(directory):
        if not directory.is_dir():
            _fetch(name, directory, source, offline=is_offline(offline))
    return directory


def _fetch(name: str, directory: Path, source: Path | None, *, offline: bool) -> None:
    corpus = find_corpus(name)
    say(f"{name}: {corpus.size / 1e6:.0f} MB, licence: {corpus.licence}")
    for stale in directory.parent.glob(f".{directory.name}.fetch-*"):
        shutil.rmtree(stale, ignore_errors=True)  # of a process that was killed
    scratch = Path(tempfile.mkdtemp(prefix=f".{directory.name}.fetch-", dir=directory.parent))
    try:
        unpacked = scratch / "unpacked"
        unpacked.mkdir()
        if corpus.folder is not None:
            _copy(name, corpus.folder, source, unpacked)
        for package in corpus.packages:
            deb = _obtain(name, package, scratch, source, offline=offline)
            if deb.stat().st_size != package.size or sha256_of(deb) != package.sha256:
                raise HashMismatch(f"{deb.name} is not the file pinned for {name}; not unpacked")
            unpack_deb(deb, unpacked, keep=package.keep)
            if deb.parent == scratch:
                deb.unlink()
        unpacked.replace(directory)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _copy(name: str, folder: Folder, source: Path | None, unpacked: Path) -> None:
    """The recordings of source, or of its folder of that name, copied and verified."""
    if source is None:
        raise Unreachable(
            f"{name} is in no package; get it from {folder.homepage} "
            f"and type: aural data fetch {name} --from DIR"
        )
    for place in (source, source / "recordings"):
        found = sorted(path for path in place.glob("*") if path.suffix in RECORDINGS)
        if found:
            break
    if len(found) != folder.recordings:
        raise HashMismatch(
            f"{source} holds {len(found)} WAV or FLAC files; {name} has {folder.recordings}"
        )
    for path in found:
        shutil.copyfile(path, unpacked / path.name)
    if samples_digest(unpacked) != folder.sha256:
        raise HashMismatch(f"the recordings of {source} are not those pinned for {name}")


def samples_digest(directory: Path) -> str:
    """SHA-256 over the recordings' names without endings, rates and 16-bit samples, by name.

    Raises AudioError for a file that can't be read.
    """
    import numpy as np

    from aural.audio.read import read

    digest = hashlib.sha256()
    for path in sorted(directory.iterdir(), key=lambda path: path.stem):
        audio = read(path, channel="all")
        own = hashlib.sha256(np.rint(audio.samples * 32768.0).astype("<i4").tobytes()).hexdigest()
        shape = "x".join(map(str, audio.samples.shape))
        digest.update(f"{path.stem} {audio.sample_rate} {shape} {own}\n".encode())
    return digest.hexdigest()


def _obtain(
    name: str, package: Package, scratch: Path, source: Path | None, *, offline: bool
) -> Path:
    """The path of the package's file, unverified: in source, else downloaded into scratch."""
    if source is not None:
        return _in_directory(package, source)
    by_hand = f"get {package.file_name} and type: aural data fetch {name} --from DIR"
    if offline:
        raise Unreachable(f"{name} is not on this machine and offline was asked for; {by_hand}")
    if shutil.which("apt-get") is None:
        raise Unreachable(f"{name}: there is no apt-get here; {by_hand}")
    try:
        run_watched(
            ["apt-get", "download", "-q", *_APT_OPTIONS, f"{package.name}={package.version}"],
            scratch,
            Expectation(
                source=f"package {package.name}={package.version}",
                what=name,
                signs=("Get:", "Fetched"),
                expected=package.size,
                limit=package.size + SPARE_BYTES,
                start_seconds=APT_SECONDS,
            ),
            environment={"LC_ALL": "C"},
            inside=True,
        )
    except WeightsError as error:
        raise Unreachable(
            f"{error}; type: apt-get update (as root) and try again; where the archive no longer "
            f"serves this version, {by_hand}"
        ) from error
    return _in_directory(package, scratch)


def _in_directory(package: Package, directory: Path) -> Path:
    wanted = (package.file_name, package.file_name.replace("%3a", ":"))
    for name in wanted:
        if (directory / name).is_file():
            return directory / name
    if not directory.is_dir():
        raise InputError(f"{str(directory)!r} is not a directory")
    raise Unreachable(f"{directory} does not hold {package.file_name}")


_APT_OPTIONS = (
    "-o", "Acquire::Retries=0",
    "-o", "Acquire::http::Timeout=5",
    "-o", "Acquire::https::Timeout=5",
)  # fmt: skip

_FILLETS_SCRIPTS = Package(
    "fillets-ng-data",
    "1.0.1-1.1",
    "25de89afd8b1adf7bcace8290248a6a22c89cd42300317e69000e162c032cf84",
    70633484,
    keep=(
        "usr/share/games/fillets-ng/script/",
        "usr/share/doc/fillets-ng-data/",
    ),
)
"""What is said in every language of Fillets; its recordings are a package a language."""

CORPORA: dict[str, Corpus] = {
    "librivox": Corpus(
        packages=(
            Package(
                "pocketsphinx-testdata",
                "0.8+5prealpha+1-15",
                "eaeb7a01d54f20b799d1a81ef110ec544b2cb47ea006614078220737a33019f0",
                1822580,
            ),
        ),
        licence="BSD-2-Clause (readings: public domain)",
        description="5 read English sentences with text, 16 kHz, and small test utterances",
    ),
    "asterisk-en": Corpus(
        packages=(
            Package(
                "asterisk-core-sounds-en-g722",
                "1.6.1-1",
                "38c5261820b406dcb0ecb37675720da2b0864850690690352ca52707eb623806",
                10565860,
            ),
            Package(
                "asterisk-core-sounds-en",
                "1.6.1-1",
                "973e797d28e37fa6ca3c0a9d6fa717e77cf1268ae916bf09fd3503113cdffa50",
                22844,
            ),
        ),
        licence="CC-BY-SA-3.0",
        description="568 English prompts with text, one voice, 16 kHz (G.722)",
    ),
    "asterisk-en-8k": Corpus(
        packages=(
            Package(
                "asterisk-core-sounds-en-wav",
                "1.6.1-1",
                "2be3ea287d83299d143815fa804f11179a75b7affd4a758b98b55f5afc18a35d",
                18272864,
            ),
            Package(
                "asterisk-core-sounds-en",
                "1.6.1-1",
                "973e797d28e37fa6ca3c0a9d6fa717e77cf1268ae916bf09fd3503113cdffa50",
                22844,
            ),
        ),
        licence="CC-BY-SA-3.0",
        description="the English prompts at 8 kHz (wav)",
    ),
    "asterisk-it": Corpus(
        packages=(
            Package(
                "asterisk-core-sounds-it-wav",
                "1.6.1-1",
                "5a26638089e134b8ac39363fe249c5c93c50cd8bfdc9b2499ae61ec4a35e2fcb",
                18262124,
            ),
            Package(
                "asterisk-core-sounds-it",
                "1.6.1-1",
                "3884d9457e12f21caa018c18f0d587df5d53ebea14b673d8453a134c5941ab3b",
                23972,
            ),
        ),
        licence="CC-BY-3.0",
        description="580 Italian prompts with text, one voice, 8 kHz",
    ),
    "asterisk-music": Corpus(
        packages=(
            Package(
                "asterisk-moh-opsound-wav",
                "2.03-1.1",
                "8f9d808a729d305c2d3343993f21ca5e6829e411682618dc8ea7aa8bc24a566c",
                13969212,
            ),
        ),
        licence="CC-BY-SA-3.0",
        description="5 pieces of hold music, 18 minutes, 8 kHz",
    ),
    "tuxpaint": Corpus(
        packages=(
            Package(
                "tuxpaint-stamps-default",
                "2022.06.04-1",
                "6db6c1bfc870a47f1499d6203b083522eacb57c5f9c87d468f2e92eb6d9d5f34",
                160880444,
            ),
        ),
        licence="GPL-2.0",
        description="parallel sentences with text: fr, ro, ru, bg, es and others",
    ),
    "fillets-cs": Corpus(
        packages=(
            Package(
                "fillets-ng-data-cs",
                "1.0.1-1.1",
                "3ecef99b9456f1c80c9625c6f2418642b52d58e7167a46bad7a412db17991b14",
                39042172,
            ),
            _FILLETS_SCRIPTS,
        ),
        licence="GPL-2.0-or-later",
        description="1714 acted Czech lines with text, 98 minutes, about 10 voices",
    ),
    "fillets-nl": Corpus(
        packages=(
            Package(
                "fillets-ng-data-nl",
                "1.0.1-1.1",
                "afb4443fda9ab507dee578b75be857d121718a1cd6017a474f30e0eb13dc9d10",
                32593580,
            ),
            _FILLETS_SCRIPTS,
        ),
        licence="GPL-2.0-or-later",
        description="acted Dutch lines with text, 47 minutes of one voice among them",
    ),
    "fillets-music": Corpus(
        packages=(
            Package(
                "fillets-ng-data",
                "1.0.1-1.1",
                "25de89afd8b1adf7bcace8290248a6a22c89cd42300317e69000e162c032cf84",
                70633484,
                keep=(
                    "usr/share/games/fillets-ng/music/",
                    "usr/share/games/fillets-ng/sound/",
                    "usr/share/doc/fillets-ng-data/",
                ),
            ),
        ),
        licence="GPL-2.0-or-later",
        description="30 pieces of music and short effects, no words",
    ),
    "festvox-ru": Corpus(
        packages=(
            Package(
                "festvox-ru",
                "0.5+dfsg-6",
                "21ef3f0f2978ecf2e2eddb367cb0ff4a72572196d28dc69feb84f4177af5e6c4",
                178728512,
            ),
        ),
        licence="BSD-like",
        description="620 read Russian sentences with text and phones, one voice, 16 kHz studio",
    ),
    "digits": Corpus(
        packages=(),
        licence="CC-BY-SA-4.0",
        description="3000 English digits with text, 6 speakers, 22 minutes, 8 kHz",
        folder=Folder(
            recordings=3000,
            sha256="7c407d13aaa7ce03948948298c025081160d3ff814cb3b6cd4d662fa11e46808",
            size=11839047,
            homepage="https://github.com/Jakobovski/free-spoken-digit-dataset",
        ),
    ),
    "klettres": Corpus(
        packages=(
            Package(
                "klettres-data",
                "4:22.12.3-1",
                "1186d257a19e84230856baea0b0b1ded8be9195080fcdb2588970b5cd937f5a8",
                39529084,
            ),
        ),
        licence="GPL-2.0-or-later",
        description="letters and syllables in 25 languages",
    ),
    "ktuberling": Corpus(
        packages=(
            Package(
                "ktuberling-data",
                "4:22.12.3-1",
                "fba44c875bfa31ea488dadd9263e87a4dcaea0bd47d28817f6c0dc6d2af970ed",
                46661752,
            ),
        ),
        licence="GPL-2.0-or-later, CC0, CC-BY",
        description="words for objects in many languages",
    ),
    "kajongg": Corpus(
        packages=(
            Package(
                "kajongg",
                "4:22.12.3-1",
                "be0a9cc0f9a97064ffa0ab01133f55e021c7c58f9869857431bf1ca951dadbaf",
                4713320,
            ),
        ),
        licence="GPL-2.0-or-later",
        description="4 speakers in 2 sessions, short calls",
    ),
    "gcin-voice": Corpus(
        packages=(
            Package(
                "gcin-voice",
                "0~20170223-3",
                "6a0353f0294d06f7bd901bada3d5d9eec63b66c2ec029f92da3124d93d45de70",
                7740240,
            ),
        ),
        licence="GPL-3.0, CC-BY-3.0",
        description="2 speakers x 1158 Mandarin syllables with tone",
    ),
    "hydrogen-drumkits": Corpus(
        packages=(
            Package(
                "hydrogen-drumkits",
                "2017.09.19~dfsg-1",
                "6ea3c6df9a67762e2362f946c695e619859126b19fbccf32a2e8f07dfd03b2f4",
                142675622,
            ),
        ),
        licence="per kit: GPL-2.0, CC-BY-3.0, CC0, CC-BY-SA-3.0",
        description="742 drum one-shots of 14 kits",
    ),
    "sectoid": Corpus(
        packages=(
            Package(
                "fretsonfire-songs-sectoid",
                "1.dfsg-3.1",
                "14c1ed3e43c1a6a80eae7698f0469a0825cd1184e441968d62df89ca418aa0b4",
                29087520,
            ),
        ),
        licence="MIT",
        description="4 guitar songs: song and guitar stems, MIDI notes",
    ),
    "gcompris": Corpus(
        packages=(
            Package(
                "gcompris-qt-data",
                "3.1-2",
                "e9cf06ab2105529068df73085784e835d2ff03f870d2a8091f09125d40abac9f",
                44196292,
            ),
        ),
        licence="mixed: GPL-3.0-or-later, CC-BY-SA, public domain",
        description="instruments, animals, places (inside Qt resource files)",
    ),
    "scratch": Corpus(
        packages=(
            Package(
                "scratch",
                "1.4.0.6~dfsg1-6.1",
                "36c582eb93110f64f06c4e685c41e933ccba2fa68db12f79b10bfe840b21fc10",
                25654320,
                keep=(
                    "usr/share/scratch/Media/Sounds/",
                    "usr/share/doc/scratch/",
                ),
            ),
        ),
        licence="MIT, GPL-2.0, CC-BY-SA-3.0",
        description="114 sounds: animals, effects, instruments, voices",
    ),
    "wesnoth": Corpus(
        packages=(
            Package(
                "wesnoth-1.16-data",
                "1:1.16.9-1",
                "1012b964bd412a6770685e3324ae3b61e176caff7846192d1ee63d55cd621e26",
                146229044,
                keep=(
                    "usr/share/games/wesnoth/1.16/data/core/sounds/",
                    "usr/share/games/wesnoth/1.16/sounds/",
                    "usr/share/doc/wesnoth-1.16-data/",
                ),
            ),
        ),
        licence="GPL-2.0",
        description="battle and ambient sounds",
    ),
    "qabcs": Corpus(
        packages=(
            Package(
                "qabcs-data",
                "1.0.2-6",
                "3484da4cf258e6f3a39a1fc99bbfcaddfd679cff96a8fa792f261ab0a2bf9d86",
                33637556,
            ),
        ),
        licence="GPL-3.0-or-later, MIT, CC0",
        description="sounds of letters' objects (its words are synthetic speech)",
    ),
    "codec2": Corpus(
        packages=(
            Package(
                "codec2-examples",
                "1.0.5-1",
                "7af8cd128f269a1d8116993c9d2bd7d4d452fc17da46a09899aaca2b9bd993d4",
                11362712,
            ),
        ),
        licence="LGPL-2.1",
        description="16 speech clips, some of them noisy; no text",
    ),
}
