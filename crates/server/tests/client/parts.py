"""Large files with the real client where it is told to send and read them in parts, and where it is not."""

import os
import pathlib
import re
import sys
import tempfile

import mlflow
import requests

SETTINGS = {
    "MLFLOW_ENABLE_PROXY_MULTIPART_UPLOAD": "true",
    "MLFLOW_ENABLE_PROXY_MULTIPART_DOWNLOAD": "true",
    "MLFLOW_MULTIPART_UPLOAD_MINIMUM_FILE_SIZE": str(1 << 20),
    "MLFLOW_MULTIPART_UPLOAD_CHUNK_SIZE": str(5 << 20),
}


def declined():
    """How often the server was asked for parts, as it counts it; none where it tells nobody."""
    answer = requests.get(f"{mlflow.get_tracking_uri()}/metrics", headers=headers())
    if answer.status_code == 404:
        return None
    answer.raise_for_status()
    found = re.findall(r'mlflow_http_request_total\{[^}]*status="501",route="([^"]*)"\} (\d+)', answer.text)
    return {route.split("/")[-2]: int(count) for route, count in found}


def headers():
    token = os.environ.get("MLFLOW_TRACKING_TOKEN")
    return {"Authorization": f"Bearer {token}"} if token else {}


def there_and_back(run, folder, name):
    content = os.urandom(24 << 20) + b"end"
    file = folder / name
    file.write_bytes(content)
    mlflow.log_artifact(str(file), "large", run_id=run)
    uri = f"runs:/{run}/large/{name}"
    got = mlflow.artifacts.download_artifacts(uri, dst_path=str(folder / "back"))
    assert pathlib.Path(got).read_bytes() == content
    found = mlflow.MlflowClient().list_artifacts(run, "large")
    assert {file.path: file.file_size for file in found}[f"large/{name}"] == len(content)


with mlflow.start_run() as run, tempfile.TemporaryDirectory() as folder:
    folder = pathlib.Path(folder)
    os.environ["MLFLOW_MULTIPART_UPLOAD_MINIMUM_FILE_SIZE"] = str(1 << 20)
    there_and_back(run.info.run_id, folder, "asked.bin")
    # The server says beforehand that it does not offer them.
    assert declined() in ({}, None), declined()
    os.environ.update(SETTINGS)
    there_and_back(run.info.run_id, folder, "forced.bin")
    assert declined() in ({"create": 1, "presigned": 1}, None), declined()
print("done", file=sys.stderr)
