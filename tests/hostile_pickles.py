"""Pickles made to harm: each would run code, hang, crash or fill memory where a reader obeys it.

The same ones are tried wherever the project meets a pickle: task specifications, attributes of HDF5 files, checkpoints.
What they run leaves a file called `owned` in the working folder, or a line in `MARK`.
"""

import pickle
import struct
from typing import Any

import numpy as np

MARK: list[str] = []
CANARY = "owned"
TOUCH = f"touch {CANARY}"
OPENS = f"open('{CANARY}', 'w')"


class Reduces:
    """Pickles as a call."""

    def __init__(self, function: object, *arguments: object) -> None:
        self.said = (function, arguments)

    def __reduce__(self) -> Any:
        return self.said


def remember(*said: object) -> None:
    """What a hostile pickle would call; a test fails if it ever is."""
    MARK.append(repr(said))


def text(value: str) -> bytes:
    raw = value.encode()
    return b"X" + struct.pack("<I", len(raw)) + raw


def name(module: str, attribute: str) -> bytes:
    return text(module) + text(attribute) + b"\x93"


def called(module: str, attribute: str, arguments: bytes) -> bytes:
    """A pickle whose value is the result of calling module.attribute."""
    return b"\x80\x04" + name(module, attribute) + arguments + b"R."


def doubled_tuples() -> bytes:
    """A dictionary key whose hash takes 2**200 steps."""
    body = b"\x80\x04})\x94"
    for _ in range(200):
        body += b"h\x00h\x00\x86q\x00"
    return body + b"Ns."


def deep_tuple() -> bytes:
    """A dictionary key nested so deep that its hash overflows the C stack."""
    return b"\x80\x04})" + b"\x85" * 400_000 + b"Ns."


def object_array() -> bytes:
    return pickle.dumps({"label": np.array([Reduces(remember, 1)], object)}, protocol=4)


def nested() -> bytes:
    return pickle.dumps(Reduces(pickle.loads, pickle.dumps(Reduces(remember, 1))), protocol=4)


def through_a_record_class() -> bytes:
    """Sets attributes on a class that stands for geobench's."""
    return b"\x80\x04" + name("geobench.task", "Accuracy") + b"N}" + text("name") + text("changed") + b"s\x86b."


def memoized() -> bytes:
    """The function comes from the memo, where it was put under a list."""
    return b"\x80\x04" + name("os", "system") + b"\x94" + b"0]" + b"h\x00" + text(TOUCH) + b"\x85Ra."


def built() -> bytes:
    """State set on an instance by BUILD, whose class would run it."""
    return b"\x80\x04" + name("os", "_wrap_close") + b")\x81}" + text("_proc") + b"Nsb."


def newobj(code: bytes, arguments: bytes) -> bytes:
    return b"\x80\x04" + name("subprocess", "Popen") + arguments + code + b"."


