"""The notebook: small, without outputs, and every cell of it runs headless."""

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

NOTEBOOK = Path(__file__).parent.parent / "docs" / "notebooks" / "quickstart.ipynb"
LONG = pytest.mark.skipif("SATDIFUSER_BENCH_LONG" not in os.environ, reason="set SATDIFUSER_BENCH_LONG=1")


def cells() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(NOTEBOOK.read_text())["cells"]
    return found


def test_the_notebook_is_kept_without_outputs_and_its_code_can_be_read() -> None:
    assert NOTEBOOK.stat().st_size < 20_000
    assert len({cell["id"] for cell in cells()}) == len(cells())
    for cell in cells():
        if cell["cell_type"] == "code":
            assert (cell["outputs"], cell["execution_count"]) == ([], None)
            compile("".join(cell["source"]), cell["id"], "exec")


@LONG
def test_the_notebook_runs_headless(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nbclient = pytest.importorskip("nbclient", reason="needs the dependency group notebook")
    nbformat = pytest.importorskip("nbformat", reason="needs the dependency group notebook")
    monkeypatch.setenv("SATDIFUSER_BENCH_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("PYTHONPATH", str(NOTEBOOK.parents[2]))
    shutil.copy(NOTEBOOK, tmp_path)
    notebook = nbformat.read(tmp_path / NOTEBOOK.name, as_version=4)
    nbformat.validate(notebook)
    client = nbclient.NotebookClient(notebook, timeout=600, resources={"metadata": {"path": str(tmp_path)}})
    client.execute()
    outputs = [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]
    texts = [output.get("text", "") for output in outputs]
    # A measurement says nothing of its own; tqdm misses ipywidgets where a library imports it.
    assert [o for o in outputs if o.get("name") == "stderr" and "tqdm" not in o["text"]] == []
    assert any("Image statistics: accuracy 0." in text for text in texts)
    assert any("image/png" in output.get("data", {}) for output in outputs)
    assert any("my_field.yaml: cannot be read as YAML" in text for text in texts)
