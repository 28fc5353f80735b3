"""The pass `onnx`: the generated module as `model.onnx`, with a free batch size."""

from __future__ import annotations

import io
import logging
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..data.chain import Chain, Fragment
from ..data.errors import InputError, ModelError, first_line
from ..data.kept_by_torch import mortal_exports
from ..data.model import InputSpec
from ..data.pass_options import OpsetOptions
from ..data.plan import Plan
from ..data.printable import one_line
from ..pipeline import Pass
from .docstring import first_model
from .load import load_module, load_onnx

if TYPE_CHECKING:
    from onnx import ModelProto

# What the exporter says of a node that it cannot translate.
_UNTRANSLATED = re.compile(r"translating node %(?P<node>\w+) .*?target=torch\.ops\.(?P<operator>[\w.]+?)(\.default)?\]")

# The simplified file must give the same numbers, to rounding, and must not buy fewer nodes with a much larger file.
_SAME, _LARGEST = 1e-5, 1.2


@dataclass(frozen=True)
class ExportOnnx(Pass, OpsetOptions):
    """Writes `model.onnx` into the plan's folder: input `input`, output `output`, batch axis free.

    opset: None for the exporter's own choice. simplify: run onnxsim, and keep its result where it computes the same.

    Raises:
        ModelError: the exporter has no translation for what the network does.
    """

    name: ClassVar[str] = "onnx"
    requires: ClassVar[tuple[str, ...]] = ("folder",)

    simplify: bool = True

    def run(self, plan: Plan) -> Plan:
        assert plan.folder is not None
        path = plan.folder / "model.onnx"
        images = torch.randn(2, *first_model(plan).input.size, generator=torch.Generator().manual_seed(plan.seed))
        model = export(load_module(plan.folder), images, self.opset)
        describe(model, plan, plan.hybrid.chain)
        _write(model, path)
        if self.simplify:
            _simplify(model, path, images)
        return plan


def check_opset(opset: int | None) -> None:
    """Refuses an operator set that the installed onnx does not know: the exporter would silently write an older one.

    Raises:
        InputError: it is newer.
    """
    if opset is None:
        return
    from onnx.defs import onnx_opset_version

    if opset > (newest := onnx_opset_version()):
        raise InputError(
            f"the ONNX operator set {opset} is newer than any that the installed onnx knows",
            f"Give `opset` as {newest} at most, or leave it out.",
        )


def export(module: nn.Module, images: Tensor, opset: int | None = None) -> ModelProto:
    """The module as ONNX, for any batch size; without a trace of where on this machine its code lies.

    Raises:
        InputError: onnx does not know the operator set. ModelError: the exporter cannot write the module, or not in
        that operator set.
    """
    check_opset(opset)
    batch = torch.export.Dim("batch", min=1)
    try:
        with _quiet(), _attention_in_four_dimensions(), torch.no_grad(), mortal_exports():
            program = torch.onnx.export(
                module,
                (images,),
                input_names=["input"],
                output_names=["output"],
                dynamic_shapes=({0: batch},),
                opset_version=opset,
                dynamo=True,
                verbose=False,
                optimize=True,
            )
            assert program is not None
            model = program.model_proto
    except Exception as error:
        raise ModelError(
            f"the network cannot be exported to ONNX: {_reason(error, module, images)}",
            "With `onnx=False` the Python module is written alone.",
        ) from error
    written = _opset_of(model)
    if opset not in (None, written):
        raise ModelError(
            f"the network cannot be exported to ONNX's operator set {opset}: the exporter wrote {written}",
            "Leave `opset` out, or give another.",
        )
    _resize_as_torch_does(model)
    _strip(model)
    return model


def _opset_of(model: ModelProto) -> int | None:
    """The version of ONNX's own operators, not of an extension's."""
    return next((int(one.version) for one in model.opset_import if one.domain in ("", "ai.onnx")), None)


def _resize_as_torch_does(model: ModelProto) -> None:
    """Older exporters (torch 2.11) write the resize of `F.interpolate` with the coordinates `pytorch_half_pixel`, which
    for one pixel take the corner of the image, where torch takes its middle, as `half_pixel` does. Elsewhere the two
    are the same."""
    for graph in (model.graph, *model.functions):
        for attribute in (a for node in graph.node if node.op_type == "Resize" for a in node.attribute):
            if attribute.name == "coordinate_transformation_mode" and attribute.s == b"pytorch_half_pixel":
                attribute.s = b"half_pixel"


def _reason(error: BaseException, module: nn.Module, images: Tensor) -> str:
    """Which operator of which module the exporter has no translation for, where that is what went wrong."""
    chain = [error]
    while chain[-1].__cause__ is not None:
        chain.append(chain[-1].__cause__)
    for link in chain[::-1]:
        if found := _UNTRANSLATED.search(str(link)):
            where = _module_of(found["node"], module, images)
            return f"ONNX has no translation for the operator {found['operator']}{where}"
    return first_line(chain[-1])


