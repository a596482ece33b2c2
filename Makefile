# One obvious command for each task. Each of them sets up .venv by itself.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.DEFAULT_GOAL := help
.PHONY: help demo test javascript javascript-promptfoo charts faults faults-operator fuzz pictures check format bench bench-quick bench-operator manifests requirements dist clean

help:  ## show this list
	@awk -F':.*## ' '/^[a-z-]+:.*## / {printf "make %-20s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(STAMP): pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $@

demo: $(STAMP)  ## watch a catalog become live sessions on the embedded server
	@PATH="$(CURDIR)/$(BIN):$$PATH" sh examples/demo.sh

test: $(STAMP)  ## run the tests (about 5 minutes on two cores)
	$(BIN)/pytest -n auto

javascript: $(STAMP)  ## what the tests compare with under node: another schema validator, another YAML parser
	npm install --silent --no-save --no-fund --no-audit --prefix $(VENV)/javascript ajv@8 yaml@2

javascript-promptfoo: $(STAMP)  ## promptfoo, which a test runs on an export (1.4 GB)
	npm install --silent --no-save --no-fund --no-audit --prefix $(VENV)/promptfoo promptfoo@0.121

charts: $(STAMP)  ## what the tests render and lint the Helm chart with: Helm itself, as a library (75 MB)
	$(BIN)/pip install --quiet --disable-pip-version-check --only-binary=:all: 'helm-python-sdk>=0.2.2,<0.3'

faults: $(STAMP)  ## crash, fail, race and starve an apply in every way: takes minutes
	$(BIN)/pytest -n 6 --full tests/faults

faults-operator: $(STAMP)  ## kill and suspend the operator at each request, and break its control plane (needs one): takes 17 minutes
	$(BIN)/pytest -n 2 --full tests/operator/test_kills.py tests/operator/test_control_plane.py tests/operator/test_suspended.py tests/operator/test_s3.py

fuzz: $(STAMP)  ## give 100,000 mutated files to the commands that read them: takes 20 minutes
	$(BIN)/python -m tests.fuzz

pictures: $(STAMP)  ## first screens of ten plans and of a watcher, into .pictures, and those of the documentation (needs Chromium)
	$(BIN)/python -m tests.render.screens .pictures
	$(BIN)/python -m tests.web.screens .pictures

check: $(STAMP)  ## formatting, lint, types, architecture
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/pytest -n 0 tests/test_architecture.py

format: $(STAMP)  ## format the code
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: $(STAMP)  ## measure everything, into benchmarks/RESULTS.md (under 20 minutes)
	$(BIN)/python -m benchmarks
	$(BIN)/python -m benchmarks.looks

bench-quick: $(STAMP)  ## a smaller benchmark, in a minute; writes nothing
	$(BIN)/python -m benchmarks --quick
	$(BIN)/python -m benchmarks.looks --sessions 5000

bench-operator: $(STAMP)  ## 300 catalogs kept by the operator on a real control plane, in under six minutes (needs KUBEBUILDER_ASSETS)
	$(BIN)/python -m benchmarks.operator

manifests: $(STAMP)  ## write what the Helm chart shares with deploy/kubernetes and deploy/prometheus
	$(BIN)/python scripts/manifests.py

requirements:  ## pin what the action and the image install, by version and hash (needs a package index)
	PYTHON=$(PYTHON) sh scripts/requirements.sh

dist:  ## build the wheel and the sdist, and try each in a clean environment (needs a package index)
	PYTHON=$(PYTHON) sh scripts/dist.sh

clean:  ## remove everything that the other commands made
	rm -rf $(VENV) .demo .bench .dist .pictures dist
