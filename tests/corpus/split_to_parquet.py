"""Splits a table and writes both parts as Parquet."""

import json
import pathlib

import pandas as pd
from sklearn.model_selection import train_test_split

OUT = pathlib.Path("outputs/split_to_parquet")

frame = pd.read_csv("data/breast_cancer.csv")
train, test = train_test_split(frame, test_size=0.2, random_state=7, stratify=frame["target"])

OUT.mkdir(parents=True, exist_ok=True)
train.to_parquet(OUT / "train.parquet", index=False)
test.to_parquet(OUT / "test.parquet", index=False, compression="gzip")
metrics = {"train_rows": len(train), "test_rows": len(test)}
(OUT / "metrics.json").write_text(json.dumps(metrics))
