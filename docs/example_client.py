"""Upload a recording and videos, wait, and download the results: python example_client.py SERVER TOKEN RECORDING VIDEO ..."""

import json
import shutil
import sys
import time
from base64 import b64encode
from pathlib import Path
from urllib.parse import urljoin
from urllib.request import Request, urlopen

server, token, *files = sys.argv[1:]  # http://127.0.0.1:7860, and what `heygem web token add NAME` printed


def call(method, path, body=None, **fields):
    fields = {"Authorization": f"Bearer {token}", "Content-Type": "application/json", "Tus-Resumable": "1.0.0"} | fields
    return urlopen(Request(urljoin(f"{server}/api/v1/", path), body, fields, method=method))


draft = json.load(call("POST", "drafts", b"{}"))["draft"]
for path, role in zip(map(Path, files), ["recording"] + ["video"] * len(files)):
    size, words = path.stat().st_size, {"draft": draft, "name": path.name, "role": role}
    metadata = ",".join(f"{key} {b64encode(value.encode()).decode()}" for key, value in words.items())
    upload = call("POST", "uploads", b"", **{"Upload-Length": size, "Upload-Metadata": metadata}).headers["Location"]
    about = {"Upload-Offset": 0, "Content-Length": size, "Content-Type": "application/offset+octet-stream"}
    with path.open("rb") as content:  # in one piece; after a cut HEAD names the offset to go on from (tus.io)
        call("PATCH", upload, content, **about)
order = {"name": "example", "draft": draft, "options": {"zip": True}, "consent": {"given": True, "by": "the example"}}
job = json.load(call("POST", "jobs", json.dumps(order).encode()))["id"]
while (entry := json.load(call("GET", f"jobs/{job}"))["entry"])["finished"] is None:
    print(entry["state"], entry["stage"], entry["percent"] or 0, "%")
    time.sleep(1)
print(entry["state"], entry["why"])
with open("example.zip", "wb") as target:
    shutil.copyfileobj(call("GET", f"jobs/{job}/zip"), target)
