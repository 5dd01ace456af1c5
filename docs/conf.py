"""Sphinx: Python pages by autodoc, C++ pages from Doxygen's XML by Breathe."""

from pathlib import Path

from docutils import nodes
from docutils.parsers.rst import Directive

import brain2music
from brain2music.report import GLOSSARY

project = "brain2music"
author = "the brain2music developers"
version = release = brain2music.__version__
extensions = ["breathe", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
breathe_projects = {"brain2music": str(Path(__file__).parents[1] / "build" / "docs" / "xml")}
breathe_default_project = "brain2music"
autodoc_typehints = "none"  # the docstrings say types, with shapes
napoleon_google_docstring = False
nitpicky = False
maximum_signature_line_length = 75  # longer ones get a line a parameter
html_theme = "furo"
html_show_copyright = False
html_title = f"brain2music {version}"


class ReportGlossary(Directive):
    """``.. report-glossary::`` lists what the numbers of a report mean, as the report itself does."""

    def run(self):
        entries = nodes.definition_list()
        for entry in GLOSSARY:
            meaning = nodes.definition("", nodes.paragraph(text=entry.meaning))
            entries += nodes.definition_list_item("", nodes.term(text=entry.term), meaning)
        return [entries]


def setup(app):
    app.add_directive("report-glossary", ReportGlossary)
