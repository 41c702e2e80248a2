"""Exported models: the same logits, the same texts, without torch."""

import json
import subprocess
import sys

import numpy as np
import onnx
import pytest
import torch

import zoo
from zoo.errors import ExportError, FormatError
from zoo.onnx.bundle import read_bundle
from zoo.onnx.export import write_export
from zoo_multitoken.config import ModelConfig
from zoo_multitoken.decoding import Options, Plan, decode
from zoo_multitoken.export import DTYPES, export_model
from zoo_multitoken.graph import EXPORTABLE_HEADS, cache_names, step_graph
from zoo_multitoken.model import MultiTokenModel
from zoo_multitoken.onnx_backend import OnnxBackend
from zoo_multitoken.runtime import TOKENIZER_FILE, MultiTokenRunner
from zoo_multitoken.tokens import ByteTokenizer
from zoo_multitoken.torch_backend import TorchBackend

VOCAB = 257


def random_model(head="linear", *, spread=0.15, **shape):
    """Weights large enough that the next tokens depend on what came before."""
    shape = {"d_model": 32, "n_layers": 6, "d_ff": 64, "d_head": 32, "context": 256, **shape}
    shape = {"attention_heads": 2, "kv_heads": 1, **shape}
    config = ModelConfig(head=head, **shape)
    model = MultiTokenModel(config).eval()
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim > 1:
                parameter.normal_(0.0, spread, generator=generator)
            else:
                parameter.uniform_(0.5, 1.5, generator=generator)
    return model


def exported(model, **options):
    done = export_model(model, **options)
    return OnnxBackend(
        done.graphs["model"],
        model.config,
        positions=done.metadata["positions"],
        device="cpu",
        threads=1,
    )


def bundle_of(model, folder, *, verify=True, **options):
    done = export_model(model, **options)
    done.files[TOKENIZER_FILE] = json.dumps(ByteTokenizer().to_json()).encode()
    named = {"model": "multitoken", "task": "generation", "runner": "multitoken"}
    write_export(done, folder, distribution="zoo-multitoken", version="0", verify=verify, **named)
    return folder


def ragged(rows):
    draw = np.random.default_rng(rows)
    return [draw.integers(VOCAB, size=1 + 5 * row) for row in range(rows)]


def texts_of(backend, prompts, **options):
    done = decode(backend, prompts, Options(**{"max_new_tokens": 40, **options})).run()
    return [row.tokens for row in done.rows], done.statistics


@pytest.mark.parametrize("head", ["linear", "parallel"])
@pytest.mark.parametrize("rows", [1, 3, 8])
def test__logits__lengths_to_1024__differ_by_at_most_1e_4(head, rows):
    model = random_model(head, context=1024, n_layers=3, n_heads=3)
    backend = exported(model)
    longest = np.array([1024, 1, 2, 17, 64, 513, 1000, 1023])[:rows]
    draw = np.random.default_rng(0)
    texts = [draw.integers(VOCAB, size=length) for length in longest]
    # All but the last five tokens as a prompt, then the rest as a block.
    prompts = [text[: max(1, len(text) - 5)] for text in texts]
    plan = Plan(capacity=1024, block=5, heads=True, drawn=True)
    first = backend.prefill(prompts, plan).logits().copy()
    rest = [text[len(prompt) :] for text, prompt in zip(texts, prompts, strict=True)]
    block = np.zeros((rows, 5), dtype=np.int64)
    for row, tokens in enumerate(rest):
        block[row, : len(tokens)] = tokens
    forward = backend.step(block, [len(tokens) for tokens in rest])
    logits = forward.logits()
    at = [max(0, len(tokens) - 1) for tokens in rest]
    heads = forward.heads(at)
    drafts = [heads.logits(np.zeros(rows, dtype=np.int64)) for _ in range(2)]
    for row, text in enumerate(texts):
        with torch.inference_mode():
            wanted = model(torch.from_numpy(text)[None])[0].numpy()
        count, start = len(rest[row]), len(prompts[row])
        np.testing.assert_allclose(first[row, 0], wanted[start - 1, 0], rtol=0, atol=1e-4)
        np.testing.assert_allclose(logits[row, :count], wanted[start:, 0], rtol=0, atol=1e-4)
        if count:
            for head_number, draft in enumerate(drafts, start=1):
                np.testing.assert_allclose(draft[row], wanted[-1, head_number], rtol=0, atol=1e-4)


