# Each target sets up what it needs. `make docs` and `make test` are all that a newcomer has to know.
# The environment is our own, whichever one the caller is in.
unexport VIRTUAL_ENV

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
PEERS := $(VENV)/.peers
# Two processes, each with its threads: one that waits must not keep a core busy.
PYTEST = OMP_WAIT_POLICY=passive $(BIN)/python -m pytest -n 2 --dist loadgroup

.DEFAULT_GOAL := help
.PHONY: help docs build test test-loss test-all test-floor test-trainers test-paddle browser bench lighthouse experiments lab notebooks new-venv

help:
	@echo 'make docs           build the site and serve it at a printed address'
	@echo 'make test           test the notebooks, the package and the site'
	@echo 'make test-loss      test the loss and its notebooks only (2 minutes)'
	@echo 'make test-all       test what takes long too: training again, 10^8 labels'
	@echo 'make test-floor     test the loss with the oldest torch that it supports, in an environment of its own (6 GB)'
	@echo 'make test-trainers  run the recipes in Lightning, Hugging Face, accelerate, fastai and timm, likewise (6 GB)'
	@echo 'make test-paddle    compare with PaddlePaddle itself, in an environment of its own (1 GB)'
	@echo 'make build          build the site into _docs/'
	@echo 'make bench          measure what the losses, a slider, an import and a build cost, side by side'
	@echo 'make lighthouse     have Lighthouse rate the site (needs Node.js)'
	@echo 'make experiments    run the experiments that the course reports; interrupted, it goes on'
	@echo 'make lab            open JupyterLab on the notebooks'
	@echo 'make notebooks      export, execute and clean the notebooks, and write README.md'

docs: $(READY)
	$(BIN)/python -m tools serve

build: $(READY)
	$(BIN)/python -m tools build

test: $(PEERS) browser
	$(PYTEST) -m 'not slow'

test-loss: $(PEERS)
	$(PYTEST) -m 'loss and not slow'

test-all: $(PEERS) browser
	$(PYTEST)

# Distributed logits and types are tested with a current torch only.
test-floor: .venv-floor/.ready
	.venv-floor/bin/python -m pytest -m 'not slow' tests/loss --ignore tests/loss/test_sharded.py --ignore tests/loss/test_package.py --ignore tests/loss/test_types.py

test-trainers: .venv-trainers/.ready
	.venv-trainers/bin/python -m pytest tests/trainers

test-paddle: .venv-paddle/.ready
	.venv-paddle/bin/python tests/loss/paddle_vectors.py $(if $(PORT),--port '$(PORT)')

browser: $(READY)
	$(BIN)/python tests/browser.py

bench: $(PEERS)
	$(BIN)/python benchmarks/losses.py
	$(BIN)/python benchmarks/live_figure.py
	$(BIN)/python benchmarks/playground.py
	$(BIN)/python benchmarks/imports.py
	$(BIN)/python benchmarks/build.py

lighthouse: build
	$(BIN)/python benchmarks/lighthouse.py

experiments: $(READY)
	$(BIN)/python benchmarks/experiments.py

lab: $(READY)
	$(BIN)/jupyter lab --notebook-dir nbs $(if $(filter 0,$(shell id -u)),--allow-root)

notebooks: $(PEERS)
	$(BIN)/nbdev_export
	find nbs -name '*.ipynb' -not -path '*/.*' -exec $(BIN)/jupyter execute --inplace {} +
	$(BIN)/python -m tools clean
	$(BIN)/python images/card.py
	$(BIN)/python -m tools readme

# The environment is brought up to date when what it should hold has changed.
$(READY): settings.ini setup.py pyproject.toml constraints.txt
	@echo '== setting up $(VENV): this takes a few minutes the first time'
	@$(BIN)/python -m pip --version >/dev/null 2>&1 || $(MAKE) --no-print-directory new-venv
	$(BIN)/python -m pip install --no-compile --constraint constraints.txt --editable '.[dev]' || \
	  { echo 'The installation failed: see above. Once that is fixed, run make again and it goes on.'; exit 1; }
	touch $@

# The implementations that tests compare with; only their loss files are loaded.
$(PEERS): $(READY) requirements-peers.txt
	$(BIN)/python -m pip install --no-deps --requirement requirements-peers.txt
	touch $@

.venv-paddle/.ready .venv-floor/.ready .venv-trainers/.ready: .venv-%/.ready: requirements-%.txt
	@echo '== setting up .venv-$*: this takes some minutes and some gigabytes'
	$(MAKE) --no-print-directory new-venv VENV=.venv-$*
	.venv-$*/bin/python -m pip install --requirement $<
	.venv-$*/bin/python -m pip install --no-deps --requirement requirements-peers.txt --editable .
	touch $@

new-venv:
	@$(PYTHON) -c 'import sys, venv, ensurepip; assert sys.version_info >= (3, 11)' 2>/dev/null || \
	  { echo 'Python 3.11 or newer with venv is needed, and $(PYTHON) is not that.'; \
	    echo 'On Debian: apt-get install python3 python3-venv. On macOS: brew install python.'; \
	    echo 'Another one is chosen with: make PYTHON=python3.12 docs'; exit 1; }
	$(PYTHON) -m venv --clear $(VENV)
