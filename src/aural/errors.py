"""The few exceptions of aural.

AuralError
├── InputError             what was given can't be used; says what is allowed
│   ├── UnknownName        no model, task, corpus, option value ... of that name
│   ├── AudioError         a source that can't be read as audio
│   │   ├── UnsupportedFormat   not audio, or a container that is not on the allow-list
│   │   ├── CorruptAudio        damaged, truncated or lying about itself
│   │   ├── EmptyAudio          a valid file with no samples in it
│   │   └── LimitExceeded       more bytes, seconds, channels, rate or samples than allowed
│   └── ManifestError      a manifest or corpus tree that can't be read
├── WeightsError           weights or corpora can't be had
│   ├── Unreachable        no source answered; says what to type
│   └── HashMismatch       a file is not the one that was pinned; it is not used
├── TrainingError          training can't go on: a process lost, losses that stay not finite
└── MissingExtra           an optional extra is not installed; says the pip line

AudioWarning (a UserWarning)   what was left out or replaced in a recording that was still read
"""


class AuralError(Exception):
    """Base of every error that aural raises on purpose; its message is one clear sentence."""

    exit_code = 1


class InputError(AuralError, ValueError):
    """What was given can't be used: the message says what was given and what is allowed."""

    exit_code = 2


class UnknownName(InputError):
    """No such model, task, corpus or option value; the message lists the choices."""

    def __init__(self, kind: str, name: str, choices: list[str] | tuple[str, ...]) -> None:
        listed = ", ".join(choices) if choices else "none"
        super().__init__(f"unknown {kind} {name!r}; this install has: {listed}")
        self.kind, self.name, self.choices = kind, name, tuple(choices)


class AudioError(InputError):
    """A source that can't be read as audio."""


class UnsupportedFormat(AudioError):
    """The bytes are not audio, or are in a container that is not on the allow-list."""


class CorruptAudio(AudioError):
    """The file is damaged, truncated before its first sample, or lies about itself."""


class EmptyAudio(AudioError):
    """The file is valid and holds no samples."""


class LimitExceeded(AudioError):
    """More bytes, seconds, channels, samples or a higher rate than the limits allow."""


class ManifestError(InputError):
    """A manifest or corpus tree that can't be read; the message names the file and line."""


class WeightsError(AuralError):
    """Weights or corpora can't be had."""

    exit_code = 4


class Unreachable(WeightsError):
    """No source answered; the message says what to type when there is a network."""


class HashMismatch(WeightsError):
    """A file is not the one that was pinned; it is not used."""


class TrainingError(AuralError):
    """Training can't go on: another process is lost, or losses stay not finite."""


class MissingExtra(AuralError):
    """An optional extra is not installed."""

    def __init__(self, extra: str, package: str) -> None:
        super().__init__(f"{package} is not installed; type: pip install 'aural[{extra}]'")
        self.extra, self.package = extra, package


class AudioWarning(UserWarning):
    """A recording was read, but not all of it was sound: cut short, damaged, not finite, too loud.

    Turn it into an error with `warnings.simplefilter("error", AudioWarning)`.
    """
