#!/usr/bin/env bash
# torch 2.11.0: at::RecordFunction::inputs() raises in C++ code that is compiled without NDEBUG.
#
# Expected: a callback with needsInputs(true) "need[s] the inputs passed from the observed function" (ATen/record_function.h),
# and inputs() gives them to it. C++ code may be compiled with NDEBUG or without it, and g++ by itself does not set NDEBUG.
# What happens: where NDEBUG is not set, the header gives the class one more member, inputs_valid_. The released library was
# compiled with NDEBUG and never sets that member. In code without NDEBUG, inputs() reads the unset byte. The byte was false
# in each of 100 calls, so that inputs() raised "Called inputs() outside RecordFunction start callback" within a start
# callback. Where the callback does not catch the error, the operation goes on, and PyTorch logs a warning.
# Why it matters here: brain2music watches operations to find those that a CUDA graph cannot hold, and looks at their inputs.
# What a user can do: compile the one file that calls inputs() or kwinputs() with -DNDEBUG, without precompiled headers.
# This script also needs g++.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet torch==2.11.0 numpy==2.2.6
cd "$folder"
cat >watch.cpp <<'CPP'
#include <ATen/ops/add.h>
#include <ATen/ops/ones.h>
#include <ATen/record_function.h>

#include <iostream>

namespace {
int seen = 0;
std::string error;

std::unique_ptr<at::ObserverContext> started(const at::RecordFunction& function) {
  try {
    seen += static_cast<int>(function.inputs().size());
  } catch (const c10::Error& raised) {
    error = raised.what_without_backtrace();
  }
  return nullptr;
}
}  // namespace

extern "C" int watch(int calls) {
  const at::Tensor one = at::ones({2});
  const auto handle = at::addThreadLocalCallback(at::RecordFunctionCallback(&started).needsInputs(true));
  for (int call = 0; call < calls; ++call) {
    at::add(one, one);
  }
  at::removeCallback(handle);
  std::cout << "size of RecordFunction " << sizeof(at::RecordFunction) << ", inputs of " << calls << " additions seen: "
            << seen << std::endl;
  if (!error.empty()) {
    std::cout << error.substr(error.rfind("please report")) << std::endl;
  }
  return seen;
}
CPP
venv/bin/python - <<'PYTHON'
import ctypes
import subprocess
import sys

import torch
from torch.utils import cpp_extension

folders = [f"-I{path}" for path in cpp_extension.include_paths()]
folders += [f"-L{path}" for path in cpp_extension.library_paths()]
seen = []
for name, flags in {"without": [], "with": ["-DNDEBUG"]}.items():
    command = ["g++", "-std=c++17", "-shared", "-fPIC", *flags, *folders, "watch.cpp", "-o", f"{name}.so"]
    subprocess.run([*command, "-ltorch_cpu", "-lc10"], check=True)
    print(f"torch {torch.__version__}, {name} NDEBUG:", flush=True)
    seen.append(ctypes.CDLL(f"./{name}.so").watch(100))
sys.exit(seen != [0, 300])
PYTHON
