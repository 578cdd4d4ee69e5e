# penstock - build, test, install. `make help` lists the targets.
#
# Objects go to build/<variant>/: release (default), or one per sanitizer set (SAN=address,undefined,
# SAN=thread), and per compiler when CC is not gcc. Sources are found by wildcard: a file added to
# formats/, pipe/, trainer/ or bench/ is built without a change here.

ifeq ($(origin CC),default)
CC       = gcc
endif
SAN     ?=
TIME    ?= 60
PREFIX  ?= /usr/local
BINDIR  ?= $(PREFIX)/bin
LIBDIR  ?= $(PREFIX)/lib
INCDIR  ?= $(PREFIX)/include
MANDIR  ?= $(PREFIX)/share/man
DESTDIR ?=

# One short line for each command; V=1 shows the commands themselves.
ifeq ($(V),)
say = @printf '  %-5s %s\n' $1 $@;
else
say =
endif

# Debian 12 packages: what building and the demo need, and what only the tests need.
PACKAGES := gcc make pkg-config curl ca-certificates \
            liburing-dev libcurl4-openssl-dev libssl-dev libexpat1-dev libjansson-dev \
            libprotobuf-c-dev protobuf-c-compiler liblz4-dev libxxhash-dev zlib1g-dev libisal-dev libzstd-dev libsnappy-dev \
            libjpeg62-turbo-dev libpng-dev libdeflate-dev \
            libmicrohttpd-dev libgnutls28-dev libopenblas-pthread-dev \
            dataset-fashion-mnist
TEST_PACKAGES := g++ clang-14 clang-format-14 libclang-rt-14-dev libcmocka-dev libfast-float-dev \
                 python3 python3-venv python3-torch git patch mandoc shellcheck iproute2 openmpi-bin slurmctld slurmd slurm-client \
                 radosgw ceph-mon ceph-osd ceph-common chromium-headless-shell

comma   := ,
VERSION := $(shell sed -n 's/^\#define PENSTOCK_VERSION "\(.*\)"/\1/p' pipe/penstock.h 2>/dev/null)
VARIANT := $(if $(SAN),$(subst $(comma),-,$(SAN)),release)$(if $(filter gcc cc,$(notdir $(CC))),,-$(notdir $(CC)))
B       := build/$(VARIANT)

WERROR   ?= -Werror
WARNINGS := -Wall -Wextra $(WERROR) -Wshadow -Wconversion -Wno-sign-conversion -Wstrict-prototypes \
            -Wmissing-prototypes -Wswitch-enum -Wvla -Wpointer-arith -Wwrite-strings -Wundef
CFLAGS   ?= -O2 -g
C_FLAGS  := -I. -Ibuild/gen -D_GNU_SOURCE -std=gnu11 -fPIC -fvisibility=hidden -fno-omit-frame-pointer \
            $(WARNINGS) $(CPPFLAGS) $(CFLAGS)
LD_FLAGS := -Wl,-z,relro -Wl,-z,now -Wl,--as-needed $(LDFLAGS)
LIBS     := -lcurl -luring -lssl -lcrypto -lexpat -ljansson -lprotobuf-c -lisal -llz4 -lxxhash -lzstd -lsnappy -lz -ljpeg -lpng -ldeflate -lpthread -lm -ldl
TOOL_LIBS := -lmicrohttpd -lgnutls -lz
ifneq ($(SAN),)
C_FLAGS  += -fsanitize=$(SAN) -fno-sanitize-recover=all -O1 -g1
LD_FLAGS += -fsanitize=$(SAN)
else
SO_FLAGS := -Wl,-z,defs
endif

NVCC := $(firstword $(wildcard $(shell command -v nvcc 2>/dev/null) /usr/local/cuda/bin/nvcc))
NVCC_FLAGS := -O3 -std=c++17 -I. -fmad=false -Werror all-warnings \
              -Xptxas --warn-on-spills,--warn-on-local-memory-usage \
              --compiler-options -fPIC,-fvisibility=hidden,-fno-exceptions,-fno-rtti,-fno-threadsafe-statics,-Wall,-Wextra,-Werror \
              -gencode arch=compute_80,code=sm_80 -gencode arch=compute_90,code=[sm_90,compute_90]
