"""InstantFamily (arXiv 2404.19427): several people in one image, each keeping their identity."""
