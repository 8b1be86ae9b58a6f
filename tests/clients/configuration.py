"""Holds configuration files against the JSON Schema that editors use.

Usage: configuration.py SCHEMA CASES. CASES is JSON: {"good": [TOML, …], "bad": [TOML, …]}, all of it valid TOML.
"""

import json
import sys
import tomllib

from jsonschema import Draft7Validator

schema_file, cases_file = sys.argv[1:]
with open(schema_file) as file:
    schema = json.load(file)
with open(cases_file) as file:
    cases = json.load(file)

Draft7Validator.check_schema(schema)
validator = Draft7Validator(schema)
wrong = []
for text in cases["good"]:
    wrong += [f"{error.json_path}: {error.message}, in: {text}" for error in validator.iter_errors(tomllib.loads(text))]
for text in cases["bad"]:
    if validator.is_valid(tomllib.loads(text)):
        wrong.append(f"this is no mistake to the schema: {text}")

print(f"{len(cases['good'])} good, {len(cases['bad'])} bad")
for line in wrong:
    print(line)
sys.exit(1 if wrong or not cases["good"] or not cases["bad"] else 0)
