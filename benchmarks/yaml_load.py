"""The least that a check of YAML files must do: have libyaml load them."""

from __future__ import annotations

import sys
from pathlib import Path

import yaml

for file in sorted(Path(sys.argv[1]).rglob("*.yaml")):
    yaml.load(file.read_bytes(), Loader=yaml.CSafeLoader)
