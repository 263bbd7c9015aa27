"""What batch size and rematerialisation do to a stack of transformer blocks on a TPU, by the compiler's own cycles.

    python -m benchmarks.tpu_stack --topology v5e:2x2 --rows 128 --remat none dots full
    python -m benchmarks.tpu_stack --topology v5e:2x2 --rows 32 --remat dots

Forward and backward pass on one chip, bfloat16, no TPU needed (extra `tpu`); 10 to 30 seconds of two cores each.
"""

import argparse

import flax.linen as nn
import jax
import jax.numpy as jnp

from unimedvlp.models.stack import REMAT, Block, Stack
from unimedvlp.plan import hardware
from unimedvlp.plan.estimate import GIB, estimated_cycles
from unimedvlp.plan.hlo import Program
from unimedvlp.plan.tpu import mesh_of
from unimedvlp.training.flops import flops_per_step


def compiled(stack: Stack, rows: int, tokens: int, device: jax.Device) -> tuple[float, float, float]:
    """Cycles, model FLOPs and peak GiB of the gradient of a stack for x [rows, tokens, width] on one device."""
    place = jax.sharding.SingleDeviceSharding(device)
    x = jax.ShapeDtypeStruct((rows, tokens, stack.block.width), jnp.bfloat16, sharding=place)
    params = nn.unbox(jax.eval_shape(stack.init, jax.random.key(0), x))
    params = jax.tree.map(lambda p: jax.ShapeDtypeStruct(p.shape, p.dtype, sharding=place), params)

    def gradient(params: dict, x: jax.Array) -> tuple[dict, jax.Array]:
        return jax.grad(lambda params, x: (stack.apply(params, x).astype(jnp.float32) ** 2).mean(), (0, 1))(params, x)

    program = jax.jit(gradient).lower(params, x).compile()
    cycles = estimated_cycles(Program.parse(program.as_text()))
    return cycles, flops_per_step(gradient, params, x), program.memory_analysis().peak_memory_in_bytes / GIB


def main() -> None:
    """One line for each kind of rematerialisation."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--topology", default="v5e:2x2")
    parser.add_argument("--rows", type=int, default=32, help="images at a time on a chip")
    parser.add_argument("--tokens", type=int, default=197)
    parser.add_argument("--width", type=int, default=768)
    parser.add_argument("--heads", type=int, default=12)
    parser.add_argument("--depth", type=int, default=4)
    parser.add_argument("--remat", nargs="+", default=["none", "dots", "full"], choices=("none", *REMAT))
    options = parser.parse_args()
    topology = hardware.parse(options.topology)
    chip, device = topology.chip, mesh_of(topology, {"data": -1}).devices.flat[0]
    print(f"{topology.kind}, jax {jax.__version__}: {options.depth} blocks, {options.rows} x {options.tokens} tokens")
    for remat in options.remat:
        block = Block(options.width, options.heads, 4 * options.width, dtype=jnp.bfloat16, parent=None)
        cycles, flops, gib = compiled(Stack(block, options.depth, remat), options.rows, options.tokens, device)
        ms = cycles / chip.clock * 1e3
        print(
            f"remat {remat:<6}{ms:8.2f} ms  MFU {flops / cycles / chip.flops_per_cycle:6.1%}  peak {gib:5.2f} GiB",
            flush=True,
        )


if __name__ == "__main__":
    main()
