"""Takes its settings from the command line."""

import argparse
import json
import pathlib

import pandas as pd
from sklearn.linear_model import Ridge
from sklearn.model_selection import cross_val_score

OUT = pathlib.Path("outputs/ridge_arguments")

parser = argparse.ArgumentParser()
parser.add_argument("--alpha", type=float, default=1.0)
parser.add_argument("--folds", type=int, default=3)
arguments = parser.parse_args()

frame = pd.read_csv("data/diabetes.csv")
scores = cross_val_score(
    Ridge(arguments.alpha), frame.drop(columns="target"), frame["target"], cv=arguments.folds
)

OUT.mkdir(parents=True, exist_ok=True)
(OUT / "metrics.json").write_text(json.dumps({"r2": float(scores.mean())}))
