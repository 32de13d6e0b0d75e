"""The benchmarks' own files: what a result keeps of earlier runs, and the pages made of it."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from pathlib import Path

OLD = {"command": "scripts/bench accuracy --sets a,b", "date": "2026-01-02"}
MACHINE = {
    "processor": "P",
    "cores": "2",
    "memory": "1 GiB",
    "system": "Linux",
    "python": "3.11",
}


def test_a_command_names_no_path_out_of_the_repository(benchmark):
    machine = benchmark("machine")
    inside = str(machine.HERE.parent / "examples" / "a.flac")
    given = ["/x/benchmarks/decode.py", "--out", "/x/y", "--a=/x", inside, "b/c", "two words"]
    assert machine.command(given) == (
        "scripts/bench decode --out PATH --a=PATH examples/a.flac b/c 'two words'"
    )


def test_kept_parts_keep_the_command_and_date_that_measured_them(benchmark, monkeypatch):
    machine = benchmark("machine")
    monkeypatch.setattr(sys, "argv", ["benchmarks/accuracy.py", "--sets", "c"])
    first = machine.measured(["c"], ["a", "b"], OLD)
    assert first["a"] == first["b"] == OLD
    assert first["c"]["command"] == "scripts/bench accuracy --sets c"
    second = machine.measured(["b"], ["a", "c"], {**OLD, "date": "2026-03-04", "measured": first})
    assert (second["a"], second["c"]) == (OLD, first["c"])
    assert second["b"]["command"] == "scripts/bench accuracy --sets c"


def test_what_was_measured_earlier_is_named_with_its_command(benchmark):
    measured_earlier = benchmark("machine").measured_earlier
    now = {"command": "scripts/bench accuracy", "date": "2026-05-06"}
    assert measured_earlier(now) == ""
    assert measured_earlier({**now, "measured": {"c": now}}) == ""
    assert measured_earlier({**now, "measured": {"a": OLD, "c": now, "b": OLD}}) == (
        "Measured by earlier commands: a, b: `scripts/bench accuracy --sets a,b`, 2026-01-02."
    )


def test_the_accuracy_page_reads_a_result_without_provenance_by_set(benchmark):
    accuracy = benchmark("accuracy")
    result = json.loads(accuracy.RESULTS.read_text(encoding="utf-8"))
    result.pop("measured", None)
    assert "earlier commands" not in accuracy.page(result)
    kept = next(iter(result["sets"]))
    assert f"earlier commands: {kept}: `{OLD['command']}`" in accuracy.page(
        result | {"measured": {kept: OLD}}
    )


def test_accuracy_measures_some_sets_and_keeps_the_others(benchmark, monkeypatch, tmp_path):
    accuracy = benchmark("accuracy")
    output = tmp_path / "accuracy.json"
    output.write_text(json.dumps({**OLD, "sets": {"asterisk-it": {"seconds": 1}}}), "utf-8")
    monkeypatch.setattr(accuracy, "measure", lambda *_: {"seconds": 2})
    monkeypatch.setattr(accuracy, "versions_of", lambda *_: {"faster-whisper": "1"})
    options = ["--sets", "asterisk-en,librivox", "--output", str(output)]
    monkeypatch.setattr(sys, "argv", ["benchmarks/accuracy.py", *options])
    accuracy.main()
    found = json.loads(output.read_text("utf-8"))
    assert list(found["sets"]) == ["librivox", "asterisk-en", "asterisk-it"]
    assert found["sets"]["asterisk-it"] == {"seconds": 1}
    assert found["measured"]["asterisk-it"] == OLD
    last = {key: found[key] for key in ("command", "date")}
    assert found["measured"]["librivox"] == found["measured"]["asterisk-en"] == last
    assert str(tmp_path) not in found["command"]


def words(aural: int, peer: int, *, apart: bool = False) -> dict[str, Any]:
    half = {"seconds": 300, "aural": {"words": aural}, "peer": {"words": peer}}
    return {"apart": apart, "dev": half, "test": half}


DELETION = {
    "half": "dev",
    "noise": "rock",
    "ratio": 5,
    "words": 100,
    "missed_without_filter": 0.01,
    "missed_with_filter": 0.03,
    "difference": 0.02,
    "low": -0.01,
    "high": 0.04,
}


def test_the_invented_words_page_marks_kinds_apart_and_sums_them_alone(benchmark):
    page = benchmark("invented_words").page
    about = {**OLD, "what": "W", "peer": {"faster-whisper": "1"}}
    found = {"crowds": words(7, 40, apart=True), "drums": words(1, 2), "silence": words(0, 3)}
    made = page({**about, "words": found, "deletions": []})
    rows = [line for line in made.splitlines() if line.startswith("|")]
    assert "| **all where no word is right** | both | 1200 | 2 | 10 |" in rows
    assert "| **all apart** | both | 600 | 14 | 80 |" in rows
    assert rows.index("| crowds (apart) | dev | 300 | 7 | 40 |") > rows.index(
        "| silence | test | 300 | 0 | 3 |"
    )
    assert "missed" not in made
    made = page({**about, "words": {}, "deletions": [DELETION]})
    assert "| dev | rock | 5 dB | 100 | 1.00 | 3.00 | +2.00 (-1.00 to +4.00) |" in made
    assert "nobody speaks" not in made


@pytest.fixture
def invented(benchmark, monkeypatch, tmp_path: Path):
    """Runs invented_words.py with options on one output file, its measuring replaced."""
    module = benchmark("invented_words")
    output = tmp_path / "x.json"
    monkeypatch.setattr(module, "measure_words", lambda kind, _: words(len(kind), 0))
    monkeypatch.setattr(module, "measure_deletions", lambda half, *_: [DELETION | {"half": half}])
    monkeypatch.setattr(module, "versions_of", lambda *_: {"faster-whisper": "1"})

    def run(*options: str) -> dict[str, Any]:
        script = "benchmarks/invented_words.py"
        monkeypatch.setattr(sys, "argv", [script, *options, "--output", str(output)])
        module.main()
        return json.loads(output.read_text("utf-8"))

    return run


def test_invented_words_of_some_kinds_keep_the_others(invented):
    first = invented("--kinds", "hum 50 Hz,silence")
    assert list(first["words"]) == ["silence", "hum 50 Hz"]
    assert first["deletions"] == []
    second = invented("--parts", "deletions")
    assert second["words"] == first["words"]
    assert [row["half"] for row in second["deletions"]] == ["dev", "test"]
    third = invented("--kinds", "silence")
    assert third["deletions"] == second["deletions"]
    assert third["measured"]["deletions"]["command"] == second["command"]
    assert third["measured"]["hum 50 Hz"]["command"] == first["command"]
    assert third["measured"]["silence"]["command"] == third["command"]
    assert set(MACHINE) <= set(third["machine"])


def test_invented_words_refuses_a_kind_it_does_not_know(invented, capsys):
    with pytest.raises(SystemExit):
        invented("--kinds", "silence,thunder")
    assert "thunder: allowed are silence, dither" in capsys.readouterr().err


def run_of(seconds: float, errors: int = 0, exit_code: int = 0) -> dict[str, Any]:
    return {"seconds": seconds, "exit_code": exit_code, "errors": errors, "words": 22}


def installed(**more: Any) -> dict[str, Any]:
    runs = {"first": run_of(40.2), "second": run_of(2.1), "offline": run_of(2.2)}
    sizes = {"venv_bytes": 600_400_000, "weights_bytes": 149_000_000}
    return {"clip": "a.flac", "runs": runs, "cut": "CUT", "torch": False, **sizes, **more}


def test_an_install_is_summed_up_in_two_lines(benchmark):
    summary = benchmark("report").summary({"install": installed()})
    assert "transcript | 40 s | then 2 s, without a network too |" in summary
    assert "| disk after that | `.venv` without torch 600 MB, weights 149 MB |" in summary
    assert "scripts/test" not in summary
    page = benchmark("install").page(installed())
    assert "| the same without a network (CUT) | 2.2 | yes | 0 of 22 |" in page
    assert "`.venv` 600 MB, without torch; weights 149 MB." in page


def test_an_install_that_needs_a_network_says_so(benchmark):
    runs = installed()["runs"] | {"offline": run_of(3.0, errors=22, exit_code=1)}
    assert "**not** offline" in benchmark("report").summary({"install": installed(runs=runs)})
    page = benchmark("install").page(installed(runs=runs))
    assert "(CUT) | 3.0 | **no** | 22 of 22 |" in page


def test_an_install_with_tests_shows_their_counts_and_origin(benchmark):
    install = benchmark("install")
    last = "== 2 failed, 900 passed, 1 skipped in 301.5s (0:05:01) =="
    assert install.counts_of(f"...\n{last}\n") == {"failed": 2, "passed": 900, "skipped": 1}
    assert install.counts_of("Found 3 errors.\n") == {}
    counts = install.counts_of(last)
    tested = {**OLD, "seconds": 600, "exit_code": 1, "counts": counts, "venv_bytes": 2_100_000_000}
    page = install.page(installed(tests=tested))
    assert "10 min, 2 failed, 900 passed, 1 skipped, ended **with exit code 1**" in page
    assert f"2100 MB (`{OLD['command']}`, 2026-01-02)" in page


def test_a_fresh_environment_has_empty_places_and_pips_settings(benchmark, monkeypatch, tmp_path):
    for name in ("AURAL_MODELS", "PIP_FIND_LINKS", "PYTHONPATH", "PYTHON", "XDG_CONFIG_DIRS"):
        monkeypatch.setenv(name, "given")
    environment = benchmark("install").fresh(tmp_path)
    assert {"AURAL_MODELS", "PYTHONPATH"}.isdisjoint(environment)
    kept = {environment[name] for name in ("PIP_FIND_LINKS", "PYTHON", "XDG_CONFIG_DIRS")}
    assert kept == {"given"}
    for name in ("HOME", "XDG_CACHE_HOME", "AURAL_CACHE", "PIP_CACHE_DIR"):
        assert environment[name].startswith(str(tmp_path))
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["cache", "home", "pip", "weights"]


def test_the_network_is_cut_by_proxies_where_nothing_else_may(benchmark, monkeypatch):
    install = benchmark("install")
    monkeypatch.setattr(install, "CUTS", (["no-such-program"], ["false"]))
    prefix, added, how = install.without_network()
    assert prefix == []
    assert added["https_proxy"] == added["HTTPS_PROXY"] == install.SILENT
    assert how == "proxies that do not answer"
