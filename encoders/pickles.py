"""Following a pickle without obeying it: what it would have an unpickler do, told before any of it is done.

A pickle is a small program. An unpickler that knows which names it may call still hashes, allocates and recurses as the
program says, and that can hang it, fill memory or end the process. So each instruction is looked at first.
"""

import io
import pickletools
from functools import cache

PUTS = {"BINPUT", "LONG_BINPUT", "MEMOIZE"}
GETS = {"BINGET", "LONG_BINGET"}
ATOMS = {
    *("SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8", "SHORT_BINBYTES", "BINBYTES", "BINBYTES8"),
    *("NONE", "NEWTRUE", "NEWFALSE", "BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT"),
}
SETTERS = {"SETITEM", "SETITEMS"}
DATA = {
    *("PROTO", "FRAME", "STOP", "MARK", "EMPTY_DICT", "EMPTY_LIST", "EMPTY_TUPLE", "APPEND", "APPENDS"),
    *SETTERS,
    *("TUPLE", "TUPLE1", "TUPLE2", "TUPLE3", "BYTEARRAY8"),
    *("GLOBAL", "STACK_GLOBAL", "NEWOBJ", "REDUCE", "BUILD"),
    *(PUTS | GETS | ATOMS),
}
"""Instructions that describe data, and those that name, make and fill an object; whoever obeys these refuses names."""


class RefusedError(Exception):
    """Why a pickle is not read, as the end of a sentence."""


def scan(data: io.BytesIO, instructions: set[str]) -> None:
    """Follow one pickle, and leave `data` at its end.

    Each object on the stack is known by the instruction that made it. Dictionary keys must be atoms, because hashing
    nested tuples can take for ever or overflow the stack; memo slots must be near, because a slot's number makes the
    unpickler reserve as much memory.

    Raises:
        RefusedError: it holds another instruction, or does what no pickle of data does.
    """
    stack: list[str] = []
    marks: list[int] = []
    memo: dict[int, str] = {}
    size = len(data.getbuffer())
    for opcode, argument, _ in pickletools.genops(data):
        name = opcode.name
        if name not in instructions:
            raise RefusedError(f"it uses the pickle instruction {name}, which the format does not use")
        if name == "MARK":
            marks.append(len(stack))
        elif name in PUTS:
            slot = len(memo) if argument is None else int(argument)
            if slot > size or len(stack) <= (marks[-1] if marks else 0):
                raise RefusedError(f"it misuses memo slot {slot}")
            memo[slot] = stack[-1]
        elif name in GETS:
            stack.append(memo[int(argument or 0)])
        else:
            below, marked, left = _effect(name)
            keys = _take(stack, below, marks.pop() if marked else len(stack), marks)
            if name in SETTERS and not ATOMS.issuperset(keys[::2]):
                raise RefusedError("a dictionary in it has a key that is neither text nor a number")
            stack += [name] * left


@cache
def _effect(name: str) -> tuple[int, bool, int]:
    """Of an instruction: objects consumed below its mark, whether it has one, objects left."""
    opcode = next(opcode for opcode in pickletools.opcodes if opcode.name == name)
    before = [kind.name for kind in opcode.stack_before]
    marked = "mark" in before
    return before.index("mark") if marked else len(before), marked, len(opcode.stack_after)


def _take(stack: list[str], below: int, mark: int, marks: list[int]) -> list[str]:
    """Remove the `below` objects under a mark and all above it; return them without the lowest."""
    lowest = mark - below
    if lowest < (marks[-1] if marks else 0):
        raise RefusedError("it takes more objects than it made")
    taken = stack[lowest + 1 :]
    del stack[lowest:]
    return taken
