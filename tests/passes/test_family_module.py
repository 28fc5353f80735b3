"""A family as one module: every weight once, each member as its own graph, switched while others run."""

import copy
import json
import statistics
import threading
import time
import tracemalloc
from dataclasses import replace

import pytest
import torch
from families import SPEC, make_family, small_and_large, stitched
from safetensors.torch import load_file
from torch import fx, nn

from stitchc.passes.data.errors import InputError, PipelineError, VerificationError
from stitchc.passes.data.family import Family, Member
from stitchc.passes.data.model import InputSpec
from stitchc.passes.emit.family import Emitted, emit_family
from stitchc.passes.emit.load import load_module
from stitchc.passes.emit.reread import member_graph, spans_again
from stitchc.passes.emit.switched import Member as Runs
from stitchc.passes.emit.switched import Switched
from stitchc.passes.numerics.converted import Converted
from stitchc.passes.verify.family import verify_family, verify_family_folder

IMAGES = torch.randn(3, *SPEC.size, generator=torch.Generator().manual_seed(5))


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """(plan, family, what was written, where)."""
    folder = tmp_path_factory.mktemp("family")
    plan, family = make_family()
    return plan, family, emit_family(plan, family, folder), folder


@pytest.fixture
def module(made):
    return load_module(made[3])


@torch.no_grad()
def wanted(emitted: Emitted, images=IMAGES) -> dict[str, torch.Tensor]:
    return {name: network(images.clone()) for name, network in emitted.networks.items()}


def test_each_member_computes_what_its_graph_does(made, module):
    want = wanted(made[2])
    for name, member in module.members.items():
        assert module.set_member(name) is member
        with torch.no_grad():
            assert torch.equal(module(IMAGES), want[name])
            assert torch.equal(module.member(name)(IMAGES), want[name])


def test_members_are_ordered_by_cost_and_say_what_they_take(made, module):
    _, family, _, _ = made
    assert list(module.members) == [member.name for member in family.members]
    assert [m.macs for m in module.members.values()] == sorted(m.macs for m in module.members.values())
    for member in family.members:
        found, price = module.members[member.name], member.hybrid.price
        assert (found.macs, found.flops, found.params) == (price["macs"], 2 * price["macs"], price["params"])
        assert found.params == sum(p.numel() for p in module.member(member.name).parameters())


def test_every_weight_stands_once_in_the_file(made, module):
    plan, family, _, folder = made
    stored = [t for t in load_file(folder / "model.safetensors").values() if t.is_floating_point()]
    parents = [model.module.state_dict() for model in plan.models]
    hybrids = [m.hybrid.network.state_dict() for m in family.members if m.parent is None]
    adapters = [t for state in hybrids for name, t in state.items() if name.startswith("adapter")]
    healed = parents[1]["blocks.4.conv.weight"]
    once = [*adapters, healed, *(t for state in parents for t in state.values() if t.is_floating_point())]
    assert sum(t.nbytes for t in stored) == sum(t.nbytes for t in once)
    assert len({t.numpy().tobytes() for t in stored}) == len(stored)


def test_what_was_healed_for_one_member_stands_beside_the_original_and_shares_the_rest(made, module):
    text = (made[3] / "model.py").read_text()
    (healed,) = [name for name, _ in module.named_children() if name.endswith("_for_mended")]
    plain = healed.removesuffix("_for_mended")
    there, here = module.get_submodule(plain), module.get_submodule(healed)
    assert here.blocks[0 if len(there.blocks) == 1 else -1] is not there.blocks[0]
    shared = {id(m) for m in there.modules()} & {id(m) for m in here.modules()}
    assert shared, "the layers that are the same are the same modules"
    assert f"self.{healed} = {type(there).__name__}()" in text


def test_pieces_bear_the_names_of_their_models(module):
    names = [name for name, _ in module.named_children()]
    assert set(names) >= {"small_1", "large_1", "adapter_of_near", "adapter_of_far", "adapter_of_mended"}
    assert [s for s in module.members["small"].steps if not s.startswith("small_")] == []


