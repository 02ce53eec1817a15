"""lowtide buys text from language models: the price first, the cheap hour when it can wait, every receipt kept.

This file names the version and loads nothing else, so that ``import lowtide`` stays fast.
"""

__version__ = "0.1.0"
