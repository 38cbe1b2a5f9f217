"""The guide: `make docs` builds it. Warnings are errors, so broken links are found."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from sphinx.application import Sphinx

from dnsity import __version__

HERE = Path(__file__).parent

project = "dnsity"
copyright = "the dnsity developers, MIT licence"
version = release = __version__

extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
exclude_patterns = ["_build", "jupyter_execute"]
html_theme = "furo"
html_title = f"dnsity {__version__}"
html_static_path = ["style"]
html_css_files = ["code.css"]
templates_path: list[str] = []

myst_heading_anchors = 3
autodoc_typehints = "description"
autodoc_member_order = "bysource"
napoleon_use_ivar = True
default_role = "literal"  # docstrings write `code` as Markdown does
nb_execution_mode = os.environ.get("NOTEBOOK", "force")  # "off" leaves its pictures out
nb_execution_timeout = 600
nb_execution_raise_on_error = True

# Pages that are made anew for every build: what `--help` says, and the notebook with its pictures.
TYPER = [sys.executable, "-m", "typer", "dnsity.cli.app", "utils", "docs"]
OPTIONS = ["--name", "dnsity", "--title", "Commands", "--output", str(HERE / "cli.md")]
subprocess.run([*TYPER, *OPTIONS], check=True, capture_output=True)
shutil.copyfile(HERE.parent / "notebooks" / "gist_demo.ipynb", HERE / "gist_demo.ipynb")


def setup(app: Sphinx) -> None:
    """Let pages link the notebook where it is in the repository, and here its rendered copy."""

    def notebook(app: Sphinx, page: str, source: list[str]) -> None:
        source[0] = source[0].replace("](../notebooks/gist_demo.ipynb)", "](gist_demo.ipynb)")

    app.connect("source-read", notebook)
