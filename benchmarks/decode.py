"""Writing with the composed decoder against Hugging Face `generate`: same sizes, same memory, same device, same number of tokens.

    python -m benchmarks.decode --batch 1 8 --repeats 9

Theirs is the stock pairing of an image encoder with GPT-2 (`VisionEncoderDecoderModel`), cross-attending, with its KV cache. Both
are given the encoder's states, so decoding alone is timed; no end is allowed, so both write every token. Runs alternate within
one process; medians count.
"""

import argparse
import functools
import os

os.environ.setdefault(
    "OMP_WAIT_POLICY", "PASSIVE"
)  # PyTorch's idle threads would otherwise spin on the cores of the other

import time
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
import rich
import torch
import transformers
from rich.table import Table
from transformers.modeling_outputs import BaseModelOutput

from unimedvlp.models.composed_decoder import ComposedDecoder
from unimedvlp.models.generate import Beam, Greedy, Method, generate

MEMORY = 196  # image tokens
SIZES = {"width": 512, "depth": 6, "heads": 8, "vocab": 8192, "length": 64}


def main() -> None:
    """Print a row for every batch size and method."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, value in SIZES.items():
        parser.add_argument(f"--{name}", type=int, default=value, help=f"default {value}")
    parser.add_argument("--batch", type=int, nargs="+", default=[1, 8])
    parser.add_argument("--repeats", type=int, default=9)
    args = parser.parse_args()
    device = "cuda" if torch.cuda.is_available() and jax.default_backend() == "gpu" else "cpu"
    theirs, ours, params = torch_decoder(args).to(device), jax_decoder(args), None
    table = Table(title=f"{args.length} tokens, {args.width} wide, {args.depth} layers, {jax.devices()[0].device_kind}")
    for column in ("batch", "method", "parameters, millions", "ours, ms", "Hugging Face, ms", "ratio"):
        table.add_column(column)
    for batch in args.batch:
        memory = np.random.default_rng(0).standard_normal((batch, MEMORY, args.width), np.float32)
        if params is None:
            params = ours.init(jax.random.key(0), *_inputs(memory))
        sizes = f"{_millions(jax.tree.leaves(params))} / {_millions(theirs.decoder.parameters())}"
        for method in (Greedy(), Beam(4)):
            runs = (
                write_ours(ours, params, memory, args.length, method),
                write_theirs(theirs, memory, args.length, method, device),
            )
            mine, other = measure(runs, args.repeats)
            row = (f"{1e3 * mine:.0f}", f"{1e3 * other:.0f}", f"{other / mine:.2f}")
            table.add_row(str(batch), str(method), sizes, *row)
    rich.print(table)


def jax_decoder(args: argparse.Namespace) -> ComposedDecoder:
    """Ours, with room for the tokens and the prompt of one."""
    sizes = {"width": args.width, "depth": args.depth, "heads": args.heads, "mlp": 4 * args.width}
    return ComposedDecoder(vocab=args.vocab, max_length=args.length + 1, **sizes)


def torch_decoder(args: argparse.Namespace) -> transformers.VisionEncoderDecoderModel:
    """Theirs; the encoder is never run, so it has one layer."""
    encoder = transformers.ViTConfig(hidden_size=args.width, num_hidden_layers=1, num_attention_heads=args.heads)
    decoder = transformers.GPT2Config(
        n_embd=args.width, n_layer=args.depth, n_head=args.heads, vocab_size=args.vocab, n_positions=args.length + 1,
        add_cross_attention=True, bos_token_id=1, eos_token_id=None, pad_token_id=0,
    )  # fmt: skip
    config = transformers.VisionEncoderDecoderConfig.from_encoder_decoder_configs(encoder, decoder)
    config.decoder_start_token_id, config.pad_token_id = 1, 0
    return transformers.VisionEncoderDecoderModel(config).eval()


def write_ours(
    decoder: ComposedDecoder, params, memory: np.ndarray, length: int, method: Method
) -> Callable[[], np.ndarray]:
    """A call that writes ids `[B, length]`."""

    @jax.jit
    def write(params, memory):
        prompt, mask, memory, memory_mask = _inputs(memory)
        cache = decoder.apply(params, memory, memory_mask, length + 1, method="start")
        extend = functools.partial(decoder.apply, params, method="extend")
        return generate(extend, cache, prompt, mask, max_new=length, method=method, eos=-1)[0]

    given = jnp.asarray(memory)
    return lambda: np.asarray(write(params, given))


def write_theirs(model, memory: np.ndarray, length: int, method: Method, device: str) -> Callable[[], np.ndarray]:
    """The same by Hugging Face."""
    states = torch.from_numpy(memory).to(device)
    beams = method.size if isinstance(method, Beam) else 1
    settings = {"max_new_tokens": length, "min_new_tokens": length, "do_sample": False, "num_beams": beams}

    @torch.inference_mode()
    def write():
        seen = BaseModelOutput(last_hidden_state=states)
        return model.generate(encoder_outputs=seen, use_cache=True, **settings).cpu().numpy()[:, 1:]

    return write


def measure(calls: tuple[Callable[[], np.ndarray], ...], repeats: int) -> np.ndarray:
    """Median seconds of each call, taken in turn; the first round warms up and is checked for its shape."""
    shapes = {call().shape for call in calls}
    if len(shapes) != 1:
        raise RuntimeError(f"not the same number of tokens: {shapes}")
    seconds = [[_seconds(call) for call in calls] for _ in range(repeats)]
    return np.median(seconds, axis=0)


def _seconds(call: Callable[[], np.ndarray]) -> float:
    begin = time.perf_counter()
    call()
    return time.perf_counter() - begin


def _inputs(memory):
    prompt = jnp.ones((memory.shape[0], 1), jnp.int32)
    return prompt, jnp.ones(prompt.shape, bool), memory, jnp.ones(memory.shape[:2], bool)


def _millions(arrays) -> str:
    return f"{sum(int(np.prod(x.shape)) for x in arrays) / 1e6:.1f}"


if __name__ == "__main__":
    main()
