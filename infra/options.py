"""Help texts of the options that several of the platform team's verbs have."""

JSON = {"json": "print JSON"}
YES = {"yes": "do not ask for confirmation"}
WORKSPACE = {"stack": "workspace (default: the stack selected in Pulumi)"}
REGISTRY = {"stack": "registry (default: the stack selected in Pulumi)"}


def after_down(kind: str, name: str, kept: str, *, removed: bool) -> str:
    """The last words of ``down``: pulumi's own advice would leave behind what ``--remove`` removes."""
    if removed:
        return f"The {kind} {name} is removed."
    remove = f"invoke {kind}.down --remove --stack {name}"
    return f"The {kind} {name} is down; {kept} are kept. To remove them, too (not by pulumi stack rm): {remove}"
