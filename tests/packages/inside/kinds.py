"""Run inside a container: makes files of every kind (`make`), describes them (`list`), or makes sure that they are there (`look`)."""

import hashlib
import os
import socket
import stat
import struct
import subprocess
import sys

FOREIGN = 4711


def acl(*entries):
    """The bytes of a POSIX ACL attribute: version, then (tag, permissions, id)."""
    return struct.pack("<I", 2) + b"".join(
        struct.pack("<HHI", tag, bits, who & 0xFFFFFFFF) for tag, bits, who in entries
    )


def make(top):
    os.makedirs(top, exist_ok=True)
    os.chdir(top)
    put("plain", b"text\n", 0o640)
    put("closed", b"nobody reads this\n", 0o000)
    put("foreign", b"of another\n", 0o600)
    os.chown("foreign", FOREIGN, FOREIGN + 1)
    put("suid", b"#!/bin/true\n", 0o755)
    os.chown("suid", FOREIGN, FOREIGN)
    os.chmod("suid", 0o6755)
    put("able", open("/bin/true", "rb").read(), 0o755)
    subprocess.run(["setcap", "cap_net_raw+ep", "able"], check=True)
    put("attributes", b"", 0o600)
    os.setxattr("attributes", "user.note", b"\x00\xff")
    os.setxattr("attributes", "trusted.note", b"of root")
    if can_acl():
        os.setxattr(
            "attributes",
            "system.posix_acl_access",
            acl((1, 6, -1), (2, 4, FOREIGN), (4, 0, -1), (16, 4, -1), (32, 0, -1)),
        )
    os.mkdir("locked")
    put("locked/inside", b"below a closed folder\n", 0o400)
    os.chown("locked", FOREIGN, FOREIGN)
    os.chmod("locked", 0o1700)
    os.mknod("blockdevice", stat.S_IFBLK | 0o660, os.makedev(7, 200))
    os.mknod("chardevice", stat.S_IFCHR | 0o600, os.makedev(10, 250))
    os.mkfifo("fifo", 0o620)
    with socket.socket(socket.AF_UNIX) as one:
        one.bind("socket")
    os.symlink("nowhere/\udcff", "link")
    os.lchown("link", FOREIGN, FOREIGN)
    os.link("plain", "hard")
    put(b"no\xfftext", b"name\n", 0o644)
    with open("holes", "wb") as file:
        file.seek(8 << 20)
        file.write(b"end")
    os.utime("plain", ns=(10**18 + 123456789, 10**18 + 987654321))
    os.utime(".", ns=(10**18, 10**18))


def can_acl():
    try:
        os.setxattr("attributes", "system.posix_acl_access", acl((1, 6, -1), (4, 0, -1), (32, 0, -1)))
    except OSError:
        return False
    return True


def put(name, data, mode):
    with open(name, "wb") as file:
        file.write(data)
    os.chmod(name, mode)


def describe(path, name):
    st = os.lstat(path)
    told = [stat.filemode(st.st_mode), f"{st.st_uid}:{st.st_gid}", str(st.st_nlink), str(st.st_mtime_ns)]
    if stat.S_ISDIR(st.st_mode):
        told[2] = ""
    if st.st_rdev:
        told.append(f"{name} {os.major(st.st_rdev)}:{os.minor(st.st_rdev)}")
    if stat.S_ISREG(st.st_mode):
        told += [str(st.st_size), hashlib.sha256(open(path, "rb").read()).hexdigest()[:16]]
    if stat.S_ISLNK(st.st_mode):
        told.append(repr(os.readlink(path)))
    else:
        told += [f"{key}={os.getxattr(path, key)!r}" for key in sorted(os.listxattr(path))]
    print(repr(name), *told)


def walk(top, seen):
    seen(top, ".")
    for folder, folders, files in os.walk(top):
        for name in sorted(folders + files):
            path = os.path.join(folder, name)
            seen(path, os.path.relpath(path, top))


what, where = sys.argv[1:]
if what == "make":
    make(where)
elif what == "list":
    walk(where, describe)
elif len(os.listdir(where)) < 15:
    sys.exit(f"{where}: {os.listdir(where)}")
