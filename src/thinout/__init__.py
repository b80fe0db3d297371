"""thinout: the dropout library for PyTorch."""

__version__ = "0.1.0.dev0"
