"""Steps of llama.cpp on a random model of Llama's shapes, for an interpreter that has llama-cpp-python and gguf.

``python llama_cpp_steps.py LAYERS DIMENSION HEADS FEED_FORWARD VOCABULARY BATCH STEPS TYPE`` says "ready". For each
line on its input it then draws STEPS tokens greedily for BATCH sequences side by side and says "done".
"""

import os
import sys
import tempfile
from pathlib import Path

import gguf
import llama_cpp
import numpy as np

TYPES = {
    "f32": (gguf.GGMLQuantizationType.F32, gguf.LlamaFileType.ALL_F32),
    "f16": (gguf.GGMLQuantizationType.F16, gguf.LlamaFileType.MOSTLY_F16),
    "bf16": (gguf.GGMLQuantizationType.BF16, gguf.LlamaFileType.MOSTLY_BF16),
    "q8_0": (gguf.GGMLQuantizationType.Q8_0, gguf.LlamaFileType.MOSTLY_Q8_0),
}


def write(path: str, layers: int, d: int, heads: int, hidden: int, vocabulary: int, kind: str) -> None:
    quantization, number = TYPES[kind]
    rng = np.random.default_rng(0)
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_block_count(layers)
    writer.add_context_length(4096)
    writer.add_embedding_length(d)
    writer.add_feed_forward_length(hidden)
    writer.add_head_count(heads)
    writer.add_head_count_kv(heads)
    writer.add_layer_norm_rms_eps(1e-6)
    writer.add_rope_dimension_count(d // heads)
    writer.add_vocab_size(vocabulary)
    writer.add_tokenizer_model("llama")
    writer.add_token_list([f"t{i}".encode() for i in range(vocabulary)])
    writer.add_token_scores([0.0] * vocabulary)
    writer.add_token_types([1] * vocabulary)
    writer.add_file_type(number)

    def matrix(name: str, rows: int, columns: int) -> None:
        weights = rng.standard_normal((rows, columns), dtype=np.float32) * 0.05
        writer.add_tensor(name, gguf.quants.quantize(weights, quantization), raw_dtype=quantization)

    matrix("token_embd.weight", vocabulary, d)
    matrix("output.weight", vocabulary, d)
    writer.add_tensor("output_norm.weight", np.ones(d, np.float32))
    for layer in range(layers):
        for norm in ("attn_norm", "ffn_norm"):
            writer.add_tensor(f"blk.{layer}.{norm}.weight", np.ones(d, np.float32))
        for name in ("attn_q", "attn_k", "attn_v", "attn_output"):
            matrix(f"blk.{layer}.{name}.weight", d, d)
        for name in ("ffn_gate", "ffn_up"):
            matrix(f"blk.{layer}.{name}.weight", hidden, d)
        matrix(f"blk.{layer}.ffn_down.weight", d, hidden)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def main() -> None:
    layers, d, heads, hidden, vocabulary, rows, steps = map(int, sys.argv[1:8])
    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder) / "random.gguf")
        write(path, layers, d, heads, hidden, vocabulary, sys.argv[8])
        silent = llama_cpp.llama_log_callback(lambda *_: None)  # a name keeps it alive
        llama_cpp.llama_log_set(silent, None)
        llama_cpp.llama_backend_init()
        model = llama_cpp.llama_model_load_from_file(path.encode(), llama_cpp.llama_model_default_params())
    options = llama_cpp.llama_context_default_params()
    options.n_ctx, options.n_seq_max, options.n_batch = rows * (steps + 8), rows, max(rows, 32)
    options.n_threads = options.n_threads_batch = os.cpu_count()
    context = llama_cpp.llama_init_from_model(model, options)
    batch = llama_cpp.llama_batch_init(rows, 0, 1)
    batch.n_tokens = rows
    print("ready", flush=True)
    for _ in sys.stdin:
        llama_cpp.llama_memory_clear(llama_cpp.llama_get_memory(context), True)
        tokens = [vocabulary - 1] * rows
        for position in range(steps):
            for row, token in enumerate(tokens):
                batch.token[row], batch.pos[row], batch.logits[row] = token, position, 1
                batch.n_seq_id[row], batch.seq_id[row][0] = 1, row
            if llama_cpp.llama_decode(context, batch):
                raise RuntimeError(f"llama.cpp refuses {rows} rows at position {position}")
            logits = (llama_cpp.llama_get_logits_ith(context, row) for row in range(rows))
            tokens = [int(np.ctypeslib.as_array(row, (vocabulary,))[:-1].argmax()) for row in logits]
        print("done", flush=True)


if __name__ == "__main__":
    main()
