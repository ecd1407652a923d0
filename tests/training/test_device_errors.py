"""Errors of compilers and GPUs, by the messages that torch gives; no GPU is required."""

import pytest
import torch
from test_loop import CONFIG, RUNS, trainer

from splitlaw.common.errors import UserError
from splitlaw.training.device_errors import (
    cause_line,
    gpu_problem,
    is_out_of_memory,
)

MEMORY = [
    torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB. GPU 0 has a total"),
    RuntimeError("CUDA error: out of memory\nCUDA kernel errors might be asynchronously reported"),
    # deepmd-kit issue 5443: memory of libraries beside torch
    RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
    RuntimeError("CUDA error: CUBLAS_STATUS_NOT_INITIALIZED when calling `cublasCreate(handle)`"),
    RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"),
    RuntimeError("cuDNN error: CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED"),
    RuntimeError("cuDNN error: CUDNN_STATUS_NOT_INITIALIZED"),
    RuntimeError("HIP out of memory. Tried to allocate 2.00 GiB"),
    RuntimeError(
        "[enforce fail at alloc_cpu.cpp:124] err == 0. DefaultCPUAllocator: can't allocate memory: "
        "you tried to allocate 68719476736 bytes. Error code 12 (Cannot allocate memory)"
    ),
    RuntimeError("std::bad_alloc"),
    MemoryError(),
]
OTHER = [
    RuntimeError("CUDA error: device-side assert triggered"),
    RuntimeError("CUDA error: an illegal memory access was encountered"),
    RuntimeError("CUDA error: CUBLAS_STATUS_EXECUTION_FAILED when calling `cublasSgemm(...)`"),
    RuntimeError("mat1 and mat2 shapes cannot be multiplied (4x8 and 4x8)"),
    ValueError("out of memory"),
]


@pytest.mark.parametrize("error", MEMORY, ids=str)
def test_the_microbatch_is_halved_until_a_step_fits(tokens, error):
    small = trainer(tokens)
    loss = small.gradients._loss

    def limited(inputs, targets):
        if len(inputs) > 2:
            raise error
        return loss(inputs, targets)

    small.gradients._compiled_loss = limited
    small.gradients.find_microbatch(small.optimizer, limit=None)
    assert small.gradients.microbatch == 2


@pytest.mark.parametrize("error", OTHER, ids=str)
def test_other_errors_keep_their_traceback(tokens, error):
    assert not is_out_of_memory(error)
    broken = trainer(tokens)

    def fail(inputs, targets):
        raise error

    broken.gradients._compiled_loss = fail
    with pytest.raises(type(error)) as raised:
        broken.reach(RUNS[1].lineage(0.2))
    assert any(entry.name == "fail" for entry in raised.traceback)


def test_an_operation_without_a_fixed_order_is_permitted_and_reported(tokens):
    run = trainer(tokens)
    loss = run.gradients._loss

    def with_random_order(inputs, targets):
        torch.zeros(3).put_(torch.tensor([1, 1]), torch.tensor([1.0, 2.0]))
        return loss(inputs, targets)

    run.gradients._compiled_loss = with_random_order
    torch.use_deterministic_algorithms(True)
    try:
        run.gradients.find_microbatch(run.optimizer, limit=None)
        assert not torch.are_deterministic_algorithms_enabled()
    finally:
        torch.use_deterministic_algorithms(False)
    assert "deterministic implementation" in run.gradients.random_order


def test_one_window_that_does_not_fit_is_one_line_with_the_reason(tokens):
    full = trainer(tokens)

    def fail(inputs, targets):
        raise MEMORY[2]

    full.gradients._compiled_loss = fail
    with pytest.raises(UserError, match=r"one window of 8 tokens .*\(CUDA error: CUBLAS_STATUS_AL"):
        full.reach(RUNS[1].lineage(0.2))


COMPILERS = {
    # pytorch issues 116696 (no compiler), 129351 (no headers), 91005 (/tmp is mounted noexec). Each
    # was tried with torch 2.13: CXX=/bin/false, a g++ without Python.h, a cache folder on noexec.
    "Failed to find C compiler. Please specify via CC environment variable": "Failed to find C",
    "C++ compile error\n\nCommand:\ng++ a.cpp -D NDEBUG\n\nOutput:\na.cpp:1:10: fatal error: "
    "Python.h: No such file or directory\n    1 | #include <Python.h>": "a.cpp:1:10: fatal error:",
    "OSError: /tmp/x.main.so: failed to map segment from shared object.": "OSError: /tmp/x.main.so",
    "": "ImportError",
}


@pytest.mark.parametrize("message", COMPILERS)
def test_a_step_that_cannot_be_compiled_is_one_line_and_then_eager(tokens, message, capsys):
    compiled = trainer(tokens)

    def fail(inputs, targets):
        raise ImportError(message)

    compiled.progress.quiet = False
    compiled.gradients.compiled, compiled.gradients._compiled_loss = True, fail
    compiled.reach(RUNS[4].lineage(0.2)[:1])
    assert not compiled.gradients.compiled
    assert compiled.gradients.microbatch == CONFIG.batch_tokens // 8
    said = [line for line in capsys.readouterr().err.splitlines() if "torch.compile" in line]
    assert len(said) == 1
    assert said[0].startswith(f"torch.compile cannot be used ({COMPILERS[message]}")


def test_a_gpu_that_is_too_old_is_named():
    """unsloth issue 5876: a card for which the installed torch has no kernels."""
    error = RuntimeError(
        "CUDA error: no kernel image is available for execution on the device\nCUDA kernel errors "
        "might be asynchronously reported at some other API call"
    )
    line = gpu_problem(error, "Tesla K80", (3, 7), ["sm_75", "sm_80"])
    assert line.startswith("Tesla K80 (sm_37) is not supported by the installed torch ")
    assert "which is built for sm_75, sm_80; install another build" in line
    busy = RuntimeError("CUDA error: all CUDA-capable devices are busy or unavailable")
    assert "Tesla K80 cannot be used (CUDA error: all CUDA" in gpu_problem(
        busy, "Tesla K80", (3, 7), []
    )


def test_the_line_of_an_error_is_never_empty():
    assert cause_line(ValueError()) == "ValueError"
    assert cause_line(ValueError("\n\n")) == "ValueError"
