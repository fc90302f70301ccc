#!/usr/bin/env python3
"""Takes the cases of tied nets, which tests/oracle runs, out of PyTorch's oracle vectors.

usage: extract.py FOLDER   (holds train.json and train.safetensors; the result is written beside this script)
"""
import json
import pathlib
import struct
import sys

PREFIX = "train."

source, here = pathlib.Path(sys.argv[1]), pathlib.Path(__file__).parent
cases = [case for case in json.loads((source / "train.json").read_text()) if case["kind"].startswith(PREFIX)]
raw = (source / "train.safetensors").read_bytes()
size = struct.unpack("<Q", raw[:8])[0]
tensors, data = json.loads(raw[8 : 8 + size]), raw[8 + size :]

header, body = {}, b""
for case in cases:
    for name in case["tensors"]:
        name = f"{case['id']}/{name}"
        start, end = tensors[name]["data_offsets"]
        header[name] = {**tensors[name], "data_offsets": [len(body), len(body) + end - start]}
        body += data[start:end]
text = json.dumps(header, separators=(",", ":")).encode()
text += b" " * (-len(text) % 8)
(here / "train.safetensors").write_bytes(struct.pack("<Q", len(text)) + text + body)
(here / "train.json").write_text("[\n" + ",\n".join(map(json.dumps, cases)) + "\n]\n")
print(len(cases), "cases")