def _module_of(node: str, module: nn.Module, images: Tensor) -> str:
    """The innermost module whose call a node of the exported program lies in, in words; "" where that is unknown."""
    try:
        with _quiet(), torch.no_grad(), mortal_exports():
            batch = torch.export.Dim("batch", min=1)
            program = torch.export.export(module, (images,), dynamic_shapes=({0: batch},), strict=False)
            nodes = list(program.run_decompositions().graph.nodes)
    except Exception:  # the reason stands without its place
        return ""
    found = next((n for n in nodes if n.name == node or n.name.endswith(f"_{node}")), None)
    stack = list((found.meta.get("nn_module_stack") or {}).values()) if found is not None else []
    path, kind = stack[-1] if stack else ("", "")
    return f" in module '{path}' ({str(kind).rpartition('.')[2]})" if path else ""


def _strip(model: ModelProto) -> None:
    """Drop what the exporter notes for debugging: stack traces, source files, module paths."""
    graphs = [model.graph, *model.functions]
    model.doc_string = ""
    del model.metadata_props[:]
    for graph in graphs:
        graph.doc_string = ""
        del graph.metadata_props[:]
        values = [*graph.value_info, *getattr(graph, "initializer", ())]
        if graph is model.graph:
            values += [*graph.input, *graph.output]
        for item in [*graph.node, *values]:
            item.doc_string = ""
            del item.metadata_props[:]


def describe(model: ModelProto, plan: Plan, chain: Chain, spec: InputSpec | None = None) -> None:
    """Notes in an ONNX model of what it was made. spec: its input, where that is not what the chain's front wants."""
    spec = spec or plan.input_of(chain)
    models = [plan.models[fragment.model] for fragment in chain.fragments]
    cuts = [_span(plan, fragment) for fragment in chain.fragments]
    facts = {
        "models": ", ".join(m.name for m in models),
        "fragments": ", ".join(cuts),
        "licences": ", ".join(f"{m.name}: {m.licence or 'not stated'}" for m in models),
        "input_mean": ", ".join(f"{v:g}" for v in spec.mean),
        "input_std": ", ".join(f"{v:g}" for v in spec.std),
    }
    model.producer_name = "stitchc"
    model.producer_version = ""
    model.graph.name = "stitched"
    for key, value in facts.items():
        if value:
            model.metadata_props.add(key=key, value=one_line(value, 10_000))


def _span(plan: Plan, fragment: Fragment) -> str:
    start, end = (plan.node_at(fragment.model, cut) or "" for cut in (fragment.start, fragment.end))
    return f"{plan.models[fragment.model].name}:{start}..{end}"


def _write(model: ModelProto, path: Path) -> None:
    path.write_bytes(model.SerializeToString(deterministic=True))


def _simplify(model: ModelProto, path: Path, images: Tensor) -> None:
    """Replace the file by onnxsim's version, if that is valid, computes the same and is not much larger."""
    import onnx
    import onnxsim

    want = load_onnx(path)(images)
    before = path.read_bytes()
    try:
        with _quiet():
            simpler, fine = onnxsim.simplify(model)
        onnx.checker.check_model(simpler)
        _strip(simpler)
        simpler.producer_name, simpler.producer_version = model.producer_name, model.producer_version
        for fact in model.metadata_props:
            simpler.metadata_props.add(key=fact.key, value=fact.value)
        _write(simpler, path)
        simplified = load_onnx(path)
        same = torch.allclose(simplified(images), want, rtol=0, atol=_SAME * float(want.abs().max()))
        other = simplified(images[:1]).shape[0] == 1
    except Exception:  # whatever goes wrong in an optimiser, the file from before is good
        fine = same = other = False
    if not (fine and same and other and path.stat().st_size <= _LARGEST * len(before)):
        path.write_bytes(before)


@contextmanager
def _attention_in_four_dimensions() -> Iterator[None]:
    """The exporter translates attention on [batch, heads, tokens, channels] alone: fold or add axes before."""
    attention = F.scaled_dot_product_attention

    def folded(
        query: Tensor, key: Tensor, value: Tensor, attn_mask: Tensor | None = None, *args: Any, **kwargs: Any
    ) -> Tensor:
        if query.dim() == 4:
            return attention(query, key, value, attn_mask, *args, **kwargs)
        lead = query.shape[:-3] if query.dim() > 4 else ()
        if attn_mask is not None and attn_mask.dim() > 2:
            attn_mask = _four(attn_mask.expand(*lead, *attn_mask.shape[-3:]) if lead else attn_mask)
        out = attention(_four(query), _four(key), _four(value), attn_mask, *args, **kwargs)
        return out.reshape(*query.shape[:-1], value.shape[-1])

    F.scaled_dot_product_attention = folded
    try:
        yield
    finally:
        F.scaled_dot_product_attention = attention


def _four(x: Tensor) -> Tensor:
    return x.flatten(0, -4) if x.dim() > 4 else x[(None,) * (4 - x.dim())]


@contextmanager
def _quiet() -> Iterator[None]:
    """The exporter prints, warns and logs as it goes; none of it is for our user."""
    disabled = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with warnings.catch_warnings(), redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(disabled)
