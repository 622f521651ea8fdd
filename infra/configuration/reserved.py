"""Names that Azure lets nobody give to a VM (Azure Resource Manager, "Resolve errors for reserved resource names")."""

# Those that a CVM can be called; others have dots and underscores.
_WORDS = """
access azure bing bizspark biztalk cortana directx dotnet dynamics excel exchange forefront groove hololens hyperv
kinect lync msdn o365 office office365 onedrive onenote outlook powerpoint sharepoint skype visio visualstudio
"""
_WHOLE = frozenset(_WORDS.split())
_BEGINNINGS = ("login", "xbox")
_PARTS = ("microsoft", "windows")


def is_reserved(name: str) -> bool:
    """Whether Azure refuses a VM called ``name`` (lower case): answer 400 ReservedResourceName."""
    return name in _WHOLE or name.startswith(_BEGINNINGS) or any(part in name for part in _PARTS)
