# make demo | test | check | bench | docs; `make` alone lists them. Everything lands in .venv/ and build/.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DELETE_ON_ERROR:
ifneq ($(words $(CURDIR)),1)
  $(error the path of this folder must hold no space, which make cannot handle; got '$(CURDIR)')
endif
MAKEFLAGS += --no-print-directory

PYTHON ?= python3
VENV := $(CURDIR)/.venv
export PATH := $(VENV)/bin:$(PATH)

# Found, not asked of git: an unpacked archive is tested as a clone is.
CPP := $(shell find libbrain2music bindings examples/cpp cmake -type f) CMakeLists.txt
SOURCES := $(CPP) $(shell find python -type f -not -name '*.pyc' -not -name '*.so') pyproject.toml
FORMATTED := $(shell find libbrain2music bindings examples/cpp tests -name '*.h' -o -name '*.cpp' -o -name '*.cu')
CMAKE_ARGS = -G Ninja -DPython_EXECUTABLE=$(VENV)/bin/python

# The library is built several times (for Python, for the tests, for an outside program): what is alike is compiled once.
export CCACHE_DIR := $(CURDIR)/build/ccache
export CCACHE_BASEDIR := $(CURDIR)
export CCACHE_NOHASHDIR := 1
export CCACHE_SLOPPINESS := pch_defines,time_macros
# One name for the compiler, which the cache goes by; asked anew by each recipe: the first one installs it.
export CXX
export CMAKE_CXX_COMPILER_LAUNCHER = $(shell command -v ccache)
export CMAKE_CUDA_COMPILER_LAUNCHER = $(shell command -v ccache)

comma := ,
say = @printf '\n\033[1m== %s\033[0m\n' "$(1)$(if $(2),$(comma)$(2))$(if $(3),$(comma)$(3))"

# Quiet unless it fails.
quietly = @mkdir -p build/log && { $(2); } > build/log/$(1) 2>&1 || { cat build/log/$(1); exit 1; }

.PHONY: help
help:
	@echo 'make demo    set up, run the main job, print where the result is'
	@echo 'make test    set up, run all checks and tests'
	@echo 'make check   formatters, linters, types, stubs, documentation'
	@echo 'make bench   every benchmark beside its rivals'
	@echo 'make docs    build/docs/html/index.html: runs the notebook, checks links and examples'
	@echo 'make format  let the formatters rewrite'
	@echo 'make constraints   ask for the newest versions of all that is installed (.ci/constraints.txt)'
	@echo 'make clean   remove build/ (and .venv/ with VENV_TOO=1)'

# ---- setting up: system packages, .venv, the package itself, editable ------------------------------------------------

build/setup/system: .ci/system-packages
	$(call say,System packages)
	@mkdir -p $(@D)
	.ci/system-packages
	@touch $@

# The environment keeps the constraints that it was made from: one made from others, or a new one, is brought up to date.
ifneq ($(shell cmp --silent .ci/constraints.txt $(VENV)/constraints.txt && echo same),same)
.PHONY: build/setup/venv
endif
build/setup/venv: pyproject.toml .ci/requirements .ci/constraints.txt | build/setup/system
	$(call say,Python packages into .venv (torch is 2.5 GB to download, once))
	@test -x $(VENV)/bin/python || $(PYTHON) -m venv $(VENV)
	@python -m pip install --quiet --constraint .ci/constraints.txt --upgrade pip
	@python .ci/requirements > build/setup/requirements.txt
	@.ci/pip $(VENV)/bin/python install --constraint .ci/constraints.txt --requirement build/setup/requirements.txt
	@cp .ci/constraints.txt $(VENV)/constraints.txt
	@touch $@

