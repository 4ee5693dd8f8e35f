"""What the clients of the benchmarks share: one connection that is kept open, and the server's use of the machine.

Only the standard library is used, so that the client costs the same whatever it measures.
"""

import json
import os
import socket
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


def family(found):
    """The server's process and its descendants."""
    members = {SERVER}
    while True:
        more = {pid for pid, (parent, _) in found.items() if parent in members} - members
        if not more:
            return members & found.keys()
        members |= more


def cpu_ms():
    """CPU time that the server has used."""
    found = processes()
    ticks = sum(found[pid][1] for pid in family(found))
    return ticks * 1000 / os.sysconf("SC_CLK_TCK")


def memory_mib(field):
    """Memory of the server, as /proc tells it: VmRSS is what it has, VmHWM the most that it had."""
    total = 0
    for pid in family(processes()):
        with open(f"/proc/{pid}/status") as file:
            for line in file:
                if line.startswith(field + ":"):
                    total += int(line.split()[1])
    return total / 1024


class Client:
    """One connection that is kept open.

    It does no more than it must: at thousands of requests a second, what `http.client` does to one costs more than a
    server may, and both share the processors.
    """

    def __init__(self):
        self.socket = None
        self.received = b""
        self.is_answered = False

    def post(self, path, body, **headers):
        path = path if path.startswith("/") else "/api/2.0/mlflow/" + path
        return self.send("POST", path, json.dumps(body).encode(), headers)

    def get(self, path):
        return self.send("GET", path, b"", {})

    def send(self, method, path, text, headers):
        head = f"{method} {path} HTTP/1.1\r\nHost: {URL.netloc}\r\nContent-Type: application/json\r\n"
        head += "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        request = f"{head}Content-Length: {len(text)}\r\n\r\n".encode() + text
        is_kept = self.socket is not None
        try:
            status, fields, answer = self.exchange(request)
        except ConnectionError:
            # The server may close a connection that was idle; it has not answered then.
            if not is_kept or self.received or self.is_answered:
                raise
            self.socket = None
            status, fields, answer = self.exchange(request)
        if status != 200:
            raise SystemExit(f"{path}: {status} {answer[:300]}")
        is_json = fields.get(b"content-type", b"").startswith(b"application/json")
        return json.loads(answer or b"{}") if is_json else {}

    def exchange(self, request):
        if self.socket is None:
            self.socket = socket.create_connection((URL.hostname, URL.port), timeout=120)
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.received = b""
        self.is_answered = False
        self.socket.sendall(request)
        first, *lines = self.take_through(b"\r\n\r\n").split(b"\r\n")
        self.is_answered = True
        fields = {}
        for line in lines:
            name, _, value = line.partition(b":")
            fields[name.lower()] = value.strip()
        if fields.get(b"transfer-encoding", b"").lower() == b"chunked":
            chunks = []
            while size := int(self.take_through(b"\r\n").partition(b";")[0], 16):
                chunks.append(self.take(size + 2)[:-2])
            while self.take_through(b"\r\n"):
                pass
            answer = b"".join(chunks)
        else:
            answer = self.take(int(fields[b"content-length"]))
        if fields.get(b"connection", b"").lower() == b"close":
            self.socket = None
        return int(first.split()[1]), fields, answer

    def take_through(self, end):
        """What comes before `end`, which is dropped."""
        while (place := self.received.find(end)) < 0:
            self.receive()
        taken, self.received = self.received[:place], self.received[place + len(end) :]
        return taken

    def take(self, size):
        """So many bytes."""
        if len(self.received) < size:
            parts = [self.received]
            missing = size - len(self.received)
            while missing > 0:
                self.received = b""
                self.receive()
                parts.append(self.received)
                missing -= len(self.received)
            self.received = b"".join(parts)
        taken, self.received = self.received[:size], self.received[size:]
        return taken

    def receive(self):
        more = self.socket.recv(1 << 18)
        if not more:
            raise ConnectionError("the server closed the connection")
        self.received += more


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
    latencies, faults = [], []
    cpu_before, start = cpu_ms(), time.perf_counter()

    def work(send):
        number = 0
        while time.perf_counter() - start < SECONDS:
            sent = time.perf_counter()
            try:
                send(number)
            except (Exception, SystemExit) as fault:
                return faults.append(repr(fault))
            latencies.append(time.perf_counter() - sent)
            number += 1

    threads = [threading.Thread(target=work, args=(send,)) for send in senders]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    elapsed = time.perf_counter() - start
    cpu_after = cpu_ms()
    if faults:
        raise SystemExit(f"{name}: {len(faults)} of {connections} connections failed: {faults[0]}")
    latencies.sort()
    count = len(latencies)
    figures = {
        "name": name,
        "requests": count,
        "requests_per_s": count / elapsed,
        "latency_ms_p50": latencies[count // 2] * 1000,
        "latency_ms_p95": latencies[min(count - 1, count * 95 // 100)] * 1000,
        "latency_ms_p99": latencies[min(count - 1, count * 99 // 100)] * 1000,
        "cpu_ms_per_request": (cpu_after - cpu_before) / count,
    }
    print(json.dumps(figures), flush=True)