def test_the_same_family_gives_the_same_bytes(made, tmp_path):
    plan, family, _, folder = made
    emit_family(plan, family, tmp_path)
    for name in ("model.py", "model.safetensors"):
        assert (tmp_path / name).read_bytes() == (folder / name).read_bytes()


def test_the_code_needs_torch_alone(made):
    lines = (made[3] / "model.py").read_text().splitlines()
    imported = {line.split()[1].split(".")[0] for line in lines if line.startswith(("import ", "from "))}
    assert imported <= {"torch", "json", "pathlib", "collections", "dataclasses", "statistics", "time"}


# -- budgets -----------------------------------------------------------------------------------------------------------


def test_a_budget_takes_the_largest_member_within(module):
    members = list(module.members.values())
    for member in members:
        assert module.set_budget(macs=member.macs) is member
        assert module.current is member
    assert module.set_budget(macs=1e12) is members[-1]
    assert module.set_budget(flops=2 * members[1].macs + 1).flops <= 2 * members[1].macs + 1
    both = module.set_budget(macs=1e12, params=min(m.params for m in members))
    assert both.params == min(m.params for m in members)


def test_a_budget_that_no_member_is_within_is_refused_and_changes_nothing(module):
    before, least = module.current, next(iter(module.members.values()))
    with pytest.raises(ValueError, match=f"no member of the family is within macs 10; {least.name} takes"):
        module.set_budget(macs=10)
    with pytest.raises(ValueError, match="cannot limit 'watts'"):
        module.set_budget(watts=3)
    with pytest.raises(ValueError, match="no limit was given"):
        module.set_budget()
    with pytest.raises(ValueError, match="no member 'huge'; it has"):
        module.set_member("huge")
    with pytest.raises(ValueError, match="no latency was measured"):
        module.set_budget(latency_ms=5)
    for hysteresis in (-0.1, 1.0, 5):  # 5 per cent is 0.05
        with pytest.raises(ValueError, match="hysteresis is a share"):
            module.set_budget(macs=1e12, hysteresis=hysteresis)
    assert module.current is before


def test_with_hysteresis_a_budget_that_wavers_does_not_switch_to_and_fro(module):
    small, large = list(module.members.values())[-2:]
    module.set_member(small.name)
    seen = [module.set_budget(macs=large.macs * (1 + wave), hysteresis=0.05) for wave in (0.01, -0.01, 0.02, -0.02)]
    assert set(seen) == {small}, "less than 5 % is free above the larger one"
    assert module.set_budget(macs=large.macs * 1.06, hysteresis=0.05) is large
    assert module.set_budget(macs=large.macs * 1.001, hysteresis=0.05) is large, "it stays while it is within"
    assert module.set_budget(macs=large.macs * 0.999, hysteresis=0.05) is small, "and is left when it is not"


def test_latency_is_measured_and_decides(module):
    current = module.current
    measured = module.measure_latency(runs=3)
    assert set(measured) == set(module.members) and min(measured.values()) > 0
    assert module.current is current
    assert module.set_budget(latency_ms=1e9) is list(module.members.values())[-1]
    assert module.fit_latency(1e9, IMAGES, runs=3) is list(module.members.values())[-1]
    with pytest.raises(ValueError, match="no member of the family is within latency_ms"):
        module.fit_latency(0.0, runs=1)
    with pytest.raises(ValueError, match="training mode"):
        module.train().measure_latency()


# -- switching ---------------------------------------------------------------------------------------------------------


def test_a_forward_pass_sees_one_member_whatever_other_threads_set(made, module):
    want = [tensor.numpy().tobytes() for tensor in wanted(made[2], IMAGES[:1]).values()]
    names, wrong, ran, until = list(module.members), [], [0] * 4, time.monotonic() + 2

    def work(seed: int) -> None:
        generator = torch.Generator().manual_seed(seed)
        while time.monotonic() < until:
            module.set_member(names[int(torch.randint(len(names), (1,), generator=generator))])
            with torch.inference_mode():
                found = module(IMAGES[:1])
            ran[seed] += 1
            if found.numpy().tobytes() not in want:
                wrong.append(found)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong and min(ran) > 10


