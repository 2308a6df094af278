"""The Hydra config groups. Data only: every file is YAML, read by `encoders`, `benchmark` and `reports`."""

from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parent
_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""The same reader in C where there is one: a grid reads a hundred files before its first cell."""


def load(path: Path) -> Any:
    """What a YAML file holds, as plain data; raises as `yaml.safe_load`."""
    return yaml.load(path.read_text(), Loader=_LOADER)
