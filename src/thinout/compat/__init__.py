"""Layers of thinout under the names, and with the arguments in the order, that other libraries gave them."""
