"""Standing rules: a provider's own client consents to computations that are like one it has agreed to."""
