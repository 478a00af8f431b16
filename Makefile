# make demo    the main job on a filmed street, nothing to set up      make demo ARGS="--seconds 10"
# make test    every test, in the same environment                    make test ARGS="-k capture"
# make test-systemd   the service on a real systemd in a container, as root; the first time it makes a Debian to boot
# make test-exporters   models that are exported by the projects that they are of
# make test-container   the container image and the README's first steps, with Podman, as root
# make check   ruff, mypy, import-linter, and the types of the page
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check
# the tests start some hundred processes, each of which would compile the project again
unexport PYTHONDONTWRITEBYTECODE
# one more than there are cores, since tests wait as much as they work
WORKERS := $(shell expr $$(nproc) + 1)
# what the integration tests start: a broker, an RTSP server, a browser, what stands before the page, and the libraries that OpenCV's wheel expects
DEBIAN_PACKAGES := mosquitto mosquitto-clients openssl faketime prometheus gir1.2-gst-rtsp-server-1.0 python3-gi gstreamer1.0-plugins-base \
	gstreamer1.0-plugins-good gstreamer1.0-plugins-bad gstreamer1.0-plugins-ugly libgl1 libglib2.0-0 systemd shellcheck \
	chromium python3-opencv fonts-dejavu-core nginx-light openssh-server

# what the tests of the service boot: a small Debian, made once and copied by every run
DEBIAN_ROOT := $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/ospreyd-tests/debian-root
DEBIAN_ROOT_PACKAGES := systemd,systemd-sysv,dbus,python3,python3-venv,libgl1,libglib2.0-0,mosquitto
CONTAINER_PACKAGES := systemd-container debootstrap

# other TensorRT than the one that the development extras bring: what runs on older GPUs, and the classic run-time API
OTHER_TENSORRT := $(VENV)/tensorrt-rtx-1.6 $(VENV)/tensorrt-lean

# Debian's OpenCV, which has GStreamer, for the Python that it was compiled for; and a NumPy of its age
SYSTEM_OPENCV := $(VENV)/system-opencv

# a real Home Assistant, with what its MQTT integration needs and nothing else
HOME_ASSISTANT := $(VENV)/homeassistant

# what exports models, with PyTorch
EXPORTERS := $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/ospreyd-exporters

# checks the types that the page's modules say in comments; nothing of it is installed with the project
TYPESCRIPT := $(VENV)/typescript

# what the images of the tests of the container are made of, and what makes them
DEBIAN_SLIM := $(dir $(DEBIAN_ROOT))debian-slim.tar
PODMAN_PACKAGES := podman podman-compose runc netavark aardvark-dns iptables iproute2 mmdebstrap

.PHONY: demo environment test test-exporters test-internet test-systemd test-container check format schemas pictures clean system-libraries debian-packages npm

demo: system-libraries $(VENV)/.demo
	@$(BIN)/python -m daemon demo $(ARGS)

# all that the tests need; with --jobs its parts are installed at the same time
environment: $(VENV)/.dev $(OTHER_TENSORRT) $(HOME_ASSISTANT) debian-packages npm $(SYSTEM_OPENCV)

test: environment
	@$(BIN)/python -m pytest -n $(WORKERS) --dist worksteal -m "not systemd and not internet and not container and not exporters" $(ARGS)

# models as their own projects export them; those projects and PyTorch are installed once, into 2 GB
test-exporters: $(VENV)/.dev $(EXPORTERS)/.installed
	@$(BIN)/python -m pytest -m exporters tests/exporters $(ARGS)

$(EXPORTERS)/.installed: tests/exporters/requirements.txt
	@echo "installing the exporters into $(EXPORTERS) (once, a few minutes)"
	@rm -rf $(EXPORTERS) && $(PYTHON) -m venv $(EXPORTERS) && $(EXPORTERS)/bin/python -m pip install --quiet \
		--disable-pip-version-check -r $< && touch $@ || { rm -rf $(EXPORTERS); echo "the exporters cannot be had here"; exit 1; }

# before a release: every model of the catalogue, fetched and evaluated on ../shared/material
test-internet: $(VENV)/.dev
	@$(BIN)/python -m pytest -m internet tests/internet $(ARGS)

test-systemd: $(VENV)/.dev $(DEBIAN_ROOT)
	@OSPREYD_DEBIAN_ROOT=$(DEBIAN_ROOT) $(BIN)/python -m pytest -m systemd tests/systemd $(ARGS)

check: $(VENV)/.dev $(TYPESCRIPT)
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@[ ! -d $(TYPESCRIPT) ] || $(TYPESCRIPT)/node_modules/.bin/tsc --project tests/web/page/tsconfig.json

format: $(VENV)/.dev
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

# the pictures of docs/web.md, taken by the tests of the page
pictures: $(VENV)/.dev debian-packages
	@mkdir -p docs/web && OSPREYD_PICTURES=$(CURDIR)/docs/web $(BIN)/python -m pytest tests/web/browser

