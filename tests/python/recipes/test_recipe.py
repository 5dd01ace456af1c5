"""The recipe that trains a bundle: its music, its loop, its networks, and a tiny bundle from end to end."""

import json
from functools import partial

import numpy as np
import pytest
import torch

pytest.importorskip("pretty_midi")
pytest.importorskip("fluidsynth")
librosa = pytest.importorskip("librosa")

import brain2music as b2m  # noqa: E402
from brain2music import _core  # noqa: E402
from brain2music.recipes import composed, excerpts, spectra, training  # noqa: E402
from brain2music.recipes.codec import CodecNetwork  # noqa: E402
from brain2music.recipes.language import AcousticLanguage, SemanticLanguage, bigram_losses  # noqa: E402
from brain2music.recipes.quantizer import ResidualQuantizer  # noqa: E402
from brain2music.recipes.semantic import SemanticEncoder  # noqa: E402
from brain2music.recipes.towers import MusicTower, TextTower, words  # noqa: E402
from brain2music.simulation import music  # noqa: E402

# ---- music --------------------------------------------------------------------------------------------------------


def test_no_study_can_hold_a_track_of_the_stream():
    # Every track of `simulate` is composed from music.track_seed, whatever its seed: a number of 32 bits.
    largest = max(music.track_seed(seed, genre, 10**6) for seed in (0, 2**31, 2**63) for genre in music.GENRES)
    assert largest < composed.FIRST_SEED == 2**32
    seeds = {composed.stream_seed(stream, number) for stream in (0, 1, 2**20 - 1) for number in (0, 1, 2**20 - 1)}
    assert len(seeds) == 9
    assert min(seeds) >= composed.FIRST_SEED
    with pytest.raises(ValueError, match=r"\[recipes.stream_seed\] stream and number must be from 0"):
        composed.stream_seed(0, 2**20)


@pytest.fixture(scope="module")
def one():
    return composed.composed_excerpt(7, 3)


def test_an_excerpt_tells_what_is_true_of_its_spans(one):
    about, sound = one
    genre = music.GENRES[3]
    score = music.compose(genre, composed.stream_seed(7, 3), 30.0)
    assert about.genre == genre
    assert sound.shape == (480_000,)
    expected = librosa.resample(music.render(score), orig_sr=music.RATE, target_sr=16_000, res_type="soxr_hq")
    assert np.corrcoef(sound, expected[: len(sound)])[0, 1] > 0.9999
    assert len({text for _, _, text in about.captions}) == 8
    for start, stop, tags in about.tags:
        truth = music.truth(score, start, stop)
        assert tags[0] == truth.genre
        assert ("drums" in tags) == ("drums" in dict(truth.instruments))


def test_excerpts_are_written_once_and_read_back(tmp_path, one):
    made = []

    def make(index):
        made.append(index)
        return one

    write = partial(excerpts.write_excerpts, tmp_path, make=make, identity="one", processes=1, progress=False)
    some = write(count=60)
    assert made == list(range(60))
    assert len(some) == 60
    assert some[59] == one[0]
    np.testing.assert_allclose(some.sound(59, 2.0, 1.5), one[1][32_000:56_000], atol=2**-15)
    (tmp_path / "excerpts-000050.json").unlink()  # as if it had been stopped before the list of the second block
    write(count=60)
    assert made[60:] == list(range(50, 60))
    with pytest.raises(ValueError, match=r"\[recipes.write_excerpts\] a folder holds excerpts of one kind; got 'one'"):
        excerpts.write_excerpts(tmp_path, 60, make, "another", 1, False)


# ---- spectra and quantiser ----------------------------------------------------------------------------------------


