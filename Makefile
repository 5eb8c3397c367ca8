# The front door. Every target installs what it needs and is quick when it is already there.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

VENV := .venv
BIN := $(VENV)/bin
RUNTIME := .make/runtime
NPM := .make/npm
RIVALS := .make/rivals
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
EDITABLE = PYTHONWARNINGS=ignore $(PIP) install --no-index --no-build-isolation --no-deps --editable .
UV_COMPILE = $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header $(if $(UPGRADE),--upgrade)
TESTS ?= tests
PACKAGES := mailcore syncer consumers api webhooks supervisor cli
# The files of tests go to so many processes, one more than there are processors: they wait for servers half of the time.
# In the order of their names: acceptance first, so that no long file is left alone at the end.
TEST_PROCESSES ?= $(shell expr $$(nproc) + 1)
PYTEST_ARGS ?=
CHECKS := check-types check-lint check-imports check-security check-requirements
# Of a night whose finding is to be repeated; the first lines of its output tell it.
SEED ?=

.PHONY: help install dev system demo run test nightly chaos crash check format bench bench-full bench-check rivals pictures lock sbom clean $(CHECKS)

help: ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  make %-11s %s\n", $$1, $$2}'

install: $(VENV)/.runtime ## the program and its pinned requirements, into .venv

dev: $(VENV)/.dev ## what checks and tests need besides

demo: install ## everything on this machine, with an IMAP server that receives mail; no credentials needed
	@exec $(BIN)/mozzart demo

run: install ## everything on this machine, with the settings of .env
	@exec $(BIN)/mozzart up

test: dev system $(NPM)/.installed ## all tests, on real servers; TESTS=tests/pure for some
	@$(BIN)/python -m pytest $(TESTS) --numprocesses $(TEST_PROCESSES) --maxprocesses 4 --dist loadfile --no-loadscope-reorder $(PYTEST_ARGS)

nightly: dev ## pure tests with other examples than ever before, and more of them; SEED=N repeats a night
	@HYPOTHESIS_PROFILE=nightly $(BIN)/python -m pytest $(if $(filter tests,$(TESTS)),tests/pure,$(TESTS)) --timeout 3600 \
		$(if $(SEED),--hypothesis-seed $(SEED)) $(PYTEST_ARGS)

chaos: dev system ## all goes wrong for MINUTES (30) while people use their mail; SEED=N repeats a run, KINDS=a,-b chooses
	@exec $(BIN)/python -m tests.chaos $(if $(MINUTES),--minutes $(MINUTES)) $(if $(SEED),--seed $(SEED)) $(if $(KINDS),--kinds=$(KINDS))

crash: dev system ## syncer and consumer killed at each of their effects, one after the other; half an hour
	@CRASH_POINTS=all $(BIN)/python -m pytest tests/acceptance/test_crash_anywhere.py -k dies_at_any_effect -s $(PYTEST_ARGS)

check: dev ## lint, format, types, one-way imports, known vulnerabilities
	@$(MAKE) --jobs --keep-going $(CHECKS)

check-lint:
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
check-types:
	@$(BIN)/mypy
check-imports:
	@$(BIN)/lint-imports
check-security:
	@$(BIN)/bandit --quiet --recursive --configfile pyproject.toml $(PACKAGES)
check-requirements:
	@$(BIN)/python .ci/audit

format: dev ## let ruff format and mend
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

bench: dev system ## latency, backfill and sweep beside a raw socket and mbsync; some minutes
	@exec $(BIN)/python -m bench $(BENCH_ARGS)

bench-full: dev system rivals ## the same with 20,000 messages, 1.5 GB, and beside what else people use; a quarter of an hour
	@exec $(BIN)/python -m bench --size full $(BENCH_ARGS)

bench-check: dev system rivals ## fails where a ratio is a quarter worse than the committed one; BENCH_ARGS=--save commits to new ones
	@exec $(BIN)/python -m bench --check $(BENCH_ARGS)

pictures: dev system ## docs/pictures of the README, from the demo
	@.ci/system fonts
	@$(BIN)/python -m tests.pictures

