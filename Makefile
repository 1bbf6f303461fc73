# make run    set everything up and start tocsin (Ctrl-C stops it)
# make test   set everything up; run the checks and the fast tests: minutes, no Docker Engine needed
# make test-real  run all other tests, on a real engine, in a real browser; what is missing is skipped
# make coverage  the fast tests once more, and which lines they run; slow before Python 3.12
# make packs  build the packs, install their wheels in empty environments, run their tests there
# make bench  print the figures
# make rooms  print how large the rooms of the house are, and who imports whom
# make faults  inject faults into a running tocsin and judge what it tells (tests/faults)
# make fuzz   what strangers write, by the hundred thousand, and a judge of what becomes of it (tests/fuzz)
# make audit  hold the packages of the image against the public list of known holes (needs the internet)
# make reference  write the last chapter of entry_points.md anew, from the docstrings
# make screenshots  take the pictures of the README anew (needs an engine and Chromium)
# make hooks  check each commit and push of this clone (pre-commit)
# make lock   choose anew what the image is made of (container/*.lock)

PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
# One more than the cores: tests wait for real parts half of the time.
JOBS   ?= 3
# More where the real parts are: most of the time goes by waiting for them.
REAL_JOBS ?= 4
PIP    := $(BIN)/pip install -q --disable-pip-version-check
# uv needs seconds where pip needs minutes; pip it is where uv cannot (say, by an index that pip alone knows).
INSTALL = { $(PIP) uv && $(BIN)/uv pip install -q --compile-bytecode --python $(BIN)/python -e '.[$(EXTRAS)]'; } || $(PIP) -e '.[$(EXTRAS)]'
PYTEST = $(BIN)/python -m pytest -q -n $(JOBS)
REAL   := docker or browser or ship or fuzz or kill or slow

# Compiled modules are kept: the tests start Python hundreds of times.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: run test fast test-real packs rooms reference faults fuzz audit coverage lint style types bench screenshots hooks lock clean

run: $(VENV)/.run
	@exec $(BIN)/tocsin $(ARGS) run

# Types are checked beside the tests, which wait for things half of the time.
test: style
	@$(MAKE) --no-print-directory -j 2 types fast

fast: $(VENV)/.test
	$(PYTEST) -m "not ($(REAL))"

test-real: $(VENV)/.test
	$(BIN)/python -m pytest -q -n $(REAL_JOBS) -m "$(REAL)"

coverage: $(VENV)/.test
	$(BIN)/coverage erase
	$(BIN)/coverage run -m pytest -q -n $(JOBS) -m "not ($(REAL))"
	$(BIN)/coverage combine -q
	$(BIN)/coverage report --skip-covered --skip-empty --sort=cover

lint: style types

style: $(VENV)/.test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.test
	$(BIN)/mypy

packs: $(VENV)/.test
	.ci/parts/packs.sh

bench: $(VENV)/.test
	$(BIN)/python bench/all.py $(ARGS)

rooms: $(VENV)/.test
	$(BIN)/python bench/rooms.py

reference: $(VENV)/.test
	$(BIN)/python -m tests.reference

faults: $(VENV)/.test
	$(BIN)/python -m tests.faults $(ARGS)

fuzz: $(VENV)/.test
	$(BIN)/python -m tests.fuzz $(ARGS)

# --disable-pip: the lock has every package and its hashes; nothing is installed or resolved.
audit: $(VENV)/.test
	$(PIP) pip-audit
	$(BIN)/pip check
	for lock in core dashboard build; do \
		$(BIN)/pip-audit --disable-pip --require-hashes -r container/$$lock.lock || exit 1; done

screenshots: $(VENV)/.test
	$(BIN)/python -m tests.dashboard.screenshots $(ARGS)

hooks: $(VENV)/.test
	$(BIN)/pre-commit install

# For every Python and every machine; the hashes are the files' own, wherever they come from.
LOCK := $(BIN)/uv pip compile -q --universal --upgrade --generate-hashes --no-annotate \
	--custom-compile-command "make lock"

lock: $(VENV)/.venv
	$(PIP) uv
	$(LOCK) --extra fast -o container/core.lock pyproject.toml
	$(LOCK) --extra fast --extra dashboard -c container/core.lock -o container/dashboard.lock pyproject.toml
	echo 'setuptools>=77' | $(LOCK) -o container/build.lock -

$(VENV)/.venv:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "tocsin needs Python 3.11 or newer; name one: make PYTHON=python3.12 run" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	@touch $@

$(VENV)/.run: EXTRAS = embedded,fast,dashboard
$(VENV)/.run: $(VENV)/.venv pyproject.toml
	$(INSTALL)
	@touch $@

$(VENV)/.test: EXTRAS = embedded,fast,dashboard,dev
$(VENV)/.test: $(VENV)/.venv pyproject.toml
	$(INSTALL)
	@touch $@ $(VENV)/.run

clean:
	rm -rf $(VENV) build dist src/tocsin.egg-info .mypy_cache .ruff_cache .pytest_cache
