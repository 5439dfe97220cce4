# Every step of CI is a target here. `make help` lists them.

SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
ARGS ?=
CNI ?= kindnet
K8S ?=
REPORTS ?= reports

.DEFAULT_GOAL := help
.PHONY: help run cluster-run cluster-diff test test-cluster lint type format setup system browser check bench bench-cluster clean

help:  # This list
	@awk -F ':.*# ' '/^[a-z-]+:.*# / {printf "  make %-13s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

run: setup  # Set everything up and run the shipped scenarios on the lab (ARGS="scenarios/tutorial -v")
	$(BIN)/netcheck run $(ARGS)

cluster-run: setup  # Run the shipped scenarios on a kind cluster made for it (CNI=cilium K8S=1.35.8 ARGS="--keep")
	$(BIN)/netcheck run --cluster kind --cni $(CNI) --cni-trust-download $(if $(K8S),--k8s-version $(K8S)) \
	  --report junit:$(REPORTS)/$(firstword $(subst @, ,$(CNI))).xml,json:$(REPORTS)/$(firstword $(subst @, ,$(CNI))).json $(ARGS)

# Differences between network plugins are what the table is for, and no failure of its making.
cluster-diff: setup  # Join the JSON reports of cluster-run into one table (REPORTS=folder)
	$(BIN)/netcheck diff $(wildcard $(REPORTS)/*.json) --report md:$(REPORTS)/clusters.md $(ARGS) || [ $$? -eq 1 ]
	@if [ -n "$$GITHUB_STEP_SUMMARY" ]; then cat $(REPORTS)/clusters.md >>"$$GITHUB_STEP_SUMMARY"; fi

test: setup  # Set everything up and run the tests (ARGS="-k judge")
	$(BIN)/pytest $(ARGS)

test-cluster: setup  # Run the tests that need real clusters (ARGS="-k kubeconfig"; see bin/test-cluster)
	@bin/test-cluster $(ARGS)

lint: setup  # Look for mistakes with ruff
	$(BIN)/ruff check .

type: setup  # Check the types with mypy
	$(BIN)/mypy

format: setup  # Check the format (ARGS=--fix to write it)
	@if [ "$(ARGS)" = "--fix" ]; then $(BIN)/ruff format . && $(BIN)/ruff check --fix .; else $(BIN)/ruff format --check .; fi

check: lint type format test  # All of the above

bench: setup  # Measure sweeps, builds and start-up against raw sockets
	$(BIN)/python bench/bench.py $(ARGS)
	$(BIN)/python bench/paper.py
	$(BIN)/python bench/bench_pytest.py
	$(BIN)/python bench/bench_proxy.py
	$(BIN)/python bench/bench_calico.py

bench-cluster: setup  # Measure a 9-pod scenario on a cluster (ARGS="--cluster context:NAME")
	$(BIN)/python bench/bench_cluster.py $(ARGS)

setup: $(VENV)/.done system

# What the lab needs of the machine: nft. Installed where apt and the rights for it are there, else named.
system:
	@bash bin/setup-system

browser:  # Install the browser that the tests of the HTML report open
	@bash bin/setup-system chromium

$(VENV)/.done: pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "netcheck needs Python 3.11 or newer; choose one with: make PYTHON=python3.12 …" >&2; exit 1; }
	@bash bin/setup-venv "$(PYTHON)" "$(VENV)"
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $@

clean:  # Remove what the targets made
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis dist build
