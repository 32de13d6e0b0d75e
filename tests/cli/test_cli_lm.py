"""aural lm: estimate, perplexity, convert."""

import json
from pathlib import Path

import pytest
from standin_aural import Run

from aural.decode.arpa import read_arpa
from aural.decode.kneser_ney import estimate

LINES = ["the boat left", "the boat came back", "a boat left", "The gulls left!"]


@pytest.fixture
def text(tmp_path: Path) -> Path:
    path = tmp_path / "text.txt"
    path.write_text("\n\n".join(LINES) + "\n", encoding="utf-8")
    return path


def test_no_text_has_no_perplexity(run: Run, text: Path, tmp_path: Path) -> None:
    model, empty = tmp_path / "model.arpa", tmp_path / "empty.txt"
    assert run("lm", "estimate", text, "-o", model).exit_code == 0
    empty.write_text("\n \n")
    found = run("lm", "perplexity", model, empty)
    assert (found.exit_code, found.stdout) == (2, "")
    assert "no text to foretell" in found.stderr


def test_estimate_then_perplexity(run: Run, text: Path, tmp_path: Path) -> None:
    output = tmp_path / "model.arpa.gz"
    made = run("lm", "estimate", text, "-o", output, "--order", "2")
    assert (made.exit_code, made.stdout) == (0, "")
    own = estimate([line.split() for line in LINES], 2)
    assert read_arpa(output).counts == own.counts
    assert f"{own.counts[1]} 2-grams" in made.stderr
    found = run("lm", "perplexity", output, text, "--json")
    record = json.loads(found.stdout)
    told = own.perplexity([line.split() for line in LINES])
    assert record["perplexity"] == pytest.approx(told.value, rel=1e-5)
    assert record["word_perplexity"] == record["perplexity"]
    assert (record["tokens"], record["texts"], record["unknown"]) == (17, 4, 0)
    shown = run("lm", "perplexity", output, text).stdout
    assert shown.startswith(f"perplexity {told.value:.2f} of 17 tokens (0 unknown) in 4 texts")


def test_units_normaliser_vocabulary_and_pruning(run: Run, text: Path, tmp_path: Path) -> None:
    output = tmp_path / "m.arpa"
    options = ("-o", output, "--normaliser", "whisper-basic")
    assert run("lm", "estimate", text, *options, "--unit", "characters").exit_code == 0
    assert "▁" in read_arpa(output).words
    assert "!" not in read_arpa(output).words
    (tmp_path / "words").write_text("boat\nleft\n")
    vocabulary = ("--vocabulary", tmp_path / "words", "--prune", "0,1")
    assert run("lm", "estimate", text, *options, *vocabulary).exit_code == 0
    plain = [line.lower().replace("!", "").split() for line in LINES]
    own = estimate(plain, 3, vocabulary=["boat", "left"], prune=(0, 1))
    assert read_arpa(output).counts == own.counts


def test_a_manifest_and_a_network(run: Run, tmp_path: Path) -> None:
    from dataclasses import asdict

    from aural.models import lm
    from aural.nn.exported import Exported, FeatureOptions, export
    from aural.text.tokens import characters

    manifest = tmp_path / "m.jsonl"
    rows = [{"audio_filepath": f"{i}.wav", "text": line} for i, line in enumerate(LINES)]
    manifest.write_text("".join(json.dumps(row) + "\n" for row in rows))
    tokens = characters(LINES)
    config = lm.Config(tokens=tokens.size, d_model=8, layers=1)
    about = Exported("lm", asdict(config), FeatureOptions(), tokens)
    export(tmp_path / "net", lm.build(config), about)
    found = run("lm", "perplexity", f"lm@{tmp_path / 'net'}", manifest, "--json")
    record = json.loads(found.stdout)
    assert record["tokens"] == sum(len(line) + 1 for line in LINES)
    assert record["word_perplexity"] > record["perplexity"] > 1
    output = tmp_path / "six.arpa"
    made = run("lm", "estimate", manifest, "-o", output, "--tokens", tmp_path / "net", "--order", 6)
    assert made.exit_code == 0
    assert set(read_arpa(output).words) >= set("".join(LINES).replace(" ", "▁"))


def test_convert(run: Run, text: Path, tmp_path: Path) -> None:
    first, packed, again = (tmp_path / name for name in ("a.arpa", "b.arpa.gz", "c.arpa"))
    assert run("lm", "estimate", text, "-o", first).exit_code == 0
    assert run("lm", "convert", first, packed).exit_code == 0
    assert run("lm", "convert", packed, again).exit_code == 0
    assert again.read_bytes() == first.read_bytes()
    assert packed.read_bytes()[:2] == b"\x1f\x8b"


def test_what_can_not_be(run: Run, text: Path, tmp_path: Path) -> None:
    output = tmp_path / "m.arpa"
    (tmp_path / "empty.txt").write_text("\n")
    (tmp_path / "bad.arpa").write_text("hello\n")
    for arguments, problem in (
        (("estimate", text, "-o", tmp_path / "m.bin"), ".arpa"),
        (("estimate", text, "-o", output, "--prune", "x"), "--prune"),
        (("estimate", text, "-o", output, "--order", "0"), "order is 0"),
        (("estimate", text, "-o", output, "--normaliser", "x"), "unknown normaliser"),
        (("estimate", tmp_path / "empty.txt", "-o", output), "no sentences"),
        (("estimate", tmp_path / "none.txt", "-o", output), "no such file"),
        (("estimate", text, "-o", tmp_path / "no" / "m.arpa"), "can't be written"),
        (("perplexity", tmp_path / "bad.arpa", text), "bad.arpa:1:"),
        (("perplexity", "silero/16k", text), "is no LanguageModel"),
        (("convert", tmp_path / "bad.arpa", output), "bad.arpa:1:"),
    ):
        result = run("lm", *arguments)
        assert result.exit_code == 2, arguments
        assert problem in result.stderr
        assert result.stderr.count("\n") == 1
    assert not output.exists()