def test_spectra_are_those_of_librosa_and_come_back_as_sound():
    sound = np.random.default_rng(0).standard_normal(16_000).astype(np.float32)
    made = spectra.Spectrum(1280, 320)(torch.from_numpy(sound)[None])[0].numpy()
    # librosa centres frame f on f * hop of what it is given: here on (f + 1/2) * hop.
    padded = np.pad(sound, 480)
    expected = librosa.stft(padded, n_fft=1280, hop_length=320, center=False).T
    assert made.shape == expected.shape == (50, 641)
    np.testing.assert_allclose(made, expected, atol=1e-3)
    back = spectra.InverseSpectrum(1280, 320)(torch.from_numpy(made)[None])[0]
    np.testing.assert_allclose(back, sound, atol=1e-5)


def test_mel_bands_are_those_of_librosa():
    expected = librosa.filters.mel(sr=16_000, n_fft=1024, n_mels=64, fmin=30, htk=True, norm=None)
    made = spectra.mel_bands(64, 1024, 16_000).numpy()
    np.testing.assert_allclose(made, expected / expected.sum(1, keepdims=True), atol=1e-6)


def test_vectors_are_rounded_to_the_nearest_code_level_by_level():
    generator = torch.Generator().manual_seed(0)
    quantizer = ResidualQuantizer(3, 16, 5)
    vectors = torch.randn(400, 5, generator=generator)
    quantizer.begin(vectors, generator)
    before = torch.stack([(quantizer.decode(quantizer.encode(vectors)) - vectors).square().mean()])
    for _ in range(30):
        totals, used = quantizer.learn(vectors, generator)
    codes, rest = quantizer.encode(vectors), vectors
    for level in range(3):
        assert torch.equal(codes[:, level], torch.cdist(rest, quantizer.codebooks[level]).argmin(1))
        rest = rest - quantizer.codebooks[level][codes[:, level]]
    torch.testing.assert_close(quantizer.decode(codes), vectors - rest)
    assert rest.square().mean() < before
    assert totals.shape == (3, 400, 5)
    assert used.min() > 0.9


# ---- the loop -----------------------------------------------------------------------------------------------------


def _small():
    torch.manual_seed(3)
    return torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.Tanh(), torch.nn.Linear(8, 1))


def test_training_that_was_stopped_goes_on_as_if_it_had_not_been(tmp_path):
    def run(folder, network, **options):
        def loss(step, generator):
            x = torch.randn(16, 4, generator=generator)
            return {"loss": (network(x)[:, 0] - x.prod(1) - torch.rand(())).square().mean()}

        return training.train(network, loss, folder, steps=40, every=5, progress=False, **options)

    whole, parts = _small(), [_small(), _small()]
    assert run(tmp_path / "whole", whole)
    assert not run(tmp_path / "parts", parts[0], stop_after=0.0)
    assert run(tmp_path / "parts", parts[1])
    for first, second in zip(whole.parameters(), parts[1].parameters(), strict=True):
        assert torch.equal(first, second)
    curve = [json.loads(line) for line in (tmp_path / "parts" / "curve.jsonl").read_text().splitlines()]
    assert [row["step"] for row in curve] == [1, *range(5, 45, 5)]


# ---- networks -----------------------------------------------------------------------------------------------------


def test_blocks_of_the_codec_join_without_a_seam():
    codec = CodecNetwork(codes=16, dimension=32, latent=8, encoder_blocks=1, decoder_blocks=2).eval()
    codec.quantizer.begin(torch.randn(64, 8), torch.Generator().manual_seed(0))
    sound = torch.randn(1, 1, 16_000) * 0.1
    with torch.inference_mode():
        codes = codec.encode(sound)
        whole = codec.decode(codes)
        part = codec.decode(codes[:, :, 2:23])
    assert codes.shape == (1, 8, 25)
    assert whole.shape == (1, 1, 16_000)
    inner = slice(codec.context * 640, (21 - codec.context) * 640)
    torch.testing.assert_close(part[..., inner], whole[..., 2 * 640 : 23 * 640][..., inner])
    assert not torch.allclose(part[..., :640], whole[..., 2 * 640 : 3 * 640])


