"""The commands, one a file. Each module holds a click command under the name ``command``."""
