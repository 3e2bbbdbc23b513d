# Everything runs in .venv, which is made once from constraints.txt: no root, no Docker, no server needed.
# PYTHON chooses the interpreter: make test PYTHON=python3.13

PYTHON ?= python3
BIN := .venv/bin

.PHONY: quickstart check test fuzz-verdicts test-peers test-mariadb test-mysql test-browser test-cluster golden bench bench-backfill bench-cluster bench-locks bench-migrations bench-plan clean

quickstart: .venv/.user  ## release a shop 1.4 → 1.5 under load; ROLLBACK=1 or ROLLBACK=monitor shows the way back, REFUSED=1 a refusal
	@$(BIN)/python plans/quickstart/quickstart.py $(if $(REFUSED),--mistake rehearsal,$(if $(ROLLBACK),--mistake $(ROLLBACK:1=verify)))

check: .venv/.dev  ## format, lint, types, layers
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

test: check  ## everything that needs nothing but this machine
	$(BIN)/pytest -n 2

fuzz-verdicts: .venv/.dev  ## verdicts of releases drawn by lot against an oracle: RELEASES=1000 of them from seed FIRST=0 on, MARIADB=1 on a MariaDB
	COORDINATOR_FUZZ_RELEASES=$(or $(RELEASES),500) COORDINATOR_FUZZ_FIRST=$(or $(FIRST),0) $(BIN)/pytest -n 2 $(if $(MARIADB),-m mariadb) tests/properties/test_verdicts_against_oracle.py

test-peers: .venv/.dev  ## the same migrations through the real goose and golang-migrate, and Argo's schema, and a PgBouncer; needs Go and pgbouncer
	$(BIN)/pytest -m "peers and not mariadb" -n 2 tests/peers tests/integration/test_pipelines.py

test-mariadb: .venv/.dev  ## the same promises kept on a MariaDB, and the real tools there; needs mariadbd (and Go)
	$(BIN)/pytest -m mariadb -n 2 tests/contracts tests/crash tests/integration tests/peers tests/properties

test-mysql: .venv/.dev  ## the promises of test-mariadb on a MySQL 8 or 9: COORDINATOR_TEST_MYSQLD names its mysqld, else PATH
	COORDINATOR_TEST_MYSQLD=$${COORDINATOR_TEST_MYSQLD:-mysqld} $(BIN)/pytest -m mariadb -n 2 tests/contracts tests/crash tests/integration tests/peers

test-browser: .venv/.dev  ## the page of plan --html in a headless Chromium; needs one (apt-get install chromium)
	$(BIN)/pytest -m browser tests/browser

test-cluster: .venv/.dev  ## releases on a real Kubernetes: that of KUBECONFIG, else one that is booted (Linux, root, Go)
	$(BIN)/pytest -m cluster -p no:randomly tests/contracts
	$(BIN)/pytest -m cluster -p no:randomly tests/cluster tests/integration

golden: .venv/.dev  ## write anew what `coordinator plan` shows of each plan in plans/, and printed rights; read the diff
	UPDATE_GOLDEN=1 $(BIN)/pytest -q tests/golden tests/cli/test_rights_printed.py

bench: .venv/.dev  ## start-up, compile and rehearsal time as tables
	$(BIN)/python bench/startup.py
	$(BIN)/python bench/compile.py
	$(BIN)/python bench/rehearsal.py

bench-locks: .venv/.dev  ## what readers notice of a release that has to wait, beside goose and golang-migrate (Go)
	$(BIN)/python bench/lock_stall.py

bench-migrations: .venv/.dev  ## a thousand small migrations by coordinator, goose, golang-migrate (Go) and Alembic
	$(BIN)/python bench/many_migrations.py

bench-plan: .venv/.dev  ## how long `coordinator plan` takes of 100 and of 200 pending migrations
	$(BIN)/python bench/plan_time.py

bench-backfill: .venv/.dev  ## a million rows: one UPDATE, a loop of 1,000 rows, a backfill; and what the application notices (pgbench)
	$(BIN)/python bench/backfill.py

bench-cluster: .venv/.dev  ## how long a switch takes on a real Kubernetes, beside a bare patch of the selector
	$(BIN)/python bench/switch.py

clean:  ## forget the environment; the next target makes it again
	rm -rf .venv

.venv/bin/python:
	@$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit(f"coordinator needs Python 3.11 or newer; {sys.executable} is {sys.version.split()[0]}. Name another one: make PYTHON=python3.13")'
	$(PYTHON) -m venv .venv

.venv/.user: constraints.txt pyproject.toml | .venv/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[embedded]'
	@$(BIN)/python -m compileall -q coordinator migrations_hooks  # pip compiles no editable installation
	@touch $@

.venv/.dev: constraints.txt pyproject.toml | .venv/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@$(BIN)/python -m compileall -q coordinator migrations_hooks
	@touch $@ .venv/.user
