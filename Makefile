SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

BIN := .venv/bin
SOURCES := heygem_daemon tests scripts benchmarks training

# make demo DROP=/path/to/folder   a drop of your own;   make demo VOICE=zh   the sample speaks Mandarin
DROP ?=
VOICE ?= en
# make test PYTEST="-k settle -x"   further words for pytest
PYTEST ?=

# make demo-web PORT=8000   the port of the page
PORT ?= 7860

# make train-driver AVDATA=/path/to/clips   a folder of audio-visual clips (docs/learning.md)
AVDATA ?=
# make train-driver TRAINING="--seed 1 --out FILE"   further words for python -m training
TRAINING ?=

# make bench CLIP=/path/to/clip.mp4 SPEECH=/path/to/speech.wav QUICK=1   (or LONG=1, K=720p)   inputs and extent (docs/performance.md)
CLIP ?=
SPEECH ?=
QUICK ?=
LONG ?=
K ?=
# make bench BENCH="--rounds 5 --package /other/checkout"   further words for python -m benchmarks.speed
BENCH ?=
INPUTS = $(foreach clip,$(CLIP),--clip '$(clip)') $(if $(SPEECH),--speech '$(SPEECH)')

# sudo make install DESTDIR=/some/where PREFIX=/usr   all variables: scripts/install.sh, docs/installation.md
DESTDIR ?=
PREFIX ?= /usr/local
PURGE ?=
LAYOUT = DESTDIR='$(DESTDIR)' PREFIX='$(PREFIX)' PURGE='$(PURGE)'

.PHONY: help setup install upgrade uninstall demo demo-web demo-clean test testing test-slow test-web test-e2e prove bench bench-check bench-baseline bench-gpu lint types fmt docs train-driver clean

help:  ## this list
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup:  ## Debian packages, .venv, the package, the model files; a second run takes a second or two
	@bash scripts/setup.sh

install:  ## as root: the service, its users and folders, under /opt/heygem (DESTDIR, PREFIX); a second run takes seconds
	@$(LAYOUT) bash scripts/install.sh install

upgrade:  ## as root: the new release beside the old one, restart, and back to the old one if the new one does not come up
	@$(LAYOUT) bash scripts/install.sh upgrade

uninstall:  ## as root: remove the service; configuration, ledger and everybody's files stay (PURGE=1: only the inboxes and outputs)
	@$(LAYOUT) bash scripts/uninstall.sh

demo: setup  ## drop a sample (or DROP=/path/to/folder) into ./inbox and wait for the result (VOICE=en|zh)
	@$(BIN)/python -m scripts.demo --voice '$(VOICE)' $(if $(DROP),--drop '$(DROP)')

demo-web: setup  ## the same with the page: daemon and page together, until Ctrl-C (PORT=7860, VOICE=en|zh, DROP=/path/to/folder)
	@$(BIN)/python -m scripts.demo_web --port '$(PORT)' --voice '$(VOICE)' $(if $(DROP),--drop '$(DROP)')

demo-clean:  ## forget the demo: its results, its inputs, its ledger (asks nothing; your own drops in ./inbox stay)
	@bash scripts/demo_clean.sh

# Before all else: on a new machine its packages are installed while pip works.
testing:
	@bash scripts/setup.sh --testing

# Types are checked beside the tests. The domain is measured by its own tests alone: tracing slows every other test by a fifth.
# Compiled test modules are kept for the next process, also where PYTHONDONTWRITEBYTECODE forbids it elsewhere.
test: export PYTHONDONTWRITEBYTECODE :=
test: testing lint  ## everything that must hold before a change is merged; what CI runs
	@$(BIN)/mypy >.cache/types.log & types=$$!; \
	trap 'kill $$types 2>/dev/null || true' EXIT; \
	$(BIN)/python -m pytest tests/core -q --cov --cov-report=term-missing:skip-covered; \
	$(BIN)/python -m pytest -n $$(($$(nproc) < 4 ? $$(nproc) + 1 : 4)) --dist loadfile --no-loadscope-reorder $(if $(PYTEST),,--ignore=tests/core) $(PYTEST); \
	wait $$types || { cat .cache/types.log; exit 1; }

