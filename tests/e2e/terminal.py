"""Runs a command in a terminal of 80 columns and 24 lines, copies what it writes to standard output, passes SIGTERM on to
it, and says in the end whether it has left the terminal's settings as it found them."""

import fcntl
import os
import pty
import select
import signal
import struct
import sys
import termios

leader, follower = pty.openpty()
fcntl.ioctl(follower, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
before = termios.tcgetattr(follower)
child = os.fork()
if child == 0:
    os.close(leader)
    os.setsid()
    fcntl.ioctl(follower, termios.TIOCSCTTY, 0)
    for descriptor in range(3):
        os.dup2(follower, descriptor)
    os.environ["TERM"] = "xterm-256color"
    os.execv(sys.argv[1], sys.argv[1:])
signal.signal(signal.SIGTERM, lambda *_: os.kill(child, signal.SIGTERM))
os.set_blocking(leader, False)
status = None
while status is None:
    ended, code = os.waitpid(child, os.WNOHANG)
    status = code if ended else None
    try:
        while piece := os.read(leader, 65536):
            sys.stdout.buffer.write(piece)
            sys.stdout.flush()
    except BlockingIOError:
        # A terminal tells of the end of its program only to who looks.
        select.select([leader], [], [], 0.02)
    except OSError:
        pass
same = termios.tcgetattr(follower) == before
print("\r\nsettings restored" if same else "\r\nsettings changed")
sys.exit(os.waitstatus_to_exitcode(status))
