"""Who owns a live session: the tag in its remark, and sessions reserved for this program."""
