"""A small disk, for tests of what happens when one is full."""

import os
import subprocess
import tempfile


class SmallDisk:
    """A file system in memory of so many KiB, whose size can be changed. PermissionError: none may be
    mounted here."""

    def __init__(self, kib):
        self.path = tempfile.mkdtemp(prefix="mmra-disk-")
        mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={kib}k", "tmpfs", self.path],
                                 capture_output=True)
        if mounted.returncode != 0:
            os.rmdir(self.path)
            raise PermissionError(mounted.stderr.decode().strip())

    def remount(self, options):
        subprocess.run(["mount", "-o", "remount," + options, self.path], check=True)

    def resize(self, kib):
        self.remount(f"size={kib}k")

    def used_kib(self):
        used = os.statvfs(self.path)
        return (used.f_blocks - used.f_bfree) * used.f_frsize // 1024

    def close(self):
        subprocess.run(["umount", "-l", self.path], check=True)
        os.rmdir(self.path)