SYSTEM = text(TOUCH) + b"\x85"
HOSTILE: dict[str, bytes] = {
    "os.system": called("os", "system", SYSTEM),
    "posix.system": called("posix", "system", SYSTEM),
    "os.popen": called("os", "popen", SYSTEM),
    "os.execvp": called("os", "execvp", text("touch") + b"]" + text(CANARY) + b"a\x86"),
    "subprocess.Popen": called("subprocess", "Popen", SYSTEM),
    "subprocess.check_output": called("subprocess", "check_output", SYSTEM),
    "pty.spawn": called("pty", "spawn", SYSTEM),
    "builtins.eval": called("builtins", "eval", text(OPENS) + b"\x85"),
    "builtins.exec": called("builtins", "exec", text(OPENS) + b"\x85"),
    "builtins.compile": called("builtins", "compile", text(OPENS) + text("x") + text("exec") + b"\x87"),
    "builtins.open": called("builtins", "open", text(CANARY) + text("w") + b"\x86"),
    "builtins.getattr": called("builtins", "getattr", text("a") + text("join") + b"\x86"),
    "builtins.__import__": called("builtins", "__import__", text("antigravity") + b"\x85"),
    "Python 2's __builtin__": called("__builtin__", "eval", text(OPENS) + b"\x85"),
    "importlib": called("importlib", "import_module", text("antigravity") + b"\x85"),
    "runpy": called("runpy", "run_path", text(CANARY) + b"\x85"),
    "pathlib": called("pathlib", "Path.touch", name("pathlib", "Path") + text(CANARY) + b"\x85R\x85"),
    "operator.attrgetter": called("operator", "attrgetter", text("__class__") + b"\x85"),
    "functools.partial": called("functools", "partial", name("os", "system") + text(TOUCH) + b"\x86"),
    "codecs.decode": called("codecs", "decode", text("x") + text("zip") + b"\x86"),
    "reduce of our own function": pickle.dumps(Reduces(remember, "x"), protocol=4),
    "protocol 0": pickle.dumps(Reduces(remember, "x"), protocol=0),
    "protocol 1": pickle.dumps(Reduces(remember, "x"), protocol=1),
    "protocol 2": pickle.dumps(Reduces(remember, "x"), protocol=2),
    "protocol 5": pickle.dumps(Reduces(remember, "x"), protocol=5),
    "a call as a dictionary's key": b"\x80\x04}" + name("os", "system") + SYSTEM + b"RNs.",
    "a call in a list": b"\x80\x04]" + name("os", "system") + SYSTEM + b"Ra.",
    "a call from the memo": memoized(),
    "INST": b"(S'" + TOUCH.encode() + b"'\nios\nsystem\n.",
    "INST without arguments": b"(ios\nsystem\n.",
    "OBJ": b"(cos\nsystem\nS'" + TOUCH.encode() + b"'\no.",
    "BUILD": built(),
    "NEWOBJ": newobj(b"\x81", SYSTEM),
    "NEWOBJ_EX": newobj(b"\x92", SYSTEM + b"}"),
    "GLOBAL": b"cos\nsystem\n(S'" + TOUCH.encode() + b"'\ntR.",
    "STACK_GLOBAL of joined names": b"\x80\x04" + text("os.path") + text("os.system") + b"\x93" + SYSTEM + b"R.",
    "EXT1": b"\x80\x04\x82\x01.",
    "EXT2": b"\x80\x04\x83\x01\x00.",
    "EXT4": b"\x80\x04\x84\x01\x00\x00\x00.",
    "PERSID": b"Pos.system\n.",
    "BINPERSID": b"\x80\x04" + text("x") + b"Q.",
    "class in an allowed module": called("geobench.dataset", "Path", text("/etc") + b"\x85"),
    "dotted name": called("geobench.dataset", "Sentinel2.__init__.__globals__", b")"),
    "module alias": called("geobench", "sys", b")"),
    "numpy.load": called("numpy", "load", text(CANARY) + b"\x85"),
    "torch.load": called("torch", "load", text(CANARY) + b"\x85"),
    "torch.hub.load": called("torch.hub", "load", text("x") + text("y") + b"\x86"),
    "numpy object array": object_array(),
    "pickle inside a pickle": nested(),
    "memo slot out of reach": b"\x80\x04Nr\xff\xff\xff\x7f.",
    "memo never written": b"\x80\x04h\x07.",
    "hash that never ends": doubled_tuples(),
    "hash that overflows the stack": deep_tuple(),
    "hash that never ends, in torch's words": b"\x80\x02})q\x00" + b"h\x00h\x00\x86q\x00" * 200 + b"Ns.",
    "key nested in torch's words": b"\x80\x02})" + b"\x85" * 400_000 + b"K\x01s.",
    "length beyond the data": b"\x80\x04\x8e" + struct.pack("<Q", 2**62) + b"x.",
    "text beyond the data": b"\x80\x04\x8d" + struct.pack("<Q", 2**62) + b"x.",
    "bytearray beyond the data": b"\x80\x05\x96" + struct.pack("<Q", 2**40) + b"x.",
    "number of four gigabytes": b"\x80\x04\x8b\xff\xff\xff\x7f\x00.",
    "frame beyond the data": b"\x80\x04\x95" + struct.pack("<Q", 2**40) + b"N.",
    "second pickle behind the first": pickle.dumps({"label": 1}) + called("os", "system", SYSTEM),
    "no end": b"\x80\x04N",
    "nothing": b"",
    "stack underflow": b"\x80\x04}s.",
    "mark under a memo": b"\x80\x04(\x94.",
    "state for a class": through_a_record_class(),
}
