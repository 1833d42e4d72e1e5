"""What runs say: numbers read off them, the course's claims and their outcomes, and the ledger beside the paper."""
