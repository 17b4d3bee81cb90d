# Every command works on a fresh machine with Python 3.11 or newer and nothing else prepared.
PYTHON ?= python3
BIN := .venv/bin
# One process per core, four at most; the longest tests start first.
SHARED := -n logical --maxprocesses 4 --no-loadscope-reorder

# Rule tables, operations, the API and the contract of the storage, on both engines.
FAST := tests/unit tests/architecture tests/api tests/ledger tests/storage/test_storage_contract.py
# Modules among them that take many seconds each: left to `make test`.
SLOWER := $(addprefix --ignore=,tests/api/test_openapi.py tests/api/test_fuzz.py tests/api/test_update_round_trip.py \
	tests/api/test_every_entity_writes.py tests/unit/test_basket_search.py)
# The tests that run the program in their own process, and the least share of its lines and branches
# that they must run, in per cent.
COVERED := $(FAST) tests/contract/test_permissions.py tests/contract/test_records.py tests/auth tests/audit tests/cli \
	tests/console tests/transfer
COVERAGE_FLOOR := 85

.PHONY: install install-dev run test test-fast coverage test-deep check package bench bench-peers failover docs reference screenshots format lock clean

.venv/run: requirements.txt pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	touch $@

.venv/dev: requirements-dev.txt .venv/run
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.txt
	touch $@

install: .venv/run            ## the program, at .venv/bin/creditdesk

install-dev: .venv/dev

run: .venv/run                ## a server on 127.0.0.1:8400 (or the next free port) with demo data
	@mkdir -p .demo
	@test -s .demo/admin.txt || (rm -f .demo/* && $(BIN)/creditdesk demo --uses 5000 --seed 1 --unexplained --database sqlite:///.demo/demo.db > .demo/new.txt && mv .demo/new.txt .demo/admin.txt)
	@grep -E "^(E-mail|Password|With| +[a-z]+@)" .demo/admin.txt
	@$(BIN)/creditdesk serve --port 8400 --port-or-next --database sqlite:///.demo/demo.db

test: .venv/dev check         ## everything, on SQLite and on a real PostgreSQL
	$(BIN)/python -m pytest -q -m "not deep" $(SHARED)

test-fast: .venv/dev          ## the fast tests: under two minutes on two cores
	$(BIN)/python -m pytest -q -m "not deep and not long" $(SHARED) $(SLOWER) $(FAST)

coverage: .venv/dev           ## what the tests cover, which has a floor
	$(BIN)/python -m pytest -q -m "not deep and not long" $(SHARED) --cov --cov-report=term:skip-covered --cov-fail-under=$(COVERAGE_FLOOR) $(COVERED)

test-deep: .venv/dev          ## long random runs
	$(BIN)/python -m pytest -q -m deep $(SHARED)

check: .venv/dev              ## style, types, dependencies
	$(BIN)/ruff check src tests benchmarks tools
	$(BIN)/ruff format --check src tests benchmarks tools
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache

package:                      ## builds the wheel and tries it in a clean environment (needs a package index)
	sh tools/check-package.sh

bench: .venv/dev              ## measures every path beside its ceiling; writes benchmarks/results/
	$(BIN)/python -m benchmarks.run
	$(BIN)/python -m benchmarks.reports

bench-peers: .venv/dev        ## the same questions to Django REST framework and PostGraphile, installed on demand in .peers
	$(BIN)/python -m benchmarks.against_peers

failover: .venv/dev           ## kills, silences and changes the database under load; writes the table of docs
	$(BIN)/python -m benchmarks.failover

docs: .venv/dev               ## builds the documentation into build/docs; a broken link fails
	$(BIN)/zensical build --clean --strict

reference: .venv/dev          ## writes the generated pages of docs/reference
	PYTHONPATH=src $(BIN)/python -m tests.support.reference_pages

screenshots: .venv/dev         ## takes the pictures of the console for docs/assets/console
	PYTHONPATH=src $(BIN)/python -m tests.support.screenshots

format: .venv/dev
	$(BIN)/ruff format src tests benchmarks tools
	$(BIN)/ruff check --fix src tests benchmarks tools

lock:                         ## compiles the pinned requirements (needs uv on the path)
	uv pip compile --quiet --universal --generate-hashes --no-emit-index-url --no-header --python-version 3.11 --extra build --extra pdf pyproject.toml -o requirements.txt
	uv pip compile --quiet --universal --generate-hashes --no-emit-index-url --no-header --python-version 3.11 --extra build --extra pdf --extra otel --extra dev pyproject.toml --constraint requirements.txt -o requirements-dev.txt

clean:
	rm -rf .venv .demo .bench .peers build dist
