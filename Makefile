# Everything here works on a machine that has Python 3.11 or later and nothing else.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
LOWEST := .venv-lowest
LOWEST_PYTHON ?= $(or $(shell command -v python3.11),$(PYTHON))

.PHONY: demo test test-all test-slow test-lowest coverage docs lint fuzz clean

demo: $(VENV)/installed
	$(BIN)/stitchc demo -o demo --force

test: $(VENV)/installed
	$(BIN)/python -m pytest -n auto

test-all: $(VENV)/installed
	$(BIN)/python -m pytest -n auto --dist worksteal -m ''

test-slow: $(VENV)/installed
	$(BIN)/python -m pytest -n auto --dist worksteal -m slow --durations 30

# The same tests with the lowest version of everything that pyproject.toml admits, in an environment of its own. Those
# versions have wheels for the lowest Python, 3.11, and not all of them for later ones.
test-lowest: $(LOWEST)/installed
	$(LOWEST)/bin/python -m pytest -n auto

# Every pass on every kind of model: about an hour and a half on two cores. Goes on where it was stopped.
coverage: $(VENV)/installed
	$(BIN)/stitchc zoo check 'torchvision/*' --jobs 2 --out docs/coverage.jsonl
	$(BIN)/stitchc zoo check 'timm/*' --one-per-family --sample 150 --jobs 2 --out docs/coverage.jsonl \
	    --table docs/coverage.md

# The pages of docs/ as a site, in build/docs. A warning is an error: a link that leads nowhere, a page in no index.
docs: $(VENV)/installed-docs
	$(BIN)/python -m sphinx -W --keep-going -q -b html docs build/docs

lint: $(VENV)/installed
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/python tools/typecheck.py

# A minute, from one seed, so that it tries the same inputs each time. Needs atheris, which has wheels for Linux only.
fuzz: $(VENV)/installed
	PYTHONHASHSEED=0 $(BIN)/python tools/fuzz.py --seconds 60

$(VENV)/installed: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	touch $@

$(VENV)/installed-docs: $(VENV)/installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[docs]'
	touch $@

$(LOWEST)/installed: pyproject.toml tools/lowest.py
	$(LOWEST_PYTHON) -m venv $(LOWEST)
	$(LOWEST)/bin/python tools/lowest.py > $(LOWEST)/constraints.txt
	$(LOWEST)/bin/python -m pip install --quiet --disable-pip-version-check --constraint $(LOWEST)/constraints.txt \
	    --editable '.[dev]'
	touch $@

clean:
	rm -rf $(VENV) $(LOWEST) build *.egg-info demo
