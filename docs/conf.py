"""Sphinx: Python pages by autodoc, C++ pages from Doxygen's XML by Breathe, the notebook run by MyST-NB."""

import sys
from pathlib import Path

DOCS = Path(__file__).parent
ROOT = DOCS.parent
sys.path.insert(0, str(DOCS))

import brain2music  # noqa: E402

project = "brain2music"
author = "the brain2music developers"
version = release = brain2music.__version__
extensions = [
    "breathe",
    "from_source",
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.napoleon",
    "sphinx_argparse_cli",
]
default_role = "literal"

breathe_projects = {"brain2music": str(ROOT / "build" / "docs" / "xml")}
breathe_default_project = "brain2music"

autodoc_typehints = "none"  # the docstrings say types, with shapes
autosummary_generate = False  # tables of names alone; each name has a place on a page of ours
napoleon_google_docstring = False
maximum_signature_line_length = 75  # longer ones get a line a parameter

# The notebook is a test, too: an error in it ends the build.
nb_execution_mode = "force"
nb_execution_in_temp = True
nb_execution_raise_on_error = True
nb_execution_timeout = 1200
nb_output_stderr = "remove"  # warnings name files of the machine that builds

# Every link to a name of ours must resolve. Docstrings say types in words ("array of shape (n, p)"), and Sphinx looks
# for each part of a C++ name, such as the namespaces of LibTorch, by itself; Doxygen and Breathe check those of ours.
nitpicky = True
nitpick_ignore_regex = [(r"py:.*", r"(?!brain2music\.(?!_core)).*"), (r"cpp:.*", r".*")]

html_math_renderer = "mathml"
html_theme = "furo"
html_domain_indices = False  # the shelves lead to every module
html_static_path = ["_static"]
html_css_files = ["style.css"]
html_show_copyright = False
html_copy_source = html_show_sourcelink = False
html_theme_options = {"top_of_page_buttons": []}
html_title = f"brain2music {version}"
