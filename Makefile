# mneme: `make chat` starts talking, `make test` runs every test, `make help` lists the rest.
# Builds live outside the checkout, one folder for each kind of processor: objects made for one may not run on another.

CACHE_HOME := $(if $(XDG_CACHE_HOME),$(XDG_CACHE_HOME),$(HOME)/.cache)
export CARGO_TARGET_DIR ?= $(CACHE_HOME)/mneme/target-$(shell scripts/cpu-key)
export RUSTFLAGS ?= -C target-cpu=native
# The tests run models in their own process; see src/inference/openmp.rs.
test test-namespaces test-long: export GOMP_SPINCOUNT ?= 1000
# The official judge of function calls, beside which ours is tested.
test-long: export MNEME_BFCL_WHEEL ?= $(CARGO_TARGET_DIR)/bfcl_eval-2026.3.23-py3-none-any.whl

MNEME := $(CARGO_TARGET_DIR)/release/mneme
TEST_MODELS := smollm2-135m-instruct-q4_1 all-minilm-l6-v2
LONG_TEST_MODELS := qwen2.5-coder-0.5b-instruct-q4_k_m qwen2.5-coder-1.5b-instruct-q4_k_m
BENCH_MODEL ?= qwen2.5-coder-1.5b-instruct-q4_k_m
ARGS ?=
PREFIX ?= $(HOME)/.local
FUZZ_SECONDS ?= 60
GPU ?= cuda
GPU_DEVICE = $(if $(filter vulkan,$(GPU)),auto,$(GPU))
# Homebrew's libclang is found only where its place is named. Looked for when a recipe runs: `setup` may bring it.
APPLE_LIBCLANG = $(wildcard /Library/Developer/CommandLineTools/usr/lib/libclang.dylib \
	/Applications/Xcode.app/Contents/Developer/Toolchains/XcodeDefault.xctoolchain/usr/lib/libclang.dylib)
HOMEBREW_LIBCLANG = $(dir $(wildcard /opt/homebrew/opt/llvm/lib/libclang.dylib))
CARGO = $(if $(LIBCLANG_PATH)$(APPLE_LIBCLANG),,$(HOMEBREW_LIBCLANG:%=LIBCLANG_PATH=% ))cargo

.PHONY: help chat install build setup test test-namespaces test-long test-gpu check-cuda fuzz lint bench bench-grammar clean

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "%-17s%s\n", $$1, $$2 }' $(MAKEFILE_LIST)

chat: build ## Fetch models where none are installed and ARGS names none, open the chat (ARGS="--agent NAME ..")
	@$(if $(filter --model --model=%,$(ARGS)),:,$(MNEME) models pull --default)
	@$(MNEME) run $(ARGS)

install: build ## Install the program for this user alone (PREFIX=~/.local, no root needed)
	@mkdir -p "$(PREFIX)/bin"
	@install -m 755 "$(MNEME)" "$(PREFIX)/bin/mneme"
	@echo "mneme is installed as $(PREFIX)/bin/mneme"
	@case ":$$PATH:" in \
	*":$(PREFIX)/bin:"*) echo "that folder is on your PATH" ;; \
	*) echo "that folder is not on your PATH; put this into your shell's profile:"; \
		echo '  export PATH="$(PREFIX)/bin:$$PATH"' ;; \
	esac

build: setup ## Build the release binary for this machine's processor
	@$(CARGO) build --release --locked

setup: ## Install what the build lacks: cmake, libclang
	@scripts/setup

test: build ## Fetch the small test models and run the tests (at most 15 minutes beyond the build)
	@for model in $(TEST_MODELS); do $(MNEME) models pull $$model || exit 1; done
	@$(CARGO) test --release --locked -- --skip suite::long:: --skip suite::gpu::

test-namespaces: build ## The tests that need user namespaces: a chat without a network, a disk that is full (Linux)
	@$(CARGO) test --release --locked -- --ignored --skip suite::long:: --skip suite::gpu::

test-long: build ## Also the long tests: the 1.5B model and soak runs
	@for model in $(TEST_MODELS) $(LONG_TEST_MODELS); do $(MNEME) models pull $$model || exit 1; done
	@test -f "$$MNEME_BFCL_WHEEL" || \
		python3 -m pip download --quiet --no-deps --dest "$$(dirname "$$MNEME_BFCL_WHEEL")" bfcl-eval==2026.3.23
	@$(CARGO) test --release --locked -- --include-ignored --skip suite::gpu::

test-gpu: setup ## Both engines on a GPU (GPU=cuda, metal or vulkan): the engine suite, logits beside the CPU's, rates
	@$(CARGO) build --release --locked --features $(GPU)
	@for model in $(TEST_MODELS) $(LONG_TEST_MODELS); do $(MNEME) models pull $$model || exit 1; done
	@MNEME_TEST_DEVICE=$(GPU_DEVICE) $(CARGO) test --release --locked --features $(GPU) --test suite -- --nocapture --include-ignored \
		--test-threads 1 suite::gpu:: suite::inference::native:: suite::inference::together:: suite::inference::kinds::
	@$(MNEME) bench engine --model $(BENCH_MODEL) --engine both --device $(GPU_DEVICE)

check-cuda: setup ## Compile candle's part for CUDA, kernels included; needs no GPU, fetches the compiler (200 MB)
	@scripts/check-cuda "$(CARGO_TARGET_DIR)"

fuzz: setup ## Fuzz what reads foreign text (FUZZ_SECONDS=60 each; what breaks it is kept in tests/fuzz/artifacts)
	@scripts/fuzz "$(CARGO_TARGET_DIR)/fuzz" $(FUZZ_SECONDS)

lint: setup ## Formatting, clippy and documentation, warnings as errors
	@$(CARGO) fmt --check
	@$(CARGO) clippy --release --locked --all-targets -- -D warnings
	@RUSTDOCFLAGS="-D warnings" $(CARGO) doc --release --locked --no-deps

bench: build ## Reading and decoding rates beside the bare llama.cpp library
	@$(MNEME) bench engine --model $(BENCH_MODEL) $(ARGS)

bench-grammar: setup ## Grammar masks and checks beside llama.cpp and llguidance (ARGS="--json FILE ..")
	@$(CARGO) build --release --locked --features bench-peers
	@$(MNEME) models pull $(BENCH_MODEL)
	@$(MNEME) bench grammar --model $(BENCH_MODEL) $(ARGS)

clean: ## Delete the builds in the cache folder, or in CARGO_TARGET_DIR where it is set (models and memories stay)
	@echo "deleting $(CACHE_HOME)/mneme/target-*"
	@rm -rf "$(CACHE_HOME)"/mneme/target-*
	@if [ -d "$(CARGO_TARGET_DIR)" ]; then \
		echo "deleting the release builds of mneme in $(CARGO_TARGET_DIR)"; cargo clean --release --locked -p mneme; \
	fi
