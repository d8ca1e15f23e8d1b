# Martlet. `make help` lists the targets. Long steps write to .cache/logs and show the end of it when they fail.

.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help setup build serve demo demo-stop test lint unit conformance bench format clean

MARTLET := .build/release/martlet
# Static: the server starts without loading a dozen libraries of the Swift runtime.
RELEASE := -c release --static-swift-stdlib
BENCHMARKS := bench queues sqs_mappings dynamodb kinesis stream_mappings s3 events doors websocket_apis logs metrics
SWIFT_SOURCES := Package.swift Sources Tests
export MARTLET_RUNTIMES ?= $(CURDIR)/.cache/runtimes

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: ## install what is missing: Debian packages, .venv, runtimes, photos
	@Tools/setup

build: ## build .build/release/martlet and martlet-cell
	@Tools/setup system
	@Tools/step "release build of martlet" swift build $(RELEASE) --product martlet
	@Tools/step "release build of martlet-cell" swift build $(RELEASE) --product martlet-cell

serve: build ## build, then serve on 127.0.0.1:4566; ARGS="--port 4567 ..." for more
	@Tools/setup system runtimes
	$(MARTLET) serve $(ARGS)

demo: build ## photos put into a bucket become thumbnails; leaves the server running
	@Tools/setup system runtimes photos
	@Examples/thumbnails/demo.sh

demo-stop: ## stop the server of the demo
	@Examples/thumbnails/demo.sh stop

test: setup lint unit build conformance ## everything that CI checks

lint: ## check the format of the Swift sources, and that the generated ones are current
	@Tools/setup system python protocols
	@Tools/step "apigen --check" .venv/bin/python Tools/apigen --check
	@Tools/step "swift format lint" swift format lint --strict --parallel --recursive $(SWIFT_SOURCES)

unit: ## Swift tests, debug build
	@Tools/step "debug build" swift build --build-tests
	@Tools/setup python protocols
	@MARTLET_SIGV4_VECTORS=$(CURDIR)/.cache/sigv4-vectors Tools/step "Swift tests" --show 5 swift test --no-parallel

conformance: ## boto3, AWS CLI and the runtimes against the release build; TESTS=Conformance/file.py, ARGS="-k name"
	.venv/bin/python -m pytest $(or $(TESTS),Conformance) $(ARGS)

bench: build ## measure, with the goals beside the results
	@Tools/setup system runtimes bench
	@for script in $(BENCHMARKS); do .venv/bin/python Benchmarks/$$script.py $(ARGS) || exit 1; done

format: ## format the Swift sources in place
	swift format format --in-place --parallel --recursive $(SWIFT_SOURCES)

clean: ## remove builds and caches; data in .martlet stays
	rm -rf .build .cache .venv
