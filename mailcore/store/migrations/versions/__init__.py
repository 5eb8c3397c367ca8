"""The history of the tables: a module for each revision."""

from typing import Final

# From the first to the newest. Not what the numbers say: several are made side by side, and land in another order.
REVISIONS: Final = (
    "0001",
    "0002",
    "0003",
    "0004",
    "0005",
    "0006",
    "0007",
    "0009",
    "0008",
    "0010",
    "0011",
    "0013",
    "0014",
    "0015",
    "0012",
    "0017",
    "0018",
    "0019",
    "0020",
    "0021",
    "0022",
    "0023",
)
