"""Callbacks for other libraries' training loops; each module is imported only by who uses it.

`thinout.integrations.lightning` and `thinout.integrations.transformers` can be imported without these libraries, whose
lack is told where a callback is made.
"""
