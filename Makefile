# Works with GNU Make 3.81 (macOS). `make` alone lists what there is.

PYTHON ?= python3
VENV   := .venv
BOOT   := .run/bootstrap
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.synced

JOBS   ?= 3

export PORT SANDBOX_PORT SMTP_PORT HANDOFFS_RUN

.DEFAULT_GOAL := help
.PHONY: help run test lint bench chaos chaos-mutants lock venv clean

help: ## Show this list
	@awk 'BEGIN { FS = ":.*## " } /^[a-z-]+:.*## / { printf "  make %-13s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@echo
	@echo "  Variables: ONCE=1 (run: exit after the table), SCENARIO=file.yaml (run: another world),"
	@echo "             PORT=8080 SANDBOX_PORT=8091 SMTP_PORT=8025 (run), HANDOFFS_RUN=folder (run: its files),"
	@echo "             STORIES=200 SEED=1 AIRFLOW=50 (chaos: how many, from which seed, one in so many in a real Airflow),"
	@echo "             ONLY=name (bench: one figure; chaos-mutants: those so called), PYTHON=python3.12 (which Python makes the environment),"
	@echo "             JOBS=3 (test: how many processes share the tests)"

run: venv ## Run everything on this machine and watch the main job; Ctrl-C ends it
	@exec $(BIN)/python -m launch --end-with-parent $(if $(filter-out 0 no,$(ONCE)),--once) $(if $(SCENARIO),--scenario "$(SCENARIO)")

# Most tests wait more than they work; those with an Airflow of their own have the machine for themselves.
test: venv ## Run all tests
	@sh tests/support/install_tools.sh
	@$(BIN)/python -m pytest -n $(JOBS) --dist loadfile tests/unit tests/integration
	@$(BIN)/python -m pytest tests/e2e tests/chaos

lint: venv ## Check style, types, and who imports whom
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@PYTHONPATH=plugins:. $(BIN)/lint-imports

bench: venv ## Measure, one line a figure: name, measured, bar, ok or MISS
	@$(BIN)/python -m benchmarks $(ONLY)

chaos: venv ## Play seeded stories of events, faults and kills, and check the seven promises
	@$(BIN)/python -m chaos --stories $(or $(STORIES),200) --seed $(or $(SEED),1) --airflow $(or $(AIRFLOW),50)

chaos-mutants: venv ## Plant mistakes in copies of the engine and show that stories catch them
	@$(BIN)/python -m chaos.mutate --only "$(ONLY)"

lock: $(BOOT)/bin/uv ## Resolve the newest allowed versions into requirements.lock
	@$(BOOT)/bin/uv pip compile pyproject.toml --extra demo --extra dev --universal --python-version 3.11 \
		--generate-hashes --no-emit-index-url --upgrade --output-file requirements.lock --quiet

venv: $(STAMP) ## Make the virtual environment from requirements.lock

clean: ## Remove the environment and what runs left behind
	rm -rf $(VENV) .run .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis

$(STAMP): requirements.lock pyproject.toml $(BOOT)/bin/uv
	@test -x $(BIN)/python || $(BOOT)/bin/uv venv --quiet --python "$$($(BOOT)/bin/python -c 'import sys; print(sys.executable)')" $(VENV)
	@$(BOOT)/bin/uv pip sync --quiet --python $(BIN)/python --require-hashes requirements.lock
	@$(BOOT)/bin/uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --editable .
	@touch $@

$(BOOT)/bin/uv: requirements-bootstrap.lock
	@command -v $(PYTHON) > /dev/null || { \
		echo "There is no $(PYTHON); install Python 3.11, 3.12 or 3.13, or name one: make $(MAKECMDGOALS) PYTHON=python3.12" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' || { \
		echo "$$($(PYTHON) --version) does not do; Python 3.11, 3.12 or 3.13 is needed, e.g. make $(MAKECMDGOALS) PYTHON=python3.12" >&2; exit 1; }
	@echo "Making the virtual environment"
	@rm -rf $(BOOT) && $(PYTHON) -m venv $(BOOT)
	@$(BOOT)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes --requirement requirements-bootstrap.lock
	@touch $@
