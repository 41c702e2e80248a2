"""Multi-token prediction (arXiv 2404.19737)."""
