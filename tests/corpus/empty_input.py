"""Reads a file of no bytes, and writes one."""

import json
import pathlib

OUT = pathlib.Path("outputs/empty_input")

excluded = pathlib.Path("data/empty.txt").read_text().split()
lines = pathlib.Path("data/iris.csv").read_text().splitlines()
kept = [line for line in lines if line not in excluded]

OUT.mkdir(parents=True, exist_ok=True)
(OUT / "excluded.txt").write_text("".join(excluded))
(OUT / "metrics.json").write_text(json.dumps({"kept": len(kept), "excluded": len(excluded)}))
