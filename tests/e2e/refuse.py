"""Becomes the program that is named, in a process in which a system call fails with EPERM, as in many containers.

    python3 refuse.py io_uring_setup PROGRAM [ARGUMENT...]
    python3 refuse.py perf_event_open PROGRAM [ARGUMENT...]
"""

import ctypes
import errno
import os
import platform
import struct
import sys

PR_SET_NO_NEW_PRIVS, PR_SET_SECCOMP, SECCOMP_MODE_FILTER = 38, 22, 2
LOAD_WORD, JUMP_IF_EQUAL, RETURN = 0x20, 0x15, 0x06
SECCOMP_RET_ERRNO, SECCOMP_RET_ALLOW = 0x00050000, 0x7FFF0000
# The numbers of system calls; new ones are the same on every architecture.
NUMBERS = {
    "io_uring_setup": 425,
    "perf_event_open": {"x86_64": 298, "aarch64": 241}.get(platform.machine()),
}
NUMBER = NUMBERS[sys.argv[1]]
if NUMBER is None:
    sys.exit(f"the number of {sys.argv[1]} on {platform.machine()} is not known here")

FILTER = [
    (LOAD_WORD, 0, 0, 0),  # the number of the system call
    (JUMP_IF_EQUAL, 0, 1, NUMBER),
    (RETURN, 0, 0, SECCOMP_RET_ERRNO | errno.EPERM),
    (RETURN, 0, 0, SECCOMP_RET_ALLOW),
]


class Program(ctypes.Structure):
    _fields_ = [("length", ctypes.c_ushort), ("instructions", ctypes.c_char_p)]


instructions = b"".join(struct.pack("HBBI", *instruction) for instruction in FILTER)
program = Program(len(FILTER), instructions)
libc = ctypes.CDLL(None, use_errno=True)
zero = ctypes.c_ulong(0)
for call in [
    (PR_SET_NO_NEW_PRIVS, ctypes.c_ulong(1), zero),
    (PR_SET_SECCOMP, ctypes.c_ulong(SECCOMP_MODE_FILTER), ctypes.byref(program)),
]:
    if libc.prctl(*call, zero, zero) != 0:
        sys.exit(f"prctl: {os.strerror(ctypes.get_errno())}")
os.execv(sys.argv[2], sys.argv[2:])
