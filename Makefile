# Everything a contributor needs. PIP_ARGS is passed to pip, for those whose torch or index differs.
PYTHON ?= python3.11
PIP_ARGS ?=
# First and alone: with anything else beside it pip may choose a build of several gigabytes.
TORCH := 'torch==2.13.0' 'numpy<2.4'
VENV := .venv
# Lava needs Python 3.10, in an environment of its own; without it its tests are skipped.
PYTHON310 ?= $(shell for p in python3.10 "$$HOME"/.pyenv/versions/3.10.*/bin/python; do \
	"$$p" -c '' 2>/dev/null && echo "$$p" && break; done)
BIN := $(VENV)/bin
# Tests compile many small kernels; two processes keep two cores busy.
WORKERS ?= 2

.PHONY: help demo lava badcrossbar test test-full bench fuzz check format train trained mcc clean

help:  ## Show this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## */\1\t/' | expand -t 12

demo: $(VENV)/installed-demo  ## Compile, simulate and verify the bundled digits network
	$(BIN)/python tools/demo.py

test: $(VENV)/installed-test lava  ## Run the tests at reduced sizes (under 10 minutes on 2 cores)
	$(BIN)/python -m pytest -q -n $(WORKERS)

test-full: $(VENV)/installed-test lava  ## Run every count that the issues name; write docs/evidence.md
	$(BIN)/python tools/evidence.py

lava:  ## Make .venv-lava (Lava 0.10.0), if there is a Python 3.10
	@if [ -z "$(PYTHON310)" ]; then \
		echo "no Python 3.10 found: the Lava tests are skipped (set PYTHON310)"; \
	else $(MAKE) --no-print-directory $(VENV)-lava/installed \
		|| echo "Lava was not installed: its tests are skipped"; fi

badcrossbar: $(VENV)-badcrossbar/installed  ## Make .venv-badcrossbar (badcrossbar 1.1.0), which bench compares with

bench: $(VENV)/installed-test badcrossbar  ## Measure speed and memory; write docs/benchmarks.md
	$(BIN)/python tools/bench.py

fuzz: $(VENV)/installed-test  ## Try 20,000 hostile files and builds; FUZZ='--cases 500 --seed 1' changes it
	PYTHONPATH=tests $(BIN)/python -m fuzzing $(FUZZ)

check: $(VENV)/installed-test  ## Lint and type-check: ruff, mypy strict, pyright strict
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/pyright --pythonpath $(BIN)/python

format: $(VENV)/installed-test  ## Format the code
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

train: $(VENV)/installed-train  ## Train the bundled digits network again (needs torch; about a minute)
	$(VENV)-train/bin/python tools/train_digits.py

trained: $(VENV)/installed-test  ## Train the networks of docs/torch.md and compare them (needs shared data)
	for network in mnist recurrent norse norse_li; do \
		$(BIN)/python tools/train_torch.py $$network --compare || exit 1; \
	done

mcc: $(VENV)/installed-test  ## Train two-point cells and their rivals, deploy, compare (MCC='--smoke': a minute)
	$(BIN)/python tools/train_mcc.py -o build/mcc $(MCC)

clean:  ## Remove the environments and all caches
	rm -rf $(VENV) $(VENV)-lava $(VENV)-badcrossbar $(VENV)-train build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis

$(VENV)/installed-demo: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet $(PIP_ARGS) -e '.[demo]'
	touch $@

$(VENV)/installed-test: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet $(PIP_ARGS) $(TORCH)
	$(BIN)/python -m pip install --quiet $(PIP_ARGS) -e '.[test]'
	touch $@ $(VENV)/installed-demo

# Without its dependencies: pycairo, which is for its drawings, needs the headers of cairo.
$(VENV)-badcrossbar/installed:
	$(PYTHON) -m venv $(VENV)-badcrossbar
	$(VENV)-badcrossbar/bin/python -m pip install --quiet $(PIP_ARGS) --no-deps badcrossbar==1.1.0
	$(VENV)-badcrossbar/bin/python -m pip install --quiet $(PIP_ARGS) 'numpy<2.4' scipy pathvalidate sigfig
	touch $@

$(VENV)-lava/installed:
	$(PYTHON310) -m venv $(VENV)-lava
	$(VENV)-lava/bin/python -m pip install --quiet $(PIP_ARGS) lava-nc==0.10.0
	touch $@

$(VENV)/installed-train: pyproject.toml
	$(PYTHON) -m venv $(VENV)-train
	$(VENV)-train/bin/python -m pip install --quiet $(PIP_ARGS) $(TORCH)
	$(VENV)-train/bin/python -m pip install --quiet $(PIP_ARGS) -e '.[demo,snntorch]'
	mkdir -p $(VENV)
	touch $@
