import os
import sys

fields = []


def put(key, value):
    fields.append(key)
    fields.append(os.fsencode(str(value)))


# What `site.venv` does, without looking into any folder of packages.
folder = os.path.dirname(os.path.abspath(sys.executable))
prefix = sys.prefix
base_prefix = sys.base_prefix
has_system_site = True
for candidate in (folder, os.path.dirname(folder)):
    path = os.path.join(candidate, "pyvenv.cfg")
    if os.path.isfile(path):
        prefix = os.path.dirname(folder)
        with open(path, encoding="utf-8", errors="replace") as lines:
            for line in lines:
                key, _, value = line.partition("=")
                if key.strip().lower() == "include-system-site-packages":
                    has_system_site = value.strip().lower() == "true"
        break

library = [path for path in sys.path if path]
sys.prefix = sys.exec_prefix = prefix

import site

prefixes = [prefix]
if has_system_site:
    for other in (sys.base_prefix, sys.base_exec_prefix):
        if other not in prefixes:
            prefixes.append(other)

put(b"implementation", sys.implementation.name)
put(b"version", sys.version)
put(b"prefix", prefix)
put(b"base_prefix", base_prefix)
for path in site.getsitepackages(prefixes):
    put(b"site", path)
if has_system_site:
    put(b"user", site.getusersitepackages())
for path in library:
    put(b"library", path)
try:
    with open("/proc/self/maps", "rb") as lines:
        for line in lines:
            path = line.rstrip(b"\n").split(None, 5)[5:]
            if path and os.path.basename(path[0]).startswith((b"libpython", b"libpypy")):
                put(b"shared", os.fsdecode(path[0]))
                break
except OSError:
    pass
sys.stdout.buffer.write(b"\0".join(fields) + b"\0")
