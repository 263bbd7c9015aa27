"""What the grammar costs: decoding with it against decoding without, same weights, same number of steps.

    python -m benchmarks.grammar --width 192 --depth 3

Runs alternate and the fastest of each counts, so that other work on the machine tells least.
"""

import argparse
import functools
import time

import jax
import jax.numpy as jnp
import numpy as np
import rich
from rich.table import Table

from unimedvlp.models.composed_decoder import ComposedDecoder
from unimedvlp.models.generate import Beam, Greedy, Method, TopP, generate
from unimedvlp.tokens import grammar
from unimedvlp.tokens.vocabulary import Vocabulary

MEMORY, PROMPT = 196, 3  # tokens
TASKS = ("detect", ("detect", "segment", "report"), "report")


def main() -> None:
    """Print a row for every task and method."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    sizes = {"width": 192, "depth": 3, "heads": 6, "batch": 8, "length": 64, "text": 4000, "repeats": 15}
    for name, value in sizes.items():
        parser.add_argument(f"--{name}", type=int, default=value, help=f"default {value}")
    args = parser.parse_args()
    vocabulary = Vocabulary(("nodule", "effusion", "lung"), args.text)
    sizes = {"width": args.width, "depth": args.depth, "heads": args.heads, "mlp": 4 * args.width}
    decoder = ComposedDecoder(vocab=vocabulary.size, max_length=PROMPT + args.length, **sizes)
    memory = jax.random.normal(jax.random.key(1), (args.batch, MEMORY, args.width))
    prompt = jnp.tile(jnp.array([1, 18, 65]), (args.batch, 1))
    mask, memory_mask = jnp.ones(prompt.shape, bool), jnp.ones(memory.shape[:2], bool)
    params = decoder.init(jax.random.key(0), prompt, mask, memory, memory_mask)

    @functools.partial(jax.jit, static_argnames="method")
    def write(params, allowed, method: Method):
        cache = decoder.apply(params, memory, memory_mask, PROMPT + args.length, method="start")
        extend = functools.partial(decoder.apply, params, method="extend")
        settings = {"max_new": args.length, "method": method, "rng": jax.random.key(2), "allowed": allowed}
        return generate(extend, cache, prompt, mask, eos=-1, **settings)[0]  # no end: all run the same number of steps

    table = Table(title=f"{args.batch} x {args.length} tokens, vocabulary {vocabulary.size:,}, {jax.devices()[0]}")
    for column in ("method", "task", "without, ms", "with, ms", "with / without"):
        table.add_column(column)
    for method in (Greedy(), TopP(0.9), Beam(4)):
        for tasks in TASKS:
            automaton = grammar.build(vocabulary, tasks, length=args.length)
            pairs = np.array(
                [[_seconds(write, params, a, method) for a in (None, automaton)] for _ in range(args.repeats + 1)]
            )
            without, with_it = 1e3 * pairs[1:].min(axis=0)  # the first pair compiles
            task = tasks if isinstance(tasks, str) else " + ".join(tasks)
            table.add_row(str(method), task, f"{without:.1f}", f"{with_it:.1f}", f"{with_it / without:.3f}")
    rich.print(table)


def _seconds(write, params, automaton, method) -> float:
    begin = time.perf_counter()
    write(params, automaton, method).block_until_ready()
    return time.perf_counter() - begin


if __name__ == "__main__":
    main()