def test_a_switch_in_the_midst_of_a_forward_pass_changes_nothing_in_it(made, module):
    want = wanted(made[2])["large"]
    module.set_member("large")
    first = module.get_submodule(module.current.steps[0])
    handle = first.register_forward_hook(lambda *_: module.set_member("small") and None)
    with torch.no_grad():
        assert torch.equal(module(IMAGES), want)
        handle.remove()
        assert torch.equal(module(IMAGES), wanted(made[2])["small"])


def test_ten_thousand_switches_leak_nothing_and_take_microseconds(module):
    names = list(module.members)
    budgets = [member.macs for member in module.members.values()]
    for k in range(100):
        module.set_member(names[k % len(names)])
    tracemalloc.start()
    before = tracemalloc.take_snapshot()
    for k in range(5_000):
        module.set_member(names[k % len(names)])
        module.set_budget(macs=budgets[k % len(budgets)], hysteresis=0.05)
    found = tracemalloc.take_snapshot().compare_to(before, "filename")
    tracemalloc.stop()
    assert sum(max(0, entry.size_diff) for entry in found if "model.py" in entry.traceback[0].filename) < 1024
    took = []
    for k in range(1_000):
        begun = time.perf_counter()
        module.set_member(names[k % len(names)])
        module.set_budget(macs=budgets[-1 - k % len(budgets)], hysteresis=0.05)
        took.append((time.perf_counter() - begun) / 2)
    assert statistics.median(took) < 50e-6  # others may use the processor meanwhile


# -- what one does with modules ----------------------------------------------------------------------------------------


def test_members_share_modules_with_the_family(module):
    view = module.member("near")
    before = {name: module.member(name)(IMAGES) for name in module.members}
    with torch.no_grad():
        next(view.parameters()).add_(1.0)
    changed = {name for name in module.members if not torch.equal(before[name], module.member(name)(IMAGES))}
    assert {"near", "small"} <= changed < set(module.members)
    assert view.training is False and module.train().member("near").training


def test_copies_conversions_and_states_keep_what_is_shared(made, module):
    other = copy.deepcopy(module).to(torch.float64)
    assert len({p.data_ptr() for p in other.parameters()}) == len(list(other.parameters()))
    other.set_member("near")
    assert module.current.name != "near"
    want = wanted(made[2])
    with torch.no_grad():
        assert torch.allclose(other(IMAGES.double()).float(), want["near"], atol=1e-4)
        state = {name: torch.zeros_like(tensor) for name, tensor in module.state_dict().items()}
        fresh = copy.deepcopy(module)
        fresh.load_state_dict(state)
        fresh.load_state_dict(module.state_dict())
        for name in module.members:
            assert torch.equal(fresh.member(name)(IMAGES), want[name])


def test_members_that_begin_alike_run_that_beginning_once(made, module):
    want, current, names = wanted(made[2]), module.current, list(module.members)
    ran: list[str] = []
    hooks = [
        getattr(module, step).register_forward_hook(lambda *_, step=step: ran.append(step) and None)
        for step in {step for member in module.members.values() for step in member.steps}
    ]
    given = IMAGES.clone()
    with torch.no_grad():
        found = module.outputs(given)
    assert set(found) == set(names) and module.current is current
    assert all(torch.equal(found[name], want[name]) for name in names) and torch.equal(given, IMAGES)
    beginnings = {m.steps[: k + 1] for m in module.members.values() for k in range(len(m.steps))}
    assert len(ran) == len(beginnings) < sum(len(member.steps) for member in module.members.values())
    ran.clear()
    with torch.no_grad():
        (only,) = module.outputs(IMAGES, "near").values()
    assert torch.equal(only, want["near"]) and tuple(ran) == module.members["near"].steps
    for hook in hooks:
        hook.remove()
    with pytest.raises(ValueError, match="no member 'huge'; it has"):
        module.outputs(IMAGES, "near", "huge")


