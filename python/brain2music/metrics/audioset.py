"""The classes of AudioSet that the paper compares originals and reconstructions by."""

from collections.abc import Mapping, Sequence

__all__ = ["CLASS_GROUPS", "TOP_N", "group_indices"]

#: Classes of each group, by their display names in AudioSet's ontology (Denk, Takagi et al., 2023, appendix).
CLASS_GROUPS: dict[str, tuple[str, ...]] = {
    "genres": (
        "Pop music",
        "Hip hop music",
        "Rock music",
        "Rhythm and blues",
        "Soul music",
        "Reggae",
        "Country",
        "Funk",
        "Folk music",
        "Middle Eastern music",
        "Jazz",
        "Disco",
        "Classical music",
        "Electronic music",
        "Music of Latin America",
        "Blues",
        "Music for children",
        "New-age music",
        "Vocal music",
        "Music of Africa",
        "Christian music",
        "Music of Asia",
        "Ska",
        "Traditional music",
        "Independent music",
    ),
    "instruments": (
        "Plucked string instrument",
        "Keyboard (musical)",
        "Percussion",
        "Orchestra",
        "Brass instrument",
        "Bowed string instrument",
        "Wind instrument, woodwind instrument",
        "Harp",
        "Choir",
        "Bell",
        "Harmonica",
        "Accordion",
        "Bagpipes",
        "Didgeridoo",
        "Shofar",
        "Theremin",
        "Singing bowl",
        "Scratching (performance technique)",
    ),
    "moods": ("Happy music", "Sad music", "Tender music", "Exciting music", "Angry music", "Scary music"),
}

#: How many of a group's most likely classes are compared.
TOP_N: dict[str, int] = {"genres": 2, "instruments": 2, "moods": 1}


def group_indices(
    class_names: Sequence[str], groups: Mapping[str, Sequence[str]] = CLASS_GROUPS
) -> dict[str, list[int]]:
    """Find the columns of each group's classes in a tagger's output.

    Parameters
    ----------
    class_names : sequence of str
        Name of each column, e.g. the 527 display names of AudioSet.
    groups : mapping from str to sequence of str
        Names of the classes of each group.

    Returns
    -------
    dict from str to list of int

    Raises
    ------
    ValueError
        If a class is missing, or there twice.
    """
    columns: dict[str, list[int]] = {}
    for column, name in enumerate(class_names):
        columns.setdefault(name, []).append(column)
    for group, names in groups.items():
        for name in names:
            found = columns.get(name, [])
            if len(found) != 1:
                raise ValueError(
                    f"[metrics.group_indices] class {name!r} of {group} must be there once; got it {len(found)} times "
                    f"among {len(class_names)} classes"
                )
    return {group: [columns[name][0] for name in names] for group, names in groups.items()}
