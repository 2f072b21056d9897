"""Questions about the data that gate the stages after them, asked with Great Expectations."""
