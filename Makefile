# What a person types. Each target sets up what it needs, once: `.venv` and the model files.

PYTHON ?= python3
PY := .venv/bin/python
PIP := $(PY) -m pip --disable-pip-version-check --quiet
CLIP = $$($(PY) -m tools.clip sports2d_demo.mp4)

.DEFAULT_GOAL := help
.NOTPARALLEL: # all targets set up the same .venv
.PHONY: help demo serve ctl doctor test lint bench chaos simulate models clean

help:
	@echo "make demo    140 frames of a real clip through the whole service, with pictures of the result"
	@echo "make serve   the service on http://0.0.0.0:5000; settings are POSE_... variables"
	@echo "make ctl ARGS=status   supervisorctl on the running service"
	@echo "make doctor  what would keep the service from working here, and what to do"
	@echo "make test    every test"
	@echo "make lint    style and types"
	@echo "make bench   the measurements in docs/performance.md"
	@echo "make chaos   kills and pauses real processes under traffic; every frame must come back as ever"
	@echo "make simulate   50,000 random histories of crashes, hangs and restarts; no promise may break"
	@echo "make clean   remove .venv and caches; model files stay in the user's cache"

demo: .venv/base models
	$(PY) -m workers.assets fetch demo
	$(PY) -m client.demo $(CLIP) --first 60 --last 199

serve: $(if $(filter hmr2,$(POSE_OBSERVER)),.venv/hmr2) $(if $(POSE_STORE_URL),.venv/remote) .venv/base models
	exec $(PY) -m tools.serve

ctl: .venv/base
	@$(PY) -m tools.serve $(or $(ARGS),status)

doctor: .venv/base
	@$(PY) -m tools.doctor $(ARGS)

# The tests start hundreds of processes: what they run is compiled once, whatever the environment says.
test: export PYTHONDONTWRITEBYTECODE =
test: .venv/dev models
	$(PY) -m workers.assets fetch demo clips
	$(PY) -m pytest -n auto --dist loadfile --no-loadscope-reorder

lint: .venv/dev
	$(PY) -m ruff check
	$(PY) -m ruff format --check
	$(PY) -m mypy

bench: .venv/dev models
	$(PY) -m workers.assets fetch demo clips
	$(PY) -m bench

chaos: .venv/base models
	$(PY) -m workers.assets fetch demo clips
	$(PY) -m tools.chaos $(ARGS)

simulate: .venv/base
	$(PY) -m tests.simulation $(ARGS)

models: .venv/base
	@$(PY) -m workers.assets fetch

clean:
	rm -rf .venv .mypy_cache .pytest_cache .ruff_cache .hypothesis build *.egg-info

# Stamps: made again only when the pins change.
.venv/base: pyproject.toml
	$(PYTHON) -m venv .venv
	$(PIP) install --editable .
	touch $@

.venv/hmr2: .venv/base
	$(PIP) install --editable ".[hmr2]"
	touch $@

.venv/remote: .venv/base
	$(PIP) install --editable ".[remote]"
	touch $@

# Holds what the base does: one install, not two.
.venv/dev: pyproject.toml
	$(PYTHON) -m venv .venv
	$(PIP) install --editable ".[dev]"
	touch .venv/base $@
