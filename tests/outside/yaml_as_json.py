"""Prints the documents of a YAML file as a JSON list: yaml_as_json.py FILE."""

import json
import sys

import yaml

with open(sys.argv[1], encoding="utf-8") as file:
    print(json.dumps(list(yaml.safe_load_all(file))))