# The run time linked in and hidden, cuBLAS and the driver opened when there: it loads anywhere.
NVCC_LINK  := -shared -cudart static -Xlinker --exclude-libs=ALL,--as-needed,-z,now
CLANG := $(notdir $(firstword $(shell command -v clang-14 clang 2>/dev/null)))

LIB_C    := $(wildcard formats/*.c pipe/*.c)
# What penstock bench formats runs; the other bench/perf_*.c are programs.
FORMATS_C := $(patsubst %,bench/perf_%.c,formats frames csv libsvm jsonl image inflate crc)
TOOL_C   := $(filter-out bench/main.c bench/count_calls.c bench/perf_%.c trainer/example_%.c,$(wildcard trainer/*.c bench/*.c)) $(FORMATS_C)
GEN_C    := $(patsubst formats/%.proto,build/gen/%.pb-c.c,$(wildcard formats/*.proto))
CUDA_SRC := $(wildcard trainer/*.cu)
LIB_O    := $(LIB_C:%.c=$B/%.o) $(GEN_C:build/gen/%.c=$B/gen/%.o)
TOOL_O   := $(TOOL_C:%.c=$B/%.o)
# Formats have no threads of their own: TSan has nothing to see where nothing else is included.
UNIT_C   := $(if $(filter thread,$(SAN)),$(shell grep -lE '^.include ("(pipe|trainer|bench|tests/unit)/|<pthread)' tests/unit/test_*.c),$(wildcard tests/unit/test_*.c))
UNIT     := $(UNIT_C:%.c=$B/%)
DRIVERS  := $(patsubst %.c,$B/%,$(wildcard tests/drivers/*.c))
FUZZ     := $(patsubst %.c,$B/%,$(wildcard tests/fuzz/fuzz_*.c))
PERF     := $(patsubst %.c,$B/%,$(filter-out $(FORMATS_C),$(wildcard bench/perf_*.c)))
PROGRAM  := $(if $(wildcard bench/main.c),$B/penstock)
MAN_1    := $(wildcard */*.1)
MAN_3    := $(wildcard */*.3)
MAN_5    := $(wildcard */*.5)
# The plug-in is built once, by nvcc with its own host compiler: sanitizer variants do without.
ifeq ($(VARIANT),release)
CUDA_SO  := $(if $(NVCC),$(if $(CUDA_SRC),$B/libpenstock_cuda.so))
endif
# For tests where there is no GPU: the same plug-in on the CPU (tests/cuda/emulator.h).
EMULATED := $(if $(filter x86_64,$(shell uname -m)),$B/tests/emulated_cuda.so $B/tests/fake_cublas/libcublas.so.13)

.DEFAULT_GOAL := all
.DELETE_ON_ERROR:
.SECONDARY:

all: $B/libpenstock.a $B/libpenstock.so $(PROGRAM) $(CUDA_SO) ## build the library, the program and the CUDA plug-in
ifeq ($(NVCC),)
	@echo "penstock: no nvcc in PATH or /usr/local/cuda/bin: the CUDA plug-in is left out; training runs on the CPU"
endif

unit: $(UNIT) $(if $(filter thread,$(SAN)),,$(FUZZ)) $(DRIVERS) $(if $(SAN),,$(PERF)) $B/bench/penstock-counted $B/tests/seccomp_deny $B/tests/many_addresses.so $B/tests/hasty_clock.so $B/tests/fake_cuda.so $B/tests/fake_nccl.so $(EMULATED) $B/trainer/example_custom.so # the unit tests and fuzz replays

deps: ## install the Debian packages that building and the demo need
	@$(call install_packages,$(PACKAGES))

test-deps: ## install the Debian packages that the tests need on top
	@$(call install_packages,$(PACKAGES) $(TEST_PACKAGES))

demo: deps ## watch Fashion-MNIST stream from an S3 server into a model
	@tests/demo.sh

test: test-deps build/venv/ready ## build every variant, run every test
	@python3 tests/run

lint: ## check layers, symbols, manual pages, format and house rules
	@python3 tests/lint.py

format: ## run clang-format on every C file
	clang-format-14 -i $(wildcard */*.[ch] tests/*/*.[ch])

