"""All we know of OpenRouter, pure: no I/O, no clock, nothing kept between calls.

A fact about its API lives here and nowhere else, with its source in the docstring.
"""