build/setup/package: build/setup/venv CMakeLists.txt $(wildcard cmake/*)
	$(call say,brain2music itself, editable (compiles the CUDA kernels too))
	@.ci/pip $(VENV)/bin/python install --no-build-isolation --no-deps --editable .
	@python -c 'import brain2music; brain2music.show_versions()'
	@touch $@

.PHONY: constraints
constraints:
	$(call say,The newest versions of all packages that fit pyproject.toml, into .ci/constraints.txt)
	@$$(command -v $(VENV)/bin/python || echo $(PYTHON)) .ci/constraints

.PHONY: setup
setup: build/setup/package

# ---- the demo --------------------------------------------------------------------------------------------------------

.PHONY: demo
demo: build/setup/package
	$(call say,Simulating a small study; decoding music from it)
	@brain2music demo build/demo
	@echo 'Open build/demo/results/report.html in a browser.'

# ---- tests -----------------------------------------------------------------------------------------------------------

# The steps of a test one after the other, so that what they print can be read; make 4.3 takes that for all targets.
.NOTPARALLEL:
.PHONY: test
test: check test-cpp test-python-and-sanitized test-package
	$(call say,All checks and tests passed)

.PHONY: test-python
test-python: build/setup/package
	$(call say,Python tests)
	@python -m pytest

.PHONY: test-cpp
test-cpp: build/release/build.ninja
	$(call say,C++ tests)
	$(call quietly,release,cmake --build build/release)
	@ctest --test-dir build/release --output-on-failure

# Most Python tests keep one core busy: what the others have to spare builds what is tested next.
.PHONY: test-python-and-sanitized
test-python-and-sanitized: build/setup/package
	$(call say,Python tests; beside them what is tested next is built)
	@mkdir -p build/log; nice -n 19 $(MAKE) tested-next > build/log/tested-next 2>&1 & building=$$!; \
	  python -m pytest || { kill $$building; exit 1; }; wait $$building || { cat build/log/tested-next; exit 1; }
	@$(MAKE) test-sanitized

.PHONY: tested-next
tested-next: sanitized build/package/installed build/cpu/installed

.PHONY: test-sanitized
test-sanitized: sanitized
	$(call say,C++ tests under AddressSanitizer and UndefinedBehaviorSanitizer)
	@ASAN_OPTIONS=detect_leaks=0 ctest --test-dir build/sanitized --output-on-failure

.PHONY: sanitized
sanitized: build/setup/venv
	$(call quietly,sanitized,cmake -S . -B build/sanitized $(CMAKE_ARGS) -DB2M_CUDA=OFF \
	  -DB2M_SANITIZE=address$(comma)undefined -DCMAKE_BUILD_TYPE=Debug -DCMAKE_CXX_FLAGS_DEBUG='-O1 -g1' \
	  && cmake --build build/sanitized)

build/release/build.ninja: build/setup/venv CMakeLists.txt $(wildcard cmake/*)
	$(call say,Configuring the C++ library)
	@cmake -S . -B build/release $(CMAKE_ARGS) -DB2M_PYTHON=ON -DB2M_CUDA=ON | grep 'brain2music:'

# The wheel, in a virtual environment that knows nothing of this folder. Built beside the packages that are here: what
# `pip wheel` downloads for itself is the same, at another path, and would be compiled against once more.
build/package/installed: build/setup/venv $(SOURCES) .ci/constraints.txt
	$(call say,Building the wheel and installing it into a fresh environment)
	@mkdir -p $(@D) && rm -f $(@D)/*.whl
	@.ci/pip $(VENV)/bin/python wheel --no-deps --no-build-isolation --wheel-dir $(@D) \
	  --config-settings=build-dir=build/wheel .
	@test -x $(@D)/venv/bin/python || $(PYTHON) -m venv $(@D)/venv
	@.ci/pip $(@D)/venv/bin/python install --force-reinstall --no-deps $(@D)/*.whl
	@.ci/pip $(@D)/venv/bin/python install --constraint .ci/constraints.txt $(@D)/*.whl
	@touch $@

build/cpu/installed: build/setup/venv $(CPP)
	$(call say,Building and installing the C++ library without CUDA)
	$(call quietly,cpu,cmake -S . -B build/cpu $(CMAKE_ARGS) -DB2M_CUDA=OFF -DB2M_TESTS=OFF \
	  && cmake --build build/cpu && cmake --install build/cpu --prefix build/cpu/prefix)
	@touch $@

.PHONY: test-package
test-package: build/package/installed build/cpu/installed test-cpp
	$(call say,Package tests: the wheel in a fresh environment, outside C++ programs against every kind of install)
	$(call quietly,prefix,cmake --install build/release --prefix build/release/prefix)
	@python -m pytest tests/package

# ---- checks ----------------------------------------------------------------------------------------------------------

.PHONY: check
check: build/setup/package
	$(call say,Formatters, linters, types)
	@clang-format --dry-run --Werror $(FORMATTED)
	ruff format --check --quiet .
	ruff check .
	mypy
	$(call say,Versions of what is installed)
	@python .ci/constraints --check --installed
	$(call say,Stubs of the extension)
	.ci/stubs --check
	$(call say,clang-tidy on files that it has not passed as they are)
	@$(MAKE) tidy
	$(call say,Documentation, without warnings)
	@$(MAKE) docs

# What passed as it is stands in .ci/tidied.txt, to be committed; `.ci/tidy --all` looks at everything.
.PHONY: tidy
tidy: build/setup/venv
	@test "$$(.ci/tidy --count)" = 0 || $(MAKE) build/tidy/build.ninja
	@.ci/tidy

# Configured, never built: how each file is compiled, without the precompiled headers that would hide a missing include.
build/tidy/build.ninja: build/setup/venv $(wildcard cmake/*) $(shell find . -name CMakeLists.txt -not -path './build/*' -not -path './.venv/*')
	@cmake -S . -B build/tidy $(CMAKE_ARGS) -DB2M_PYTHON=ON -DB2M_CUDA=ON -DB2M_TESTS=OFF \
	  -DCMAKE_DISABLE_PRECOMPILE_HEADERS=ON > /dev/null
	@touch $@

.PHONY: docs
docs: build/setup/package
	@rm -rf build/docs/xml; mkdir -p build/docs && doxygen docs/Doxyfile
	@python docs/draw_benchmarks.py build/docs/benchmarks.rst
	@python docs/draw_windows.py build/docs/windows.svg
	@python docs/draw_style_track.py build/docs/style_track.svg
	@python docs/draw_weight_types.py build/docs/weight_types.rst
	@rm -rf build/docs/html # pages that were moved would stay; what was read, the notebook run included, is kept
	@python -m sphinx --quiet --fail-on-warning --keep-going -d build/docs/doctrees -b html docs build/docs/html
	@python -m pytest --quiet tests/docs
	@echo 'build/docs/html/index.html'

.PHONY: format
format: build/setup/venv
	clang-format -i $(FORMATTED)
	ruff format .
	ruff check --fix .

# ---- benchmarks ------------------------------------------------------------------------------------------------------

.PHONY: bench
bench: build/setup/package
	python -m benchmarks

.PHONY: clean
clean:
	rm -rf build $(if $(VENV_TOO),$(VENV))
