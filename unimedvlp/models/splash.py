"""Splash attention: the fused attention kernel of TPUs, for sequences so long that scores [T, S] should not exist."""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
from flax import struct
from jax.experimental.pallas.ops.tpu.splash_attention import splash_attention_kernel as kernels
from jax.experimental.pallas.ops.tpu.splash_attention import splash_attention_mask as masks
from jax.sharding import PartitionSpec

from unimedvlp.parallel.mesh import BATCH_AXES

LANES = 128  # lengths are padded to multiples of this
BLOCKS = (512, 384, 256, 128)


@struct.dataclass
class Causal:
    """The mask of packed sequences in one word: query t sees those keys 0..t that have its own id.

    ids: int32 [B, T], 1 and more on tokens, 0 on padding.
    """

    ids: jax.Array


def splash_attention(
    q: jax.Array, k: jax.Array, v: jax.Array, mask: jax.Array | Causal | None, *, interpret: bool = False
) -> jax.Array:
    """Attention of q [B, T, H, Dh] over k, v [B, S, H, Dh] -> [B, T, H, Dh], softmax in float32.

    `mask` is None, a mask of keys, bool [B, 1, 1, S], or `Causal`. Rows that see nothing are zeros. On a mesh each device
    computes its own rows and heads. `interpret` runs the kernel without a TPU, slowly.
    """
    batch, length, keys = q.shape[0], q.shape[1], k.shape[1]
    if isinstance(mask, Causal):
        q_ids, k_ids = mask.ids, mask.ids
    else:
        q_ids = jnp.ones((batch, length), jnp.int32)
        k_ids = jnp.ones((batch, keys), jnp.int32)
        k_ids = k_ids if mask is None else k_ids * mask[:, 0, 0]
    local = functools.partial(_local, causal=isinstance(mask, Causal), interpret=interpret)
    if set(BATCH_AXES) <= set(jax.sharding.get_abstract_mesh().axis_names):
        heads, rows = PartitionSpec(BATCH_AXES, None, "tensor"), PartitionSpec(BATCH_AXES)
        local = jax.shard_map(local, in_specs=(heads, heads, heads, rows, rows), out_specs=heads, check_vma=False)
    out = local(q, k, v, q_ids, k_ids)
    seen = (k_ids > 0).any(axis=1, keepdims=True) & (q_ids > 0)
    return jnp.where(seen[..., None, None], out, 0)


def _local(q, k, v, q_ids, k_ids, *, causal: bool, interpret: bool) -> jax.Array:
    length, (q, k, v) = q.shape[1], (_padded(x).swapaxes(1, 2) for x in (q * q.shape[-1] ** -0.5, k, v))
    heads, shape = q.shape[1], (q.shape[2], k.shape[2])
    mask = masks.MultiHeadMask([(masks.CausalMask if causal else masks.FullMask)(shape)] * heads)
    block_q, block_k = (next(block for block in BLOCKS if size % block == 0) for size in shape)
    sizes = kernels.BlockSizes(
        block_q=block_q,
        block_kv=block_k,
        block_q_dkv=block_q,
        block_kv_dkv=block_k,
        use_fused_bwd_kernel=True,
    )
    kernel = kernels.make_splash_mha(mask, block_sizes=sizes, head_shards=1, q_seq_shards=1, interpret=interpret)
    out = jax.vmap(kernel)(q, k, v, kernels.SegmentIds(_padded(q_ids), _padded(k_ids)))
    return out.swapaxes(1, 2)[:, :length]


def _padded(x: jax.Array) -> jax.Array:
    """x [B, T, ...] with zeros up to the next multiple of 128."""
    return jnp.pad(x, [(0, 0), (0, -x.shape[1] % LANES), *[(0, 0)] * (x.ndim - 2)])
