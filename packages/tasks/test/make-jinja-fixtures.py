# Renders templates by the environment of transformers, for jinja.test.ts:
#   pip install transformers jinja2 && python make-jinja-fixtures.py
# Each line of fixtures/jinja-cases.txt is a template; those of several lines, and the values, are in fixtures/jinja.json itself.
import json
from pathlib import Path

import jinja2
from transformers.utils.chat_template_utils import _compile_jinja_template

here = Path(__file__).parent / "fixtures"
record = json.loads((here / "jinja.json").read_text())
lines = (here / "jinja-cases.txt").read_text().removesuffix("\n").split("\n")


def rendered(template):
    try:
        return _compile_jinja_template(template).render(**record["values"])
    except Exception:  # whatever Python refuses has to be refused
        return None


record["jinja2"] = jinja2.__version__
record["lines"] = [rendered(line) for line in lines]
record["blocks"] = [[template, rendered(template)] for template, _ in record["blocks"]]
(here / "jinja.json").write_text(json.dumps(record, indent=1) + "\n")
