# penstock - build, test, install. `make help` lists the targets.
#
# Objects go to build/<variant>/: release (default), or one per sanitizer set (SAN=address,undefined,
# SAN=thread), and per compiler when CC is not gcc. Sources are found by wildcard: a file added to
# formats/, pipe/, trainer/ or bench/ is built without a change here.

CC       = gcc
SAN     ?=
PREFIX  ?= /usr/local
DESTDIR ?=

comma   := ,
VARIANT := $(if $(SAN),$(subst $(comma),-,$(SAN)),release)$(if $(filter gcc cc,$(notdir $(CC))),,-$(notdir $(CC)))
B       := build/$(VARIANT)

WARNINGS := -Wall -Wextra -Werror -Wshadow -Wconversion -Wno-sign-conversion -Wstrict-prototypes \
            -Wmissing-prototypes -Wswitch-enum -Wvla -Wpointer-arith -Wwrite-strings -Wundef
CPPFLAGS += -I. -Ibuild/gen -D_GNU_SOURCE
CFLAGS   ?= -O2 -g
CFLAGS   += -std=gnu11 -fPIC -fvisibility=hidden -fno-omit-frame-pointer $(WARNINGS)
LDFLAGS  += -Wl,-z,defs -Wl,--as-needed
LDLIBS   += -lcurl -luring -lcrypto -lssl -lexpat -lprotobuf-c -llz4 -lpthread -lm -ldl
ifneq ($(SAN),)
CFLAGS   += -fsanitize=$(SAN) -fno-sanitize-recover=all -O1
LDFLAGS  := $(filter-out -Wl$(comma)-z$(comma)defs,$(LDFLAGS)) -fsanitize=$(SAN)
endif

TOOL_LDLIBS := -lmicrohttpd -lgnutls -lopenblas

NVCC := $(firstword $(wildcard $(shell command -v nvcc 2>/dev/null) /usr/local/cuda/bin/nvcc))

LIB_C    := $(wildcard formats/*.c pipe/*.c)
TOOL_C   := $(filter-out bench/main.c bench/perf_%.c,$(wildcard trainer/*.c bench/*.c))
GEN_C    := $(patsubst formats/%.proto,build/gen/%.pb-c.c,$(wildcard formats/*.proto))
LIB_O    := $(LIB_C:%.c=$B/%.o) $(GEN_C:build/gen/%.c=$B/gen/%.o)
TOOL_O   := $(TOOL_C:%.c=$B/%.o)
UNIT     := $(patsubst %.c,$B/%,$(wildcard tests/unit/test_*.c))
FUZZ     := $(patsubst %.c,$B/%,$(wildcard tests/fuzz/fuzz_*.c))
PERF     := $(patsubst %.c,$B/%,$(wildcard bench/perf_*.c))
PROGRAM  := $(if $(wildcard bench/main.c),$B/penstock)
CUDA_SO  := $(if $(NVCC),$(if $(wildcard trainer/*.cu),$B/libpenstock_cuda.so))

.DEFAULT_GOAL := all
.DELETE_ON_ERROR:
.SECONDARY:

all: $B/libpenstock.a $B/libpenstock.so $(PROGRAM) $(CUDA_SO) ## build the library, the program and the CUDA plug-in
ifeq ($(NVCC),)
	@echo "penstock: no nvcc in PATH or /usr/local/cuda/bin: the CUDA plug-in is left out; training runs on the CPU"
endif

unit: $(UNIT) $(FUZZ) ## build the unit tests and fuzz replays

help: ## list the targets
	@awk -F':.*## ' '/^[a-z-]+:.*## /{printf "  %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

clean: ## remove build/, but not the Python environment in build/venv
	find build -mindepth 1 -maxdepth 1 ! -name venv -exec rm -rf {} + 2>/dev/null || true

build/gen/%.pb-c.c: formats/%.proto
	@mkdir -p build/gen
	protoc-c --proto_path=formats --c_out=build/gen $<
build/gen/%.pb-c.h: build/gen/%.pb-c.c ;

$B/gen/%.o: build/gen/%.c
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(CFLAGS) -Wno-conversion -MMD -MP -c -o $@ $<

$B/%.o: %.c | $(GEN_C)
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(CFLAGS) -MMD -MP -c -o $@ $<

$B/libpenstock.a: $(LIB_O)
	@mkdir -p $(@D); rm -f $@
	ar rcs $@ $^

$B/libpenstock.so: $(LIB_O)
	@mkdir -p $(@D)
	$(CC) -shared -Wl,-soname,libpenstock.so.0 $(LDFLAGS) -o $@ $^ $(LDLIBS)

$B/libtool.a: $(TOOL_O)
	@mkdir -p $(@D); rm -f $@
	ar rcs $@ $^

$B/penstock: $B/bench/main.o $B/libtool.a $B/libpenstock.a
	$(CC) $(LDFLAGS) -o $@ $^ $(TOOL_LDLIBS) $(LDLIBS)

$B/tests/unit/%: $B/tests/unit/%.o $B/libtool.a $B/libpenstock.a
	$(CC) $(LDFLAGS) -o $@ $^ -lcmocka $(TOOL_LDLIBS) $(LDLIBS)

# A fuzz target with a main that replays its corpus: an ordinary test with any compiler.
$B/tests/fuzz/fuzz_%: $B/tests/fuzz/fuzz_%.o $B/tests/fuzz/replay.o $B/libpenstock.a
	$(CC) $(LDFLAGS) -o $@ $^ $(LDLIBS)

$B/bench/perf_%: $B/bench/perf_%.o $B/libtool.a $B/libpenstock.a
	$(CC) $(LDFLAGS) -o $@ $^ $(TOOL_LDLIBS) $(LDLIBS)

-include $(shell find $B -name '*.d' 2>/dev/null)

.PHONY: all unit help clean
