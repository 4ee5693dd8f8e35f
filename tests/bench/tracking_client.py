"""Sends tracking requests to a server that speaks the MLflow REST API, and prints rates as JSON lines.

    tracking_client.py URL SERVER_PID SECONDS

The same requests go to every server: only the standard library is used, so that the client costs the same.
"""

import http.client
import json
import os
import random
import sys
import threading
import time
import urllib.parse

URL = urllib.parse.urlparse(sys.argv[1])
SERVER = int(sys.argv[2])
SECONDS = float(sys.argv[3])


def processes():
    """All processes: parent and CPU ticks by process id."""
    found = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                with open(f"/proc/{name}/stat") as file:
                    fields = file.read().rpartition(")")[2].split()
            except OSError:
                continue
            found[int(name)] = (int(fields[1]), int(fields[11]) + int(fields[12]))
    return found


def cpu_ms():
    """CPU time that the server's process and its descendants have used."""
    found = processes()
    family = {SERVER}
    while True:
        more = {pid for pid, (parent, _) in found.items() if parent in family} - family
        if not more:
            break
        family |= more
    ticks = sum(found[pid][1] for pid in family if pid in found)
    return ticks * 1000 / os.sysconf("SC_CLK_TCK")


class Client:
    """One connection that is kept open."""

    def __init__(self):
        self.connection = http.client.HTTPConnection(URL.hostname, URL.port, timeout=120)

    def post(self, path, body):
        text = json.dumps(body).encode()
        headers = {"Content-Type": "application/json"}
        for attempt in range(2):
            try:
                self.connection.request("POST", "/api/2.0/mlflow/" + path, text, headers)
                response = self.connection.getresponse()
                break
            except (ConnectionError, http.client.RemoteDisconnected):
                # The server may close a connection that was idle.
                self.connection.close()
                if attempt:
                    raise
        answer = response.read()
        if response.status != 200:
            raise SystemExit(f"{path}: {response.status} {answer[:300]}")
        return json.loads(answer or b"{}")


def now_ms():
    return int(time.time() * 1000)


def settle():
    """Waits until the server has done what it does at its start."""
    for _ in range(60):
        before = cpu_ms()
        time.sleep(0.5)
        if cpu_ms() - before < 20:
            return


def measure(name, make_sender, connections=1):
    """Sends from some connections at once for SECONDS, and prints what it took.

    `make_sender` is given a connection and returns what sends one request, given its number.
    """
    senders = [make_sender(Client()) for _ in range(connections)]
    latencies = []
    cpu_before, start = cpu_ms(), time.perf_counter()

    def work(send):
        number = 0
        while time.perf_counter() - start < SECONDS:
            sent = time.perf_counter()
            send(number)
            latencies.append(time.perf_counter() - sent)
            number += 1

    threads = [threading.Thread(target=work, args=(send,)) for send in senders]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    elapsed = time.perf_counter() - start
    cpu_after = cpu_ms()
    latencies.sort()
    count = len(latencies)
    figures = {
        "name": name,
        "requests": count,
        "requests_per_s": count / elapsed,
        "latency_ms_p50": latencies[count // 2] * 1000,
        "latency_ms_p95": latencies[min(count - 1, count * 95 // 100)] * 1000,
        "cpu_ms_per_request": (cpu_after - cpu_before) / count,
    }
    print(json.dumps(figures), flush=True)


def main():
    client = Client()
    name = f"bench-{now_ms()}"
    experiment = client.post("experiments/create", {"name": name})["experiment_id"]

    def make_run(client):
        body = {"experiment_id": experiment, "start_time": now_ms(), "tags": []}
        return client.post("runs/create", body)["run"]["info"]["run_id"]

    def log_metric(client):
        run = make_run(client)

        def send(step):
            point = {"key": "loss", "value": random.random(), "timestamp": now_ms(), "step": step}
            client.post("runs/log-metric", {"run_id": run, **point})

        return send

    def log_batch(client):
        run = make_run(client)

        def send(number):
            time_ms = now_ms()
            points = [
                {"key": "loss", "value": random.random(), "timestamp": time_ms, "step": step}
                for step in range(number * 1000, number * 1000 + 1000)
            ]
            client.post("runs/log-batch", {"run_id": run, "metrics": points})

        return send

    def create_run(client):
        return lambda _: make_run(client)

    warm = log_metric(client)
    for number in range(20):
        warm(number)
    settle()
    measure("log_metric", log_metric)
    measure("log_metric, 8 connections", log_metric, connections=8)
    measure("log_batch of 1000", log_batch)
    measure("create_run", create_run)


main()
