"""Compiled programs read from their text: real ones of the CPU compiler, and lines that the TPU compiler wrote."""

import jax
import jax.numpy as jnp
import pytest

from unimedvlp.plan.collectives import BETWEEN_SLICES, Collective, collectives
from unimedvlp.plan.estimate import estimated_cycles, kernels_without_estimate
from unimedvlp.plan.hardware import parse
from unimedvlp.plan.hlo import Program, size

# Written by libtpu 0.0.42 for v5e, shortened. The loop turns 12 times.
TPU = """HloModule jit_step, is_scheduled=true

%add.clone (x: bf16[], y: bf16[]) -> bf16[] {
  %x = bf16[] parameter(0)
  ROOT %add = bf16[] add(%x, %y)
}

%all-reduce-scatter.5 (input_0.1: bf16[512,2048]) -> bf16[64,2048] {
  %all-reduce.23 = bf16[512,2048]{1,0:T(8,128)(2,1)} all-reduce(%input_0.1), channel_id=1, replica_groups={{0,1,2,3,4,5,6,7}}, use_global_device_ids=true, to_apply=%add.clone
}

%fused_computation.5 (param_0: bf16[1,2048,64]) -> (bf16[1,2048,64], bf16[1,2048,512]) {
  %all-gather.63 = bf16[1,2048,512]{1,2,0:T(8,128)(2,1)} all-gather(%param_0), channel_id=15, replica_groups=[2,8]<=[16], dimensions={2}
}

%body.sunk (p: (s32[], bf16[32,197,768])) -> (s32[], bf16[32,197,768]) {
  %start = (bf16[1,2048,64]{1,2,0}, bf16[1,2048,512]{1,2,0}) fusion(%w), kind=kCustom, calls=%fused_computation.5
  %done = bf16[1,2048,512]{1,2,0} fusion(%start), kind=kCustom, calls=%fused_computation.5
  %fusion.1 = bf16[32,197,768]{2,1,0:T(8,128)(2,1)S(1)} fusion(%done), kind=kOutput, calls=%fused, backend_config={"window_config":{"estimated_cycles":"1000","iteration_bounds":["1"]}}
  %splash = bf16[64,2048]{1,0} custom-call(%fusion.1), custom_call_target="tpu_custom_call"
  %fusion.2 = bf16[64,2048]{1,0} fusion(%fusion.1), kind=kCustom, calls=%all-reduce-scatter.5
}

%condition (q: (s32[], bf16[32,197,768])) -> pred[] {
  %constant.1 = s32[]{:T(128)} constant(12)
  %i = s32[]{:T(128)} get-tuple-element(%q), index=0
  ROOT %lt = pred[]{:T(512)} compare(%i, %constant.1), direction=LT
}

ENTRY %main (a: bf16[32,197,768]) -> bf16[32,197,768] {
  %while.1 = (s32[]{:T(128)}, bf16[32,197,768]{2,1,0:T(8,128)(2,1)S(1)}, /*index=2*/f32[12,768]{1,0}) while(%tuple), condition=%condition, body=%body.sunk
  %send.6 = (bf16[128,8,128]{2,1,0:T(8,128)(2,1)}, u32[], token[]) send(%b, %after), channel_id=2, frontend_attributes={_xla_host_transfer_handler_name="xla_megascale_runtime"}
  %all-reduce.60 = (f32[197,768]{1,0}, f32[768]{0}) all-reduce(%x, %y), channel_id=61, replica_groups=mesh['axis_0'=4,'axis_1'=2] {'axis_0'}, to_apply=%add.clone
  %alone = f32[768]{0} all-reduce(%x), channel_id=62, replica_groups={{0},{1}}, to_apply=%add.clone
  ROOT %fusion.9 = bf16[32,197,768]{2,1,0} fusion(%while.1), kind=kLoop, calls=%fused, backend_config={"estimated_cycles":"7"}
}
"""


def test_sizes_of_shapes():
    assert size("bf16[32,197,768]{2,1,0:T(8,128)(2,1)S(1)}") == 2 * 32 * 197 * 768
    assert size("(f32[3]{0}, /*index=1*/pred[5]{0}, s32[])") == 12 + 5 + 4


def test_cycles_of_a_loop_count_with_its_length():
    assert estimated_cycles(Program.parse(TPU)) == 12 * 1000 + 7


def test_kernels_of_which_the_compiler_knows_nothing_are_counted():
    assert kernels_without_estimate(Program.parse(TPU)) == 12


def test_collectives_by_kind_bytes_members_and_times():
    found = sorted(collectives(Program.parse(TPU)), key=lambda each: each.kind)
    assert found == [
        Collective("all-gather", 2 * 2048 * 512, 8, 12),
        Collective("all-reduce", 4 * (197 * 768 + 768), 4, 1),
        Collective("reduce-scatter", 2 * 512 * 2048, 8, 12),
        Collective(BETWEEN_SLICES, 2 * 128 * 8 * 128 + 4, 1, 1),
    ]


def test_seconds_of_a_ring():
    pod = parse("v5e:16x16")
    link = pod.chip.link
    assert Collective("all-reduce", 10**9, 256, 1).seconds(pod) == pytest.approx(2 * 255 / 256 * 1e9 / (4 * link))
    assert Collective("all-gather", 10**9, 16, 3).seconds(pod) == pytest.approx(3 * 15 / 16 * 1e9 / (2 * link))
    # No side of a small slice is a ring: half the links.
    assert Collective("all-gather", 10**9, 8, 1).seconds(parse("v5e:2x4")) == pytest.approx(7 / 8 * 1e9 / (2 * link))
    assert Collective(BETWEEN_SLICES, 10**9, 1, 1).seconds(pod) == pytest.approx(1e9 / pod.chip.dcn)


def nested(x):
    def outer(x, _):
        return jax.lax.scan(lambda x, _: (jnp.sin(x @ x), None), x, length=3)[0], None

    return jax.lax.scan(outer, x, length=5)[0]


def test_loops_within_loops_of_a_real_program():
    program = Program.parse(jax.jit(nested).lower(jnp.ones((8, 8))).compile().as_text())
    times = {run.times for run in program.runs() if run.instruction.opcode in ("dot", "custom-call", "fusion")}
    assert max(times) == 15 and program.entry in program.computations
