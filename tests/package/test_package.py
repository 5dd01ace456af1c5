"""The package as others get it: the wheel in an environment of its own, and C++ programs against every kind of install.

`make test-package` builds what is tested here.
"""

import os
import re
import subprocess
import textwrap
import zipfile
from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage
from scipy.io import wavfile
from sklearn.linear_model import Ridge

ROOT = Path(__file__).parents[2]
BUILD = ROOT / "build"
PYTHON = BUILD / "package" / "venv" / "bin" / "python"


def run(command, **options):
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "SKBUILD"))}
    result = subprocess.run(command, capture_output=True, text=True, check=False, env=environment, **options)
    return result.returncode, result.stdout + result.stderr


@pytest.fixture(scope="module")
def run_of_bold(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bold")
    bold = (1000 + 30 * np.random.default_rng(0).standard_normal((410, 50))).astype(np.float32)
    np.save(folder / "bold.npy", bold)
    expected = bold - ndimage.median_filter(bold, size=(161, 1), mode="reflect")
    return folder, expected


def test_the_wheel_works_outside_the_source_tree(run_of_bold):
    folder, expected = run_of_bold
    program = (
        "import numpy as np, brain2music as b2m\nb2m.show_versions()\nprint(b2m.__file__)\nnp.save('from-wheel.npy', "
        "b2m.signal.median_detrend(np.load('bold.npy')))\n"
    )
    status, printed = run([PYTHON, "-c", program], cwd=folder)
    assert status == 0, printed
    assert str(BUILD / "package" / "venv") in printed
    np.testing.assert_array_equal(np.load(folder / "from-wheel.npy"), expected)


def test_the_wheel_holds_kernels_stubs_and_headers():
    (wheel,) = (BUILD / "package").glob("*.whl")
    names = set(zipfile.ZipFile(wheel).namelist())
    for name in (
        "brain2music/py.typed",
        "brain2music/_core/__init__.pyi",
        "brain2music/_core/signal.pyi",
        "brain2music/bundles/shipped/acoustic/bundle.json",
        "brain2music/bundles/shipped/acoustic/music_embedder.pt",
        "brain2music/bundles/shipped/composer/acoustic.pt",
        "brain2music/bundles/schema.json",
        "brain2music/lib/libbrain2music.so",
        "brain2music/include/brain2music/retrieval/index.h",
        "brain2music/include/brain2music/signal/detrend.h",
        "brain2music/include/brain2music/version.h",
        "brain2music/share/cmake/brain2music/brain2musicConfig.cmake",
    ):
        assert name in names
    assert {name.split("/")[0].split("-")[0] for name in names} == {"brain2music"}
    status, printed = run([PYTHON, "-c", "from brain2music import _core; print(_core.cuda_architectures())"], cwd="/")
    assert status == 0, printed
    assert "90" in printed


def wheel_prefix():
    status, printed = run([PYTHON, "-c", "import brain2music; print(brain2music.cmake_prefix_path)"], cwd="/")
    assert status == 0, printed
    return Path(printed.strip())


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    """An index that the wheel wrote, queries, and what NumPy finds: lines of query, rank, cosine, id."""
    folder = tmp_path_factory.mktemp("library")
    rng = np.random.default_rng(0)
    items, queries = rng.standard_normal((500, 16)), rng.standard_normal((3, 4, 16))
    np.savez(folder / "arrays.npz", items=items)
    np.save(folder / "queries.npy", queries)
    program = (
        "import numpy as np, brain2music as b2m\n"
        "items = np.load('arrays.npz')['items']\n"
        "b2m.Corpus.from_embeddings(items, [f'track {i}' for i in range(500)]).save('x.index')\n"
    )
    status, printed = run([PYTHON, "-c", program], cwd=folder)
    assert status == 0, printed
    asked = queries.mean(axis=1)
    cosines = asked @ items.T / np.outer(np.linalg.norm(asked, axis=1), np.linalg.norm(items, axis=1))
    best = np.argsort(-cosines, axis=1)[:, :5]
    return folder, [(q, i + 1, cosines[q, row], f"track {row}") for q in range(3) for i, row in enumerate(best[q])]


#: Writes a bundle of random networks, a decoder of its embeddings, responses, and the music that Python makes of them.
MUSIC = """
import sys
sys.path.insert(0, sys.argv[1])
import numpy as np, brain2music as b2m, made_bundle
rng = np.random.default_rng(0)
bundle = made_bundle.write("bundle", window=2.0)
music = bundle.embed("music_embedder", (rng.uniform(-0.1, 0.1, (24, 1600)), 400), hop=1.0)
brain = rng.standard_normal((24, 8, 30)).astype(np.float32)
decoder = b2m.BrainDecoder(n_rois=1, tr=0.5, alphas=[1.0, 10.0, 100.0], device="cpu")
decoder.fit(brain, music, rois=np.repeat([1, 2], 15), groups=np.repeat([1, 2, 3], 8))
decoder.save("decoder.safetensors")
decoder.space_ = b2m.bundles.EmbeddingSpace("music_embedder", "e" * 64, 1.0, 1.0)
decoder.save("another_space.safetensors")
decoder.space_ = music.space
np.save("responses.npy", brain[:2])
predicted = decoder.predict_embeddings(brain[:2], ["a", "b"])
np.save("waveform.npy", b2m.MusicGenerator(bundle, device="cpu").generate(predicted, seconds=3).waveform)
"""


@pytest.fixture(scope="module")
def music(tmp_path_factory):
    folder = tmp_path_factory.mktemp("music")
    status, printed = run([PYTHON, "-W", "ignore", "-c", MUSIC, ROOT / "tests" / "python"], cwd=folder)
    assert status == 0, printed
    return folder


#: Writes features of music, responses that follow them in half of the voxels, and what Python's encoder says of them.
ENCODING = """
import numpy as np, brain2music as b2m
rng = np.random.default_rng(0)
x = rng.standard_normal((55, 1, 6)) + 0.5 * rng.standard_normal((55, 4, 6))
y = rng.standard_normal((55, 1, 40)) + rng.standard_normal((55, 4, 40))
y[..., :20] += x @ rng.standard_normal((6, 20))
x, y = x.astype(np.float32), y.astype(np.float32)
arrays = {"train_x": x[:35], "train_y": y[:35], "runs": np.repeat(np.arange(7), 5), "test_x": x[35:], "test_y": y[35:]}
# The orders that random_state=0 draws.
arrays["orders"] = np.random.default_rng(0).permuted(np.tile(np.arange(20), (1000, 1)), axis=1)
arrays["flat"] = x[:35, 0]
for name, array in arrays.items():
    np.save(f"{name}.npy", array)
encoder = b2m.VoxelwiseEncoder(device="cpu").fit(arrays["train_x"], arrays["train_y"], groups=arrays["runs"])
tested = encoder.significance(arrays["test_x"], arrays["test_y"], permutations=1000, random_state=0)
expected = {"coef": encoder.coef_, "scores": tested.score, "p": tested.p, "p-max": tested.p_max}
np.savez("expected.npz", **expected)
"""


@pytest.fixture(scope="module")
def encoding(tmp_path_factory):
    folder = tmp_path_factory.mktemp("encoding")
    status, printed = run([PYTHON, "-W", "ignore", "-c", ENCODING], cwd=folder)
    assert status == 0, printed
    return folder


@pytest.mark.parametrize("install", ["wheel", "prefix", "prefix without CUDA"])
def test_cpp_programs_build_and_run_against(install, run_of_bold, library, music, encoding, tmp_path):
    folder, expected = run_of_bold
    prefix = {
        "wheel": wheel_prefix,
        "prefix": lambda: BUILD / "release" / "prefix",
        "prefix without CUDA": lambda: BUILD / "cpu" / "prefix",
    }[install]()
    status, printed = run(
        ["cmake", "-G", "Ninja", "-S", ROOT / "examples/cpp", "-B", tmp_path, f"-DCMAKE_PREFIX_PATH={prefix}"]
    )
    assert status == 0, printed
    status, printed = run(["cmake", "--build", tmp_path])
    assert status == 0, printed
    status, printed = run([tmp_path / "detrend", folder / "bold.npy", tmp_path / "out.npy", "1.5"])
    assert status == 0, printed
    np.testing.assert_array_equal(np.load(tmp_path / "out.npy"), expected)
    rng = np.random.default_rng(1)
    x = rng.standard_normal((100, 8))
    y = x @ rng.standard_normal((8, 3)) + rng.standard_normal((100, 3))
    np.save(tmp_path / "x.npy", x)
    np.save(tmp_path / "y.npy", y)
    status, printed = run([tmp_path / "ridge", tmp_path / "x.npy", tmp_path / "y.npy", tmp_path / "model"])
    assert status == 0, printed
    coef, alphas = (np.load(tmp_path / f"model-{name}.npy") for name in ("coef", "alphas"))
    np.testing.assert_allclose(coef, Ridge(alpha=alphas).fit(x, y).coef_.T, rtol=1e-9)
    tutorial_prints_what_it_says(tmp_path / "ridge", tmp_path)
    status, printed = run([tmp_path / "detrend", folder / "none.npy", tmp_path / "out.npy"])
    assert status == 1
    assert "[io.load_npy]" in printed
    folder, nearest = library
    status, printed = run([tmp_path / "search", folder / "x.index", folder / "queries.npy", "5"])
    assert status == 0, printed
    lines = [line.split("\t") for line in printed.splitlines()]
    assert lines[0] == ["query", "rank", "cosine", "id"]
    assert [(int(query), int(rank), name) for query, rank, _, name in lines[1:]] == [
        (query, rank, name) for query, rank, _, name in nearest
    ]
    np.testing.assert_allclose(
        [float(line[2]) for line in lines[1:]], [cosine for _, _, cosine, _ in nearest], atol=1e-5
    )
    status, printed = run([tmp_path / "search", folder, folder / "queries.npy"])
    assert status == 1
    assert "[retrieval.Index.open]" in printed
    cpp_makes_the_music_of_python(tmp_path / "generate", music, tmp_path)
    cpp_finds_the_voxels_of_python(tmp_path / "encode", encoding, tmp_path)


def cpp_makes_the_music_of_python(program, folder, out):
    files = [folder / "bundle", folder / "decoder.safetensors", folder / "responses.npy"]
    status, printed = run([program, *files, out / "music.wav", "3"])
    assert status == 0, printed
    for clip, expected in enumerate(np.load(folder / "waveform.npy")[:, 0]):
        rate, sound = wavfile.read(out / f"music_{clip}.wav")
        assert rate == 400
        np.testing.assert_allclose(sound / 32768, expected[0], atol=2 / 32768)
    files[1] = folder / "another_space.safetensors"
    status, printed = run([program, *files, out / "refused.wav"])
    assert status == 1
    assert "embeddings must be of the space that the bundle 'Random' makes music from" in printed
    assert not list(out.glob("refused*"))


def cpp_finds_the_voxels_of_python(program, folder, out):
    files = [folder / f"{name}.npy" for name in ("train_x", "train_y", "runs", "test_x", "test_y")]
    expected = np.load(folder / "expected.npz")
    assert (expected["p-max"] <= 0.05).sum() in range(10, 25)
    status, printed = run([program, *files, out / "given", folder / "orders.npy"])
    assert status == 0, printed
    for name in ("coef", "scores", "p", "p-max"):
        found = np.load(out / f"given-{name}.npy")
        assert found.dtype == expected[name].dtype
        np.testing.assert_allclose(found, expected[name], rtol=1e-5, atol=1e-7)
    few, fewer = ((expected[name] <= 0.05).sum() for name in ("p", "p-max"))
    assert printed == (
        f"40 voxels tested on 20 clips with 1000 orders: P of 0.05 or less in {few}, in {fewer} by the largest score\n"
    )
    status, printed = run([program, *files, out / "drawn"])
    assert status == 0, printed
    np.testing.assert_allclose(np.load(out / "drawn-scores.npy"), expected["scores"], rtol=1e-5, atol=1e-7)
    # Four standard errors of the difference of two shares of 1000 orders.
    np.testing.assert_allclose(np.load(out / "drawn-p.npy"), expected["p"], atol=4 * np.sqrt(0.5 / 1000))
    for place, wrong, message in (
        (0, "flat", "must hold (clips, windows, columns); got 2 dimensions"),
        (1, "test_y", "features and responses must have equal clips and windows"),
        (2, "flat", "must hold a whole number for each of 35 clips"),
        (3, "train_x", "[encoding.permutation_test] features must be (20, 4, features); got shape [35, 4, 6]"),
        (4, "none", "[io.load_npy]"),
        (6, "runs", "[encoding.permutation_test] permutations must be (permutations, clips), one or more"),
    ):
        arguments = [*files, out / "refused", folder / "orders.npy"]
        arguments[place] = folder / f"{wrong}.npy"
        status, printed = run([program, *arguments])
        assert status == 1
        assert message in printed
        assert printed.count("\n") == 1
    assert not list(out.glob("refused*"))


def tutorial_prints_what_it_says(program, folder):
    """Run the commands of the tutorial's result, and compare what they print with what the page says."""
    page = (ROOT / "docs/tutorials/cpp.rst").read_text()
    script = textwrap.dedent(re.search(r"(?s)python - <<'END'\n(.*?)   END\n", page)[1])
    status, printed = run([PYTHON, "-c", script], cwd=folder)
    assert status == 0, printed
    status, printed = run([program, "X.npy", "Y.npy", "model"], cwd=folder)
    assert status == 0, printed
    assert f"   {printed.strip()}\n" in page
    error = np.abs(np.load(folder / "model-coef.npy") - np.load(folder / "W.npy")).max()
    assert f"The last number is small, {error:.2f}," in page


def configure(tmp_path, *arguments):
    return run(["cmake", "-G", "Ninja", "-S", ROOT, "-B", tmp_path / "build", *arguments])


def test_another_torch_is_refused_in_one_sentence(tmp_path):
    torch = tmp_path / "torch"
    (torch / "include/ATen").mkdir(parents=True)
    (torch / "include/ATen/ATen.h").touch()
    (torch / "include/torch/headeronly").mkdir(parents=True)
    (torch / "include/torch/headeronly/version.h").write_text(
        "#define TORCH_VERSION_MAJOR 2\n#define TORCH_VERSION_MINOR 9\n#define TORCH_VERSION_PATCH 1\n"
    )
    status, printed = configure(tmp_path, f"-DB2M_TORCH_ROOT={torch}", "-DB2M_TESTS=OFF")
    assert status != 0
    assert "needs torch 2.11.*; got torch 2.9.1" in " ".join(printed.split())


def test_missing_torch_catch2_and_json_are_named(tmp_path):
    status, printed = configure(tmp_path, "-DB2M_TORCH_ROOT=/nowhere", "-DB2M_TESTS=OFF")
    assert status != 0
    assert "needs LibTorch 2.11; got '/nowhere'" in " ".join(printed.split())
    status, printed = configure(tmp_path, "-DCMAKE_DISABLE_FIND_PACKAGE_Catch2=ON", "-DB2M_TESTS=ON")
    assert status != 0
    assert "apt install catch2" in " ".join(printed.split())
    hidden = "-DCMAKE_IGNORE_PATH=/usr/include;/usr/local/include"
    status, printed = configure(tmp_path / "json", hidden, "-DB2M_TESTS=OFF", "-DB2M_CUDA=OFF")
    assert status != 0
    assert "needs the header nlohmann/json.hpp: 'apt install nlohmann-json3-dev'" in " ".join(printed.split())


def test_cuda_that_cannot_be_had_is_an_error_when_asked_for_and_a_remark_otherwise(tmp_path):
    without = ["-DB2M_TESTS=OFF", "-DCMAKE_CUDA_COMPILER=/bin/false"]
    status, printed = configure(tmp_path, *without, "-DB2M_CUDA=ON")
    assert status != 0
    assert "asked for CUDA kernels (B2M_CUDA=ON), but there is no working nvcc" in " ".join(printed.split())
    status, printed = configure(tmp_path, *without, "-DB2M_CUDA=AUTO")
    assert status == 0, printed
    assert "CPU build without CUDA kernels, since there is no working nvcc" in printed
    status, printed = configure(tmp_path, "-DB2M_TESTS=OFF", "-DB2M_CUDA=OFF")
    assert status == 0, printed
    assert "CPU build without CUDA kernels, since B2M_CUDA=OFF" in printed
    status, printed = configure(tmp_path, "-DB2M_TESTS=OFF", "-DB2M_CUDA=yes")
    assert status != 0
    assert "B2M_CUDA must be AUTO, ON or OFF; got 'yes'" in " ".join(printed.split())


def test_an_old_compiler_is_refused(tmp_path):
    status, printed = run(
        [
            "cmake",
            "-DCMAKE_CXX_COMPILER_ID=GNU",
            "-DCMAKE_CXX_COMPILER_VERSION=10.2",
            "-P",
            ROOT / "cmake/Requirements.cmake",
        ],
        cwd=tmp_path,
    )
    assert status != 0
    assert "needs g++ 11 or newer (C++20); got 10.2" in " ".join(printed.split())


def test_cpp_programs_get_cuda_from_the_library_itself(tmp_path):
    """A C++ program imports no torch: what the library does not name, nobody loads."""
    (wheel,) = (BUILD / "package").glob("*.whl")
    inside = zipfile.ZipFile(wheel).extract("brain2music/lib/libbrain2music.so", tmp_path)
    for library in (inside, BUILD / "release" / "libbrain2music" / "libbrain2music.so"):
        status, printed = run(["readelf", "--dynamic", library])
        assert status == 0, printed
        assert "libtorch_cuda.so" in printed


def test_every_cuda_source_is_in_the_build():
    """Each .cu and *_cuda.cpp of the tree is compiled in the CUDA build."""
    compiled = (BUILD / "release" / "compile_commands.json").read_text()
    sources = [*ROOT.glob("libbrain2music/**/*.cu"), *ROOT.glob("libbrain2music/**/*_cuda.cpp")]
    assert sources
    for source in sources:
        assert str(source) in compiled, source.name
