"""False speech on noise and music, and speech missed in noise, at several settings.

    python benchmarks/vad.py --noise NOISES --speech SPEECH [--half dev|test] [--files 150]

NOISES has one folder of recordings a kind (music, rain, ...), SPEECH recordings of clean speech,
directly or in folders. Files of each folder go by turns to the development half, on which settings
are chosen, and to the test half, on which they are reported (a folder of one file is in both).

False speech: every noise as it is, with its peak at 0.9 and at 0.05, a second of silence around
it. Missed speech: recordings of equal loudness with pauses of 0.5 to 2 s, mixed with white noise
and with each kind of at least 20 s in that half, at several ratios of loudness; true speech is
where the clean recording is at most 35 dB below its loud frames. Prints two markdown tables a
setting.
"""

import argparse
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from aural import models
from aural.audio.read import read
from aural.tasks.detect_speech import SpanFinder, SpeechOptions
from aural.types import Span

RATE = 16000
HOP = RATE // 100
LOUDNESS = 0.05
RATIOS = (None, 20, 10, 5, 0)
MAX_SECONDS = 300

CUSTOMARY = SpeechOptions(
    threshold=0.5,
    peak_threshold=0.0,
    min_speech_seconds=0.25,
    min_silence_seconds=0.1,
    pad_seconds=0.03,
)
SETTINGS = {
    "the detector's customary setting": CUSTOMARY,
    "threshold 0.3": SpeechOptions(threshold=0.3),
    "threshold 0.4 (default)": SpeechOptions(),
    "threshold 0.4, no peak": SpeechOptions(peak_threshold=0.0),
    "threshold 0.4, peak 0.95": SpeechOptions(peak_threshold=0.95),
    "threshold 0.6": SpeechOptions(threshold=0.6),
}


