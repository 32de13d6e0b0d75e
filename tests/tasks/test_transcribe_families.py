"""transcribe over networks of one's own: options become a family's, or are refused by name."""

from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner

from aural import models
from aural.audio.resample import resample
from aural.cli.main import cli
from aural.errors import InputError, UnknownName
from aural.models import audio_rnn
from aural.nn.exported import Exported, FeatureOptions, export
from aural.nn.recogniser import DecodingOptions
from aural.tasks.transcribe import decoding_options, transcribe, transcribe_segments
from aural.text.tokens import Tokenizer
from aural.types import Audio, Recogniser, Segment

LETTERS = Tokenizer("characters", (" ", *"abcdefghij"))


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A network that was never trained: it writes letters, and always the same."""
    directory = tmp_path_factory.mktemp("own")
    config = audio_rnn.VARIANTS["test"].config
    torch.manual_seed(0)
    about = Exported("audio_rnn", asdict(config), FeatureOptions(n_mels=8), LETTERS, "en")
    export(directory, audio_rnn.build(config), about)
    return f"audio_rnn@{directory}"


@pytest.fixture(scope="module")
def recording(examples: Path) -> Path:
    return examples / "sense_and_sensibility_0880.flac"


def texts(found: list[Segment] | tuple[Segment, ...]) -> list[str]:
    return [segment.text for segment in found]


def test_a_network_of_ones_own_transcribes(own: str, recording: Path) -> None:
    found = transcribe(recording, model=own, threads=1)
    assert found.model == own
    assert (found.language, found.language_probability) == ("en", 1.0)
    assert found.text
    assert set(found.text) <= {" ", *"abcdefghij"}
    words = [word for segment in found.segments for word in segment.words]
    assert all(0 <= word.start < word.end <= found.duration for word in words)
    run = transcribe_segments(recording, model=own, threads=1)
    assert texts(list(run)) == texts(found.segments)
    greedy = transcribe(recording, model=own, beam_size=1, language="en", threads=1)
    model = models.load(own, Recogniser, threads=1)
    decoding = DecodingOptions(beam_size=1, language="en")
    run = transcribe_segments(recording, model=own, decoding=decoding, threads=1)
    assert texts(list(run)) == texts(greedy.segments)
    assert model is models.load(own, Recogniser, threads=1)
    silence = Audio(np.zeros(32000, np.float32), 16000)
    assert transcribe(silence, model=own, threads=1).segments == ()


def test_a_network_of_8000_hz_hears_8000_hz(tmp_path: Path, recording: Path) -> None:
    config = audio_rnn.VARIANTS["test"].config
    torch.manual_seed(0)
    features = FeatureOptions(n_mels=8, sample_rate=8000)
    about = Exported("audio_rnn", asdict(config), features, LETTERS, "en")
    export(tmp_path, audio_rnn.build(config), about)
    model = f"audio_rnn@{tmp_path}"
    recogniser = models.load(model, Recogniser)
    assert recogniser.sample_rate == 8000
    (window,) = transcribe_segments(recording, model=model).windows()
    heard = resample(window.samples, 16000, 8000)
    (expected,) = recogniser.recognise([heard], DecodingOptions())
    assert transcribe(recording, model=model, threads=1).text == expected.segment.text.strip()


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"task": "translate"}, r"can't follow task \('translate'\); leave it out"),
        ({"temperature": (0.0, 0.2)}, r"can't follow temperature \(\(0.0, 0.2\)\)"),
        ({"best_of": 3}, "can't follow best_of"),
        ({"initial_prompt": "Hm."}, "can't follow initial_prompt"),
        ({"beam_size": 0}, "beam_size is 0; give 1 to"),
        ({"vad_filter": False, "vad_threshold": 0.6}, "nothing without vad_filter; leave it out"),
        ({"language_model_weight": 0.9}, "is 0.9; give a language_model too"),
        ({"hotwords": "zzz"}, "the hotword 'zzz' can't be written"),
        ({"language_model": "no.arpa"}, "no.arpa: can't be read"),
    ],
)
def test_what_the_family_can_not_do_is_refused(
    own: str, recording: Path, given: dict[str, object], told: str
) -> None:
    with pytest.raises(InputError, match=told):
        transcribe(recording, model=own, **given)  # type: ignore[arg-type]


def test_another_language_is_refused(own: str, recording: Path) -> None:
    with pytest.raises(UnknownName, match="'nl'"):
        transcribe(recording, model=own, language="nl")


def test_whisper_is_asked_as_before() -> None:
    asked = {"temperature": (0.0, 0.4), "beam_size": 3, "language_model": ""}
    whisper = models.family("whisper").DecodingOptions
    assert decoding_options("whisper/base", asked) == whisper(temperatures=(0.0, 0.4), beam_size=3)
    with pytest.raises(InputError, match="whisper/base can't follow language_model"):
        decoding_options("whisper/base", {"language_model": "words.arpa"})


def test_the_command(own: str, recording: Path) -> None:
    run = CliRunner().invoke(cli, ["transcribe", str(recording), "--model", own, "--threads", "1"])
    assert run.exit_code == 0, run.output
    assert run.stdout.strip() == transcribe(recording, model=own, threads=1).text
    wrong = ["transcribe", str(recording), "--model", own, "--temperature", "0.2"]
    run = CliRunner().invoke(cli, wrong)
    assert run.exit_code == 2
    assert "can't follow temperature" in run.stderr
