#!/usr/bin/env python3
"""Takes the cases that tests run out of PyTorch's oracle vectors.

usage: extract.py FROM TO KIND...   (FROM and TO hold train.json and train.safetensors; a KIND may end in `*`)

The optimizers' cases:     extract.py FROM crates/tiegrad-optim/tests/data optim.SGD optim.Adam optim.AdamW optim.RMSprop
Those of tied nets:        extract.py FROM tests/data 'train.*'
"""
import fnmatch
import json
import pathlib
import struct
import sys

source, to, kinds = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]), sys.argv[3:]
cases = json.loads((source / "train.json").read_text())
cases = [case for case in cases if any(fnmatch.fnmatchcase(case["kind"], kind) for kind in kinds)]
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
(to / "train.safetensors").write_bytes(struct.pack("<Q", len(text)) + text + body)
(to / "train.json").write_text("[\n" + ",\n".join(map(json.dumps, cases)) + "\n]\n")
print(len(cases), "cases")
