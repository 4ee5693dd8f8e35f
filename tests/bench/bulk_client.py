"""Reads a history of a million points and moves a file of a gibibyte, and prints figures as JSON lines.

    bulk_client.py URL SERVER_PID SECONDS [MLFLOW_DATABASE]

MLflow takes minutes to log a million points: where its database is named, they are put there beside its server.
"""

import http.client
import json
import os
import random
import sys
import time

from server_client import SECONDS, URL, Client, cpu_ms, memory_mib, now_ms, settle

POINTS = 1_000_000
FILE_MIB = 1024
PAGE = 25_000


def tell(name, value, unit, cpu=None, is_rate=False):
    print(json.dumps({"name": name, "value": value, "unit": unit, "cpu_ms": cpu, "is_rate": is_rate}), flush=True)


def log_points(client, run):
    for first in range(0, POINTS, 1000):
        points = [
            {"key": "loss", "value": random.random(), "timestamp": 1_700_000_000_000 + step, "step": step}
            for step in range(first, first + 1000)
        ]
        client.post("runs/log-batch", {"run_id": run, "metrics": points})


def fill_mlflow(database, run):
    """The same rows, in MLflow's own table."""
    import sqlalchemy

    engine = sqlalchemy.create_engine(database)
    tables = sqlalchemy.MetaData()
    tables.reflect(engine, only=["metrics", "latest_metrics"])

    def row(step):
        time_ms = 1_700_000_000_000 + step
        return {"run_uuid": run, "key": "loss", "value": random.random(), "timestamp": time_ms, "step": step, "is_nan": False}

    with engine.begin() as connection:
        for first in range(0, POINTS, 50_000):
            rows = [row(step) for step in range(first, first + 50_000)]
            connection.execute(tables.tables["metrics"].insert(), rows)
        connection.execute(tables.tables["latest_metrics"].insert(), [row(POINTS - 1)])


def repeat(name, send):
    """The middle and the slow end of some requests, and the processor's time for each."""
    latencies, before, start = [], cpu_ms(), time.perf_counter()
    while not latencies or time.perf_counter() - start < SECONDS:
        sent = time.perf_counter()
        send()
        latencies.append((time.perf_counter() - sent) * 1000)
    latencies.sort()
    count = len(latencies)
    tell(name + ", p50", latencies[count // 2], "ms", (cpu_ms() - before) / count)
    tell(name + ", p95", latencies[min(count - 1, count * 95 // 100)], "ms")


def histories(client, run):
    sample = f"/ajax-api/2.0/mlflow/metrics/get-history-bulk-interval?run_ids={run}&metric_key=loss&max_results=320"

    def read_sample():
        assert len(client.get(sample)["metrics"]) == 320

    sent = time.perf_counter()
    read_sample()
    tell("320 of 1,000,000 points, the first time", (time.perf_counter() - sent) * 1000, "ms")
    repeat("320 of 1,000,000 points", read_sample)

    path = f"/api/2.0/mlflow/metrics/get-history?run_id={run}&metric_key=loss&max_results={PAGE}"
    before, sent, token, count = cpu_ms(), time.perf_counter(), "", 0
    while True:
        answer = client.get(f"{path}&page_token={token}")
        count += len(answer["metrics"])
        token = answer.get("next_page_token")
        if not token:
            break
    assert count == POINTS, count
    tell("1,000,000 points in pages of 25,000", time.perf_counter() - sent, "s", cpu_ms() - before)


def send_file(name, piece):
    connection = http.client.HTTPConnection(URL.hostname, URL.port, timeout=600)
    path = f"/api/2.0/mlflow-artifacts/artifacts/{name}"
    before, sent = cpu_ms(), time.perf_counter()
    # Pieces that differ, so that nothing is gained by keeping equal ones once.
    pieces = (place.to_bytes(8, "big") + piece[8:] for place in range(FILE_MIB))
    connection.request("PUT", path, pieces, {"Content-Length": str(FILE_MIB << 20)})
    response = connection.getresponse()
    response.read()
    assert response.status == 200, response.status
    tell("1 GiB sent", FILE_MIB / (time.perf_counter() - sent), "MiB/s", cpu_ms() - before, True)

    before, sent = cpu_ms(), time.perf_counter()
    connection.request("GET", path)
    response = connection.getresponse()
    count = 0
    while part := response.read(1 << 20):
        count += len(part)
    assert count == FILE_MIB << 20, count
    tell("1 GiB read", FILE_MIB / (time.perf_counter() - sent), "MiB/s", cpu_ms() - before, True)


def main():
    database = sys.argv[4] if len(sys.argv) > 4 else ""
    client = Client()
    settle()
    tell("memory at rest", memory_mib("VmRSS"), "MiB")
    name = f"bulk-{now_ms()}"
    experiment = client.post("experiments/create", {"name": name})["experiment_id"]
    body = {"experiment_id": experiment, "start_time": now_ms(), "tags": []}
    run = client.post("runs/create", body)["run"]["info"]["run_id"]
    if database:
        fill_mlflow(database, run)
    else:
        log_points(client, run)
    histories(client, run)
    send_file(f"{experiment}/{run}/artifacts/large.bin", os.urandom(1 << 20))
    tell("most memory", memory_mib("VmHWM"), "MiB")


main()
