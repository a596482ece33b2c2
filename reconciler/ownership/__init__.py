"""Who owns a live session: the tag and the remark that it stands in, and sessions reserved for this program."""