bench: all $(PERF) $B/bench/penstock-beside ## run the benchmark programs
	@$(if $(PERF),,echo "penstock: there is no bench/perf_*.c") \
	$B/bench/penstock-beside bench formats || exit 1; \
	for p in $(PERF); do echo "== $$p"; $$p || exit 1; done

bench-transport: all $B/bench/penstock-counted ## what it costs to read from S3, beside other clients
	@python3 bench/transport.py --build $B

bench-formats: all $(PERF) $B/bench/penstock-beside ## the decoders, beside the libraries they replace and other readers
	@$(firstword $(wildcard build/venv/bin/python) python3) bench/formats.py --build $B

bench-parquet: all $B/bench/perf_parquet build/venv/ready ## Parquet files to rows, beside pyarrow
	@build/venv/bin/python bench/parquet.py --build $B

bench-fifo: all ## what Pipe mode's FIFOs carry, what that costs, how soon it starts
	@python3 bench/fifo.py --build $B

bench-accuracy: all ## what models learn of Fashion-MNIST, from three seeds
	@python3 bench/accuracy.py --build $B

bench-profiles: all ## penstock bench beside servers of known rate and latency
	@python3 bench/profiles.py --build $B

bench-start: all ## time to the first batch of 1, 10 and 100 GB, Pipe mode beside File mode
	@python3 bench/start.py --build $B

soak: all unit build/venv/ready ## read 100,000 objects and 20 GiB, and watch memory
	@build/venv/bin/python tests/soak.py

fuzz: ## fuzz every target for TIME=60 seconds in all
	@$(if $(FUZZ),,echo "penstock: there is no tests/fuzz/fuzz_*.c"; exit 1;) \
	$(if $(CLANG),,echo "penstock: make fuzz needs clang-14: run 'make test-deps'"; exit 1;) \
	$(MAKE) --no-print-directory CC=$(CLANG) SAN=fuzzer-no-link,address,undefined TIME=$(TIME) fuzz-run

help: ## list the targets
	@awk -F':.*## ' '/^[a-z-]+:.*## /{printf "  %-15s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

clean: ## remove build/, but not the Python environment in build/venv
	find build -mindepth 1 -maxdepth 1 ! -name venv -exec rm -rf {} + 2>/dev/null || true

# --- packages -------------------------------------------------------------------------------------

# Installs what is missing of the Debian packages $1; does and needs nothing when nothing is.
define install_packages
command -v dpkg-query >/dev/null || { \
    echo "penstock: this is not Debian: install what corresponds to these packages: $1"; exit 1; }; \
missing=$$(for p in $1; do \
    [ "$$(dpkg-query -W -f='$${db:Status-Status}' $$p 2>/dev/null)" = installed ] || echo $$p; done); \
if [ -z "$$missing" ]; then echo "penstock: all $(words $1) packages are installed"; exit 0; fi; \
if [ "$$(id -u)" = 0 ]; then sudo=; else sudo=sudo; fi; \
echo "penstock: installing" $$missing "(apt-get$${sudo:+ with sudo})"; \
apt="$$sudo env DEBIAN_FRONTEND=noninteractive apt-get -q -y -o Dpkg::Use-Pty=0 -o DPkg::Lock::Timeout=300"; \
mkdir -p build; \
{ $$apt install --no-install-recommends $$missing || \
  { $$apt update && $$apt install --no-install-recommends $$missing; }; } >build/apt.log 2>&1 || { \
    tail -n 20 build/apt.log; echo "penstock: apt-get failed: build/apt.log has all it said"; exit 1; }; \
echo "penstock: all $(words $1) packages are installed"
endef

# Names the libraries that are missing instead of failing in the middle of a compilation.
HEADERS := curl/curl.h liburing.h openssl/evp.h expat.h jansson.h protobuf-c/protobuf-c.h lz4frame.h zstd.h \
           isa-l/igzip_lib.h snappy-c.h zlib.h jpeglib.h png.h libdeflate.h microhttpd.h gnutls/gnutls.h cblas.h
build/deps-found: Makefile
	@mkdir -p build
	@missing=$$(for h in $(HEADERS); do echo "#include <$$h>" | $(CC) -E -x c - >/dev/null 2>&1 || echo $$h; done; \
	command -v protoc-c >/dev/null || echo protoc-c); \
	[ -z "$$missing" ] || { echo "penstock: not found:" $$missing; \
	    echo "penstock: run 'make deps' to install the Debian packages that have them"; exit 1; }
	@touch $@

