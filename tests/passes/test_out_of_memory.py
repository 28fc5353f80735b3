"""Memory that has run out is told from other errors, whoever says so."""

import pytest
import torch

from stitchc.passes.data.out_of_memory import halved_until_it_fits, ran_out


def test_what_the_processors_allocator_says_is_known():
    with pytest.raises(RuntimeError) as caught:
        torch.empty(1 << 55)
    assert ran_out(caught.value)


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory."),
        RuntimeError("CUDA error: out of memory"),
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
        RuntimeError("cusolver error: CUSOLVER_STATUS_INTERNAL_ERROR, when calling `cusolverDnCreate(handle)`"),
    ],
    ids=str,
)
def test_what_a_cards_libraries_say_is_known(error):
    assert ran_out(error)
    outer = ValueError("the pass failed")
    outer.__cause__ = error
    assert ran_out(outer)


@pytest.mark.parametrize("error", [RuntimeError("mat1 and mat2 shapes cannot be multiplied"), ValueError("memory")])
def test_other_errors_are_not(error):
    assert not ran_out(error)


def test_a_number_is_halved_until_it_fits():
    asked = []

    def run(count):
        asked.append(count)
        if count > 5:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return "done"

    assert halved_until_it_fits(run, 32) == ("done", 4)
    assert asked == [32, 16, 8, 4]
