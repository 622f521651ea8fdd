"""The checks of ``doctor``: what keeps a party from its first verdict, each with its remedy."""
