"""Which worker runs a job: every job carries a FireWorks category and a readable name."""

from typing import Any, Literal

Category = Literal["cpu", "dft", "gpu"]


def in_category(item: Any, category: Category, name: str) -> Any:
    """Give a job its category and name; what it spawns keeps its own."""
    item.name = name
    item.config.manager_config = {"_category": category}
    item.config.pass_manager_config = False
    return item
