# Everything that a newcomer needs: `make demo` and `make test`. Each makes .venv where it is absent.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
# A build that cannot make the C++ kernel must say so here, not fall back to pure Python as a user's install does.
export THINOUT_REQUIRE_KERNEL := true
# Material prints a notice about MkDocs 2, which is not in use here.
export NO_MKDOCS_2_WARNING := 1

.PHONY: demo test check lint types docs sanitize bench claims claims-quick clean

demo: $(STAMP)  ## does dropout help LeNet-5 on Fashion-MNIST? 4 arms, 5 seeds, a report
	$(BIN)/thinout study lenet5-1998 --seeds 5 --folder demo

test: $(STAMP)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses auto --dist loadfile

check: lint types sanitize test docs

lint: $(STAMP)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

types: $(STAMP)
	$(BIN)/mypy

sanitize: $(STAMP)  ## the C tests under the address and undefined-behaviour sanitizers
	$(BIN)/cmake -S . -B build/sanitize -DTHINOUT_SANITIZE=ON -DTHINOUT_BUILD_TESTS=ON
	$(BIN)/cmake --build build/sanitize
	$(BIN)/ctest --test-dir build/sanitize --output-on-failure

docs: $(STAMP)
	$(BIN)/mkdocs build --strict --quiet

bench: $(STAMP)  ## all benchmarks, about 15 minutes on a machine that does nothing else; writes docs/results
	$(BIN)/python benchmarks/bench_ops.py --compile --out docs/results/bench/ops.json
	$(BIN)/python benchmarks/bench_kernel.py --out docs/results/bench/kernel.json
	$(BIN)/python benchmarks/bench_memory.py --out docs/results/bench/memory.json
	$(BIN)/python benchmarks/bench_layers.py --out docs/results/bench/layers.json
	$(BIN)/python benchmarks/bench_patch.py --threads 2 --out docs/results/bench/patch.json
	$(BIN)/python benchmarks/bench_training_overhead.py --rounds 5 --epochs 30 --out docs/results/bench/training.json
	$(BIN)/python benchmarks/make_tables.py

claims: $(STAMP)  ## every claim of the article put to the test; goes on where it stopped; writes docs/results/claims
	$(BIN)/thinout claims run --folder docs/results/claims

claims-quick: $(STAMP)  ## the same in a form of minutes, which shows that everything runs and proves nothing
	$(BIN)/thinout claims run --quick --folder runs/claims

clean:
	rm -rf build dist site demo .pytest_cache .mypy_cache .ruff_cache

$(STAMP): pyproject.toml constraints.txt CMakeLists.txt $(wildcard csrc/*)
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet pip==26.3
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --group dev --editable '.[lab,docs]'
	touch $@
