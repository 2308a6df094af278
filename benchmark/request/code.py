"""Code that a YAML file of the user's own names: it runs only where the command line says so, by `--allow-code`.

Such a file may come from anybody, and naming it is no consent to what it names. What an installed package offers by
name was installed by the user, and is asked for by name; so is `pangaea:NAME`: `$PANGAEA_DIR` alone says where its code
is, which no file, record or override can, and the class is one of that checkout's `pangaea.encoders`.
"""

from collections.abc import Iterable

from benchmark.data.dataset import Dataset
from encoders import elsewhere
from encoders.errors import UserError
from encoders.spec import EncoderCard

FLAG = "--allow-code"


def check(cards: Iterable[EncoderCard], datasets: Iterable[Dataset], allowed: bool) -> None:
    """Refuse encoders and datasets whose YAML file has code run, unless that is allowed.

    Raises:
        UserError: names the code that would run.
    """
    if allowed:
        return
    for card in cards:
        if card.home and card.name not in elsewhere.installed():
            what = f"{elsewhere.source(card)}, which the YAML file of encoder {card.name} in {card.home} names"
            raise UserError(f"this would run {what}; read that code, then add {FLAG}")
    for dataset in datasets:
        if dataset.files is not None and dataset.files.reader != "images":
            what = f"{dataset.files.reader}, which {dataset.file} names, on files that may hold more than data"
            raise UserError(f"this would run {what}; if you trust both, add {FLAG}")
