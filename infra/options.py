"""Help texts of the options that several of the platform team's verbs have."""

JSON = {"json": "print JSON"}
YES = {"yes": "do not ask for confirmation"}
WORKSPACE = {"stack": "workspace (default: the stack selected in Pulumi)"}
REGISTRY = {"stack": "registry (default: the stack selected in Pulumi)"}
