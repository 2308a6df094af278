"""Every option of every command, found in the parsers: no value, an empty one, one that is none of its kind."""

import argparse
from collections.abc import Callable, Iterator

import pytest

from benchmark.request.commandline import COMMANDS, parser
from tests.bad_inputs.case import Case, Ended

ENDLESS = "9" * 5000
"""More digits than Python turns into a number."""
NOT_WHOLE = ("x", "1.5", "-1", "1e3", "nan", "1000000000000", ENDLESS)
NOT_FINITE = ("x", "nan", "inf", "-inf", "1e400", "-1")
UNKNOWN = "nonesuch"
POSITIONALS = {
    "list": ("encoders",),
    "cache": ("list",),
    "fetch": ("dataset", "m-eurosat"),
    "preview": ("imagestats", "m-eurosat"),
    "profile": ("m-eurosat",),
    "verify": ("{output}",),
    "rerun": ("0" * 16,),
}
"""What a command cannot do without; a new command needs a line here only if it has such arguments."""


def options(command: str) -> list[argparse.Action]:
    """The options of a command that take a value."""
    return [one for one in parser(command)._actions if one.option_strings and one.nargs != 0]


def argv(command: str, *more: str) -> tuple[str, ...]:
    named = () if command == "run" else (command,)
    return (*named, *POSITIONALS.get(command, ()), *more)


def option_cases() -> Iterator[Case]:
    for command in COMMANDS:
        yield Case(f"{command}: an option there isn't", argv(command, "--nonsense"), ("--nonsense",))
        for action in options(command):
            name = action.option_strings[-1]
            yield Case(f"{command} {name}: no value", argv(command, name), (name,))
            yield Case(f"{command} {name}: empty", argv(command, f"{name}="), (name,))
            misspelt = name[:-1] if len(name) > 4 else name + "x"
            yield Case(f"{command} {name}: misspelt", argv(command, f"{misspelt}=x"), (misspelt,))
            if action.choices:
                yield Case(f"{command} {name}: {UNKNOWN}", argv(command, f"{name}={UNKNOWN}"), (name,))
            elif action.type is not None:
                for value in NOT_FINITE if getattr(action.type, "of", action.type) is float else NOT_WHOLE:
                    yield Case(f"{command} {name}: {value[:20]}", argv(command, f"{name}={value}"), (name,))


def positional_cases() -> Iterator[Case]:
    for command in COMMANDS:
        for action in parser(command)._actions:
            if action.option_strings or action.nargs in ("*", "?"):
                continue
            what = str(action.metavar or action.dest)
            yield Case(f"{command}: without {what}", (command,), (what,))
            if action.choices:
                yield Case(f"{command}: {UNKNOWN}", (command, UNKNOWN), (UNKNOWN,))


