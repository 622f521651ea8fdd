"""The usage record of a computation: what it was allowed to use, how large its assets were, when it ran."""