lock: $(VENV)/.dev ## recompile requirements/*.txt; UPGRADE=1 for newer versions
	@$(UV_COMPILE) pyproject.toml -o requirements/runtime.txt
	@$(UV_COMPILE) pyproject.toml --extra dev -c requirements/runtime.txt -o requirements/dev.txt
	@$(UV_COMPILE) requirements/build.in -o requirements/build.txt
	@$(UV_COMPILE) requirements/lock.in -o requirements/lock.txt
	@$(UV_COMPILE) requirements/sbom.in -c requirements/dev.txt -o requirements/sbom.txt
	@$(UV_COMPILE) requirements/rivals/python.in -o requirements/rivals/python.txt
	@for place in requirements/npm requirements/rivals; do (cd $$place && npm $(if $(UPGRADE),update --save,install) --package-lock-only --omit-lockfile-registry-resolved --ignore-scripts --silent); done

sbom: $(VENV)/.dev $(RUNTIME)/.installed ## sbom.cdx.json (CycloneDX) and docs/licences.md, of what the program needs to run
	@$(PIP) install --require-hashes -r requirements/sbom.txt
	@$(BIN)/cyclonedx-py environment --pyproject pyproject.toml --mc-type application --output-reproducible \
		--output-file sbom.cdx.json $(RUNTIME)
	@$(BIN)/python .ci/licences sbom.cdx.json docs/licences.md

clean: ## remove what was installed and made here, never data/ or media/
	@rm -rf $(VENV) .make sbom.cdx.json bench/results *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

system: ## the Debian packages that tests and bench need (servers, Chromium, Compose, curl)
	@.ci/system dovecot cyrus courier postgres mbsync chromium curl compose nginx caddy strace npm promtool

rivals: $(RIVALS)/.installed ## what make bench-full measures beside us, into .make/rivals

# django-mailbox in an environment of its own, imapflow by the hashes of its lock file.
$(RIVALS)/.installed: requirements/rivals/python.txt requirements/rivals/package.json requirements/rivals/package-lock.json | $(BIN)/python system
	@mkdir -p $(RIVALS)
	@$(BIN)/python -m venv --without-pip $(RIVALS)/python
	@$(BIN)/python -m pip --python $(RIVALS)/python/bin/python --disable-pip-version-check --quiet install --require-hashes \
		-r requirements/rivals/python.txt
	@cp requirements/rivals/package*.json $(RIVALS)
	@npm ci --prefix $(RIVALS) --ignore-scripts --no-audit --no-fund --silent
	@touch $@

# A Python that the project supports; Debian keeps venv in a package of its own.
$(BIN)/python:
	@python=$$(.ci/find-python) && "$$python" -m venv $(VENV)

# axe-core, which tests run in Chromium. `npm ci` takes what the lock file's hashes say and nothing else.
$(NPM)/.installed: requirements/npm/package.json requirements/npm/package-lock.json | system
	@mkdir -p $(NPM)
	@cp $^ $(NPM)
	@npm ci --prefix $(NPM) --ignore-scripts --no-audit --no-fund --silent
	@touch $@

# The project itself is installed with the pinned setuptools that is already there, so that nothing unpinned is fetched.
$(VENV)/.runtime: pyproject.toml requirements/runtime.txt requirements/build.txt | $(BIN)/python
	@echo "installing into $(VENV) …"
	@$(PIP) install --require-hashes -r requirements/build.txt -r requirements/runtime.txt
	@$(EDITABLE)
	@touch $@

# uv is many times quicker than pip and is pinned by hash as all else, but knows nothing of pip's own configuration (a
# company's index, a certificate): where it cannot, pip does.
$(VENV)/.dev: pyproject.toml requirements/dev.txt requirements/build.txt requirements/lock.txt | $(BIN)/python
	@echo "installing into $(VENV), with what checks and tests need …"
	@$(PIP) install --require-hashes -r requirements/lock.txt
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --require-hashes -r requirements/build.txt -r requirements/dev.txt || \
		$(PIP) install --require-hashes -r requirements/build.txt -r requirements/dev.txt
	@$(EDITABLE)
	@touch $(VENV)/.runtime $@

# The runtime requirements and nothing else, for the SBOM.
$(RUNTIME)/.installed: requirements/runtime.txt | $(BIN)/python
	@rm -rf $(RUNTIME)
	@$(BIN)/python -m venv --without-pip $(RUNTIME)
	@$(BIN)/python -m pip --python $(RUNTIME)/bin/python --disable-pip-version-check --quiet install --require-hashes \
		-r requirements/runtime.txt
	@touch $@
