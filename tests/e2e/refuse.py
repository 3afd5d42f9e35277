"""Becomes the program that is named, in a process in which io_uring_setup fails with EPERM, as in many containers.

    python3 refuse_io_uring.py PROGRAM [ARGUMENT...]
"""

import ctypes
import errno
import os
import struct
import sys

PR_SET_NO_NEW_PRIVS, PR_SET_SECCOMP, SECCOMP_MODE_FILTER = 38, 22, 2
LOAD_WORD, JUMP_IF_EQUAL, RETURN = 0x20, 0x15, 0x06
SECCOMP_RET_ERRNO, SECCOMP_RET_ALLOW = 0x00050000, 0x7FFF0000
# The same on every architecture.
IO_URING_SETUP = 425

FILTER = [
    (LOAD_WORD, 0, 0, 0),  # the number of the system call
    (JUMP_IF_EQUAL, 0, 1, IO_URING_SETUP),
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
os.execv(sys.argv[1], sys.argv[1:])
