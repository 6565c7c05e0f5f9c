# Two commands, each the only one to type on a fresh clone: `make demo` and `make test`.
# Both do their own set-up (.venv from the hashed lock, FUSE from the distribution), once.

SHELL := /bin/sh
.PHONY: demo test venv fuse chromium lock clean

ENVS := lint,types,layers,py311,py312,py313,conformance

demo: fuse venv
	@.venv/bin/python -m vofs.cli.demo

# The reports of an earlier run must not be counted. The line at the end is printed, and the
# exit code is tox's, whether the tests passed or not.
test: fuse chromium venv
	@rm -rf report && mkdir -p report
	@.venv/bin/tox run -e $(ENVS); code=$$?; \
	.venv/bin/python tools/test-summary report/*.xml; exit $$code

venv: .venv/vofs.stamp

# Scripts and version are read from these two at installation, so a change in either installs anew.
.venv/vofs.stamp: requirements.lock pyproject.toml
	@echo "installing the locked packages into .venv"
	@tools/make-venv
	@touch $@

fuse:
	@tools/ensure-fuse

# For the test of the fake's page only.
chromium:
	@tools/ensure-chromium

# Resolves the dependencies anew; see docs/decisions/0003-lock-and-install.md.
lock: venv
	@.venv/bin/uv pip compile pyproject.toml --quiet --upgrade --universal --python-version 3.11 \
	    --all-extras --generate-hashes --no-emit-index-url --no-header --no-annotate \
	    --output-file requirements.lock

clean:
	rm -rf .venv .tox report dist build .hypothesis .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
