"""What failed while something was fetched, in words without Python's."""

import urllib.error

import pytest

from image.errors import reason

SAID = [
    (urllib.error.URLError(ConnectionRefusedError(111, "Connection refused")), "Connection refused"),
    (urllib.error.URLError("no host given"), "no host given"),
    (urllib.error.HTTPError("https://example.org", 404, "Not Found", None, None), "HTTP Error 404: Not Found"),
    (TimeoutError("The read operation timed out"), "The read operation timed out"),
    (ConnectionResetError(104, "Connection reset by peer"), "Connection reset by peer"),
]


@pytest.mark.parametrize(("error", "said"), SAID)
def test_reason_has_no_names_of_classes(error: Exception, said: str) -> None:
    assert str(reason(error)) == said