def test_what_a_branch_writes_over_its_neighbours_do_not_see():
    module = Switched((Runs("a", 1, 1, 1, 1, ("f", "g")), Runs("b", 2, 1, 1, 1, ("f", "h"))), (1, 2, 2))
    module.f, module.g, module.h = nn.Identity(), nn.ReLU(inplace=True), nn.Identity()
    x = torch.full((1, 1, 2, 2), -1.0)
    found = module.outputs(x)
    assert (found["a"] == 0).all() and (found["b"] == -1).all()


def test_a_member_can_be_traced_and_exported(made, module):
    want = wanted(made[2])["mended"]
    traced = fx.symbolic_trace(module.member("mended"))
    exported = torch.export.export(module.member("mended"), (IMAGES,)).module()
    with torch.no_grad():
        assert torch.equal(traced(IMAGES), want) and torch.allclose(exported(IMAGES), want, atol=1e-6)


@pytest.mark.slow
def test_a_member_can_be_compiled(made, module):
    compiled = torch.compile(module.member("near"), backend="aot_eager")
    with torch.no_grad():
        assert torch.allclose(compiled(IMAGES), wanted(made[2])["near"], atol=1e-5)


# -- inputs ------------------------------------------------------------------------------------------------------------


def test_members_with_other_normalisation_and_size_take_the_family_s_images(tmp_path):
    plan = small_and_large(InputSpec((3, 16, 16), (0.2, 0.4, 0.6), (0.3, 0.3, 0.2)))
    plan, family = make_family(plan)
    emitted = emit_family(plan, family, tmp_path)
    assert emitted.input == plan.models[1].input, "the most expensive model's"
    module = load_module(tmp_path)
    assert module.members["small"].steps[0] == "input_of_small"
    assert module.members["far"].steps[0] == "large_1"
    pixels = torch.rand(2, 3, 16, 16, generator=torch.Generator().manual_seed(1))
    spec, other = emitted.input, plan.models[0].input
    mean, std = (torch.tensor(x).view(-1, 1, 1) for x in (spec.mean, spec.std))
    images = (pixels - mean) / std
    want = plan.models[0].module(Converted(spec, other)(images))
    assert torch.allclose(module.member("small")(images), want, atol=1e-4)
    verify_family(family, emitted.networks, emitted.input, tmp_path)


