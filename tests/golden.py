"""What the floors and the tiny SatDiFuser give on the bundled sample, few numbers each, for `test_golden.py`.

`python -m tests.golden` writes `tests/golden.json` anew: after a change that is meant to move numbers, and that
raised the version of what it changed, or that added a metric. Last digits of other cells move with the machine.
"""

import json
import os
import tempfile
from pathlib import Path

import numpy as np

GOLDEN = Path(__file__).parent / "golden.json"
CELLS = (("imagestats", "linear"), ("imagestats", "knn"), ("rcf", "linear"), ("satdifuser_tiny", "linear"))


def measure(home: Path) -> dict[str, dict[str, object]]:
    """Run the cells in a home of their own; versions and numbers of each."""
    import evaluate
    from benchmark.record_store import RecordStore

    os.environ["SATDIFUSER_BENCH_HOME"] = str(home)
    found: dict[str, dict[str, object]] = {}
    for encoder, probe in CELLS:
        output = home / encoder / probe
        arguments = [
            "--dataset",
            "real-chesapeake-patches",
            "--encoder",
            encoder,
            "--probe",
            probe,
            "--device",
            "cpu",
            "--output",
            str(output),
        ]
        assert evaluate.main(arguments) == 0
        (record,) = RecordStore(output)
        scores = np.load(RecordStore(output).predictions_path(record.key))["scores"]
        found[f"{encoder}/{probe}"] = {
            "versions": {
                "encoder": record.run.encoder_version,
                "probe": record.run.probe_version,
                "protocol": record.run.protocol_hash,
            },
            "data": record.run.data,
            "inputs": list(record.run.inputs),
            "metrics": record.score.metrics,
            "chosen": record.score.chosen,
            "interval": [record.score.interval.low, record.score.interval.high],
            "scores": [[round(float(score), 6) for score in row] for row in scores[:3]],
        }
    return found


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        GOLDEN.write_text(json.dumps(measure(Path(folder)), indent=1, sort_keys=True) + "\n")
