# What can be done in a working copy. Bare `make` lists it; PYTHON=... names another interpreter.
PYTHON ?= python
PYTEST = $(PYTHON) -m pytest

help:  ## this list
	@sed -n 's/^\([a-z0-9]*\):.*##/\1/p' $(MAKEFILE_LIST) | awk '{name = $$1; $$1 = ""; printf "  make %-11s%s\n", name, $$0}'

build:  ## compile the C engine beside the Python files
	$(PYTHON) build.py

test:  ## all tests
	$(PYTEST) -n auto --dist loadfile

quick:  ## all tests but the slow ones, in under two minutes
	$(PYTEST) -m "not slow" -n auto --dist loadfile

cluster:  ## tests with Ray and storage: pip install -e '.[ray,s3,gcs,azure]' 'moto[server]' gcp-storage-emulator; Azurite
	$(PYTEST) tests/cluster

lint:  ## formatting, style and types
	ruff check .
	ruff format --check .
	find native benchmarks -name '*.[ch]' ! -path '*/build/*' -exec clang-format --dry-run -Werror {} +
	mypy

agents:  ## frameworks of voice agents in build/agents, and their tests; FRAMEWORKS="aiortc pipecat" for some
	.ci/agents build/agents $(FRAMEWORKS)
	DENOISE_WRAPPER_AGENTS=build/agents $(PYTEST) tests/integrations

bench:  ## everything timed, beside other programs
	$(PYTHON) -m benchmarks

native:  ## the C engine's own tests, without Python
	$(MAKE) -C native test

shell:  ## completions, the man page and docs/cli.md, from the parser: after a change of options
	$(PYTHON) .ci/shell.py

record:  ## docs/images/demo.cast, a terminal in which the command line is used
	$(PYTHON) .ci/record.py

screenshot:  ## docs/images/live.svg, a terminal in which live runs
	$(PYTHON) .ci/screenshot.py

docs:  ## the documentation as a site, in build/site
	mkdocs build

wheel:  ## a wheel in dist/
	pyproject-build -o dist .

ARMV7_ROOT ?= build/armv7
armv7:  ## a wheel for 32-bit ARM in dist/, run by Debian's Python for it in an emulator; some minutes
	@mkdir -p $(dir $(ARMV7_ROOT))
	$(PYTHON) tests/long/armv7.py $(ARMV7_ROOT) --wheels dist

.PHONY: help build test quick cluster lint agents bench native shell record screenshot docs wheel armv7
