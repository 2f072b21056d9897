# Two commands for a newcomer: `make demo` and `make test`. Both install what they need first.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.PHONY: demo demo-behaviour test install lint gc help

help:
	@echo "make demo   two cycles of label, train, predict, select on rendered videos, in ./demo"
	@echo "make demo-behaviour   behaviour models from videos to bouts on rendered videos, in ./demo-behaviour"
	@echo "make test   all checks: style, types, rooms, tests"
	@echo "make gc     free DVC's cache of what no commit, branch or tag uses"

demo: $(STAMP)
	$(BIN)/etholoop demo

demo-behaviour: $(STAMP)
	$(BIN)/etholoop demo-behaviour

# Files go whole, in their order (slow ones first, tests/conftest.py), to one process for each core; plain `pytest` runs the same in one.
test: lint
	$(BIN)/python -m pytest -n auto --dist loadfile --no-loadscope-reorder

lint: $(STAMP)
	$(BIN)/ruff check src tests benchmarks
	$(BIN)/ruff format --check src tests benchmarks
	$(BIN)/mypy
	$(BIN)/lint-imports

install: $(STAMP)

# Headless OpenCV is laid over the Qt build last: both ship cv2/, one version, and this one needs no window system.
$(STAMP): requirements.lock pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --requirement requirements.lock
	$(BIN)/python -m pip install --quiet --no-deps --force-reinstall "$$(grep '^opencv-python-headless==' requirements.lock)"
	$(BIN)/python -m pip install --quiet --no-deps --editable .
	$(BIN)/etholoop init .
	touch $@

# Only what no commit of any branch or tag refers to is removed; closed cycles stay complete.
gc: $(STAMP)
	$(BIN)/dvc gc --all-branches --all-tags --all-commits
