# The two commands of a new user are `make demo` and `make test`; `make help` lists the rest.

CARGO ?= cargo
GOLDCREST = $(CARGO) run --quiet --release --bin goldcrest --
# A data set: a folder, an archive, `cifar10` or `glyphs`. Empty: what is at hand.
DATA ?=
# Seconds that each fuzz target runs.
FUZZ_SECONDS ?= 600

.PHONY: demo package test build doctor header lint lint-format lint-firmware bench-engine verify-boards bench-quantize bench-train tensorboard miri corpus fuzz help

demo: doctor ## Train, quantize, prove and run on an emulated board (DATA=SPEC)
	$(GOLDCREST) demo $(if $(DATA),--data $(DATA))

test: doctor ## Every test, on the real runtime and the real emulator
	$(CARGO) test --release --workspace

# All default members at once: of one package alone, features differ and the host crate is built again for the tests.
build: ## The `goldcrest` command, in target/release
	$(CARGO) build --release

doctor: build ## Find or install what is needed
	$(GOLDCREST) doctor --fix

lint: lint-format ## Formatting and clippy, as CI runs them
	$(CARGO) clippy --release --workspace --all-targets -- -D warnings

# rustfmt leaves comments, strings and what macros take as they are.
lint-format: ## Formatting, and no line of code over 110 columns
	$(CARGO) fmt --all --check
	! git ls-files '*.rs' | LC_ALL=C.UTF-8 xargs grep -nE '^.{111}'

lint-firmware: build ## Clippy on the code of every board, assembly included (needs the targets that `make doctor` installs)
	$(GOLDCREST) boards --json | .ci/lint-firmware

header: build ## Write shared/c/goldcrest.h anew from the sources
	UPDATE_HEADER=1 $(CARGO) test --release --package goldcrest-tests --test c_library the_header_is_current

bench-train: doctor ## Training throughput and memory against PyTorch (ROUNDS=3 THREADS=1)
	python3 bench/train.py target/release/goldcrest target/bench/train $(or $(ROUNDS),3) $(or $(THREADS),1)

bench-engine: build ## Inference on every emulated board beside CMSIS-NN; fails if a layer got slower
	$(GOLDCREST) bench --out target/bench/engine.json --baseline docs/bench/engine.json

verify-boards: build ## Every layer on every emulated core, packed in every way (DATA=SPEC IMAGES=2 MODELS="a.onnx b.onnx")
	bench/verify.sh target/release/goldcrest $(or $(DATA),cifar10) $(or $(IMAGES),2) \
		$(or $(MODELS),models/lenet5.onnx models/resnet8.onnx)

bench-quantize: build ## Accuracy beside ONNX Runtime's quantizer (DATA=SPEC MODELS="a.onnx b.onnx")
	python3 -m venv target/bench/onnxruntime
	target/bench/onnxruntime/bin/pip install --quiet onnxruntime==1.22.1 onnx==1.23.2 numpy sympy
	target/bench/onnxruntime/bin/python bench/quantize.py target/release/goldcrest \
		$(or $(DATA),cifar10) target/bench/quantize.json $(or $(MODELS),models/lenet5.onnx models/resnet8.onnx)

tensorboard: doctor ## TensorBoard's own reader on a run's event files, in an environment of its own
	python3 -m venv target/tensorboard
	target/tensorboard/bin/pip install --quiet tensorboard==2.20.0 setuptools==80.9.0
	$(GOLDCREST) train lenet5 --data glyphs:500,100 --epochs 3 --out target/tensorboard/run --overwrite
	target/tensorboard/bin/python tests/tensorboard/check.py target/tensorboard/run

miri: ## The engine and the image reader under Miri (needs a nightly toolchain)
	rustup component add --toolchain nightly miri rust-src
	MIRIFLAGS=-Zmiri-disable-isolation $(CARGO) +nightly miri test --package goldcrest-quantize --test miri

corpus: ## Make the models of tests/corpus anew, in an environment of its own (downloads 3 GB)
	python3 -m venv target/corpus-environment
	target/corpus-environment/bin/pip install --quiet --requirement tests/corpus/requirements.txt
	target/corpus-environment/bin/python tests/corpus/make.py
	python3 tests/vectors/make.py

package: doctor ## Package every crate, install the command from the packages, run it without the checkout
	tests/packages/check.sh

fuzz: ## Fuzz the readers of ONNX files and device images (needs nightly Rust and cargo-fuzz)
	mkdir -p fuzz/corpus/onnx fuzz/corpus/image
	$(CARGO) run --quiet --release --manifest-path fuzz/Cargo.toml --bin seeds -- fuzz/corpus
	$(CARGO) +nightly fuzz run --sanitizer none onnx fuzz/corpus/onnx fuzz/corpus/onnx-seeds tests/corpus -- \
		-max_total_time=$(FUZZ_SECONDS) -max_len=65536 -timeout=10 -print_final_stats=1
	$(CARGO) +nightly fuzz run --sanitizer none image fuzz/corpus/image fuzz/corpus/image-seeds -- \
		-max_total_time=$(FUZZ_SECONDS) -max_len=16384 -timeout=10 -print_final_stats=1

help: ## This list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
