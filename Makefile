# Two commands on a fresh machine: `make compare` (set-up and the main job) and `make test`. uv is used where it is found.
PYTHON ?= python3
BIN := .venv/bin
RUN := $(BIN)/python -m

.PHONY: compare test check verify mutants tune bench clean

compare: .venv/ready
	$(BIN)/bioplaus compare

# Three workers for two cores: some tests wait for processes of their own. In the order of files: reordered, the longest tests come last.
test: check
	$(RUN) pytest -n 3 --dist loadfile --no-loadscope-reorder

check: .venv/ready
	$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/basedpyright

verify: .venv/ready
	$(BIN)/bioplaus verify

mutants: .venv/ready
	$(RUN) tests.mutants

tune: .venv/ready
	$(BIN)/bioplaus tune --data mnist --trials 16 --seeds 1 --steps 860 --out bioplaus/defaults.toml

bench: .venv/ready
	$(BIN)/python experiments/benchmarks/step.py

.venv/ready: pyproject.toml constraints.txt
	@if command -v uv >/dev/null 2>&1; then \
	  uv venv --quiet --allow-existing --python $(PYTHON) .venv && \
	  uv pip install --quiet --python $(BIN)/python -c constraints.txt --group dev -e .; \
	else \
	  $(PYTHON) -m venv .venv && $(BIN)/pip install --quiet --upgrade 'pip>=25.1' && \
	  $(BIN)/pip install --quiet -c constraints.txt --group dev -e .; \
	fi
	@touch $@

clean:
	rm -rf .venv results dist
