# Makes .venv, installs the checkout into it and hands over to invoke: the verbs are in `invoke --list`.

SHELL := /bin/sh
.DELETE_ON_ERROR:
.PHONY: setup venv demo test check proto pages lock azure gcp fuzz emulators browser clean

# The venv belongs to one lock in one place: an editable install and its scripts hold absolute paths.
packages := .venv/packages-$(shell { pwd; cat requirements/checkout.txt; } | sha256sum | cut -c1-16)
checkout := .venv/checkout-$(shell { pwd; cat requirements/checkout.txt pyproject.toml; } | sha256sum | cut -c1-16)
bin := .venv/bin
pip := $(bin)/python -m pip --disable-pip-version-check --quiet

# Where --relock writes a lock when a package of a committed one is gone everywhere: it holds for all that follows.
export CLOISTER_LOCKS ?= $(CURDIR)/out/locks

setup: venv
	@$(bin)/invoke setup --relock

venv: $(checkout)

demo: setup
	@$(bin)/invoke demo

# Two processes fill two processors; tests/conftest.py says which tests stay together. Python starts a thousand times,
# so byte code is kept even if the caller's shell says otherwise.
WORKERS ?= 2

test: check setup emulators browser
	@PYTHONDONTWRITEBYTECODE= $(bin)/pytest -n $(WORKERS) -m "not packages and not examples and not flavors and not faults and not load and not sandbox and not scratch and not hostile and not kinds and not browser and not pulumi and not pages and not rare and not rebuild"

# What reads the code without running it; the types of infra/ are those of the clouds' SDKs.
check: azure gcp
	$(bin)/ruff check
	$(bin)/ruff format --check
	$(bin)/ty check --error-on-warning
	$(bin)/lint-imports --no-cache

# cloister/v1 from proto/: the result is committed, and a test compares it.
proto: venv
	$(bin)/python -m tools.stubs

# What docs/ says of the code, written from it; tests compare.
pages: venv
	$(bin)/python -m tools.errors_page
	$(bin)/python -m tools.modules_page
	$(bin)/python -m tools.api_pages
	$(bin)/python -m tools.pictures

$(packages):
	@python=$$(for name in $(PYTHON) python3 python3.14 python3.13 python3.12 python3.11; do \
	    "$$name" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo "$$name"; break; }; \
	  done); \
	  if [ -z "$$python" ]; then \
	    echo "Cloister needs Python 3.11 or newer with its venv module, and none was found." >&2; \
	    echo "Debian, Ubuntu: apt install python3-venv. Fedora: dnf install python3. Elsewhere: make PYTHON=/path/to/python3" >&2; \
	    exit 1; \
	  fi; \
	  echo "Python packages: fetching about 100 MB into .venv, a minute or two ..."; \
	  "$$python" -m venv --clear .venv
	@$(pip) install --only-binary :all: --require-hashes -r requirements/checkout.txt
	@touch $@

$(checkout): $(packages)
	@rm -f .venv/checkout-*
	@$(pip) install --no-deps --no-build-isolation --editable .
	@touch $@

# The SDKs of the clouds are large, and so are the fuzzer, what stands in for a cloud's storage and what drives a browser; only those who
# deploy there, fuzz or test need them. The SDKs' byte code is written when a part of them is imported.
azure gcp fuzz emulators browser: venv
	@stamp=.venv/$@-$$(sha256sum <requirements/$@.txt | cut -c1-16); test -e $$stamp || { \
	  echo "Python packages: adding those of $@ ..."; \
	  $(pip) install --no-compile --only-binary :all: --require-hashes -r requirements/$@.txt && touch $$stamp; }

# Renews the locks after a change of the dependencies in pyproject.toml; UPGRADE=--upgrade takes newer versions.
lock: venv
	@for extra in platform azure gcp fuzz emulators browser; do \
	    test $$extra = platform && name=checkout || name=$$extra; \
	    $(bin)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	      --no-header --no-annotate --no-emit-index-url $(UPGRADE) \
	      --extra platform --extra page --extra dev --extra $$extra pyproject.toml --output-file requirements/$$name.txt || exit; \
	  done

clean:
	rm -rf .venv
