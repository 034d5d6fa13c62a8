"""The program: ``fairlead`` and ``python -m fairlead``."""

from __future__ import annotations

from fairlead.processor import spare_slow_sorts


def main() -> None:
    """Run the command line."""
    spare_slow_sorts()
    # Only now: it imports NumPy.
    from fairlead.cli import app

    app()


if __name__ == "__main__":
    main()
