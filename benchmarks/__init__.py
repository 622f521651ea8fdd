"""How long the public commands take: ``invoke bench``, or ``python -m benchmarks`` in the checkout."""
