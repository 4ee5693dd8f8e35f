"""Draws a figure and saves it as PNG."""

import pathlib

import matplotlib

matplotlib.use("Agg")

import pandas as pd
from matplotlib import pyplot
from sklearn.inspection import DecisionBoundaryDisplay
from sklearn.tree import DecisionTreeClassifier

OUT = pathlib.Path("outputs/figure_png")

frame = pd.read_csv("data/iris.csv")
features = frame[["petal length (cm)", "petal width (cm)"]]
model = DecisionTreeClassifier(max_depth=3, random_state=18).fit(features, frame["target"])

OUT.mkdir(parents=True, exist_ok=True)
DecisionBoundaryDisplay.from_estimator(model, features, response_method="predict", alpha=0.5)
pyplot.scatter(*features.to_numpy().T, c=frame["target"], s=12)
pyplot.savefig(OUT / "boundary.png", dpi=80)