@pytest.mark.parametrize("rows", [1, 8])
@pytest.mark.parametrize("head", EXPORTABLE_HEADS)
def test__greedy__every_draft__equals_plain_decoding_in_torch(head, rows):
    model = random_model(head)
    backend, prompts = exported(model), ragged(rows)
    wanted, _ = texts_of(TorchBackend(model), prompts, strategy="autoregressive")
    assert texts_of(backend, prompts, strategy="autoregressive")[0] == wanted
    for draft in ("heads", "hybrid", "lookup"):
        tokens, statistics = texts_of(backend, prompts, draft=draft, n_draft=3)
        assert tokens == wanted
        if draft == "heads":
            torch_tokens, same = texts_of(TorchBackend(model), prompts, draft=draft, n_draft=3)
            assert torch_tokens == wanted
            assert statistics.proposed == same.proposed
            assert statistics.accepted == same.accepted


@pytest.mark.parametrize("head", EXPORTABLE_HEADS)
@pytest.mark.parametrize("rows", [1, 4])
def test__sampling__seed__gives_the_texts_of_torch(head, rows):
    model = random_model(head)
    given = {"temperature": 0.8, "top_p": 0.9, "draft": "heads", "n_draft": 3, "seed": 2}
    given["end_tokens"] = frozenset(range(4))
    mine, statistics = texts_of(exported(model), ragged(rows), **given)
    wanted, same = texts_of(TorchBackend(model), ragged(rows), **given)
    assert mine == wanted
    assert statistics.accepted == same.accepted
    assert rows == 1 or sum(same.accepted["heads"])


@pytest.mark.parametrize("dtype", ["float32", "int8"])
@pytest.mark.parametrize("rows", [1, 4])
def test__strict__any_precision__equals_plain_decoding(dtype, rows):
    backend = exported(random_model("causal"), dtype=dtype)
    given = {"lossless": "strict", "draft": "hybrid", "n_draft": 4}
    wanted, _ = texts_of(backend, ragged(rows), strategy="autoregressive", **given)
    assert texts_of(backend, ragged(rows), **given)[0] == wanted


@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("head", EXPORTABLE_HEADS)
def test__export__every_precision__is_verified_and_generates(tmp_path, head, dtype, tied):
    model = random_model(head, tied=tied, n_layers=5)
    folder = bundle_of(model, tmp_path / "out", dtype=dtype)
    graph = onnx.load(folder / "model.onnx")
    assert {opset.domain for opset in graph.opset_import} == {""}
    runner = MultiTokenRunner(read_bundle(folder), device="cpu")
    assert repr(runner).startswith(f"MultiTokenRunner('multitoken', head='{head}'")
    one = runner.generate("def f(", max_new_tokens=12)
    both, statistics = runner.generate(["def f(", "x"], max_new_tokens=12, return_statistics=True)
    assert isinstance(one, str)
    assert len(both) == 2
    assert statistics.rows == 2
    if dtype == "float32":
        given = {"max_new_tokens": 12, "end_tokens": frozenset([256])}
        tokens = texts_of(TorchBackend(model), [list(b"def f(")], **given)[0][0]
        assert one == ByteTokenizer().decode(tokens)
        assert "".join(b.text for b in runner.stream("def f(", max_new_tokens=12)) == one
    weight = sum(value.numel() for value in model.parameters())
    size = (folder / "model.onnx").stat().st_size
    tables = 2 * (256 + 64) * 8 * 4
    assert size < {"float32": 4, "float16": 2, "int8": 2.2}[dtype] * weight + tables + 60_000


def test__export__weights_that_differ__is_refused(tmp_path):
    model = random_model()
    done = export_model(model)
    with torch.no_grad():
        model.heads[1].change.weight[0, 0] += 1.0
    done.graphs = export_model(model).graphs
    with pytest.raises(zoo.errors.VerificationError, match="'head_logits' differs by"):
        write_export(done, tmp_path / "out", model="x", task="y", distribution="z", version="0")
    assert not (tmp_path / "out").exists()


def test__export__int8__keeps_bits_per_byte_within_three_percent():
    """On a text that the model has learned, where there is something to lose."""
    model = random_model("linear", n_layers=2, spread=0.05)
    text = torch.tensor(list(b"one, two, three, four; one, two, four, three; " * 8))
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    for _ in range(60):
        logits = model(text[None, :128])[0, :, 0]
        loss = torch.nn.functional.cross_entropy(logits[:-1], text[1:128])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    model.eval()
    found = {}
    for dtype in DTYPES:
        backend = exported(model, dtype=dtype)
        tokens = text[128:256].numpy()[None]
        plan = Plan(capacity=160, block=128, heads=False, drawn=True)
        backend.prefill([tokens[0, :1]], plan)
        logits = backend.step(tokens[:, 1:], [127]).logits()[0, :-1].astype(np.float64)
        logits -= logits.max(-1, keepdims=True)
        chance = logits[np.arange(126), tokens[0, 2:]] - np.log(np.exp(logits).sum(-1))
        found[dtype] = -chance.mean() / np.log(2)
    assert 0.001 < found["float32"] < 2.0
    assert found["int8"] == pytest.approx(found["float32"], rel=0.03)
    assert found["float16"] == pytest.approx(found["float32"], rel=0.03)


