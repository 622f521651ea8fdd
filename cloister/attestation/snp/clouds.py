"""The names of a cloud in a VLEK's certificate, as people write them in a policy.

AMD's certificate has the cloud's own name (publication 57230, extension 1.3.6.1.4.1.3704.1.5), such as
``CN=cc-us-east-2.amazonaws.com``. A policy may have all of it, or the host name, or Amazon's region.
"""

import re

_PREFIX = "CN="
_AMAZON = re.compile(r"CN=cc-([a-z]{2,}(?:-[a-z]+)+-[0-9]{1,2})\.amazonaws\.com\Z")


def names(cloud: str) -> tuple[str, ...]:
    """The names of the cloud ``cloud``, which is as in the certificate: that one first; at most three."""
    region = _AMAZON.match(cloud)
    host = (cloud.removeprefix(_PREFIX),) if cloud.startswith(_PREFIX) else ()
    return (cloud, *host, *((region[1],) if region else ()))
