"""Every feature beside an independent reference: the largest difference of each.

    python benchmarks/feature_equality.py

The cases are those that the tests hold to a tolerance (tests/audio/features, the files that SOURCES
names): three seconds of real speech, our function and a library's, or a formula written out. The
table has the largest difference, results/feature_equality.json each of them. Needs the test and
torch extras.
"""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from machine import write_result

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

CASES = Path(__file__).resolve().parents[1] / "tests" / "audio" / "features"
SOURCES = ("equality", "equality_cqt")
"""Files of CASES; each has a list CASES of what `equality.Case` is. More can be named here."""


def cases() -> list[Any]:
    """Those of every file that is there."""
    sys.path.insert(0, str(CASES))
    found = [name for name in SOURCES if (CASES / f"{name}.py").is_file()]
    return [case for name in found for case in importlib.import_module(name).CASES]


def measure(given: Iterable[Any]) -> list[dict[str, Any]]:
    """One row a case."""
    return [
        {
            "name": case.name,
            "reference": case.reference,
            "difference": case.difference(),
            "tolerance": case.tolerance,
            "unit": case.unit,
        }
        for case in given
    ]


def page(result: Mapping[str, Any]) -> str:
    """One row a case."""
    lines = [
        "The largest difference on three seconds of speech, and the one that the tests allow. "
        '"of the largest" is relative to the largest value of the reference; the rest are in the '
        "feature's own unit.",
        "",
        "| feature | beside | largest difference | allowed | unit |",
        "|---|---|---|---|---|",
        *(
            f"| {row['name']} | {row['reference']} | {row['difference']:.1e} "
            f"| {row['tolerance']:.0e} | {row['unit']} |"
            for row in result["rows"]
        ),
    ]
    return "\n".join(lines)


def main() -> int:
    """Print the table; 1 when a difference is larger than allowed."""
    rows = measure(cases())
    print(page({"rows": rows}))
    write_result({"rows": rows})
    return int(any(not row["difference"] <= row["tolerance"] for row in rows))


if __name__ == "__main__":
    sys.exit(main())
