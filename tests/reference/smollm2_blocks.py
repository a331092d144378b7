"""Records blocks of quantised weights as the `gguf` package dequantises them.

kernel/models/tests/gguf.rs compares bit by bit: random bytes with finite scales, and the first blocks of one row of
two tensors of SmolLM2. Writes tests/fixtures/smollm2_blocks.json, where floats are given by their bits.

    python3 -m venv venv
    venv/bin/pip install gguf==0.19.0
    venv/bin/python tests/reference/smollm2_blocks.py PATH/SmolLM2-135M-Instruct.Q4_1.gguf
"""

import json
import pathlib
import sys
from importlib.metadata import version

import gguf
import numpy

BLOCKS = 8
# Encodings, and the half-precision numbers (scale, minimum) at the start of each block.
SCALES = {"Q4_1": 2, "Q8_0": 1, "F16": 0, "BF16": 0, "F32": 0}


def main(path: pathlib.Path) -> None:
    random = numpy.random.default_rng(1)
    cases = [random_case(random, name, scales) for name, scales in SCALES.items()]
    reader = gguf.GGUFReader(path)
    tensors = {tensor.name: tensor for tensor in reader.tensors}
    rows = [
        tensor_case(tensors[name]) for name in ("token_embd.weight", "blk.7.ffn_down.weight")
    ]
    record = {"versions": {"gguf": version("gguf")}, "random": cases, "smollm2": rows}
    output = pathlib.Path(__file__).parent.parent / "fixtures" / "smollm2_blocks.json"
    output.write_text(json.dumps(record, separators=(",", ":")) + "\n")


def random_case(random, name, scales):
    kind = gguf.GGMLQuantizationType[name]
    size = gguf.GGML_QUANT_SIZES[kind][1]
    if scales:
        data = random.integers(0, 256, (BLOCKS, size), dtype=numpy.uint8)
        halves = random.normal(0, 0.1, (BLOCKS, scales)).astype(numpy.float16)
        data[:, : 2 * scales] = halves.view(numpy.uint8)
    else:
        weights = random.normal(0, 1, (1, 32)).astype(numpy.float32)
        data = gguf.quants.quantize(weights, kind).view(numpy.uint8)
    typed = data.view({"F16": numpy.float16, "F32": numpy.float32}.get(name, numpy.uint8))
    return {"encoding": name, "bytes": data.tobytes().hex(), "bits": bits(typed, kind)}


def tensor_case(tensor):
    return {"tensor": tensor.name, "row": 3, "bits": bits(tensor.data[3:4], tensor.tensor_type)}


def bits(data, kind):
    return gguf.quants.dequantize(data, kind).astype(numpy.float32).view(numpy.uint32).flatten()[
        : 32 * BLOCKS
    ].tolist()


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]))
