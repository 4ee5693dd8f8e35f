"""Sends the same requests to stock MLflow and to Reproof, and compares what they answer.

    python drive.py --reproof target/debug/reproof --seed 1 --requests 300

Both servers are started on this machine with empty stores. Needs nothing but Python with MLflow in it.
"""

import argparse
import collections
import json
import os
import pathlib
import random
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request

import compare
import generate
import rules
import state
from steps import Server

KNOWN = pathlib.Path(__file__).with_name("known.jsonl")


class Started:
    """A server of this run, which ends with it."""

    def __init__(self, label, command, folder, environment):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.label = label
        self.log = pathlib.Path(folder, f"{label}.log")
        self.process = subprocess.Popen(
            [part.replace("PORT", str(self.port)) for part in command],
            cwd=folder,
            env={**{name: value for name, value in os.environ.items() if not name.startswith("MLFLOW_")}, **environment},
            stdout=self.log.open("wb"),
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

    def wait(self):
        until = time.monotonic() + 180
        while time.monotonic() < until:
            if self.process.poll() is not None:
                break
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{self.port}/health", timeout=5)
                return Server(self.label, ("127.0.0.1", self.port))
            except (OSError, urllib.error.URLError):
                time.sleep(0.1)
        sys.exit(f"{self.label} does not answer:\n{self.log.read_text()[-2000:]}")

    def stop(self):
        # Its workers are in the session that was made for it.
        try:
            os.killpg(self.process.pid, 15)
            self.process.wait(15)
        except ProcessLookupError:
            return
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, 9)


def start_both(arguments, folder):
    common = {
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        "HOME": folder,
        "XDG_CONFIG_HOME": f"{folder}/config",
    }
    (pathlib.Path(folder) / "mlflow").mkdir()
    (pathlib.Path(folder) / "reproof").mkdir()
    command = [arguments.python, "-m", "mlflow", "server", "--backend-store-uri", "sqlite:///mlflow.db", "--workers"]
    command += ["1", "--host", "127.0.0.1", "--port", "PORT", "--artifacts-destination", "./artifacts"]
    stock = Started("mlflow", command, f"{folder}/mlflow", common)
    command = [arguments.reproof, "server", "--root", f"{folder}/reproof", "--host", "127.0.0.1", "--port", "PORT"]
    ours = Started("reproof", command, f"{folder}/reproof", common)
    return stock, ours


class Run:
    """What was sent and found."""

    def __init__(self, reference, subject):
        self.reference, self.subject = reference, subject
        self.sequences = 0
        self.requests = 0
        self.hits = collections.Counter()
        # For each rule the first sequence that needed it, up to the step that did.
        self.needed = {}

    def send(self, steps, wanted=None, is_counted=True):
        """Sends a sequence to both; gives the first step whose answers differ for no known reason, and how.

        With the name of a rule: the first step that needs it.
        """
        self.sequences += 1
        for server in (self.reference, self.subject):
            server.begin(f"n{self.sequences}-")
        for index, step in enumerate(steps):
            ours = self.subject.send(step)
            theirs = self.reference.send(step)
            self.requests += is_counted
            found = compare.compare(theirs, ours, self.reference, self.subject)
            left = []
            if ours.status in (0, 500, 502, 503, 504):
                left.append(("$status", (theirs.status, compare.said(theirs)), (ours.status, compare.said(ours))))
            for place, left_side, right_side in found:
                rule = rules.find(step, place, left_side, right_side)
                if rule is None:
                    left.append((place, left_side, right_side))
                    continue
                if rule.name == wanted:
                    return index, [(place, left_side, right_side)]
                if is_counted:
                    self.hits[rule.name] += 1
                    self.needed.setdefault(rule.name, steps[: index + 1])
            if left and wanted is None:
                return index, left
            if may_have_parted(step, theirs, ours, found):
                break
        return None


def may_have_parted(step, theirs, ours, found):
    """Whether the two may hold different things now, so that what follows cannot be compared.

    MLflow writes a batch by parts, and an experiment before its tags: what it refuses may be written all the same.
    """
    is_reading = step["method"] == "GET" or step["path"].endswith("/search")
    return not is_reading and bool(found) and (theirs.status >= 400) | (ours.status >= 400) | (theirs.status != ours.status)


def shape(fault):
    """What makes two faults the same one: where, and what kind of values."""
    place, theirs, ours = fault
    if place == "$status":
        return place, theirs[0], ours[0]
    return (place.rsplit("/", 1)[-1],)


