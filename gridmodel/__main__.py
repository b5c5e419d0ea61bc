"""``python -m gridmodel``."""

from gridmodel.cli import main

if __name__ == "__main__":
    raise SystemExit(main())