def test_texts_are_embedded_as_alone_and_words_that_are_not_known_by_their_trigrams():
    tower = TextTower(["blues", "piano"]).eval()
    texts = ["A slow Blues, with piano!", "", "Zydeco", "zydecos on an accordion, at midnight"]
    with torch.inference_mode():
        together = tower.embed(texts)
        for text, row in zip(texts, together, strict=True):
            torch.testing.assert_close(tower.embed([text])[0], row)
        torch.testing.assert_close(together.norm(dim=1), torch.ones(4))
        near = tower.vectors("zydeco")[0] @ tower.vectors("zydecos")[0]
        assert near > tower.vectors("zydeco")[0] @ tower.vectors("trumpet")[0]
    assert words("It's Rock'n'roll, 120 bpm.") == ["it", "s", "rock", "n", "roll", "120", "bpm"]


def test_the_semantic_encoder_is_the_lower_part_of_the_tower():
    tower = MusicTower(width=16, blocks=3).eval()
    encoder = SemanticEncoder(tower, depth=2, clusters=4).eval()
    sound = torch.randn(2, 16_000)
    with torch.inference_mode():
        torch.testing.assert_close(encoder.embed(sound), tower.frames(sound, 2).transpose(1, 2))
    assert encoder.tokenize(sound).shape == (2, 25)


def test_sequences_of_training_are_laid_out_as_the_manifest_says(tmp_path):
    semantic = SemanticLanguage(clusters=20, dimension=16, layers=1, heads=2)
    acoustic = AcousticLanguage(clusters=20, levels=3, codes=10, dimension=16, layers=1, heads=2)
    card = dict.fromkeys(("name", "source", "licence", "replaces"), "test")
    network = {
        "file": "x.pt",
        "sha256": "0" * 64,
        "methods": ["init_state", "extend"],
        "dtypes": ["float32"],
        "card": card,
    }
    codec = {
        **network,
        "methods": ["decode"],
        "sample_rate": 16_000,
        "frame_rate": 25,
        "levels": 3,
        "vocabulary": 10,
        "channels": 1,
    }
    stages = [{**network, **part.layout(25.0), "sampling": {"temperature": 1}} for part in (semantic, acoustic)]
    manifest = {
        "schema": 1,
        "name": "test",
        "description": "test",
        "roles": {"codec": codec},
        "stages": stages,
        "space": {"dimension": 128, "roles": [], "hashes": ["0" * 64]},
    }
    file = tmp_path / "bundle.json"
    file.write_text(json.dumps(manifest))
    tokens, codes = torch.randint(20, (2, 25)), torch.randint(10, (2, 3, 25))
    plan = _core.generation.lay_out(file, "acoustic", 1.0, 0, {"semantic": tokens[:, None]}, codes[..., :0])
    grid = acoustic.grid(tokens, codes)
    own = grid[:, 1:].clone()
    assert plan["grid"].shape == grid.shape
    assert torch.equal(plan["grid"][:, 0], grid[:, 0])
    drawn = ~plan["known"]
    assert torch.equal(own.masked_fill(drawn, -1), plan["grid"][:, 1:].masked_fill(drawn, -1))
    rows, columns = drawn.nonzero(as_tuple=True)
    assert set(zip(rows.tolist(), columns.tolist(), strict=True)) == {
        (level, 1 + level + frame) for level in range(3) for frame in range(25)
    }
    plan = _core.generation.lay_out(file, "semantic", 1.0, 0, {}, tokens[:, None, :0])
    assert plan["grid"][0, 0, 0] == 20
    assert plan["grid"].shape == (2 if len(plan["grid"]) == 2 else 1, 1, 26)


def test_bigrams_are_counted():
    codes = torch.tensor([[[0, 1, 0, 1, 0, 1]]])
    pairs = [(0, 1), (1, 0), (0, 1), (1, 0), (0, 1)]
    single = np.array([2.1, 3.1]) / 5.2  # of the codes that follow, a tenth added to each
    losses = []
    for weight in (0.1, 1, 10, 100, 1000, 10_000):
        rows = [[sum(pair == (before, after) for pair in pairs) for after in (0, 1)] for before in (0, 1)]
        guess = (np.array(rows) + weight * single) / (np.sum(rows, axis=1, keepdims=True) + weight)
        losses.append(-np.mean([np.log(guess[pair]) for pair in pairs]))
    assert bigram_losses(codes, codes, 2) == {"frame": pytest.approx(min(losses), rel=1e-5)}


