"""A file whose name is drawn at random."""

import pathlib
import uuid

import numpy as np
import pandas as pd
from sklearn.linear_model import LinearRegression

OUT = pathlib.Path("outputs/uuid_file_name")

frame = pd.read_csv("data/diabetes.csv")
model = LinearRegression().fit(frame.drop(columns="target"), frame["target"])

OUT.mkdir(parents=True, exist_ok=True)
np.save(OUT / f"coefficients-{uuid.uuid4()}.npy", model.coef_)
