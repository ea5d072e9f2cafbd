# Every target works from a fresh checkout; `make help` lists them.
SWIFT ?= swift
FUZZ_SECONDS ?= 300
FUZZ_FOLDER ?= /dev/shm/apus-fuzz
SOURCES = Sources Tests Plugins Package.swift

.PHONY: help setup build demo test fuzz bench compare format lint docs clean
.DEFAULT_GOAL := help

help: ## list the targets
	@sed -nE 's/^([a-z]+):.*## (.*)/  \1\t\2/p' Makefile | expand -t 12

setup: ## install what is missing from the system
	@bash scripts/setup.sh

build: setup ## build everything, optimized
	$(SWIFT) build -c release

demo: build ## train, evaluate and use a small network
	@bash scripts/demo.sh

test: setup ## run every test, optimized
	$(SWIFT) test -c release

fuzz: setup ## read damaged files for longer: FUZZ_SECONDS of each kind
	@mkdir -p $(FUZZ_FOLDER)
	APUS_FUZZ_SECONDS=$(FUZZ_SECONDS) APUS_FUZZ_FOLDER=$(FUZZ_FOLDER) \
		$(SWIFT) test -c release --filter FuzzTests

bench: build ## measure speed on this machine
	@bash scripts/bench.sh

compare: build ## measure against PyTorch, ONNX Runtime and OpenVINO (PEER_PYTHON has them)
	@bash scripts/compare.sh

format: ## rewrite the sources in the house style
	$(SWIFT) format --in-place --recursive $(SOURCES)

lint: ## check the house style
	$(SWIFT) format lint --strict --recursive $(SOURCES)

docs: ## write the reference to docs/api
	@bash scripts/docs.sh

clean: ## remove what was built
	rm -rf .build docs/api
