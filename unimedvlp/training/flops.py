"""FLOPs of a computation, counted from its jaxpr: what model-FLOPs utilisation is measured with.

A multiplication and an addition are two FLOPs. Only matrix products, convolutions and fused attention count, as is the
custom (Chowdhery et al., 2022, appendix B); masks save nothing, so causal attention counts in full. Compilers cannot be
asked: their cost analysis counts the body of a loop once.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import jax
from jax.extend import core

RECOMPUTED = "rematted_computation"  # jax.checkpoint names what it computes again so


def flops_per_step(fn: Callable, *args: Any, recompute: bool = False, loops: bool = True) -> float:
    """FLOPs of `fn(*args)` over all devices; arguments may be arrays or `jax.ShapeDtypeStruct`s, nothing is computed.

    For a training step this is forward and backward pass: the numerator of model-FLOPs utilisation (MFU). With `recompute`
    also what rematerialisation computes a second time: the numerator of hardware-FLOPs utilisation (HFU).
    Loops count with their lengths (with loops=False once, as compilers count them); a `while` loop, whose length nobody
    knows, counts once; of the branches of a condition the largest counts; a `shard_map` counts for all its devices.
    """
    return _flops(jax.make_jaxpr(fn)(*args).jaxpr, recompute, loops)


def _flops(jaxpr: core.Jaxpr, recompute: bool, loops: bool) -> float:
    return sum((_of_equation(equation, recompute, loops) for equation in jaxpr.eqns), 0.0)


def _of_equation(equation: core.JaxprEqn, recompute: bool, loops: bool) -> float:
    if not recompute and RECOMPUTED in str(equation.source_info.name_stack):
        return 0.0
    name, params = equation.primitive.name, equation.params
    if name in _RULES:
        return _RULES[name](equation)
    inner = [_flops(jaxpr, recompute, loops) for jaxpr in _inside(params)]
    if name == "cond":
        return max(inner)
    times = 1
    if name == "scan" and loops:
        times = params["length"]
    elif name == "shard_map":
        times = math.prod(params["mesh"].shape[axis] for axis in params["newly_manual_axes"])
    elif name == "pallas_call":
        times = math.prod(params["grid_mapping"].grid)
    return times * sum(inner)


def _inside(params: dict[str, Any]) -> Iterator[core.Jaxpr]:
    """The jaxprs among an equation's parameters."""
    for value in params.values():
        for item in value if isinstance(value, tuple | list) else (value,):
            if isinstance(item, core.ClosedJaxpr):
                yield item.jaxpr
            elif isinstance(item, core.Jaxpr):
                yield item


def _dot(equation: core.JaxprEqn) -> float:
    """Every element of the output is a sum over the contracted axes."""
    (contracted, _), _ = equation.params["dimension_numbers"]
    shape = equation.invars[0].aval.shape
    return 2.0 * math.prod(equation.outvars[0].aval.shape) * math.prod(shape[axis] for axis in contracted)


def _convolution(equation: core.JaxprEqn) -> float:
    """Every element of the output is a sum over the window and the input channels of its group, padding included. Of an
    input that a stride has spread, as in the gradient of a strided convolution, only the elements that are there count."""
    kernel = equation.invars[1].aval.shape
    window = math.prod(kernel) / kernel[equation.params["dimension_numbers"].rhs_spec[0]]
    return 2.0 * math.prod(equation.outvars[0].aval.shape) * window / math.prod(equation.params["lhs_dilation"])


def _attention(equation: core.JaxprEqn) -> float:
    """cuDNN's attention of q [B, T, H, Dh] over k, v [B, S, H, Dh]: two products."""
    q, k = (x.aval.shape for x in equation.invars[:2])
    return 4.0 * math.prod(q) * k[1]


_RULES: dict[str, Callable[[core.JaxprEqn], float]] = {
    "dot_general": _dot,
    "conv_general_dilated": _convolution,
    "dot_product_attention_fwd_wrapper": _attention,
    "dot_product_attention_bwd_wrapper": lambda equation: 2 * _attention(equation),
}
