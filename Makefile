# `make reproduce` and `make test` set up everything they need; PYTHON picks another interpreter.
PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready

.PHONY: reproduce test lint docs wheel clean

reproduce: $(READY)
	$(BIN)/qmae reproduce --resume --out reproduction

# In random order, on two processes with one thread of torch each.
test: $(READY)
	OMP_NUM_THREADS=1 $(BIN)/pytest --numprocesses 2 --dist worksteal

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright

# Built, installed alone into a new environment, and used there.
wheel: $(READY)
	$(BIN)/python scripts/check_wheel.py

# The site, from docs/ and the docstrings; a warning is an error.
docs: $(READY)
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet --strict --site-dir site

$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "error: qmae needs Python 3.11 or later: give one by make PYTHON=python3.12" >&2; exit 2; }
	$(PYTHON) -m venv .venv || { echo "error: Python's venv is missing: apt install python3-venv" >&2; exit 2; }
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[test,lint,docs]'
	touch $(READY)

clean:
	rm -rf .venv reproduction site