test-slow: setup  ## the tests that make test leaves out: more whole runs, the training and learning, most rows of large families of files
	@$(BIN)/python -m pytest -m slow -n $$(($$(nproc) < 4 ? $$(nproc) + 1 : 4)) --dist loadfile --no-loadscope-reorder $(PYTEST)

test-web: setup  ## the page in a real browser: uploads of gigabytes, interruptions, hostile names, accessibility
	@bash scripts/setup.sh --testing
	@$(BIN)/python -m pytest tests/web/browser -m '' $(PYTEST)

test-e2e: setup  ## as root: the installed service in a real systemd, with a real smbd
	@bash scripts/setup.sh --testing
	@$(BIN)/python -m pytest -m box $(PYTEST)

# One process: heartbeats are timed. With PYTEST="-k storage" the other suites keep the rows of their last run.
prove: export PROOF_FOLDER := .cache/proof
prove: export PYTHONDONTWRITEBYTECODE :=
prove: setup  ## as root: kills, full disks, hostile files, age, sick devices; hours; writes docs/reliability.md (PYTEST="-k storage": one suite)
	@bash scripts/setup.sh --testing
	@$(BIN)/python -c 'import atheris' 2>/dev/null || $(BIN)/python -m pip install --quiet -c constraints.txt -e '.[prove]'
	@$(if $(PYTEST),,rm -rf $(PROOF_FOLDER))
	@failed=; $(BIN)/python -m pytest -m prove tests/prove -n 0 --timeout=7200 $(PYTEST) || failed=1; \
	$(BIN)/python -m scripts.reliability_page && [ -z "$$failed" ]

bench: setup  ## what a lip sync costs beside a plain transcode: table and .cache/bench.json (QUICK=1: minutes; CLIP=, SPEECH=, LONG=1, K=name)
	@$(BIN)/python -m benchmarks.speed $(if $(QUICK),--quick) $(if $(LONG),--long) $(foreach name,$(K),-k '$(name)') $(INPUTS) $(BENCH)

bench-check: setup  ## the quick form, its ratios compared with the committed baseline; exit status 1 if one got worse
	@$(BIN)/python -m benchmarks.speed --quick --check $(BENCH)

bench-baseline: setup  ## the quick form, its ratios kept as the baseline to commit (benchmarks/baseline.json)
	@$(BIN)/python -m benchmarks.speed --quick --baseline $(BENCH)

bench-gpu: setup  ## the same for a graphics card: stages, drawing by batch size, several items at once, equality with the CPU
	@$(BIN)/python -m benchmarks.speed.card $(INPUTS) $(BENCH)

lint: setup  ## ruff: rules and format
	@$(BIN)/ruff check $(SOURCES)
	@$(BIN)/ruff format --check $(SOURCES)

types: setup  ## mypy, strict
	@$(BIN)/mypy

fmt: setup  ## fix what ruff can fix
	@$(BIN)/ruff check --fix $(SOURCES)
	@$(BIN)/ruff format $(SOURCES)

docs: setup  ## write the generated files again: docs/errors.md, systemd/heygem.catalog, share/man/heygem.1, the JSON Schema of status.json
	@$(BIN)/python -m scripts.error_page
	@$(BIN)/python -m scripts.catalog
	@$(BIN)/python -m scripts.man_page
	@$(BIN)/python -m heygem_daemon schema >.cache/schema.json && mv .cache/schema.json heygem_daemon/status.schema.json

train-driver:  ## make the weights of the speech driver from nothing (under two hours on two cores); AVDATA=/path/to/clips
	@bash scripts/setup.sh --training
	@$(BIN)/python -m training $(if $(AVDATA),--avdata '$(AVDATA)') $(TRAINING)

clean:  ## remove .venv and every cache; weights/, inbox/ and outputs/ stay
	@rm -rf .venv .cache build *.egg-info .coverage .pytest_cache .mypy_cache .ruff_cache .hypothesis
