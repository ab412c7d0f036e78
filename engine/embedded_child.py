"""Runs as `python -I -S embedded_child.py PARENT SIGNAL USER COMMAND...` between the engine and a bundled server.

It becomes the server: never as root, and told to stop by the kernel when the engine dies. No imports of the engine.
PARENT: process id of the engine. SIGNAL: sent to the server when the engine's main thread ends (Linux only).
USER: `same`, `namespace` (an unprivileged uid inside, our own uid outside) or `nobody`.
"""

import ctypes
import os
import sys

CLONE_NEWUSER = 0x10000000
PR_SET_PDEATHSIG = 1
NOBODY = 65534
UNREACHABLE = 77  # exit code: the unprivileged user cannot reach the program or its data


def enter_namespace() -> bool:
    """Become an unprivileged uid that maps to our own outside, so that files stay ours. False if refused."""
    uid, gid = os.geteuid(), os.getegid()
    if ctypes.CDLL(None, use_errno=True).unshare(CLONE_NEWUSER) != 0:
        return False
    try:
        for name, text in (("setgroups", "deny"), ("uid_map", f"{NOBODY} {uid} 1"), ("gid_map", f"{NOBODY} {gid} 1")):
            with open(f"/proc/self/{name}", "w") as file:
                file.write(text)
    except OSError:
        return False
    return os.geteuid() == NOBODY


def become_nobody(program: str) -> None:
    """Give up root for good; exits if nobody cannot run the program."""
    os.setgroups([])
    os.setgid(NOBODY)
    os.setuid(NOBODY)
    for path, rights in ((program, os.X_OK), (os.getcwd(), os.W_OK | os.X_OK)):
        if not os.access(path, rights):
            sys.stderr.write(f"the user `nobody` cannot reach {path}\n")
            os._exit(UNREACHABLE)


def main() -> None:
    """Change the user, tie our life to the parent's, become the command."""
    parent, signal, user, *command = sys.argv[1:]
    if user == "namespace" and not enter_namespace():
        os._exit(UNREACHABLE)
    if user == "nobody":
        become_nobody(command[0])
    if signal != "0" and sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, int(signal), 0, 0, 0)  # after the change of uid, which clears it
        if os.getppid() != int(parent):
            os._exit(1)  # it died before we asked
    os.execv(command[0], command)  # noqa: S606 - our own program


if __name__ == "__main__":
    main()