build/venv/ready: tests/requirements.txt | test-deps
	@echo "penstock: preparing build/venv (Python packages for the tests)"
	@mkdir -p build
	@python3 -m venv build/venv
	@build/venv/bin/python -m pip install --quiet --disable-pip-version-check --no-input -r tests/requirements.txt
	@touch $@

# --- compiling and linking ------------------------------------------------------------------------

build/gen/%.pb-c.c: formats/%.proto | build/deps-found
	@mkdir -p build/gen
	$(call say,gen) protoc-c --proto_path=formats --c_out=build/gen $<
build/gen/%.pb-c.h: build/gen/%.pb-c.c ;

$B/gen/%.o: build/gen/%.c | build/deps-found
	@mkdir -p $(@D)
	$(call say,cc) $(CC) $(C_FLAGS) -Wno-conversion -MMD -MP -c -o $@ $<

# What penstock bench says was measured.
$B/bench/bench_environment.o: $(wildcard $(shell git rev-parse --git-path logs/HEAD 2>/dev/null))
$B/bench/bench_environment.o: C_FLAGS += -DPENSTOCK_COMMIT='"$(shell git describe --always --dirty --abbrev=12 2>/dev/null)"'

$B/bench/bench_rivals_script.o: bench/rivals.py

# Loops over floats that gcc 12 leaves scalar at -O2.
$B/trainer/add.o $B/trainer/cpu_dense.o $B/trainer/cpu_sparse.o $B/trainer/cpu_fm.o $B/trainer/cpu_net.o $B/trainer/cpu_moments.o $B/trainer/cpu_cluster.o $B/trainer/lloyd.o $B/trainer/scaler.o: C_FLAGS += -O3 -fno-math-errno
$B/formats/parquet_convert.o $B/formats/parquet_rows.o $B/formats/parquet_values.o: C_FLAGS += -O3

$B/%.o: %.c | $(GEN_C) build/deps-found
	@mkdir -p $(@D)
	$(call say,cc) $(CC) $(C_FLAGS) -MMD -MP -c -o $@ $<

$B/libpenstock.a: $(LIB_O)
	@mkdir -p $(@D); rm -f $@
	$(call say,ar) ar rcs $@ $^

$B/libpenstock.so: $(LIB_O)
	@mkdir -p $(@D)
	$(call say,link) $(CC) -shared -Wl,-soname,libpenstock.so.0 $(SO_FLAGS) $(LD_FLAGS) -o $@ $^ $(LIBS)

$B/libtool.a: $(TOOL_O)
	@mkdir -p $(@D); rm -f $@
	$(call say,ar) ar rcs $@ $^

