# Two commands on a fresh machine: `make compare` (set-up and the main job) and `make test`. uv is used where it is found.
PYTHON ?= python3
AT ?= .
VENV := $(AT)/.venv
BIN := $(VENV)/bin
RUN := $(BIN)/python -m
SMOKE := tests/test_suite.py tests/training/test_train.py tests/report/test_report.py tests/study/test_run.py::test_a_run_writes_its_files

.PHONY: compare test slow quick rule check smoke verify mutants tune bench clean

compare: $(VENV)/ready
	$(BIN)/bioplaus compare

# What is tested, by two workers for two cores; whole files in the order of collection, as reordered the longest come last.
# Compiled programs are kept in .cache/jax, and read by the other worker and the next run; `make clean` removes them.
SUITE := PYTHONDONTWRITEBYTECODE= $(RUN) pytest -n 2 --dist loadfile --no-loadscope-reorder

test: check
	$(SUITE) -m "not slow"

# What `make test` leaves out, for CI and before a release: variants of rules, further nets, all mutants, killed and resumed runs, whole studies.
slow: $(VENV)/ready
	$(SUITE) -m slow

# In a minute, while one works: without the identities, mutants and whole studies; what is tested of every rule, of bp, fa and ep.
quick: $(VENV)/ready
	$(SUITE) -m "not slow and not thorough"

# One rule: its contract, its identities, all of its mutants, the tests of its file: make rule KEY=fa
rule: $(VENV)/ready
	$(SUITE:loadfile=load) --rule "$(KEY)" tests/test_contract.py tests/identities tests/rules tests/test_mutants.py

check: $(VENV)/ready
	$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/basedpyright --venvpath $(AT)
	@PATH=$(abspath $(BIN)):$$PATH basedpyright --verifytypes bioplaus --ignoreexternal | awk \
	  '/completeness score/ {s = $$4 + 0} END {print "public types that are known:", s "%, of 97% at least"; exit s < 97}'

# On another Python, in an environment of its own: make smoke PYTHON=python3.13 AT=.newest
smoke: $(VENV)/ready
	$(BIN)/basedpyright --venvpath $(AT)
	$(RUN) pytest -n 2 $(SMOKE)

verify: $(VENV)/ready
	$(BIN)/bioplaus verify

mutants: $(VENV)/ready
	$(RUN) tests.mutants
	$(RUN) tests.module_mutants

tune: $(VENV)/ready
	$(BIN)/bioplaus tune --data mnist --trials 16 --seeds 1 --steps 860 --out bioplaus/defaults.toml

bench: $(VENV)/ready
	$(BIN)/python experiments/benchmarks/step.py

$(VENV)/ready: pyproject.toml constraints.txt
	@if command -v uv >/dev/null 2>&1; then \
	  uv venv --quiet --allow-existing --python $(PYTHON) $(VENV) && \
	  uv pip install --quiet --python $(BIN)/python -c constraints.txt --group dev -e .; \
	else \
	  $(PYTHON) -m venv $(VENV) && $(BIN)/pip install --quiet --upgrade 'pip>=25.1' && \
	  $(BIN)/pip install --quiet -c constraints.txt --group dev -e .; \
	fi
	@touch $@

clean:
	rm -rf .venv .newest .cache results dist
