# Every target does its own set-up, on a fresh machine too (Debian: as root or with sudo).
#   make demo    one whole encrypted call between two processes on this machine
#   make test    lint, types and all tests
#   make bench   measures call set-up beside plain aiortc
#   make bench-network   measures connecting and hand-off in a laboratory of namespaces (root)
#   make bench-media     measures sound, pictures and cost of calls beside plain aiortc and libwebrtc (root)
#   make bench-server    measures the signaling server beside bare ones, nats-server and PeerJS' (root)
#   make bench-doctor    injects faults into that laboratory and counts how often the doctor names them (root)

SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.PHONY: demo test lint types bench bench-network bench-media bench-server bench-doctor clean system-run system-test

demo: system-run $(STAMP)
	$(BIN)/entrenous demo $(DEMO)

test: system-test $(STAMP) lint types
	@# Where Python may write no bytecode, each of the programs that tests start would compile all modules anew.
	$(BIN)/python -m compileall -q src signaling
	ENTRENOUS_EXHAUSTIVE=1 $(BIN)/python -m pytest $(TEST)

lint: $(STAMP)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

types: $(STAMP)
	$(BIN)/mypy

bench: system-test $(STAMP)
	PYTHONPATH=tests $(BIN)/python -m bench.setup_times $(BENCH)

bench-network: system-test $(STAMP)
	PYTHONPATH=tests $(BIN)/python -m bench.network_times $(BENCH)

bench-media: system-test $(STAMP)
	@.ci/system-packages bench
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[bench]'
	PYTHONPATH=tests $(BIN)/python -m bench.media_all $(BENCH)

bench-server: system-test $(STAMP)
	@.ci/system-packages bench
	PYTHONPATH=tests $(BIN)/python -m bench.server_all $(BENCH)

bench-doctor: system-test $(STAMP)
	PYTHONPATH=tests $(BIN)/python -m bench.doctor_faults $(BENCH)

system-run:
	@.ci/system-packages run

system-test:
	@.ci/system-packages test

$(STAMP): pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "entrenous needs Python 3.11 or newer: make PYTHON=python3.11")'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade pip
	PYTHONWARNINGS=ignore $(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[server,postgresql,parquet,processing,plot,test]'
	@touch $@

clean:
	rm -rf $(VENV) build dist demo-output bench-output
