"""EthoLoop: from raw animal videos to ethograms that get better with every correction.

Importing this package does nothing but define names: no folders, no logging, no environment, no downloads.
"""

__version__ = "0.1.0"
