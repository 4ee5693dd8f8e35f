"""A report that says when it was written."""

import datetime
import json
import pathlib

import pandas as pd
from sklearn.linear_model import Ridge

OUT = pathlib.Path("outputs/stamped_report")

frame = pd.read_csv("data/diabetes.csv")
model = Ridge(alpha=0.5).fit(frame.drop(columns="target"), frame["target"])
report = {
    "written_at": datetime.datetime.now(datetime.timezone.utc).isoformat(),
    "coefficients": model.coef_.tolist(),
}

OUT.mkdir(parents=True, exist_ok=True)
(OUT / "report.json").write_text(json.dumps(report, indent=1))
