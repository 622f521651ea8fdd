"""Evidence from files: what each file is, and one piece of evidence out of all of them.

Only this package unwraps what other tools write. A wrapper gives a report or quote, certificates and the preimage of
its report data; everything else in it is ignored.
"""
