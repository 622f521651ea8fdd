"""VM names that Azure rejects (Azure Resource Manager, "Resolve errors for reserved resource names")."""

# Only words that are valid CVM names; Azure reserves others with dots and underscores.
_WORDS = """
access azure bing bizspark biztalk cortana directx dotnet dynamics excel exchange forefront groove hololens hyperv
kinect lync msdn o365 office office365 onedrive onenote outlook powerpoint sharepoint skype visio visualstudio
"""
_EXACT = frozenset(_WORDS.split())
_PREFIXES = ("login", "xbox")
_PARTS = ("microsoft", "windows")


def is_reserved(name: str) -> bool:
    """Whether Azure refuses a VM called ``name`` (lower case): answer 400 ReservedResourceName."""
    return name in _EXACT or name.startswith(_PREFIXES) or any(part in name for part in _PARTS)
