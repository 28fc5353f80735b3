"""How Sphinx makes a site of these pages: `make docs`."""

import re
from itertools import pairwise

from docutils.nodes import SkipNode, Text, reference
from docutils.utils.math.latex2mathml import tex2mathml

from stitchc import __version__

project = "stitchc"
author = "the authors of stitchc"
release = version = __version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]

# Pages are Markdown that a forge shows as well: ```math is a directive of both, and so is $x$.
myst_enable_extensions = ["dollarmath"]
myst_fence_as_directive = ["math"]
myst_heading_anchors = 3

# Docstrings are plain text with sections; `name` in them is code.
default_role = "literal"
smartquotes = False
napoleon_custom_sections = [("Keywords", "params_style")]
autodoc_typehints = "none"
autodoc_member_order = "bysource"
maximum_signature_line_length = 88

html_math_renderer = "mathml"
html_theme = "furo"
html_title = f"stitchc {release}"
html_static_path = ["site"]
html_css_files = ["site.css"]
html_show_copyright = False
html_copy_source = False
html_show_sourcelink = False


def as_markdown(app, what, name, obj, options, lines):
    """Docstrings are read as Markdown is: what an empty line and an indent set apart is code or a drawing, and a lone
    asterisk or underscore is one. Errors get a line each."""
    shown, apart = [], False
    for before, line in pairwise(["", *one_error_a_line(lines)]):
        if line.startswith("    "):
            if not apart and shown and not before.strip():
                shown += ["::", ""]
                apart = True
        elif line.strip():
            apart = False
        shown.append(line if apart else re.sub(r"`[^`]*`|\*|(?<=\w)_(?!\w)", _escaped, line))
    lines[:] = shown


def one_error_a_line(lines):
    """The lines of a docstring, those under `Raises:` such that each names one kind of error and says it whole."""
    text = "\n".join(lines)
    return re.sub(r"(?<=^Raises:\n)(?: +\S.*\n?)+", _separated, text, flags=re.MULTILINE).split("\n")


def _separated(match):
    said = " ".join(match[0].split())
    return "".join(f"    {one}\n" for one in re.split(r"(?<=\.) (?=[A-Z]\w+(?:, [A-Z]\w+)*: )", said))


def _escaped(match):
    text = match[0]
    if text in "*_":
        return "\\" + text
    follows = match.string[match.end() : match.end() + 1]
    return text + (r"\ " if follows.isalnum() else "")


def shown_math(block):
    """A visitor that writes a formula as MathML, which browsers show without a script from elsewhere."""

    def visit(self, node):
        self.body.append(tex2mathml(node.astext(), as_block=block))
        raise SkipNode

    return visit, None


def titled_links(app, doctree, docname):
    """A link that a forge shows by the name of its file has on the site the title of the page."""
    for link in doctree.findall(reference):
        named = re.fullmatch(r"(?:docs/)?(\w+)\.md", link.astext())
        if named and named[1] in app.env.titles:
            link.children = [Text(app.env.titles[named[1]].astext())]


def setup(app):
    """Docstrings are changed before napoleon, which reads their sections at the usual priority."""
    app.connect("doctree-resolved", titled_links)
    app.connect("autodoc-process-docstring", as_markdown, priority=400)
    app.add_html_math_renderer("mathml", shown_math(False), shown_math(True))
