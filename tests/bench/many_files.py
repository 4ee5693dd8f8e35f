"""Opens and reads every file below `data/many`, which it makes if it is not there."""

import os
import pathlib

FILES = 20_000

folder = pathlib.Path("data/many")
if not folder.is_dir():
    for number in range(FILES):
        path = folder / f"{number // 1000:02}" / f"{number:05}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{number}\n" * 20)
size_bytes = 0
for parent, _, names in os.walk(folder):
    for name in names:
        with open(os.path.join(parent, name), "rb") as file:
            size_bytes += len(file.read())
print(size_bytes)
