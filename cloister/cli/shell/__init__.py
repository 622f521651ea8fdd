"""The machinery of the verbs: options, output, errors and exit codes."""