# the documents that are generated from the code
schemas: $(VENV)/.dev
	@$(BIN)/python -m daemon.publish.schemas docs/mqtt
	@$(BIN)/ospreyd schema config > docs/config.schema.json
	@$(BIN)/ospreyd schema asyncapi > docs/mqtt/asyncapi.json
	@$(BIN)/python -m daemon.web.openapi > docs/openapi.json

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

$(VENV)/tensorrt-rtx-1.6: PACKAGES := $(addsuffix ==1.6.1.120,tensorrt-rtx-cu13 tensorrt-rtx-cu13-bindings tensorrt-rtx-cu13-libs)
$(VENV)/tensorrt-lean: PACKAGES := $(addsuffix ==11.4.0.106,tensorrt-lean-cu13 tensorrt-lean-cu13-bindings tensorrt-lean-cu13-libs)

$(OTHER_TENSORRT): | $(BIN)/python
	@$(PIP) --no-deps --target $@ $(PACKAGES) || { rm -rf $@; echo "$(@F) cannot be had here; its tests will skip"; }

$(HOME_ASSISTANT): tests/homeassistant/requirements.txt | $(BIN)/python
	@rm -rf $@; $(PYTHON) -m venv $@ && $@/bin/python -m pip install --quiet --disable-pip-version-check --no-compile \
		--no-deps -r $< || { rm -rf $@; echo "Home Assistant cannot be had here; its tests will skip"; }

$(TYPESCRIPT): | $(BIN)/python npm
	@mkdir -p $@ && npm install --prefix $@ --silent --no-audit --no-fund typescript@5.9.3 || { rm -rf $@; echo "TypeScript cannot be had here; the page's types are not checked"; }

$(SYSTEM_OPENCV): | $(BIN)/python debian-packages
	@{ $(PIP) --no-deps --target $@ 'numpy<2' && ln -s /usr/lib/python3/dist-packages/cv2*.so $@/; } \
		|| { rm -rf $@; echo "$(@F) cannot be had here; its tests will skip"; }

$(DEBIAN_ROOT):
	@[ "$$(id -u)" = 0 ] || { echo "a container with systemd needs root: sudo make test-systemd"; exit 1; }
	@dpkg-query -s $(CONTAINER_PACKAGES) >/dev/null 2>&1 || \
		{ apt-get update -qq && apt-get install -qq -y --no-install-recommends $(CONTAINER_PACKAGES); } >/dev/null
	@echo "making a Debian in $@ (once, about a minute)"
	@rm -rf $@.new && mkdir -p $(@D)
	@debootstrap --variant=minbase --include=$(DEBIAN_ROOT_PACKAGES) bookworm $@.new >$@.log || { tail -5 $@.log; exit 1; }
	@mv $@.new $@

$(DEBIAN_SLIM):
	@[ "$$(id -u)" = 0 ] || { echo "these containers need root: sudo make test-container"; exit 1; }
	@dpkg-query -s $(PODMAN_PACKAGES) >/dev/null 2>&1 || \
		{ apt-get update -qq && apt-get install -qq -y --no-install-recommends $(PODMAN_PACKAGES); } >/dev/null
	@echo "making a Debian in $@ (once, about a minute)"
	@mkdir -p $(@D) && rm -f $@.new
	@mmdebstrap --quiet --variant=minbase --format=tar bookworm $@.new && mv $@.new $@

# said before anything else, because without them `import cv2` fails after a minute of installing
system-libraries:
	@if [ -x /sbin/ldconfig ]; then for library in libGL.so.1 libgthread-2.0.so.0; do \
		/sbin/ldconfig -p | grep -q $$library || { \
			echo "OpenCV needs $$library; on Debian or Ubuntu run: apt-get install libgl1 libglib2.0-0"; exit 1; }; \
	done; fi

# Node.js from elsewhere brings its own npm, so Debian's is installed only where there is none
npm:
	@if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null && ! command -v npm >/dev/null; then \
		echo "installing Debian's nodejs and npm"; \
		{ apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends nodejs npm; } \
			>/tmp/ospreyd-npm.log 2>&1 || { tail -5 /tmp/ospreyd-npm.log; echo "apt-get failed"; }; \
	fi

# As root on Debian the packages that are missing are installed; elsewhere the tests that need them say so and skip.
debian-packages: | npm # apt-get waits for nobody
	@if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null && ! dpkg-query -s $(DEBIAN_PACKAGES) >/dev/null 2>&1; then \
		echo "installing Debian packages for the integration tests"; \
		{ apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends $(DEBIAN_PACKAGES); } \
			>/tmp/ospreyd-apt.log 2>&1 || { tail -5 /tmp/ospreyd-apt.log; echo "apt-get failed; those tests will skip"; }; \
	fi