SAMPLE = ("--encoder", "imagestats", "--dataset", "real-chesapeake-patches")
TYPOS = [
    Case("a command there isn't", ("evalute",), ("evalute",)),
    Case("nothing asked for", (), ("--encoder",)),
    Case("no dataset", ("--encoder", "rcf"), ("--dataset",)),
    Case("encoder: a typo", ("--encoder", "satdifusr", "--dataset", "m-eurosat"), ("satdifusr", "satdifuser")),
    Case("encoder: only commas", ("--encoder", ",,", "--dataset", "m-eurosat"), ("--encoder",)),
    Case("encoder: twice", ("--encoder", "rcf,rcf", "--dataset", "m-eurosat"), ("--encoder",)),
    Case("encoder: a path that is none", ("--encoder", "./rcf", "--dataset", "m-eurosat"), ("./rcf",)),
    Case("encoder: steers the terminal", ("--encoder", "rcf\x1b[2J", "--dataset", "m-eurosat"), ("rcf",)),
    Case("encoder: a fuser there isn't", ("--encoder", "rcf-gv", "--dataset", "m-eurosat"), ("gv", "gw")),
    Case("dataset: a typo", (*SAMPLE[:3], "m-eurosatt"), ("m-eurosatt", "m-eurosat")),
    Case("dataset: only commas", (*SAMPLE[:3], ",,"), ("--dataset",)),
    Case("dataset: twice", (*SAMPLE[:3], "m-eurosat,eurosat"), ("m-eurosat",)),
    Case("dataset: a path", (*SAMPLE[:3], "../m-eurosat"), ("../m-eurosat",)),
    Case("probe: a typo", (*SAMPLE, "--probe", "liner"), ("liner", "linear")),
    Case("probe: of another task", (*SAMPLE, "--probe", "upernet"), ("upernet", "real-chesapeake-patches")),
    Case("fusion: a typo", (*SAMPLE, "--fusion", "gv"), ("gv",)),
    Case("fusion: before kNN", (*SAMPLE, "--probe", "knn", "--fusion", "gw"), ("--fusion",)),
    Case("protocol: a typo", (*SAMPLE, "--protocol", "frozn"), ("frozn", "frozen")),
    Case("protocol: a path", (*SAMPLE, "--protocol", "../frozen"), ("../frozen",)),
    Case("executor: a typo", (*SAMPLE, "--executor", "slrum"), ("slrum", "slurm")),
    Case("bands: a typo", (*SAMPLE, "--bands", "rbg"), ("rbg", "rgb")),
    Case("device: a typo", (*SAMPLE, "--device", "cudda"), ("cudda",)),
    Case("partition: a typo", (*SAMPLE, "--partition", "0.11x_train"), ("0.11x_train",)),
    Case("partition: a draw there isn't", (*SAMPLE, "--partition", "stratified_0.11_draw0"), ("stratified_0.11_draw0",)),
    Case("partition: of another dataset", (*SAMPLE, "--partition", "spatial"), ("spatial",)),
    Case("partition: leads elsewhere", (*SAMPLE, "--partition", "../default"), ("../default",)),
    Case("tracker: a typo", (*SAMPLE, "tracker=tensorbord"), ("tensorbord", "tensorboard")),
    Case("override: no key", (*SAMPLE, "=3"), ("=3",)),
    Case("override: no value", (*SAMPLE, "batchsize"), ("batchsize",)),
    Case("override: a group", (*SAMPLE, "encoder=rcf"), ("--encoder",)),
    Case("override: of a family", ("--encoder", "croma", *SAMPLE[2:], "encoder.version=2"), ("croma",)),
    Case("override: brackets", (*SAMPLE, "batch_size=[["), ("batch_size=[[",)),
    Case("override: quotes", (*SAMPLE, "partition='x"), ("partition='x",)),
    Case("override: interpolation", (*SAMPLE, "partition=${oc.env:HOME}"), ("partition",)),
    Case("override: a resolver there isn't", (*SAMPLE, "partition=${nope:1}"), ("partition",)),
    Case("override: deletes", (*SAMPLE, "~batch_size"), ("batch_size",)),
    Case("override: a nested key there isn't", (*SAMPLE, "protocol.linear_c.hi=1"), ("hi", "high")),
    Case("override: zero byte", (*SAMPLE, "partition=a\0b"), ("partition",)),
    Case("override: class names for a target", (*SAMPLE, "+_target_=os.system"), ("_target_",)),
    Case("list: a dataset there isn't", ("list", "encoders", "--dataset", "m-eurosatt"), ("m-eurosatt",)),
    Case("cache clear: nothing said", ("cache", "clear"), ("--all",)),
    Case("cache clear: an encoder there isn't", ("cache", "clear", "--encoder", "rcff"), ("rcff",)),
    Case("fetch: no name", ("fetch", "encoder"), ("fetch encoder",)),
    Case("fetch: an encoder there isn't", ("fetch", "encoder", "satlass"), ("satlass", "satlas")),
    Case("fetch: a dataset there isn't", ("fetch", "dataset", "m-bigearth", "--data-root", "{root}"), ("m-bigearth",)),
    Case("fetch: no root", ("fetch", "dataset", "m-eurosat"), ("--data-root",)),
    Case("fetch all: names", ("fetch", "all", "m-eurosat"), ("m-eurosat",)),
    Case("fetch: weights without an address", ("fetch", "encoder", "satmae_rgb_vitl_finetuned,nope"), ("nope",)),
    Case("fetch encoder: made up", ("fetch", "encoder", "--synthetic", "{root}"), ("--synthetic",)),
    Case("report: a paper there isn't", ("report", "{output}", "--reproduce", "satdifusr"), ("satdifusr",)),
    Case("report: no records", ("report", "{output}"), ("{output}",)),
    Case("verify: no records", ("anchors", "--anchors", "{folder}/none.yaml"), ("none.yaml",)),
    Case("rerun: no such record", ("rerun", "0123456789abcdef"), ("0123456789abcdef",)),
    Case("rerun: leads elsewhere", ("rerun", "../../etc/passwd"), ("../../etc/passwd",)),
    Case("preview: a point outside", ("preview", *SAMPLE[1::2], "--attention", "2,0"), ("2,0",)),
    Case("preview: no point", ("preview", *SAMPLE[1::2], "--attention", "here"), ("here",)),
    Case("preview: a point that is none", ("preview", *SAMPLE[1::2], "--attention", "nan,0.5"), ("nan,0.5",)),
    Case("preview: attends to nothing", ("preview", *SAMPLE[1::2], "--attention", "0.5,0.5"), ("imagestats",)),
    Case("profile: bundled data", ("profile", "real-chesapeake-patches"), ("real-chesapeake-patches", "--data-root")),
]  # fmt: skip


@pytest.mark.parametrize("case", [*option_cases(), *positional_cases()], ids=str)
def test_an_option_that_cannot_be_is_one_line(case: Case, refuses: Callable[[Case], Ended]) -> None:
    refuses(case)


@pytest.mark.parametrize("case", TYPOS, ids=str)
def test_a_word_that_names_nothing_is_one_line(case: Case, refuses: Callable[[Case], Ended]) -> None:
    refuses(case)
