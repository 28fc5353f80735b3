# Everything here works on a machine that has Python 3.11 or later and nothing else.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: demo test test-all coverage lint clean

demo: $(VENV)/installed
	$(BIN)/stitchc demo -o demo --force

test: $(VENV)/installed
	$(BIN)/python -m pytest -n auto

test-all: $(VENV)/installed
	$(BIN)/python -m pytest -n auto -m ''

# Every pass on every kind of model: about an hour and a half on two cores. Goes on where it was stopped.
coverage: $(VENV)/installed
	$(BIN)/stitchc zoo check 'torchvision/*' --jobs 2 --out docs/coverage.jsonl
	$(BIN)/stitchc zoo check 'timm/*' --one-per-family --sample 150 --jobs 2 --out docs/coverage.jsonl \
	    --table docs/coverage.md

lint: $(VENV)/installed
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/python tools/typecheck.py

$(VENV)/installed: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	touch $@

clean:
	rm -rf $(VENV) build *.egg-info demo