def test__cache__rows_that_end_early__are_dropped_without_harm():
    model = random_model("parallel")
    given = {"end_tokens": frozenset(range(64)), "draft": "heads", "max_new_tokens": 60}
    prompts = ragged(6)
    wanted, _ = texts_of(TorchBackend(model), prompts, strategy="autoregressive", **given)
    backend = exported(model)
    tokens, _ = texts_of(backend, prompts, **given)
    assert tokens == wanted
    assert len({len(row) for row in tokens}) > 2
    assert backend._buffers.rows < 6
    again, _ = texts_of(backend, prompts, **given)
    assert again == wanted


@pytest.mark.parametrize("rows", [1, 2])
def test__cache__is_written_in_place(rows):
    backend = exported(random_model())
    plan = Plan(capacity=16, block=2, heads=False)
    backend.prefill([[1, 2, 3]] * rows, plan)
    arrays = {name: array.copy() for name, array in backend._buffers._arrays.items()}
    backend.step(np.full((rows, 2), 7), [2] * rows)
    for name, array in backend._buffers._arrays.items():
        np.testing.assert_array_equal(array[:, :, :3], arrays[name][:, :, :3])
        assert np.abs(array[:, :, 3:5]).min() > 0
        assert not array[:, :, 5:].any()


def test__runner__where_torch_cannot_be_imported__generates(tmp_path):
    folder = bundle_of(random_model("causal"), tmp_path / "out")
    wanted = MultiTokenRunner(read_bundle(folder)).generate(["a", "bc"], max_new_tokens=9)
    script = (
        "import sys\n"
        "for name in ('torch', 'sklearn', 'transformers'): sys.modules[name] = None\n"
        "from zoo.onnx.bundle import read_bundle\n"
        "from zoo_multitoken.runtime import MultiTokenRunner\n"
        "runner = MultiTokenRunner(read_bundle(sys.argv[1]))\n"
        "print(ascii(runner.generate(['a', 'bc'], max_new_tokens=9)))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(folder)], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.strip() == ascii(wanted)


def test__export__modules_of_deepseek__are_refused():
    with pytest.raises(ExportError, match=r"heads of an exported model must be .*'sequential'"):
        export_model(random_model("sequential"))


def test__export__unknown_precision__is_refused():
    with pytest.raises(ExportError, match=r"dtype of an exported model must be .*'int4'"):
        export_model(random_model(), dtype="int4")


def test__export__weight_beyond_half_precision__is_refused():
    model = random_model()
    with torch.no_grad():
        model.embedding.weight[0, 0] = 1e6
    with pytest.raises(ExportError, match=r"at most 65504. Got 1e\+06 in 'embedding.weight'"):
        export_model(model, dtype="float16")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"config": None}, "must hold a multi-token model"),
        ({"positions": 3}, "positions in the metadata .* at least the model's context"),
        ({"positions": "many"}, "positions in the metadata .* at least the model's context"),
    ],
    ids=str,
)
def test__runner__metadata_of_something_else__one_sentence(tmp_path, change, message):
    folder = bundle_of(random_model(), tmp_path / "out", verify=False)
    manifest = json.loads((folder / "zoo.json").read_text())
    manifest["metadata"] |= change
    (folder / "zoo.json").write_text(json.dumps(manifest))
    with pytest.raises(FormatError, match=message):
        MultiTokenRunner(read_bundle(folder))


def test__fused__head_width_that_it_cannot_do__falls_back_to_the_standard_graph():
    model = random_model(attention_heads=4, kv_heads=2)
    backend = exported(model)
    wanted, _ = texts_of(TorchBackend(model), ragged(1), strategy="autoregressive")
    assert texts_of(backend, ragged(1))[0] == wanted
    assert list(backend._sessions) == ["standard"]


@pytest.mark.parametrize("head", EXPORTABLE_HEADS)
def test__graph__one_head__has_no_drafts(head):
    model = random_model(head, n_heads=1)
    weights = {name: value.numpy() for name, value in model.state_dict().items()}
    weights = {n: v.T if v.ndim == 2 and n != "embedding.weight" else v for n, v in weights.items()}
    graph = step_graph(model.config, weights, positions=64).graph
    assert [output.name for output in graph.output][-3:] == ["logits", "best", "accepted"]
    assert len(cache_names(model.config)) == 12
    export_model(model)
    tokens, _ = texts_of(exported(model), ragged(2), draft="hybrid")
    assert tokens == texts_of(TorchBackend(model), ragged(2), strategy="autoregressive")[0]
