#!/usr/bin/env python
"""Django's command line of Integration Hub."""

import sys

from integration_hub.entry import plain_refusal

if __name__ == "__main__":
    with plain_refusal():
        if sys.argv[1:2] == ["start"]:  # no command of Django's, since those load all apps first
            from integration_hub.start import main

            main(sys.argv[2:])
        else:
            from django.core.management import execute_from_command_line

            execute_from_command_line(sys.argv)