def shrink(kept, shows):
    """The fewest steps whose last one still shows what the last one of these does."""
    size = max(1, (len(kept) - 1) // 2)
    while size:
        at = 0
        while at < len(kept) - 1:
            candidate = kept[:at] + kept[min(at + size, len(kept) - 1) :]
            if shows(candidate):
                kept = candidate
            else:
                at += size
        size //= 2
    return kept


def shrink_fault(run, steps, left):
    """A shorter sequence with the same fault, how the two differ at its end, and whether it comes again."""
    wanted = shape(left[0])

    def shows(candidate):
        found = run.send(candidate, is_counted=False)
        return found is not None and found[0] == len(candidate) - 1 and shape(found[1][0]) == wanted

    if not shows(steps):
        return steps, left, False
    kept = shrink(steps, shows)
    found = run.send(kept, is_counted=False)
    return kept, found[1] if found else left, True


def collect(run):
    """Writes the shortest sequence for each rule that has none, so that a short run needs them all."""
    known = read_known()
    for name, steps in run.needed.items():
        if name in known:
            continue

        def shows(candidate):
            found = run.send(candidate, wanted=name, is_counted=False)
            return found is not None and found[0] == len(candidate) - 1

        if shows(steps):
            known[name] = shrink(steps, shows)
    with KNOWN.open("w") as file:
        for rule in rules.RULES:
            if rule.name in known:
                file.write(json.dumps({"rule": rule.name, "steps": known[rule.name]}) + "\n")


def read_known():
    lines = KNOWN.read_text().splitlines() if KNOWN.exists() else []
    return {known["rule"]: known["steps"] for known in map(json.loads, lines)}


def report(kind, steps, left, is_steady, out):
    print(f"\n=== {kind}: {len(steps)} requests" + ("" if is_steady else " (not seen when sent again)"), file=out)
    for made in steps:
        print(json.dumps(made), file=out)
    for place, theirs, ours in left[:12]:
        print(f"  {place}\n    mlflow:  {theirs!r:.600}\n    reproof: {ours!r:.600}", file=out)
    out.flush()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--reproof", help="the binary", required=True)
    parser.add_argument("--python", default=sys.executable, help="an interpreter with MLflow")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--requests", type=int, default=300, help="random ones at least; those for the rules come before")
    parser.add_argument("--only", help="one kind of random sequence", choices=sorted(generate.KINDS))
    parser.add_argument("--replay", help="a file of steps, one JSON a line, in place of all others")
    parser.add_argument("--faults", type=int, default=10, help="after how many to stop")
    parser.add_argument("--collect", action="store_true", help="write a sequence for each rule that has none")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        stock, ours = start_both(arguments, folder)
        try:
            run = Run(stock.wait(), ours.wait())
            faults = go(run, arguments)
            if arguments.collect:
                collect(run)
            for server in (stock, ours):
                if server.process.poll() is not None or "panicked" in server.log.read_text():
                    print(f"{server.label} ended or panicked:\n{server.log.read_text()[-2000:]}")
                    faults += 1
        finally:
            stock.stop()
            ours.stop()
    sys.exit(1 if faults else 0)


def go(run, arguments):
    started = time.monotonic()
    faults = 0
    seen = set()
    for kind, steps in sequences(arguments, run):
        found = run.send(steps)
        if found is None:
            continue
        index, left = found
        key = (steps[index]["method"], state.template(steps[index]["path"]), *shape(left[0]))
        if key in seen:
            continue
        seen.add(key)
        faults += 1
        report(kind, *shrink_fault(run, steps[: index + 1], left), sys.stdout)
        if faults >= arguments.faults:
            break
    stale = [rule.name for rule in rules.RULES if not run.hits[rule.name]]
    elapsed_s = time.monotonic() - started
    print(f"\n{run.requests} requests in {elapsed_s:.0f} s; answers that differ for no known reason: {faults}")
    for rule in rules.RULES:
        print(f"  {run.hits[rule.name]:6} {rule.name}: {rule.reason}")
    if stale and not arguments.replay and not arguments.collect:
        print("rules that nothing needed, which are to be taken out: " + ", ".join(stale))
        faults += 1
    return faults


def sequences(arguments, run):
    if arguments.replay:
        lines = pathlib.Path(arguments.replay).read_text().splitlines()
        yield "replay", [json.loads(line) for line in lines if line.startswith("{")]
        return
    for name, steps in read_known().items():
        yield f"rule {name!r}", steps
    source = random.Random(arguments.seed)
    until = run.requests + arguments.requests
    kinds = [arguments.only] if arguments.only else sorted(generate.KINDS)
    while run.requests < until:
        for kind in kinds:
            yield f"{kind} of seed {arguments.seed}", generate.sequence(kind, source)


main()
