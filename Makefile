# What can be done in a working copy. Bare `make` lists it; PYTHON=... names another interpreter.
PYTHON ?= python
PYTEST = $(PYTHON) -m pytest

help:  ## this list
	@sed -n 's/^\([a-z]*\):.*##/\1/p' $(MAKEFILE_LIST) | awk '{name = $$1; $$1 = ""; printf "  make %-8s%s\n", name, $$0}'

build:  ## compile the C engine beside the Python files
	$(PYTHON) build.py

test:  ## all tests
	$(PYTEST) -n auto --dist loadfile

quick:  ## all tests but the slow ones, in under two minutes
	$(PYTEST) -m "not slow" -n auto --dist loadfile

cluster:  ## tests with Ray and S3, which need pip install -e '.[ray,s3]' 'moto[server]'
	$(PYTEST) tests/cluster

lint:  ## formatting, style and types
	ruff check .
	ruff format --check .
	find native benchmarks -name '*.[ch]' ! -path '*/build/*' -exec clang-format --dry-run -Werror {} +
	mypy

bench:  ## everything timed, beside other programs
	$(PYTHON) -m benchmarks

native:  ## the C engine's own tests, without Python
	$(MAKE) -C native test

shell:  ## completions, the man page and docs/cli.md, from the parser: after a change of options
	$(PYTHON) .ci/shell.py

record:  ## docs/images/demo.cast, a terminal in which the command line is used
	$(PYTHON) .ci/record.py

docs:  ## the documentation as a site, in build/site
	mkdocs build

wheel:  ## a wheel in dist/
	pyproject-build -o dist .

.PHONY: help build test quick cluster lint bench native shell record docs wheel
