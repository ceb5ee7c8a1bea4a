#!/usr/bin/env python
"""Django's command line of Integration Hub."""

import sys

from integration_hub.entry import plain_refusal

if __name__ == "__main__":
    with plain_refusal():
        from django.core.management import execute_from_command_line

        execute_from_command_line(sys.argv)
