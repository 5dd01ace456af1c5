"""What the numbers of a report mean, for readers who meet them for the first time."""

from dataclasses import dataclass

__all__ = ["GLOSSARY", "ROLES", "Entry"]


@dataclass(frozen=True)
class Entry:
    """A number and its meaning, in two sentences."""

    term: str
    meaning: str


GLOSSARY = (
    Entry(
        "Identification accuracy",
        "The embedding decoded for a clip is compared with the true embeddings of all clips: the score is the share of "
        "the other clips that correlate with it less than the clip's own does, ties counting one half. It is averaged "
        "over clips; guessing gives 0.5, telling every clip from every other gives 1.",
    ),
    Entry(
        "Correlation over items",
        "For each dimension of the embedding, how closely the decoded values follow the true ones from clip to clip "
        "(Pearson's r), averaged over dimensions. No relation gives 0, a perfect straight line gives 1.",
    ),
    Entry(
        "Correlation over dimensions",
        "For each clip, how closely its decoded embedding follows its true one from dimension to dimension "
        "(Pearson's r), averaged over clips. All music has something in common, so even the embedding of a wrong clip "
        "scores above 0: read it beside chance.",
    ),
    Entry(
        "Chance",
        "What the same number comes to when a track picked at random from the music library takes the place of what "
        "was decoded. Only the part of a result that lies above chance says anything about the brain.",
    ),
    Entry(
        "Permuted chance",
        "What the same number comes to when the decoded embeddings are dealt out to the clips at random, over and over "
        "again. A result that hardly any such deal reaches is more than luck; P is the share of deals that reach it.",
    ),
    Entry(
        "Oracle",
        "What the same number comes to when the true embedding takes the place of the decoded one, as if decoding were "
        "perfect. It shows how much is lost after decoding, for example because the library holds nothing closer.",
    ),
    Entry(
        "Noise ceiling",
        "The highest correlation that any model could reach for a voxel, since its responses differ even when the same "
        "clip is heard again. It is estimated from the repeats of the test clips.",
    ),
    Entry(
        "ROI score",
        "How well the voxels of one region of interest (ROI) predict the embedding: the correlation on training runs "
        "held out in turn, averaged over dimensions. The regions that score highest are decoded from; test clips have "
        "no say in that.",
    ),
    Entry(
        "Cosine",
        "How far two embeddings point the same way: 1 for the same direction, 0 for unrelated ones, -1 for opposite "
        "ones. The tracks retrieved are those of the library whose cosine with the decoded embedding is largest.",
    ),
    Entry(
        "Alpha",
        "The penalty on large weights in ridge regression: the larger it is, the less the model trusts any single "
        "voxel. One is chosen for each dimension of the embedding, by cross-validation on training runs.",
    ),
)

#: What each kind of player plays.
ROLES = {
    "heard": Entry("Heard", "The clip that was played in the scanner."),
    "retrieved": Entry(
        "Retrieved", "The track of the library that lies nearest to the embedding decoded from brain activity."
    ),
    "generated": Entry(
        "Generated", "New music, made by networks from the embedding decoded from brain activity. Nobody recorded it."
    ),
    "oracle": Entry("Oracle", "The track that lies nearest to the true embedding: the best that retrieval could do."),
    "generated-oracle": Entry(
        "Generated, oracle", "New music made from the true embedding: the best that generation could do."
    ),
}
