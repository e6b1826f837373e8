#!/usr/bin/env python3
"""Connects to a MySQL proxy again and again, and tells what became of it.

clients.py ADDRESS PORT: every 5 ms a connection that waits for the server's greeting, until SIGTERM; then one line of
JSON: connections, refused, failed (reset, closed, no greeting in 3 s), slowest greeting in ms.
"""

import json
import signal
import socket
import sys
import threading
import time

address, port = sys.argv[1], int(sys.argv[2])
stop = threading.Event()
signal.signal(signal.SIGTERM, lambda *_: stop.set())
lock = threading.Lock()
told = {"connections": 0, "refused": 0, "failed": 0, "slowest_ms": 0, "why": []}


def connect():
    begin, refused, why = time.monotonic(), 0, None
    try:
        with socket.create_connection((address, port), timeout=3) as client:
            client.settimeout(3)
            if len(client.recv(5)) == 0:
                why = "closed before the greeting"
    except ConnectionRefusedError:
        refused = 1
    except OSError as error:
        why = str(error)
    took = round((time.monotonic() - begin) * 1000)
    with lock:
        told["connections"] += 1
        told["refused"] += refused
        told["failed"] += why is not None
        told["slowest_ms"] = max(told["slowest_ms"], took)
        if why and len(told["why"]) < 5:
            told["why"].append(why)


threads = []
while not stop.wait(0.005):
    threads = [thread for thread in threads if thread.is_alive()]
    if len(threads) < 800:
        threads.append(threading.Thread(target=connect))
        threads[-1].start()
for thread in threads:
    thread.join()
print(json.dumps(told))