$B/%.cu.o: %.cu $(wildcard trainer/*.h trainer/*.cuh)
	@mkdir -p $(@D)
	$(call say,nvcc) $(NVCC) $(NVCC_FLAGS) -c -o $@ $<

$B/libpenstock_cuda.so: $(CUDA_SRC:%=$B/%.o)
	$(call say,link) $(NVCC) $(NVCC_FLAGS) $(NVCC_LINK) -o $@ $^

# What nvcc makes of "kernel<<<grid, block, bytes, stream>>>(" a C++ compiler is told in its own words.
$B/emulated/%.cc: %.cu
	@mkdir -p $(@D)
	@{ echo '#line 1 "$<"'; sed -E 's/([A-Za-z_]+(<[a-z]+>)?)<<<(.*)>>>\(/emu_launch(\3, \1, /' $<; } >$@

$B/emulated/%.o: $B/emulated/%.cc tests/cuda/cuda_runtime.h tests/cuda/emulator.h $(wildcard trainer/*.h trainer/*.cuh)
	$(call say,c++) g++ -std=c++17 -O2 -g1 -fPIC -fvisibility=hidden -fno-exceptions -fno-rtti -ffp-contract=off \
	    -Wall -Wextra -Wno-unused-function $(if $(SAN),-fsanitize=$(SAN) -fno-sanitize-recover=all) -I. -Itests/cuda -c -o $@ $<

$B/tests/emulated_cuda.so: $(CUDA_SRC:%.cu=$B/emulated/%.o) $(patsubst %,$B/tests/cuda/%.o,blocks memory streams)
	$(call say,link) g++ -shared $(LD_FLAGS) -o $@ $^

# ThreadSanitizer is told of each of the threads that blocks.c has take turns, and not of itself.
$B/tests/cuda/blocks.o: C_FLAGS += $(if $(filter thread,$(SAN)),-fno-sanitize=thread -DEMU_RACES)

$B/tests/fake_cublas/libcublas.so.13: $B/tests/cuda/fake_cublas.o
	@mkdir -p $(@D)
	$(call say,link) $(CC) -shared $(LD_FLAGS) -o $@ $^

$B/penstock: $B/bench/main.o $B/libtool.a $B/libpenstock.a
	$(call say,link) $(CC) $(LD_FLAGS) -o $@ $^ $(TOOL_LIBS) $(LIBS)

$B/tests/unit/%: $B/tests/unit/%.o $B/libtool.a $B/libpenstock.a
	$(call say,link) $(CC) $(LD_FLAGS) -o $@ $^ -lcmocka $(TOOL_LIBS) $(LIBS)

$B/tests/unit/test_faults: LD_FLAGS += $(patsubst %,-Wl$(comma)--wrap=%,malloc calloc realloc strdup asprintf mmap \
    pthread_create eventfd epoll_create1 epoll_ctl epoll_wait io_uring_queue_init_params inotify_init1 opendir open fstat pread)

$B/tests/unit/test_job_faults: LD_FLAGS += $(patsubst %,-Wl$(comma)--wrap=%,malloc calloc realloc strdup strndup asprintf)

$B/tests/unit/test_pipe_reader: LD_FLAGS += -Wl,--wrap=poll

$B/tests/unit/test_group_tcp: LD_FLAGS += $(patsubst %,-Wl$(comma)--wrap=%,send recv sendmsg recvmsg)

# A fuzz target with a main that replays its corpus: an ordinary test with any compiler.
$B/tests/fuzz/fuzz_%: $B/tests/fuzz/fuzz_%.o $B/tests/fuzz/replay.o $B/libtool.a $B/libpenstock.a
	$(call say,link) $(CC) $(LD_FLAGS) -o $@ $^ $(LIBS)

# Programs that the integration tests drive.
$B/tests/drivers/%: $B/tests/drivers/%.o $B/libpenstock.a
	$(call say,link) $(CC) $(LD_FLAGS) -o $@ $^ $(LIBS)

$B/tests/seccomp_deny: $B/tests/seccomp_deny.o
	$(call say,link) $(CC) $(LD_FLAGS) -o $@ $^

$B/tests/%.so: $B/tests/%.o
	$(call say,link) $(CC) -shared $(LD_FLAGS) -o $@ $^

# The worked example of trainer/penstock_model.h, as its users build it.
$B/trainer/example_custom.o: C_FLAGS += -Itrainer
$B/trainer/%.so: $B/trainer/%.o
	$(call say,link) $(CC) -shared $(LD_FLAGS) -o $@ $^ -lm

$B/bench/perf_%: $B/bench/perf_%.o $B/libtool.a $B/libpenstock.a
	$(call say,link) $(CC) $(LD_FLAGS) -o $@ $^ $(TOOL_LIBS) $(LIBS)

# The program with what bench formats compares CSV and JSON Lines with, where it is installed
# (libfast-float-dev, libsimdjson-dev): C++, which the program itself does without.
BESIDE_O := $(if $(wildcard /usr/include/fast_float/fast_float.h),$B/bench/perf_csv_fast_float.o) \
            $(if $(wildcard /usr/include/simdjson.h),$B/bench/perf_jsonl_simdjson.o)
$B/bench/penstock-beside: $B/bench/main.o $(BESIDE_O) $B/libtool.a $B/libpenstock.a
	$(call say,link) $(CC) $(LD_FLAGS) -o $@ $^ $(TOOL_LIBS) $(LIBS) $(if $(wildcard /usr/include/simdjson.h),-lsimdjson) -lstdc++

# The program with calls of malloc counted, for make bench-transport.
$B/bench/penstock-counted: $B/bench/main.o $B/bench/count_calls.o $B/libtool.a $B/libpenstock.a
	$(call say,link) $(CC) $(LD_FLAGS) -o $@ $^ $(TOOL_LIBS) $(LIBS)

$B/bench/%.o: bench/%.cc
	@mkdir -p $(@D)
	$(call say,c++) g++ -std=c++17 -O3 -march=native -Wall -Wextra -fno-exceptions -fno-rtti -c -o $@ $<

# --- fuzzing: clang's driver instead of replay.c (reached through `make fuzz`) ----------------------

FUZZERS := $(FUZZ:$B/tests/fuzz/fuzz_%=$B/fuzzer/fuzz_%)
$B/fuzzer/fuzz_%: $B/tests/fuzz/fuzz_%.o $B/libtool.a $B/libpenstock.a
	@mkdir -p $(@D)
	$(call say,link) $(CC) $(LD_FLAGS) -fsanitize=fuzzer -o $@ $^ $(LIBS)

# Each target works on a copy of its corpus; what it crashes on is left in build/fuzz/.
fuzz-run: $(FUZZERS)
	@seconds=$$(($(TIME) / $(words $(FUZZERS) _) + 1)); mkdir -p build/fuzz; \
	for f in $(FUZZERS); do \
	    t=$${f##*/}; c=build/fuzz/$$t; rm -rf $$c; mkdir -p $$c; cp -r tests/fuzz/corpus/$$t/. $$c/ 2>/dev/null; \
	    echo "== $$t for $$seconds s"; \
	    $$f -max_total_time=$$seconds -timeout=10 -rss_limit_mb=2048 -print_final_stats=1 \
	        -verbosity=0 -artifact_prefix=build/fuzz/$$t- $$c || exit 1; \
	done

