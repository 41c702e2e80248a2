"""Sphinx configuration: ``sphinx-build -W --keep-going -b html docs docs/_build/html``."""

import sys
from pathlib import Path

import zoo

sys.path.insert(0, str(Path(__file__).parent / "_ext"))

project = "zoo"
author = "The zoo authors"
copyright = "The zoo authors"
version = release = zoo.__version__

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.doctest",
    "sphinx.ext.mathjax",
    "myst_parser",
    "numpydoc",
    "sphinx_gallery.gen_gallery",
]

source_suffix = {".md": "markdown", ".rst": "restructuredtext"}
templates_path = ["_templates"]
exclude_patterns = ["_build", "_ext", "_templates"]
myst_enable_extensions = ["colon_fence", "deflist", "dollarmath"]
myst_heading_anchors = 3

autosummary_generate = True
autodoc_typehints = "none"  # numpydoc states the types
autodoc_member_order = "bysource"
add_module_names = False
default_role = "py:obj"
numpydoc_show_class_members = False
numpydoc_xref_param_type = False

sphinx_gallery_conf = {
    "examples_dirs": "../examples",
    "gallery_dirs": "gallery",
    "backreferences_dir": "gallery/backreferences",
    "filename_pattern": r"[\\/]plot_",
    # the other scripts of the folder are run from a shell, and the plugin is a distribution
    "ignore_pattern": r"third_party_plugin|deploy",
    "image_scrapers": ("pictures",),
    "capture_repr": ("_repr_html_", "__repr__"),
    "download_all_examples": False,
    "min_reported_time": 5,
    "show_memory": False,
    "plot_gallery": "True",
    "abort_on_example_error": True,
    "within_subsection_order": "FileNameSortKey",
}

html_theme = "pydata_sphinx_theme"
html_title = "zoo"
html_static_path = ["_static"]
html_css_files = ["zoo.css"]
html_show_sourcelink = False
# a page without pages below it needs no list of them
html_sidebars = {
    page: [] for page in ("index", "tutorial", "kan", "deploy", "plugins", "errors", "changelog")
}
html_theme_options = {
    "navigation_with_keys": False,
    "show_toc_level": 2,
    "footer_start": ["copyright"],
    "footer_end": [],
    "secondary_sidebar_items": ["page-toc"],
    "pygments_light_style": "a11y-high-contrast-light",
    "pygments_dark_style": "a11y-high-contrast-dark",
}


def _headers_are_rst(app):
    # sphinx-gallery takes any folder with a README.md for a part of the gallery, the plugin too
    app.config.sphinx_gallery_conf["source_suffix"] = {".rst": "restructuredtext"}


def setup(app):
    app.connect("builder-inited", _headers_are_rst, priority=20)
