"""Other people's harnesses: our encoders inside PANGAEA (docs/pangaea.md)."""

import sys
from importlib import import_module
from pathlib import Path

OWN = ("configs", "encoders", "decoders")


def import_own_packages() -> None:
    """Import this project's packages under their names, whoever else has folders of these names.

    A script's folder stands first on Python's path, and PANGAEA's scripts lie beside its folders `encoders` and
    `decoders`: there `import encoders` would find those. Once a package is imported its name is taken.

    Raises:
        ImportError: another package has one of the names already.
    """
    root = Path(__file__).resolve().parents[2]
    before = list(sys.path)
    sys.path.insert(0, str(root))
    try:
        for name in OWN:
            found = Path(str(import_module(name).__file__)).resolve()
            if found.parent.parent != root:
                raise ImportError(
                    f"satdifuser-bench: the name '{name}' is taken by {found}; import benchmark.interop before that, "
                    "or start another process"
                )
    finally:
        sys.path[:] = before


import_own_packages()
