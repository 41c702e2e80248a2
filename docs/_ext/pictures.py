"""A scraper for sphinx-gallery: the figures of a script, which pyplot never hears of."""

from collections.abc import Mapping
from typing import Any
from weakref import WeakSet

from matplotlib.figure import Figure
from sphinx_gallery.scrapers import figure_rst

_saved: "WeakSet[Figure]" = WeakSet()


class _Pictures:
    def __repr__(self) -> str:
        return "pictures"

    def __call__(
        self, block: Any, block_vars: Mapping[str, Any], gallery_conf: Mapping[str, Any]
    ) -> str:
        """Save each figure among the globals of a script that no earlier block had."""
        paths = []
        for value in block_vars["example_globals"].values():
            if isinstance(value, Figure) and value not in _saved:
                _saved.add(value)
                path = block_vars["image_path_iterator"].next()
                value.savefig(path, dpi=110, bbox_inches="tight")
                paths.append(path)
        return figure_rst(paths, gallery_conf["src_dir"])


def _get_sg_image_scraper() -> _Pictures:
    return _Pictures()
