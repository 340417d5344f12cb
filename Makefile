# One command each, on a fresh machine with Python 3.11 or newer and make.
#   make run     sets up, then shows the guard at work (the built-in simulator, or OpenRouter with OPENROUTER_API_KEY)
#   make test    sets up, then runs the whole test suite
#   make check   lint, types, import floors; mutants of the alert rules, when they or their tests have changed
#   make mutate  mutants of the alert rules, all of them
#   make made    writes anew what is made by code: the pages of metrics and rules, rules, dashboards, manifests
#   make bench   timings, as ratios
#   make clients SDKs of other languages and LiteLLM through the proxy; installs them, pinned, from the network
#   make soak    long tests, not part of `make test`

# The first that runs and is new enough: a version manager's shim may stand on the PATH for a Python that is not there.
PYTHON ?= $(shell for p in python3.13 python3.12 python3.11 python3; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && command -v $$p && break; done)
VENV := .venv
BIN := $(VENV)/bin
WORKERS ?= 2

.DEFAULT_GOAL := help
.PHONY: help run test check mutate made format bench clients soak build clean

help:
	@sed -n 's/^#   //p' Makefile

# In a terminal, with a past day and the daemon, until Ctrl-C; in a pipe, and with a real key, a short show that ends.
run: $(VENV)/.run
	@if [ -t 1 ] && [ -z "$$OPENROUTER_API_KEY" ]; then $(BIN)/openrouter-monitor demo --serve; \
	else $(BIN)/openrouter-monitor demo; fi

test: $(VENV)/.test .openai2/.done
	@sh tests/tools/prometheus.sh
	@sh tests/tools/chromium.sh
	$(BIN)/python -m pytest -n $(WORKERS) --dist loadgroup

check: $(VENV)/.test $(VENV)/.check
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	@$(MAKE) --no-print-directory $(VENV)/.mutated

# One thing is made wrong in the alert rules at a time, and their promtool tests must notice. About a minute.
mutate: $(VENV)/.test
	@sh tests/tools/prometheus.sh
	$(BIN)/python -m tests.alerting.mutation

$(VENV)/.mutated: alerts/rules.yml tests/alerting/mutation.py $(wildcard alerts/tests/*.yml)
	@$(MAKE) --no-print-directory mutate
	@touch $@

# Tests compare these files with the code.
made: $(VENV)/.run
	$(BIN)/python -m monitor.metrics > docs/metrics.md
	$(BIN)/python -m monitor.alerting > docs/alert-rules.md
	$(BIN)/openrouter-monitor alerts render --output alerts/rules.yml
	$(BIN)/openrouter-monitor dashboards render --output dashboards
	$(BIN)/python deploy/kubernetes/make.py

format: $(VENV)/.check
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(VENV)/.test
	$(BIN)/python -m tests.bench

clients: $(VENV)/.test .clients/.done
	$(BIN)/python -m pytest -v -m 'not soak' tests/clients tests/proxy/test_proxy_clients.py tests/proxy/test_proxy_sdk.py

soak: $(VENV)/.test
	$(BIN)/python -m pytest -m soak -s tests/soak

build: $(VENV)/.check
	$(BIN)/python -m pip wheel --no-deps -w dist .

clean:
	rm -rf $(VENV) .openai2 .clients dist build .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache

# Each set of packages is installed once, and again when pyproject.toml changes.
$(VENV)/bin/python:
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer is needed: install it, or say PYTHON=/path/to/python3"; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "$(PYTHON) does not run, or is older than 3.11: say PYTHON=/path/to/python3.11"; exit 1; }
	$(PYTHON) -m venv $(VENV) \
		|| { rm -rf $(VENV); echo "No virtual environment could be made (on Debian: apt install python3-venv)"; exit 1; }

$(VENV)/.run: $(VENV)/bin/python pyproject.toml
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e .
	@touch $@

$(VENV)/.test: $(VENV)/.run pyproject.toml
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[test]'
	@touch $@

$(VENV)/.check: $(VENV)/.run pyproject.toml
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[check]'
	@touch $@

# The OpenAI SDK 2 beside 3: two major versions cannot share an environment, so one test imports it from here.
.openai2/.done: $(VENV)/.test
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade --target .openai2 --no-deps 'openai>=2.54,<3'
	@touch $@

# SDKs that are no packages of this project's environment: those of Node, and LiteLLM in one of its own.
.clients/.done: $(VENV)/bin/python tests/clients/package.json tests/clients/requirements.txt
	@command -v npm >/dev/null || { echo "npm is needed (on Debian: apt install npm)"; exit 1; }
	mkdir -p .clients && cp tests/clients/package.json .clients/
	cd .clients && npm install --silent --no-package-lock --ignore-scripts --no-audit --no-fund
	$(BIN)/python -m venv .clients/venv
	.clients/venv/bin/python -m pip install --quiet --disable-pip-version-check -r tests/clients/requirements.txt
	@touch $@
