"""Encodes texts by Rust's tokenizers: rust-tokenizers.py, with a JSON of {tokenizers: {name: json}, texts} on stdin. Prints JSON: a list of
{ids, decoded} a tokenizer, one a text; decoded is without special tokens."""
import json
import sys

from tokenizers import Tokenizer

given = json.load(sys.stdin)
made = {}
for name, file in given["tokenizers"].items():
    try:
        tokenizer = Tokenizer.from_str(json.dumps(file))
    except Exception as error:
        sys.exit(f"{name}: {error}")
    rows = []
    for text in given["texts"]:
        ids = tokenizer.encode(text).ids
        rows.append({"ids": ids, "decoded": tokenizer.decode(ids)})
    made[name] = rows
print(json.dumps(made))
