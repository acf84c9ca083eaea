# Each target calls the project's own commands; .venv is made from the hashed locks.
PYTHON ?= python3
BIN := .venv/bin
# The long ones first: two files run side by side, and the short ones fill the gaps at the end.
LEVELS := chaos e2e browser integration unit
LEVEL ?= $(LEVELS)
FOLDERS = $(LEVEL:e2e=kvm e2e guest)

.PHONY: run test lint chaos deep bench bench-check lock clean

# HYPERVISOR=kvm: guests that boot, on this libvirt host; IMAGE=FILE clones that one. ONCE=1 ends it.
run: .venv/.installed $(if $(filter kvm,$(HYPERVISOR)),.venv/.kvm)
	@$(BIN)/vmclone demo $(if $(HYPERVISOR),--hypervisor $(HYPERVISOR)) \
	  $(if $(IMAGE),--image "$(IMAGE)") $(if $(ONCE),--once)

test: .venv/.developed
	@$(if $(filter-out $(LEVELS),$(LEVEL)),echo "LEVEL is one of: $(LEVELS)" >&2; exit 2)
	@$(BIN)/python -m tests.machine
	@$(if $(filter command environment,$(firstword $(origin LEVEL))),,$(MAKE) --no-print-directory lint)
	@$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder \
	  $(wildcard $(addprefix tests/,$(FOLDERS)))

lint: .venv/.developed
	$(BIN)/ruff check --quiet .
	$(BIN)/ruff format --quiet --check .
	$(BIN)/mypy --no-error-summary
	@layers=$$($(BIN)/lint-imports --no-cache) || { echo "$$layers"; exit 1; }

# Long fault runs; APART=1 lets the stack recover between two faults, ONLY="kill worker" is one kind
# of them. VERBOSE=1 says all that is done.
chaos: SEEDS ?= 5
chaos: FIRST_SEED ?= 1
chaos: .venv/.developed
	@$(BIN)/python -m tests.machine
	@$(BIN)/python -m tests.chaos --seeds $(SEEDS) --first-seed $(FIRST_SEED) \
	  $(if $(APART),--apart) $(if $(ONLY),--only "$(ONLY)") $(if $(VERBOSE),--verbose)

# What make test does a part of: each crash point, of running sources too, and many random lives of
# jobs.
deep: LIVES ?= 300
deep: .venv/.developed
	@VMCLONE_CRASH_EVERY=1 VMCLONE_LIVES=$(LIVES) $(BIN)/pytest -rP tests/integration/crash \
	  tests/kvm/running tests/integration/engine/test_state_machine.py

# Speed, as ratios in one run.
bench: .venv/.developed
	$(BIN)/python -m tests.bench.control_plane 1000 10000
	$(BIN)/python -m tests.bench.fairness
	$(BIN)/python -m tests.bench.queries
	$(BIN)/python -m tests.bench.front_door

# The promises of docs/performance.md, on a machine that does nothing else; as root, with libvirt.
bench-check: .venv/.developed .venv/.kvm
	@$(BIN)/python -m tests.bench

# Versions anew, with hashes, and without the address they came from.
lock: .venv/.developed
	$(BIN)/uv pip compile pyproject.toml --quiet --upgrade --group build --universal \
	  --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --no-annotate \
	  --output-file requirements.lock
	$(BIN)/uv pip compile pyproject.toml --quiet --upgrade --group build --group dev --universal \
	  --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --no-annotate \
	  --constraint requirements.lock --output-file requirements-dev.lock
	echo uv | $(BIN)/uv pip compile - --quiet --upgrade --universal \
	  --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --no-annotate \
	  --output-file requirements-uv.lock

PIP = $(BIN)/python -m pip install --quiet --disable-pip-version-check
# uv does in seconds what takes pip a minute. It is told pip's index, and where it gets nothing from
# there, pip may.
INSTALL = index=$$($(BIN)/pip config list | sed -n "s/.*\.index-url='\(.*\)'/\1/p" | tail -n 1); \
  UV_HTTP_RETRIES=1 $(BIN)/uv pip install --quiet --python $(BIN)/python --compile-bytecode \
  $${index:+--default-index "$$index"} --require-hashes -r $(1) 2>/dev/null \
  || $(PIP) --require-hashes -r $(1)

.venv/.made: requirements-uv.lock
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "vmclone needs Python 3.11 or newer; name one: make PYTHON=python3.12 …" >&2; exit 1; }
	@echo "Making .venv …"
	@$(PYTHON) -m venv .venv
	@$(PIP) --require-hashes -r requirements-uv.lock 2>/dev/null || true  # pip does without
	@touch $@

.venv/.installed: .venv/.made requirements.lock pyproject.toml
	@echo "Installing what vmclone needs …"
	@$(call INSTALL,requirements.lock)
	@$(PIP) --no-deps --no-build-isolation -e .
	@# Where Python writes no bytecode, as in many containers, each process would compile for itself.
	@$(BIN)/python -m compileall -q app workers migrations
	@touch $@

# A binding to the host's own libvirt, so it is built here.
.venv/.kvm: .venv/.installed requirements-kvm.lock
	@echo "Building libvirt's Python binding …"
	@$(PIP) --require-hashes -r requirements-kvm.lock \
	  || { echo "libvirt-python could not be built; on Debian and Ubuntu it needs:" \
	  "apt-get install libvirt-dev pkg-config gcc python3-dev" >&2; exit 1; }
	@touch $@

.venv/.developed: .venv/.installed requirements-dev.lock
	@echo "Installing what its tests need …"
	@$(call INSTALL,requirements-dev.lock)
	@touch $@

clean:
	rm -rf .venv build *.egg-info