# --- installing -----------------------------------------------------------------------------------

install: all ## install program, library, header and manual pages under PREFIX=/usr/local
	install -d $(DESTDIR)$(BINDIR) $(DESTDIR)$(LIBDIR)/pkgconfig $(DESTDIR)$(INCDIR) $(DESTDIR)$(MANDIR)/man1 $(DESTDIR)$(MANDIR)/man3 $(DESTDIR)$(MANDIR)/man5
	$(if $(PROGRAM),install -m 755 $(PROGRAM) $(DESTDIR)$(BINDIR)/penstock)
	install -m 755 $B/libpenstock.so $(DESTDIR)$(LIBDIR)/libpenstock.so.$(VERSION)
	ln -sf libpenstock.so.$(VERSION) $(DESTDIR)$(LIBDIR)/libpenstock.so.0
	ln -sf libpenstock.so.0 $(DESTDIR)$(LIBDIR)/libpenstock.so
	install -m 644 $B/libpenstock.a $(DESTDIR)$(LIBDIR)/libpenstock.a
	$(if $(CUDA_SO),install -m 755 $(CUDA_SO) $(DESTDIR)$(LIBDIR)/libpenstock_cuda.so)
	install -m 644 pipe/penstock.h $(DESTDIR)$(INCDIR)/penstock.h
	install -m 644 trainer/penstock_model.h $(DESTDIR)$(INCDIR)/penstock_model.h
	sed -e 's|@PREFIX@|$(PREFIX)|' -e 's|@LIBDIR@|$(LIBDIR)|' -e 's|@INCDIR@|$(INCDIR)|' \
	    -e 's|@VERSION@|$(VERSION)|' -e 's|@LIBS@|$(LIBS)|' pipe/penstock.pc.in >$(DESTDIR)$(LIBDIR)/pkgconfig/penstock.pc
	$(if $(MAN_1),install -m 644 $(MAN_1) $(DESTDIR)$(MANDIR)/man1/)
	$(if $(MAN_3),install -m 644 $(MAN_3) $(DESTDIR)$(MANDIR)/man3/)
	$(if $(MAN_5),install -m 644 $(MAN_5) $(DESTDIR)$(MANDIR)/man5/)

-include $(shell find $B -name '*.d' 2>/dev/null)

.PHONY: all unit deps test-deps demo test lint format bench bench-fifo bench-parquet bench-formats bench-transport bench-profiles bench-start bench-accuracy soak fuzz fuzz-run help clean install