def half_of(folder: Path, half: str) -> list[Path]:
    """The files of one half, sorted, links followed."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return files if len(files) == 1 else files[half == "test" :: 2]


def samples_of(path: Path) -> np.ndarray:
    """Mono 16 kHz samples, at most MAX_SECONDS of them."""
    return read(path.resolve(), sample_rate=RATE).samples[: RATE * MAX_SECONDS]


def spans(probabilities: np.ndarray, options: SpeechOptions) -> list[Span]:
    """The spans of one recording."""
    finder = SpanFinder(options)
    return finder.push(probabilities) + finder.finish()


def noise_probabilities(folder: Path, half: str) -> Iterator[np.ndarray]:
    """Of every noise of a kind at its three loudnesses."""
    detector = models.load("silero/16k")
    for path in half_of(folder, half):
        samples = samples_of(path)
        peak = np.abs(samples).max()
        for gain in (1.0, 0.9 / peak, 0.05 / peak) if peak > 1e-4 else ():
            yield detector.speech_probabilities(np.pad(samples * np.float32(gain), RATE))


def true_speech(samples: np.ndarray) -> np.ndarray:
    """Which frames of 10 ms of a clean recording are speech: bool, shape = (time // 160,)."""
    frames = samples[: samples.size // HOP * HOP].reshape(-1, HOP)
    level = 10 * np.log10((frames**2).mean(axis=1) + 1e-12)
    level = np.convolve(level, np.ones(3) / 3, "same")
    return level > np.percentile(level, 95) - 35


def conversation(files: list[Path], rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Recordings of equal loudness with pauses between: samples, and their true speech frames."""
    samples, truth = [], []
    for path in files:
        clean = samples_of(path)
        if clean.size < RATE // 10:
            continue
        speech = true_speech(clean)
        clean = clean[: speech.size * HOP]
        active = clean[np.repeat(speech, HOP)]
        pause = int(rng.integers(50, 200))
        samples += [np.zeros(pause * HOP), clean * (LOUDNESS / np.sqrt((active**2).mean()))]
        truth += [np.zeros(pause, bool), speech]
    return np.concatenate(samples).astype(np.float32), np.concatenate(truth)


def masker(folder: Path, half: str, size: int) -> np.ndarray | None:
    """The noises of a kind at equal loudness, repeated to size; None where there are under 20 s."""
    parts = []
    for path in half_of(folder, half):
        samples = samples_of(path)[: 60 * RATE]
        loudness = np.sqrt((samples**2).mean())
        if loudness > 1e-4 and samples.size > RATE // 2:
            parts.append(samples * (LOUDNESS / loudness))
    if sum(part.size for part in parts) < 20 * RATE:
        return None
    return np.resize(np.concatenate(parts), size)


def mixtures(
    noises: list[Path], files: list[Path], half: str
) -> tuple[np.ndarray, dict[tuple[str, int | None], np.ndarray]]:
    """True speech, and the probabilities by (kind of noise, dB of speech over noise)."""
    detector, rng = models.load("silero/16k"), np.random.default_rng(0)
    speech, truth = conversation(files, rng)
    maskers = {"white": LOUDNESS * rng.standard_normal(speech.size)}
    for folder in noises:
        noise = masker(folder, half, speech.size)
        if noise is not None:
            maskers[folder.name] = noise
    result: dict[tuple[str, int | None], np.ndarray] = {}
    for ratio in RATIOS:
        for kind, noise in maskers.items() if ratio is not None else [("no noise", 0)]:
            gain = 10 ** (-(ratio or 0) / 20)
            mixed = (speech + noise * gain).astype(np.float32)
            result[kind, ratio] = detector.speech_probabilities(mixed)
    return truth, result


def missed(probabilities: np.ndarray, truth: np.ndarray, options: SpeechOptions) -> float:
    """Percent of the true speech that lies in no span."""
    covered = np.zeros(truth.size + 10, bool)
    for span in spans(probabilities, options):
        covered[round(span.start * 100) : round(span.end * 100)] = True
    return 100 * (truth & ~covered[: truth.size]).sum() / truth.sum()


def print_false(kinds: dict[str, list[np.ndarray]], options: SpeechOptions) -> None:
    """One row a kind of noise."""
    print("\n| noise | seconds | false spans | false seconds | percent |\n|---|---|---|---|---|")
    for kind, tracks in kinds.items():
        found = [span for track in tracks for span in spans(track, options)]
        seconds = sum(track.size for track in tracks) * 0.032
        false = sum(span.duration for span in found)
        print(
            f"| {kind} | {seconds:.0f} | {len(found)} | {false:.1f} | {100 * false / seconds:.2f} |"
        )


def print_missed(
    truth: np.ndarray, tracks: dict[tuple[str, int | None], np.ndarray], options: SpeechOptions
) -> None:
    """One row a ratio: the mean over the kinds of noise, and the worst."""
    print("\n| speech over noise | missed, mean % | worst % | worst noise |\n|---|---|---|---|")
    rows: dict[int | None, dict[str, float]] = defaultdict(dict)
    for (kind, ratio), track in tracks.items():
        rows[ratio][kind] = missed(track, truth, options)
    for ratio, row in rows.items():
        worst = max(row, key=row.__getitem__)
        name = "clean" if ratio is None else f"{ratio} dB"
        print(f"| {name} | {np.mean(list(row.values())):.2f} | {row[worst]:.2f} | {worst} |")


def main() -> None:
    """Print the tables of one half."""
    parser = argparse.ArgumentParser(description="false and missed speech by setting")
    parser.add_argument("--noise", type=Path, required=True)
    parser.add_argument("--speech", type=Path, required=True)
    parser.add_argument("--half", choices=("dev", "test"), default="test")
    parser.add_argument("--files", type=int, default=150)
    given = parser.parse_args()
    folders = sorted(path for path in given.noise.iterdir() if path.is_dir())
    kinds = {folder.name: list(noise_probabilities(folder, given.half)) for folder in folders}
    files = half_of(given.speech, given.half)
    chosen = files[:: max(1, len(files) // given.files)]
    truth, tracks = mixtures(folders, chosen, given.half)
    print(f"{given.half} half: {truth.size / 100:.0f} s with {truth.sum() / 100:.0f} s of speech")
    for name, options in SETTINGS.items():
        print(f"\n## {name}")
        print_false(kinds, options)
        print_missed(truth, tracks, options)


if __name__ == "__main__":
    main()
