"""``python -m tools.errors_page``: writes ``docs/errors.md``."""

from tools.errors_page.page import PAGE, page
from tools.errors_page.sites import ErrorSources


def main() -> None:
    """Replace the page in the checkout."""
    PAGE.write_text(page(ErrorSources.read()), encoding="utf-8")


if __name__ == "__main__":
    main()
