"""Sphinx: Python pages by autodoc, C++ pages from Doxygen's XML by Breathe."""

from pathlib import Path

import brain2music

project = "brain2music"
author = "the brain2music developers"
version = release = brain2music.__version__
extensions = ["breathe", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
breathe_projects = {"brain2music": str(Path(__file__).parents[1] / "build" / "docs" / "xml")}
breathe_default_project = "brain2music"
autodoc_typehints = "none"  # the docstrings say types, with shapes
napoleon_google_docstring = False
nitpicky = False
maximum_signature_line_length = 100  # longer ones get a line a parameter
html_theme = "furo"
html_title = f"brain2music {version}"
