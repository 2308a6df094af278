"""The Hydra config groups. Data only: every file is YAML, read by `encoders` and `benchmark`."""

from pathlib import Path

ROOT = Path(__file__).parent
