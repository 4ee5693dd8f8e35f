"""Two stages in processes of their own, one of them no Python."""

import json
import pathlib
import subprocess
import sys

OUT = pathlib.Path("outputs/subprocess_stages")
STAGE = """
import pandas as pd
from sklearn.preprocessing import MinMaxScaler
frame = pd.read_csv("data/iris.csv").drop(columns="target")
scaled = MinMaxScaler().fit_transform(frame)
pd.DataFrame(scaled, columns=frame.columns).round(6).to_csv("outputs/subprocess_stages/scaled.csv", index=False)
"""

OUT.mkdir(parents=True, exist_ok=True)
subprocess.run([sys.executable, "-c", STAGE], check=True)
with open(OUT / "sorted.csv", "wb") as file:
    subprocess.run(["sort", "-u", OUT / "scaled.csv"], check=True, stdout=file)
lines = (OUT / "sorted.csv").read_text().count("\n")
(OUT / "metrics.json").write_text(json.dumps({"distinct_lines": lines}))