# ---- all of it ----------------------------------------------------------------------------------------------------


def test_a_tiny_bundle_is_trained_and_makes_music(tmp_path, one):
    from brain2music.recipes import Plan, Recipe
    from brain2music.recipes.packed import packed

    plan = Plan(4, 2, embedder=2, codec=2, semantic=2, acoustic=2, tagger=2, clusters=8, codes=8, directions=4)
    recipe = Recipe(tmp_path / "work", plan, processes=1, progress=False)
    roles = ("music_embedder", "text_embedder", "semantic_encoder", "codec", "conditioner", "tagger")
    card = {"name": "tiny", "source": "test", "licence": "Apache-2.0", "replaces": "MusicLM"}
    cards = dict.fromkeys((*roles, "semantic", "acoustic"), card)
    bundle = b2m.Bundle(recipe.bundle(tmp_path / "bundle", name="tiny", cards=cards))
    texts = [*(text for _, _, text in one[0].captions), "Añejo \u0130stanbul, naïve"]
    near = bundle.embed("text_embedder", texts)
    text = recipe.embedder().text.eval()
    torch.testing.assert_close(torch.as_tensor(near.values[:, 0]), packed(text).float()(texts), atol=1e-5, rtol=0)
    torch.testing.assert_close(torch.as_tensor(near.values[:, 0]), text(texts), atol=0.02, rtol=0)
    audio = b2m.MusicGenerator(bundle).generate(near.values[:1, 0], seconds=1.0, samples=2, seed=1)
    assert audio.waveform.shape == (1, 2, 1, 16_000)
    assert np.isfinite(audio.waveform).all()
    assert np.abs(audio.waveform).max() > 0
    assert composed.Composer().groups(["rock", "drums", "sad calm"]) == [
        ("genres", ("rock",), True),
        ("instruments", ("drums",), False),
        ("moods", ("sad calm",), True),
    ]


@pytest.mark.filterwarnings("ignore:.*torch.jit.*:DeprecationWarning")
def test_packed_weights_are_rows_of_whole_numbers_times_a_scale():
    from brain2music.recipes.packed import PackedLinear, packed, unpacked

    torch.manual_seed(0)
    module = torch.nn.Sequential(torch.nn.Linear(40, 30), torch.nn.LayerNorm(30), torch.nn.Embedding(5, 7))
    module[0].weight.data[3] = 0
    made = packed(module)
    assert isinstance(module[0], torch.nn.Linear)  # what was packed is a copy
    weight = made[0].weight.numpy()
    assert weight.dtype == np.int8
    assert np.abs(weight).max() == 127
    for packed_one, true in ((made[0], module[0].weight), (made[2], module[2].weight)):
        restored = unpacked(packed_one.state_dict())["weight"]
        largest = true.abs().amax(1, keepdim=True)
        assert ((restored - true).abs() <= largest * (0.5 / 127 + 2**-10) + 1e-7).all()
    # What is unpacked fits the module that was packed, name by name; what was not packed passes through.
    module.load_state_dict(unpacked(made.state_dict()))
    torch.testing.assert_close(module[0](torch.ones(40)), made.float()[0](torch.ones(40)))
    torch.testing.assert_close(module[1].weight, torch.ones(30))
    x = torch.randn(4, 40)
    expected = torch.nn.functional.linear(x, made[0].weight * made[0].scale.float(), made[0].bias.float())
    # Opened, the product is a constant: nothing is unpacked at each call.
    frozen = torch.jit.freeze(torch.jit.script(PackedLinear(module[0])).eval().float())
    torch.testing.assert_close(frozen(x), expected)
    assert [node.kind() for node in frozen.graph.nodes() if not node.kind().startswith("prim::")] == ["aten::linear"]
