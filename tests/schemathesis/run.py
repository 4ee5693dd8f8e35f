"""Has Schemathesis try what the server's own document of its API says, against a running server.

`run.py --reproof PROGRAM [--seed N] [--examples N]` has requests made out of the document, right ones and wrong ones,
and ends with 1 where an answer is not what the document says, where one is a fault of the server, or where the server
is gone afterwards, has grown, or holds what its events do not say. It does so twice: with `reproof server` on an empty
store, and with one on which users sign on and which holds some of everything, where half of the names in requests are
those of what is there.
"""

import argparse
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import urllib.request

from filled import fill

# Calls about users are answered where users sign on alone.
OF_USERS_TAGS = ["Users", "Rights", "Roles"]

# Declined with 501 or 503, as MLflow does.
LEFT_OUT_PATHS = r"/(mpu|presigned|workspaces)(/|$)|/presigned-(up|down)load-url$"

USER, PASSWORD = "admin", "a-password-for-tests"

CALL_SECONDS = 10
RUN_SECONDS = 300
MOST_MEMORY_KB = 400_000


def main() -> int:
    options = parse()
    return max(try_out(options, is_filled) for is_filled in (False, True))


def try_out(options: argparse.Namespace, is_filled: bool) -> int:
    with tempfile.TemporaryDirectory() as folder:
        command = [options.reproof, "server", "--root", folder, "--port", "0"]
        environment = dict(os.environ)
        if is_filled:
            command += ["--app-name", "basic-auth"]
            environment |= {"MLFLOW_AUTH_ADMIN_USERNAME": USER, "MLFLOW_AUTH_ADMIN_PASSWORD": PASSWORD}
            # Webhooks lead to this machine, so that trying them asks nobody else.
            environment |= {"MLFLOW_WEBHOOK_ALLOWED_SCHEMES": "http", "MLFLOW_WEBHOOK_ALLOW_PRIVATE_IPS": "true"}
        server = subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            cwd=folder,
            env=environment,
            text=True,
        )
        try:
            address = read_address(server)
            known = fill(address, USER, PASSWORD) if is_filled else {}
            code = drive(address, options, folder, known) or find_damage(server, address)
        finally:
            server.terminate()
            server.wait()
        return code or verify(options, folder)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--reproof", required=True)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--examples", type=int, default=10)
    return parser.parse_args()


def read_address(server: subprocess.Popen) -> str:
    for line in server.stdout:
        found = re.search(r"http://127\.0\.0\.1:\d+", line)
        if found:
            return found.group()
    raise SystemExit("the server did not start")


def drive(address: str, options: argparse.Namespace, folder: str, known: dict[str, list]) -> int:
    config = pathlib.Path(__file__).with_name("schemathesis.toml")
    program = "from schemathesis.cli import schemathesis; schemathesis()"
    command = [sys.executable, "-c", program, "--config-file", str(config)]
    command += ["run", f"{address}/openapi.json"]
    command += ["--phases", "coverage,fuzzing", "--max-examples", str(options.examples)]
    command += ["--seed", str(options.seed), "--no-shrink", "--continue-on-failure"]
    command += ["--request-timeout", str(CALL_SECONDS), "--warnings", "off"]
    command += ["--exclude-path-regex", LEFT_OUT_PATHS]
    here = pathlib.Path(__file__).parent
    environment = dict(os.environ, PYTHONPATH=str(here))
    if known:
        command += ["--auth", f"{USER}:{PASSWORD}"]
        environment |= {"SCHEMATHESIS_HOOKS": "hooks", "REPROOF_KNOWN": json.dumps(known)}
    else:
        for tag in OF_USERS_TAGS:
            command += ["--exclude-tag", tag]
    return subprocess.run(command, cwd=folder, env=environment, timeout=RUN_SECONDS).returncode


def verify(options: argparse.Namespace, folder: str) -> int:
    """Builds the rows of the store again from its events, which hold whatever was sent."""
    verifying = subprocess.run([options.reproof, "audit", "verify"], cwd=folder, timeout=RUN_SECONDS)
    if verifying.returncode != 0:
        print(f"what the store holds is not what its events say: {verifying.returncode}")
        return 1
    return 0


def find_damage(server: subprocess.Popen, address: str) -> int:
    if server.poll() is not None:
        print(f"the server ended with {server.returncode}")
        return 1
    with urllib.request.urlopen(f"{address}/health", timeout=CALL_SECONDS) as answer:
        if answer.status != 200:
            print(f"the server answers {answer.status}")
            return 1
    status = pathlib.Path(f"/proc/{server.pid}/status")
    if status.exists():
        memory_kb = int(re.search(r"VmHWM:\s+(\d+)", status.read_text()).group(1))
        print(f"the server held up to {memory_kb} kB")
        if memory_kb > MOST_MEMORY_KB:
            print(f"that is more than {MOST_MEMORY_KB} kB")
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
