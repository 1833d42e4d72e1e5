"""What runs say: numbers read off them, the course's claims and their outcomes, and the ledger beside the paper."""

from .claims import CLAIMS, Claim, judge
from .ledger import entries, ledger
from .measures import CHOSEN_ARM, FRESH, MENDED_ARM, PAPER_ARM, PUBLISHED_ARM, SOFTMAX, arm, by_setting, cell, setting
from .pages import claims_page, ledger_page

__all__ = ["CHOSEN_ARM", "CLAIMS", "FRESH", "MENDED_ARM", "PAPER_ARM", "PUBLISHED_ARM", "SOFTMAX", "Claim", "arm",
           "by_setting", "cell", "claims_page", "entries", "judge", "ledger", "ledger_page", "setting"]
