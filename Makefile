PYTHON ?= python3
BIN := .venv/bin
STAMP := .venv/.stamp
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.DEFAULT_GOAL := help
.PHONY: docs messages demo test test-slow bench check format clean help

demo: $(STAMP)  ## see it find out what is wrong, and prove the cure
	$(BIN)/python -m examples.demo $(ARGS)

# Two workers with one thread each: tests train small networks, which more threads only slow down.
test test-slow: export OMP_NUM_THREADS := 1
test test-slow: export MKL_NUM_THREADS := 1

test: check  ## check, then the fast tests
	$(BIN)/pytest -n 2 $(ARGS)

test-slow: $(STAMP)  ## the tests that train for longer
	$(BIN)/pytest -n 2 -m slow $(ARGS)

bench: $(STAMP)  ## measure how often the diagnosis is right
	$(BIN)/python -m bench $(ARGS)

docs: .venv/.docs  ## build the documentation site in build/site; warnings are errors
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet
	@echo 'Open build/site/index.html'

.venv/.docs: $(STAMP)
	@$(BIN)/pip install -qq -c constraints.txt --no-build-isolation -e '.[docs]'
	@touch $@

check: $(STAMP)  ## lint, format, types and import contracts; changes nothing
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo

format: $(STAMP)  ## put the code in order
	$(BIN)/ruff format
	$(BIN)/ruff check --fix

messages: $(STAMP)  ## bring the catalogues of translations in step with the sources, and compile them
	$(BIN)/python -m tools.messages

clean:  ## remove what tools have left behind (not .venv)
	rm -rf build dist .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -not -path './.venv/*' -prune -exec rm -rf {} +

help:  ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

# torch goes first, exactly as pinned, so that a wheel without CUDA that is at hand is taken.
$(STAMP): pyproject.toml constraints.txt
	@echo 'Setting up .venv with the versions in constraints.txt (about a minute; again only when they change)'
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@$(BIN)/pip install -qq -c constraints.txt "$$(grep '^torch==' constraints.txt)" hatchling
	@$(BIN)/pip install -qq -c constraints.txt --no-build-isolation -e '.[dev,plot,papers]'
	@touch $@
