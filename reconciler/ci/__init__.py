"""What a CI job needs beside plan and apply: the plan's comment on a pull or merge request."""
