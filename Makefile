# mneme: `make chat` starts talking, `make test` runs every test, `make help` lists the rest.
# Builds live outside the checkout, one folder for each kind of processor: objects made for one may not run on another.

CACHE_HOME := $(if $(XDG_CACHE_HOME),$(XDG_CACHE_HOME),$(HOME)/.cache)
export CARGO_TARGET_DIR ?= $(CACHE_HOME)/mneme/target-$(shell scripts/cpu-key)
export RUSTFLAGS ?= -C target-cpu=native

MNEME := $(CARGO_TARGET_DIR)/release/mneme
TEST_MODELS := smollm2-135m-instruct-q4_1
LONG_TEST_MODELS := qwen2.5-coder-0.5b-instruct-q4_k_m qwen2.5-coder-1.5b-instruct-q4_k_m
BENCH_MODEL ?= qwen2.5-coder-1.5b-instruct-q4_k_m
ARGS ?=

.PHONY: help chat build setup test test-long lint bench clean

help: ## List the targets
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 12

chat: build ## Fetch a model where none is installed and open the chat (ARGS="--agent NAME ..")
	@$(MNEME) models pull --default
	@$(MNEME) run $(ARGS)

build: setup ## Build the release binary for this machine's processor
	@cargo build --release --locked

setup: ## Install what the build lacks: cmake, libclang
	@scripts/setup

test: build ## Fetch the small test model and run the tests (at most 15 minutes beyond the build)
	@for model in $(TEST_MODELS); do $(MNEME) models pull $$model || exit 1; done
	@cargo test --release --locked -- --skip suite::long::

test-long: build ## Also the long tests: the 1.5B model and soak runs
	@for model in $(TEST_MODELS) $(LONG_TEST_MODELS); do $(MNEME) models pull $$model || exit 1; done
	@cargo test --release --locked

lint: setup ## Formatting, clippy and documentation, warnings as errors
	@cargo fmt --check
	@cargo clippy --release --locked --all-targets -- -D warnings
	@RUSTDOCFLAGS="-D warnings" cargo doc --release --locked --no-deps

bench: build ## Reading and decoding rates beside the bare llama.cpp library
	@$(MNEME) bench engine --model $(BENCH_MODEL) $(ARGS)

clean: ## Delete the builds of this checkout's cache folder (models and memories stay)
	@rm -rf $(CACHE_HOME)/mneme/target-*
