"""A realistic page of results, for tests of how a report looks and behaves."""

import functools
import io

import matplotlib.pyplot as plt
import numpy as np
from scipy import signal as dsp

from brain2music import report
from brain2music.simulation import music

GENRES = ("blues", "jazz", "metal")
SECONDS = 4.0


def drawn(figure, kind="svg"):
    buffer = io.BytesIO()
    figure.savefig(buffer, format=kind, dpi=150)
    plt.close(figure)
    return buffer.getvalue()


def spectrogram(waveform):
    power = dsp.stft(waveform, music.RATE, nperseg=1024, noverlap=512)[2]
    level = np.clip(20 * np.log10(np.abs(power[1:400]) + 1e-6), -90, -20)
    buffer = io.BytesIO()
    plt.imsave(buffer, level[::2, ::2], cmap="magma", origin="lower", format="png")
    return buffer.getvalue()


@functools.cache
def player(role, label, detail, genre, seed):
    waveform = music.render(music.compose(genre, seed, SECONDS))
    return report.Player(role, label, detail, waveform, music.RATE, spectrogram(waveform))


def example(number, genre):
    clip = f"{genre}.000{17 + number}_6.44"
    caption = music.captions([music.compose(genre, number, SECONDS)], seed=number)[0]
    players = (
        player("heard", clip, "what the subject listened to", genre, number),
        player("retrieved", f"{genre}.00312", "rank 1 of 1,000 tracks, cosine 0.83", genre, 100 + number),
        player("oracle", "jazz.00105", "rank 1 of 1,000 tracks, cosine 0.97", "jazz", 200),
    )
    return report.Example(clip, genre, "001", caption, "Told apart from 57 of 59 other clips.", players)


def figures(rng):
    matrix = rng.normal(0, 0.15, (60, 60)) + 0.25 * np.kron(np.eye(10), np.ones((6, 6))) + 0.3 * np.eye(60)
    figure, axes = plt.subplots(figsize=(5, 4.3), layout="constrained")
    shown = axes.imshow(matrix, cmap="RdBu_r", vmin=-1, vmax=1)
    axes.set_xlabel("true embedding of clip")
    axes.set_ylabel("decoded embedding of clip")
    figure.colorbar(shown, label="Pearson's r")
    yield report.Figure(
        "Identification matrix",
        "Correlation of every decoded with every true embedding, clips sorted by genre. A bright diagonal means that "
        "clips are told apart; bright blocks mean that genres are.",
        "Matrix of 60 by 60 correlations; the diagonal is highest, about 0.55, and blocks of one genre stand out.",
        drawn(figure),
    )
    figure, axes = plt.subplots(figsize=(5, 4.3), layout="constrained")
    for genre in range(10):
        axes.scatter(*(rng.normal(0, 1, (2, 1)) * 3 + rng.normal(0, 0.6, (2, 6))), label=music.GENRES[genre], s=18)
    axes.legend(fontsize=7, ncols=2)
    axes.set_xlabel("first component")
    axes.set_ylabel("second component")
    yield report.Figure(
        "Decoded embeddings by genre",
        "Projected onto two principal components.",
        "Scatter of 60 points in ten colours; classical and metal lie apart from the others.",
        drawn(figure, "png"),
        "png",
    )
    figure, axes = plt.subplots(figsize=(10, 3.6), layout="constrained")
    axes.bar(music.GENRES, rng.uniform(0.7, 0.95, 10), color="#0b5a6c", width=0.6)
    axes.axhline(0.5, color="#14171a", linestyle="--", linewidth=1)
    axes.annotate("chance", (9.6, 0.51), color="#545b62")
    axes.set_ylim(0.4, 1)
    axes.set_ylabel("identification accuracy")
    yield report.Figure(
        "Identification by genre",
        "Mean over five subjects; the dashed line is chance.",
        "Bars for ten genres between 0.70 and 0.95, all above chance at 0.5.",
        drawn(figure),
        wide=True,
    )


def sample_page():
    rng = np.random.default_rng(0)
    with plt.rc_context({"font.size": 9, "axes.spines.top": False, "axes.spines.right": False}):
        matrix, scatter, bars = figures(rng)
    numbers = ("chance", "what a random pick from the library reaches"), ("oracle", "what the true embedding reaches")
    columns = (
        report.Column("Subject", "", "left"),
        report.Column("Identification", "share of other clips told apart, over 60 test clips", "right"),
        report.Column("Correlation over items", "mean over 128 dimensions of the embedding", "right"),
        report.Column("Correlation over dimensions", "mean over 60 test clips", "right"),
        *(report.Column(name, meaning, "right") for name, meaning in numbers),
        report.Column("Regions decoded from", "best first", "left"),
    )
    rows = tuple(
        (
            f"sub-00{i}",
            f"0.8{i}4",
            f"0.30{i}",
            f"0.41{i}",
            "0.502",
            "1.000",
            "Heschl's gyrus L, planum temporale R, STS L",
        )
        for i in range(1, 6)
    )
    results = report.Table(
        "Decoding, subject by subject", "Test clips; responses averaged over four repeats.", columns, rows
    )
    small = report.Table("Retrieval", "How often the genre is met.", columns[:2], (("Genre of rank 1", "0.61"),))
    return report.Page(
        title="Music decoded from brain activity",
        subtitle="Simulated study of 5 subjects, seed 0",
        lead="Five simulated subjects listened to 540 clips of music. From their responses to 60 clips that no model "
        "had seen, we decoded music embeddings, told the clips apart, and retrieved tracks that sound alike.",
        headlines=(
            report.Headline(
                "0.876", "Identification accuracy", "0.502", "1.000", "60 test clips, 5 subjects, sd 0.015"
            ),
            report.Headline(
                "0.307", "Correlation over items", "0.001", "1.000", "128 dimensions, 5 subjects, sd 0.016"
            ),
            report.Headline("61 %", "Genre of the first track retrieved", "10 %", "84 %", "60 clips, 1,000 tracks"),
        ),
        sections=(
            report.Section(
                "Identification",
                "Each decoded embedding is compared with the true embeddings of all test clips.\n\nThe brain's "
                "response to a clip is averaged over four hearings.",
                (matrix, scatter, bars),
                (results,),
            ),
            report.Section(
                "Listen",
                "Three clips, chosen before anything was decoded.",
                tables=(small,),
                examples=tuple(example(number, genre) for number, genre in enumerate(GENRES)),
            ),
        ),
        settings={
            "study": "build/demo/study",
            "alphas": "logspace(-2, 7, 10), relative to the mean eigenvalue",
            "folds": "runs",
            "bundle": "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
        },
        versions={"brain2music": "0.1.0", "torch": "2.11.0+cpu", "Python": "3.11.7"},
        notes=("The last clip of each run has seven of its ten scans.", "One clip ends at 14.99 s: shortened."),
    )
