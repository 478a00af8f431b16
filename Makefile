# make demo    the main job on a filmed street, nothing to set up      make demo ARGS="--seconds 10"
# make test    every test, in the same environment                    make test ARGS="-k capture"
# make check   ruff, mypy, import-linter
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check
# what the integration tests start: a broker, an RTSP server, and the libraries that OpenCV's wheel expects
DEBIAN_PACKAGES := mosquitto openssl gir1.2-gst-rtsp-server-1.0 python3-gi gstreamer1.0-plugins-base \
	gstreamer1.0-plugins-good gstreamer1.0-plugins-bad gstreamer1.0-plugins-ugly libgl1 libglib2.0-0

.PHONY: demo test check format schemas clean system-libraries debian-packages

demo: system-libraries $(VENV)/.demo
	@$(BIN)/python -m daemon demo $(ARGS)

test: $(VENV)/.dev debian-packages
	@$(BIN)/python -m pytest -n auto $(ARGS)

check: $(VENV)/.dev
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

format: $(VENV)/.dev
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

# the documents that are generated from the code
schemas: $(VENV)/.dev
	@$(BIN)/python -m daemon.publish.schemas docs/mqtt
	@$(BIN)/ospreyd schema config > docs/config.schema.json

clean:
	rm -rf $(VENV) build dist *.egg-info demo-output

$(BIN)/python:
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); echo "on Debian or Ubuntu run: apt-get install python3-venv"; exit 1; }

$(VENV)/.demo: pyproject.toml | $(BIN)/python
	@echo "installing into $(VENV) (once, about a minute)"
	@$(PIP) --editable '.[demo]'
	@touch $@

$(VENV)/.dev: pyproject.toml | $(BIN)/python
	@echo "installing into $(VENV) with the development extras (once, about a minute)"
	@$(PIP) --editable '.[dev]'
	@touch $@ $(VENV)/.demo

# said before anything else, because without them `import cv2` fails after a minute of installing
system-libraries:
	@if [ -x /sbin/ldconfig ]; then for library in libGL.so.1 libgthread-2.0.so.0; do \
		/sbin/ldconfig -p | grep -q $$library || { \
			echo "OpenCV needs $$library; on Debian or Ubuntu run: apt-get install libgl1 libglib2.0-0"; exit 1; }; \
	done; fi

# As root on Debian the packages that are missing are installed; elsewhere the tests that need them say so and skip.
debian-packages:
	@if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null && ! dpkg-query -s $(DEBIAN_PACKAGES) >/dev/null 2>&1; then \
		echo "installing Debian packages for the integration tests"; \
		{ apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends $(DEBIAN_PACKAGES); } \
			>/tmp/ospreyd-apt.log 2>&1 || { tail -5 /tmp/ospreyd-apt.log; echo "apt-get failed; those tests will skip"; }; \
	fi
