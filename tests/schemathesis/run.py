"""Has Schemathesis try what the server's own document of its API says, against a running server.

`run.py --reproof PROGRAM [--seed N] [--examples N]` starts `reproof server` on an empty store of its own, has requests
made out of the document, right ones and wrong ones, and ends with 1 where an answer is not what the document says,
where one is a fault of the server, or where the server is gone afterwards or has grown.
"""

import argparse
import pathlib
import re
import subprocess
import sys
import tempfile
import urllib.request

# Calls about users are answered where users sign on alone.
LEFT_OUT_TAGS = ["Users", "Rights", "Roles"]

# Declined with 501 or 503, as MLflow does.
LEFT_OUT_PATHS = r"/(mpu|presigned|workspaces)(/|$)|/presigned-(up|down)load-url$"

CALL_SECONDS = 10
RUN_SECONDS = 300
MOST_MEMORY_KB = 400_000


def main() -> int:
    options = parse()
    with tempfile.TemporaryDirectory() as folder:
        server = subprocess.Popen(
            [options.reproof, "server", "--root", folder, "--port", "0"],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            cwd=folder,
            text=True,
        )
        try:
            address = read_address(server)
            code = drive(address, options, folder)
            return code or find_damage(server, address)
        finally:
            server.kill()
            server.wait()


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


def drive(address: str, options: argparse.Namespace, folder: str) -> int:
    config = pathlib.Path(__file__).with_name("schemathesis.toml")
    program = "from schemathesis.cli import schemathesis; schemathesis()"
    command = [sys.executable, "-c", program, "--config-file", str(config)]
    command += ["run", f"{address}/openapi.json"]
    command += ["--phases", "coverage,fuzzing", "--max-examples", str(options.examples)]
    command += ["--seed", str(options.seed), "--no-shrink", "--continue-on-failure"]
    command += ["--request-timeout", str(CALL_SECONDS), "--warnings", "off"]
    command += ["--exclude-path-regex", LEFT_OUT_PATHS]
    for tag in LEFT_OUT_TAGS:
        command += ["--exclude-tag", tag]
    return subprocess.run(command, cwd=folder, timeout=RUN_SECONDS).returncode


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
