"""The rooms of the package that take a user's arrays; the documentation has a page for each."""

ROOMS = (
    *(
        "bundles",
        "decoding",
        "distributed",
        "encoding",
        "evaluation",
        "generation",
        "metrics",
        "plotting",
        "report",
        "retrieval",
    ),
    *("ridge", "signal", "study"),
)