def test_images_of_other_channels_are_refused(tmp_path):
    plan, family = make_family()
    grey = replace(plan.models[0], input=InputSpec((1, 8, 8), (0.5,), (0.5,)))
    with pytest.raises(InputError, match="takes images of 3 channels, and its member"):
        emit_family(replace(plan, models=(grey, plan.models[1])), family, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_one_model_at_two_sizes_shares_its_weights(tmp_path):
    plan = small_and_large()
    small = plan.models[1].at((3, 4, 4))
    plan = small_and_large_at(plan, small)
    plan, family = make_family(plan)
    emit_family(plan, family, tmp_path)
    stored = load_file(tmp_path / "model.safetensors")
    alone = make_family()
    emit_family(*alone, tmp_path / "alone")
    want = load_file(tmp_path / "alone" / "model.safetensors")
    shares = 4 * (8 * 4) + 8 * 8  # float32, of the eight lines in each of four, and which lines; columns have the same
    assert sum(t.nbytes for t in stored.values()) == sum(t.nbytes for t in want.values()) + shares
    module = load_module(tmp_path)
    steps = [step for step in module.members["large_4x4"].steps if not step.startswith("input")]
    assert steps == list(module.members["large"].steps)


def small_and_large_at(plan, model):
    from stitchc.passes import Cost, Partition, Pipeline, Plan, Trace

    model = replace(model, name="large_4x4")
    return Pipeline([Trace(check=()), Partition(), Cost(adapters=())])(Plan((*plan.models, model), images=plan.images))


# -- verification ------------------------------------------------------------------------------------------------------


def test_verification_names_the_member_that_differs(made, tmp_path):
    plan, family, emitted, folder = made
    found = verify_family(family, emitted.networks, emitted.input, folder, images=plan.images)
    assert all(member.hybrid.verified.module_max_abs == 0 for member in found.members)
    assert {v.argmax_agreement for v in verify_family_folder(folder, list(emitted.networks), SPEC.size).values()} == {
        1.0
    }
    wrong = dict(emitted.networks) | {"near": emitted.networks["far"]}
    with pytest.raises(VerificationError, match=r"the member near: model.py differs"):
        verify_family(family, wrong, emitted.input, folder)


def test_a_written_family_is_cut_again_as_it_was(made, module, tmp_path):
    plan, family, emitted, folder = made
    spans = spans_again(module, emitted.steps)
    want = wanted(emitted)
    for member in family.members:
        graph = member_graph(spans[member.name])
        with torch.no_grad():
            assert torch.equal(graph(IMAGES), want[member.name])
        own = {name: tensor for name, tensor in member.hybrid.network.state_dict().items()}
        found = graph.state_dict()
        assert set(found) == set(own) and all(torch.equal(found[name], own[name]) for name in own)
    from stitchc.passes.emit.family import write_members

    write_members(plan, family, spans, tmp_path)
    for name in ("model.py", "model.safetensors"):
        assert (tmp_path / name).read_bytes() == (folder / name).read_bytes()


def test_what_is_no_family_is_refused():
    _, family = make_family()
    near = family["near"]
    with pytest.raises(PipelineError, match="two members have one name"):
        Family((near, near))
    with pytest.raises(PipelineError, match="has no price"):
        Family((replace(near, hybrid=replace(near.hybrid, price=None)),))
    with pytest.raises(PipelineError, match="no name for a member"):
        Member("../near", near.hybrid)
    with pytest.raises(PipelineError, match="a parent is a chain of one fragment"):
        Member("near", near.hybrid, "small")
    with pytest.raises(InputError, match="'neer' is no member"):
        family["neer"]


def test_a_chain_that_runs_a_part_twice_runs_one_module_twice(tmp_path):
    plan = small_and_large()
    _, family = make_family(plan)
    twice = Member("twice", stitched(plan, "A:..blocks.1 / identity / A:blocks.0.."))
    emitted = emit_family(plan, Family((*family.members, twice)), tmp_path)
    module = load_module(tmp_path)
    steps = module.members["twice"].steps
    assert len(set(steps)) < len(steps)
    with torch.no_grad():
        assert torch.equal(module.member("twice")(IMAGES), wanted(emitted)["twice"])


@pytest.mark.slow
def test_onnx_members_share_one_file_of_weights(made, tmp_path):
    import onnx
    import onnxruntime

    from stitchc.passes.emit.family_onnx import export_family

    plan, family, emitted, folder = made
    for name in ("model.py", "model.safetensors"):
        (tmp_path / name).write_bytes((folder / name).read_bytes())
    two = Family(tuple(family[name] for name in ("small", "near", "mended")))
    export_family(plan, two, emitted, tmp_path)
    assert sorted(path.name for path in (tmp_path / "onnx").iterdir()) == [
        "mended.onnx", "model.onnx.data", "near.onnx", "small.onnx",
    ]  # fmt: skip
    want = wanted(emitted)
    places = []
    for member in two.members:
        path = tmp_path / "onnx" / f"{member.name}.onnx"
        onnx.checker.check_model(str(path))
        session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
        (found,) = session.run(["output"], {"input": IMAGES.numpy()})
        assert torch.allclose(torch.from_numpy(found), want[member.name], atol=1e-4)
        loaded = onnx.load(str(path), load_external_data=False)
        external = [{e.key: e.value for e in t.external_data} for t in loaded.graph.initializer if t.external_data]
        assert external and {one["location"] for one in external} == {"model.onnx.data"}
        places += [(int(one["offset"]), int(one["length"])) for one in external]
    distinct = sorted(set(places))
    assert len(distinct) < len(places), "what members share is one place in the file"
    data = (tmp_path / "onnx" / "model.onnx.data").read_bytes()
    held = [data[offset : offset + length] for offset, length in distinct]
    assert len(set(held)) == len(held)
    assert json.loads(json.dumps(distinct[-1]))[0] + distinct[-1][1] == len(data)
