"""The resource provider ``cloister-local``: virtual machines on this machine, as Pulumi resources.

It implements Pulumi's gRPC protocol. ``pulumi.dynamic`` would pickle code into the state, and
``pulumi.provider.experimental`` adds a traceback to every error and cannot be cancelled during a long create.
"""
