# Works with GNU make 3.81 (macOS) and /bin/sh. `make` alone lists what there is.
.DEFAULT_GOAL := help
.PHONY: help run test lint format bench demo clean FORCE

# Plain `=`: a HOST or PORT that happens to be in the environment is not meant for us.
HOST = localhost
PORT = 8501
REGISTRY =
# Through the environment, so that spaces and quotes in a path reach the shell untouched.
export REGISTRY

PY = .venv/bin/python
PIP = $(PY) -m pip --disable-pip-version-check install
# The plugin checks types and shapes of every call into core.
PYTEST = $(PY) -m pytest -p tests.ground.typechecker

help:
	@echo "make run      the dashboard on http://localhost:8501   (PORT=9000 REGISTRY=my.toml HOST=localhost)"
	@echo "make test     lint, types and every test"
	@echo "make lint     ruff and mypy alone"
	@echo "make format   rewrite the code in the project's style"
	@echo "make bench    every benchmark in benchmarks/"
	@echo "make demo     rebuild the embedded demo from nothing (about two hours; needs espeak-ng)"
	@echo "make clean    remove .venv and what tools leave behind; keeps cache/"

# No file watcher: it would watch all of .venv too, and fill the terminal with warnings when torch is first loaded.
run: .venv/run
	@registry="$$REGISTRY"; \
	case "$$registry" in \
	  "~/"*) registry="$$HOME/$${registry#??}" ;; \
	  ""|/*) ;; \
	  *) registry="$$(pwd)/$$registry" ;; \
	esac; \
	if [ -n "$$registry" ]; then \
	  if [ ! -f "$$registry" ]; then \
	    echo "There is no registry file $$registry: REGISTRY takes a path to a TOML file like models.toml." >&2; exit 2; \
	  fi; \
	  LORASCOPE_REGISTRY="$$registry"; export LORASCOPE_REGISTRY; \
	fi; \
	exec $(PY) -m streamlit run app.py --server.address="$(HOST)" --server.port="$(PORT)"

# Two processes, one thread each: on tiny models, threads only wait for each other. A file's fixtures are made once.
# The browser tests run alone: server, models and browser need both cores, and what a person waits for is timed there.
test: lint
	OMP_NUM_THREADS=1 $(PYTEST) -n 2 --dist loadfile --ignore tests/browser
	OMP_NUM_THREADS=1 $(PYTEST) tests/browser

lint: .venv/test
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m mypy

format: .venv/test
	$(PY) -m ruff check --fix .
	$(PY) -m ruff format .

bench: .venv/test
	@for file in $$(grep -l __main__ benchmarks/*.py); do \
	  name="$${file#benchmarks/}"; \
	  echo "== $$file"; $(PY) -m "benchmarks.$${name%.py}" || exit 1; \
	done

demo: .venv/demo
	$(PY) -m core demo

clean:
	rm -rf .venv .pytest_cache .mypy_cache .ruff_cache build
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# Stamps: each says that a requirements file, as it was then, is installed.
.venv/run: requirements.txt .venv/ready
	$(PIP) -r requirements.txt
	@touch $@

.venv/test: requirements-dev.txt requirements-demo.txt .venv/run
	$(PIP) -r requirements-dev.txt
	@touch $@

.venv/demo: requirements-demo.txt .venv/run
	$(PIP) -r requirements-demo.txt
	@touch $@

# A .venv whose Python has gone (upgraded away, or half made) is made again.
ifneq ($(shell $(PY) -c 'import pip, sys; print(sys.version_info >= (3, 11))' 2>/dev/null),True)
.venv/ready: FORCE
endif
FORCE:

.venv/ready:
	@chosen=; \
	for python in python3 python3.14 python3.13 python3.12 python3.11; do \
	  if "$$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then chosen="$$python"; break; fi; \
	done; \
	if [ -z "$$chosen" ]; then \
	  echo "LoRAscope needs Python 3.11 or newer, and none was found: install one (Debian/Ubuntu: sudo apt install python3 python3-venv; macOS: brew install python)." >&2; exit 2; \
	fi; \
	if $(PY) -c 'import pip, sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then :; \
	elif "$$chosen" -c 'import ensurepip' 2>/dev/null; then \
	  echo "Making .venv with $$("$$chosen" --version)"; "$$chosen" -m venv --clear .venv; \
	else \
	  echo "$$("$$chosen" --version) comes without the parts that make a virtual environment: sudo apt install python3-venv, then make again." >&2; exit 2; \
	fi
	@touch $@
