"""Plans as people and programs read them: text, JSON, Markdown, HTML and job annotations."""
