"""Writes the data that the scripts read, from what ships inside scikit-learn."""

import json
import os
import pathlib

import numpy as np
from sklearn import datasets

DATA = pathlib.Path("data")


def main():
    DATA.mkdir(exist_ok=True)
    for name in ("breast_cancer", "iris", "wine", "diabetes"):
        frame = getattr(datasets, f"load_{name}")(as_frame=True).frame
        frame.to_csv(DATA / f"{name}.csv", index=False)
        if name == "wine":
            frame.to_parquet(DATA / "wine.parquet", index=False)
    digits = datasets.load_digits()
    np.savez(DATA / "digits.npz", images=digits.data, labels=digits.target)
    iris = (DATA / "iris.csv").read_bytes()
    (DATA / "iris with spaces.csv").write_bytes(iris)
    (DATA / "empty.txt").write_bytes(b"")
    if not (DATA / "current.csv").is_symlink():
        os.symlink("iris.csv", DATA / "current.csv")
    descriptions = {}
    for name in ("breast_cancer", "iris", "wine", "diabetes", "digits"):
        text = getattr(datasets, f"load_{name}")().DESCR
        descriptions[name] = [line for line in text.splitlines() if len(line.split()) > 4]
    (DATA / "descriptions.json").write_text(json.dumps(descriptions, indent=1))


main()
