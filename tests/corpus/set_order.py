"""Writes a set of words in the order in which Python happens to hold them."""

import json
import pathlib

OUT = pathlib.Path("outputs/set_order")

descriptions = json.loads(pathlib.Path("data/descriptions.json").read_text())
words = {word.lower() for lines in descriptions.values() for line in lines for word in line.split()}

OUT.mkdir(parents=True, exist_ok=True)
(OUT / "vocabulary.txt").write_text("\n".join(words))
(OUT / "metrics.json").write_text(json.dumps({"words": len(words)}))
