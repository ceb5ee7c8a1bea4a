"""Syncs and runs in sentences: verdicts with their next step, balances, schedules. What the pages, the overview and the mails say alike."""
